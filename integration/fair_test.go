package integration

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/dispatch"
	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
	"github.com/leat-dev/leat/store/sqlite"
	"github.com/leat-dev/leat/store/sqlite/sqlitetest"
	"github.com/leat-dev/leat/worker"
)

// line is all that lies between an acceptance and the start of a handler, in this process, on a Redis
// of its own: the shortcut, the relay, and a worker whose jobs take as long as they are told.
type line struct {
	t        *testing.T
	store    store.Store
	shortcut *dispatch.Shortcut

	mu     sync.Mutex
	starts []start // in order
	wanted map[uuid.UUID]chan time.Time
}

type start struct {
	tenant jobs.Tenant
	at     time.Time
}

func newLine(t *testing.T, s store.Store, slots int, takes time.Duration) *line {
	t.Helper()
	l := &line{t: t, store: s, wanted: map[uuid.UUID]chan time.Time{}}
	conn, err := queue.Open(testserver.NewRedis(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	l.shortcut = dispatch.NewShortcut(s, conn, log)
	elector := dispatch.NewElector(s, log, map[string]dispatch.Duty{"relay": dispatch.NewRelay(s, conn, log, dispatch.NewMetrics(registry)).Run})
	specs, err := jobs.NewSpecs("work", jobs.Spec{Name: "work", Version: 1, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := jobs.NewKinds(specs, map[string]jobs.Handler{"work": jobs.HandlerFunc(func(ctx context.Context, run *jobs.Run) (any, error) {
		l.started(run)
		took := time.NewTimer(takes)
		defer took.Stop()
		select {
		case <-took.C:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})})
	if err != nil {
		t.Fatal(err)
	}
	w, err := worker.New(s, blobs, kinds, worker.Options{Label: "test", Version: "1", Slots: slots, Queues: []string{jobs.DefaultQueue}, Grace: time.Second},
		func(h queue.Handler) (worker.Source, error) {
			return queue.NewServer(conn, queue.ServerOptions{Queues: map[string]int{jobs.DefaultQueue: 1}, Slots: slots, DrainTimeout: time.Second, Handler: h})
		}, log, worker.NewMetrics(registry))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // the cleanup drains it
	var parts errgroup.Group
	for _, run := range []func(context.Context) error{elector.Run, l.shortcut.Run, w.Run} {
		parts.Go(func() error { return run(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		for _, end := range []func() error{parts.Wait, blobs.Close, conn.Close} {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
	return l
}

func (l *line) started(run *jobs.Run) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.starts = append(l.starts, start{run.File.Tenant, now})
	if waiter := l.wanted[run.JobID]; waiter != nil {
		waiter <- now
	}
}

// begun are the starts so far.
func (l *line) begun() []start {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.starts)
}

func workUpload() store.Upload {
	content := []byte("x")
	return store.Upload{
		File: store.NewFile{ID: jobs.NewID(), Name: "x", Size: 1, SHA256: sha256.Sum256(content), MediaType: "text/plain", Content: content},
		Job: store.NewJob{
			ID: jobs.NewID(), Kind: "work", KindVersion: 1, Queue: jobs.DefaultQueue, Params: []byte("{}"),
			ParamsHash: sha256.Sum256([]byte("{}")), MaxAttempts: 5,
		},
	}
}

// fill gives a tenant n jobs.
func (l *line) fill(tenant jobs.Tenant, n int) {
	l.t.Helper()
	group, ctx := errgroup.WithContext(l.t.Context())
	group.SetLimit(8)
	for range n / 100 {
		group.Go(func() error {
			uploads := make([]store.Upload, 100)
			for i := range uploads {
				uploads[i] = workUpload()
			}
			_, err := l.store.Accept(ctx, tenant, uploads)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		l.t.Fatalf("fill: %v", err)
	}
}

// latency is the time from the acceptance of a tenant's job to its start.
func (l *line) latency(tenant jobs.Tenant) time.Duration {
	l.t.Helper()
	up, waiter := workUpload(), make(chan time.Time, 1)
	l.mu.Lock()
	l.wanted[up.Job.ID] = waiter
	l.mu.Unlock()
	if _, err := l.store.Accept(l.t.Context(), tenant, []store.Upload{up}); err != nil {
		l.t.Fatalf("accept: %v", err)
	}
	accepted := time.Now()
	l.shortcut.HandOver([]store.Delivery{{JobID: up.Job.ID, Generation: 1, Queue: up.Job.Queue}})
	select {
	case at := <-waiter:
		return max(at.Sub(accepted), 0) // a handler can be quicker than the answer
	case <-time.After(time.Minute):
		l.t.Fatal("not started within a minute")
	}
	panic("unreachable")
}

// latencies are n of them, in order of size.
func (l *line) latencies(tenant jobs.Tenant, n int) []time.Duration {
	l.t.Helper()
	var all []time.Duration
	for range n {
		all = append(all, l.latency(tenant))
	}
	slices.Sort(all)
	return all
}

func onBothStores(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	run := func(name string, open func(t *testing.T) (store.Store, error)) {
		t.Run(name, func(t *testing.T) {
			s, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, s)
		})
	}
	run("postgres", func(t *testing.T) (store.Store, error) {
		return postgres.Open(t.Context(), postgres.Options{URL: testserver.NewPostgres(t).URL()})
	})
	run("sqlite", func(t *testing.T) (store.Store, error) {
		return sqlite.Open(t.Context(), sqlite.Options{Path: sqlitetest.Path(t)})
	})
}

// One tenant's 100,000 jobs do not delay another's one: it starts within twice the latency of an idle
// fleet and one job's time. It has the machine to itself, since it measures times.
func TestOneTenantsManyJobsDoNotDelayAnothersOne(t *testing.T) { //nolint:paralleltest // see above
	onBothStores(t, func(t *testing.T, s store.Store) {
		const slots, takes, rounds = 10, 200 * time.Millisecond, 20
		waiting := atLength(100_000, 3000)
		l := newLine(t, s, slots, takes)
		l.latency("light") // the parts have begun
		idle := l.latencies("light", rounds)
		l.fill("heavy", waiting)
		system.Poll(t.Context(), t, "all slots are busy", time.Minute, 50*time.Millisecond, func() bool {
			return len(l.begun()) > 2*rounds+2*slots
		})
		busy := l.latencies("light", rounds)
		others := atLength(0, time.Second) // with -short other packages take the machine at the same time
		limit := 2*idle[rounds/2] + takes + others
		t.Logf("idle: median %v, worst %v; behind %d: median %v, worst %v; limit %v",
			idle[rounds/2], idle[rounds-1], waiting, busy[rounds/2], busy[rounds-1], limit)
		if median, worst := busy[rounds/2], busy[rounds-1]; worst > limit {
			t.Errorf("started after %v, at worst %v; the limit is %v", median, worst, limit)
		}
	})
}

// Tenants who both have jobs waiting are served by their weights. It fills a store as quickly as that
// takes it, and so has the machine to itself, too.
func TestTenantsAreServedByWeight(t *testing.T) { //nolint:paralleltest // see above
	onBothStores(t, func(t *testing.T, s store.Store) {
		const served = 1000
		for tenant, weight := range map[jobs.Tenant]int{"three": 3, "one": 1} {
			if _, err := s.SetTenant(t.Context(), store.TenantSettings{Tenant: tenant, Weight: weight}, store.Actor{Name: store.ActorOperator}); err != nil {
				t.Fatal(err)
			}
		}
		l := newLine(t, s, 10, 10*time.Millisecond)
		l.fill("three", 3000)
		l.fill("one", 3000)
		before := len(l.begun())
		system.Poll(t.Context(), t, "enough have started", 2*time.Minute, 50*time.Millisecond, func() bool { return len(l.begun()) >= before+served })
		count := map[jobs.Tenant]int{}
		for _, s := range l.begun()[before : before+served] {
			count[s.tenant]++
		}
		ratio := float64(count["three"]) / float64(count["one"])
		t.Logf("%v, a ratio of %.2f", count, ratio)
		if ratio < 2.7 || ratio > 3.3 {
			t.Errorf("served %v, a ratio of %.2f, want 3 within a tenth", count, ratio)
		}
	})
}
