package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
)

// TestP3CutConnectionsGiveNoWrongVerdict cuts connections at every moment, on the way and in the
// server, while jobs are accepted, claimed and ended. A call may say that it does not know; what it
// says that it knows is so, and asking again tells the truth.
func TestP3CutConnectionsGiveNoWrongVerdict(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	link := testserver.Proxy(t, url)
	s := opened(t, postgres.Options{URL: link.URL(), MaxConns: 4})
	worker := register(t, opened(t, postgres.Options{URL: url}))

	const callers, each = 8, 40
	f := &faulty{t: t, s: s, worker: worker, accepted: make(map[uuid.UUID]bool), due: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	var sabotage sync.WaitGroup
	sabotage.Go(func() {
		defer stop() // should it fail, the stories would ask for ever
		f.cutAgainAndAgain(ctx, link, url)
	})

	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				f.story(ctx)
			}
		})
	}
	all.Wait()
	stop()
	sabotage.Wait()

	if f.unknown == 0 {
		t.Error("no call was cut")
	}
	t.Logf("%d calls did not know", f.unknown)
	check := opened(t, postgres.Options{URL: url})
	for id := range f.accepted {
		attempts, err := check.Attempts(t.Context(), jobs.DefaultTenant, id)
		if err != nil || len(attempts) != 1 || attempts[0].Outcome != jobs.RunSucceeded {
			t.Errorf("job %v: attempts %+v, %v", id, attempts, err)
		}
	}
	checkConsistency(t, url)
}

// cutAgainAndAgain ends connections, now in the server, now on the way to it, each time that some
// calls have got through.
func (f *faulty) cutAgainAndAgain(ctx context.Context, link *testserver.Link, url string) {
	conn := direct(f.t, url)
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-f.due:
		}
		if n%4 == 0 {
			link.Cut()
			link.Restore()
			continue
		}
		_, err := conn.Exec(f.t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'leat' AND state = 'active' AND pid <> pg_backend_pid()`)
		if err != nil {
			f.t.Errorf("terminate: %v", err)
			return
		}
	}
}

type faulty struct {
	t      *testing.T
	s      store.Store
	worker uuid.UUID

	due chan struct{} // it is time to cut again

	mu       sync.Mutex
	answers  int
	unknown  int
	accepted map[uuid.UUID]bool
}

// between is how many answers there are from one cut to the next.
const between = 7

// known reports whether a call knew what it did, and fails for errors that are not of a cut
// connection.
func (f *faulty) known(what string, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(err, store.ErrUnavailable) {
		f.unknown++
		return false
	}
	if f.answers++; f.answers%between == 0 {
		select {
		case f.due <- struct{}{}:
		default: // it is due already
		}
	}
	if err != nil {
		f.t.Errorf("%s: %v", what, err)
	}
	return true
}

// story takes one job from its upload to its end.
func (f *faulty) story(ctx context.Context) {
	up := upload(64)
	for {
		_, err := f.s.Accept(ctx, jobs.DefaultTenant, []store.Upload{up})
		if f.known("accept", err) {
			break
		}
		up = upload(64) // the first may have been accepted, or may yet be
	}
	id := up.Job.ID
	f.mu.Lock()
	f.accepted[id] = true
	f.mu.Unlock()
	req := request(f.worker, id)
	for {
		claimed, err := f.s.Claim(ctx, req)
		if f.known("claim", err) {
			if claimed.Refused != "" || claimed.Job.ID != id || len(claimed.Content.Inline) != 64 {
				f.t.Errorf("claim: refused %q, job %v", claimed.Refused, claimed.Job.ID)
			}
			break
		}
	}
	for {
		state, err := f.s.End(ctx, success(store.RunRef{JobID: id, Claim: req.Claim}))
		if f.known("end", err) {
			if state != jobs.Succeeded {
				f.t.Errorf("end: %s", state)
			}
			break
		}
	}
}

// TestP3ClaimLostInACrash: claims do not wait for the disk. One that a crash of the server undoes is
// lost to its run, and the job is there for another.
func TestP3ClaimLostInACrash(t *testing.T) {
	t.Parallel()
	// Nothing but a commit that waits for it writes the log within ten seconds.
	server := testserver.NewPostgres(t, testserver.PostgresSetting("wal_writer_delay", "10s"))
	s := opened(t, postgres.Options{URL: server.URL()})
	worker := register(t, s)
	id := accept(t, s, 1)[0]
	run := claim(t, s, worker, id)
	server.Kill()
	server.Start()
	eventually(t, "the store answers again", func() bool { return s.Ping(t.Context()) == nil })

	if state, err := s.End(t.Context(), success(run)); !errors.Is(err, store.ErrClaimLost) {
		t.Errorf("the end of the lost run: %s, %v", state, err)
	}
	state, err := s.End(t.Context(), success(claim(t, s, worker, id)))
	if err != nil || state != jobs.Succeeded {
		t.Errorf("the end of the next run: %s, %v", state, err)
	}
	checkConsistency(t, server.URL())
}

// claim starts a run of a job at its first generation.
func claim(t *testing.T, s store.Store, worker, id uuid.UUID) store.RunRef {
	t.Helper()
	req := request(worker, id)
	claimed, err := s.Claim(t.Context(), req)
	if err != nil || claimed.Refused != "" {
		t.Fatalf("claim: refused %q, %v", claimed.Refused, err)
	}
	return store.RunRef{JobID: id, Claim: req.Claim}
}
