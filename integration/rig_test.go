package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

// program is integration/program, compiled once: at full length with the race detector, which makes it
// several times slower.
var program string

// plain is what others were compiled to without it, by their package.
var plain struct {
	sync.Mutex
	tb       testserver.TB
	programs map[string]string
}

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	tb := testserver.Outside()
	defer tb.Close()
	plain.tb, plain.programs = tb, map[string]string{}
	if testing.Short() {
		program = build("integration/program")
	} else {
		program = system.Build(tb, "integration/program", true)
	}
	return m.Run()
}

// build gives a program without the race detector, compiled when it is first asked for.
func build(pkg string) string {
	plain.Lock()
	defer plain.Unlock()
	if plain.programs[pkg] == "" {
		plain.programs[pkg] = system.Build(plain.tb, pkg, false)
	}
	return plain.programs[pkg]
}

// atLength is for what makes a test long: full is for make test-all, and short for make test.
func atLength[T any](full, short T) T {
	if testing.Short() {
		return short
	}
	return full
}

// patience is how long a test waits for what takes a moment on a machine that does nothing else.
const patience = 30 * time.Second

// rig is an installation with servers of its own, which can be hurt.
type rig struct {
	*system.System
	t        *testing.T
	postgres *testserver.PostgresServer
	redis    *testserver.RedisServer
	client   *http.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	pg, rd := testserver.NewPostgres(t), testserver.NewRedis(t)
	return &rig{System: system.New(t, program, pg.URL(), rd.URL()), t: t, postgres: pg, redis: rd, client: system.Client()}
}

// upload posts a small file for the kind "work" and wants it accepted.
func (r *rig) upload(api *system.API, params string) uuid.UUID {
	r.t.Helper()
	up, err := r.Upload(r.t.Context(), r.client, api.URL, "work", params, []byte("some bytes"))
	if err != nil {
		r.t.Fatalf("upload: %v", err)
	}
	return up.JobID
}

func (r *rig) job(api *system.API, id uuid.UUID) *wire.Job {
	r.t.Helper()
	job, err := system.Job(r.t.Context(), r.client, api.URL, id.String())
	if err != nil {
		r.t.Fatalf("read job %s: %v", id, err)
	}
	return job
}

// waitState waits until the job is in the state.
func (r *rig) waitState(api *system.API, id uuid.UUID, state string, limit time.Duration) *wire.Job {
	r.t.Helper()
	var job *wire.Job
	system.Poll(r.t.Context(), r.t, fmt.Sprintf("job %s is %s", id, state), limit, 50*time.Millisecond, func() bool {
		job = r.job(api, id)
		if job.Ended() && job.State != state {
			r.t.Fatalf("job %s is %s (%v), want %s", id, job.State, job.Error, state)
		}
		return job.State == state
	})
	return job
}

// waitAllEnded waits until no job is left to do, and returns the account.
func (r *rig) waitAllEnded(accepted []uuid.UUID, deaths map[string]time.Time, limit time.Duration) system.Account {
	r.t.Helper()
	var account system.Account
	system.Poll(r.t.Context(), r.t, "every job has ended", limit, 200*time.Millisecond, func() bool {
		busy, err := r.Busy(r.t.Context())
		return err == nil && !busy
	})
	account, err := r.Account(r.t.Context(), accepted, deaths)
	if err != nil {
		r.t.Fatalf("account: %v", err)
	}
	return account
}

// load uploads small files at a steady rate until stopped, and remembers what was accepted.
type load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	accepted []uuid.UUID
	refused  map[int]int // answers that were not 202, by status; 0 for none at all
}

// startLoad posts to whatever base gives, so that an api can be replaced.
func (r *rig) startLoad(base func() string, perSecond, senders int, params func(i int) string) *load {
	ctx, cancel := context.WithCancel(r.t.Context())
	l := &load{cancel: cancel, refused: map[int]int{}}
	ticks := make(chan int)
	l.done.Go(func() {
		defer close(ticks)
		ticker := time.NewTicker(time.Second / time.Duration(perSecond))
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			select {
			case <-ctx.Done():
				return
			case ticks <- i:
			}
		}
	})
	for range senders {
		l.done.Go(func() {
			for i := range ticks {
				l.send(ctx, r, base(), params(i), i)
			}
		})
	}
	r.t.Cleanup(func() { l.stop() })
	return l
}

func (l *load) send(ctx context.Context, r *rig, base, params string, i int) {
	// A request that has begun is waited for after the stop, so that every 202 is counted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	content := fmt.Appendf(nil, "file number %d\n", i)
	up, err := r.Upload(ctx, r.client, base, "work", params, content)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		status := 0
		if e, ok := errors.AsType[*system.StatusError](err); ok {
			status = e.Status
		}
		l.refused[status]++
		return
	}
	l.accepted = append(l.accepted, up.JobID)
}

// stop ends the load and returns what was accepted.
func (l *load) stop() []uuid.UUID {
	l.cancel()
	l.done.Wait()
	return l.accepted
}

// count is how many were accepted up to now.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

// pass lets real time go by: outages last as long as their test says.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

func isMessage(msg string) func(system.Line) bool {
	return func(l system.Line) bool { return l.Message() == msg }
}
