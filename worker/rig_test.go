package worker_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
	"github.com/leat-dev/leat/store/sqlite"
	"github.com/leat-dev/leat/store/sqlite/sqlitetest"
	"github.com/leat-dev/leat/worker"
)

const tenant = jobs.DefaultTenant

// onBothStores runs a test of behaviour over each store.
func onBothStores(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: sqlitetest.Path(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeStore(t, s) })
		test(t, s)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := testserver.PostgresTemplate(t, "worker", postgres.Migrate)
		s, err := postgres.Open(t.Context(), postgres.Options{URL: url, MaxConns: 8})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeStore(t, s) })
		test(t, s)
	})
}

func closeStore(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close the store: %v", err)
	}
}

// source hands out what a test delivers.
type source struct {
	handle   queue.Handler
	calls    sync.WaitGroup
	mu       sync.Mutex
	cordoned bool
	fleet    int
}

func (s *source) Start() error { return nil }

func (s *source) SetFleet(processes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fleet = processes
}

func (s *source) toldFleet() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fleet
}

func (s *source) Cordon(context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cordoned = true
}

func (s *source) Uncordon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cordoned = false
}

func (s *source) isCordoned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cordoned
}

func (s *source) Shutdown(ctx context.Context) error {
	s.Cordon(ctx)
	done := make(chan struct{})
	go func() { s.calls.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deliver gives the worker a delivery; done is closed when the worker is through with it.
func (s *source) deliver(d jobs.Delivery) (done <-chan struct{}) {
	through := make(chan struct{})
	s.calls.Go(func() {
		defer close(through)
		s.handle(context.Background(), d)
	})
	return through
}

// rig is a worker at a store, with a source in the test's hand.
type rig struct {
	t      *testing.T
	store  store.Store
	blobs  blob.Store
	source *source
	worker *worker.Worker
	stop   func() // drains, and returns when the worker is done
}

type setup struct {
	store   store.Store
	wrap    func(worker.Store) worker.Store // faults
	slots   int
	grace   time.Duration
	specs   []jobs.Spec // "work" when none
	handler jobs.HandlerFunc
}

func start(t *testing.T, s setup) *rig {
	t.Helper()
	if s.specs == nil {
		s.specs = []jobs.Spec{{Name: "work", Version: 1}}
	}
	if s.slots == 0 {
		s.slots = 8
	}
	specs, err := jobs.NewSpecs(s.specs[0].Name, s.specs...)
	if err != nil {
		t.Fatal(err)
	}
	handlers := map[string]jobs.Handler{}
	for _, spec := range s.specs {
		handlers[spec.Name] = s.handler
	}
	kinds, err := jobs.NewKinds(specs, handlers)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, store: s.store, blobs: blobs, source: &source{}}
	var seen worker.Store = s.store
	if s.wrap != nil {
		seen = s.wrap(s.store)
	}
	r.worker, err = worker.New(seen, blobs, kinds, worker.Options{
		Label: "test", Version: "1", Slots: s.slots, Queues: []string{"default"}, Grace: s.grace,
	}, func(h queue.Handler) (worker.Source, error) { r.source.handle = h; return r.source, nil },
		slog.New(slog.DiscardHandler), worker.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // the cleanup drains it
	done := make(chan error, 1)
	go func() { done <- r.worker.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.stop)
	r.eventually("the worker is registered", func() bool { return r.me() != nil })
	return r
}

// eventually waits until check is so.
func (r *rig) eventually(what string, check func() bool) {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !check() {
		select {
		case <-deadline:
			r.t.Fatalf("%s: not so after 20 s", what)
		case <-ticker.C:
		}
	}
}

// me is the worker's row, nil when there is none.
func (r *rig) me() *store.Worker {
	r.t.Helper()
	list, err := r.store.Workers(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range list {
		if list[i].ID == r.worker.ID() {
			return &list[i]
		}
	}
	return nil
}

// accept commits a job of the kind on the content and returns its delivery.
func (r *rig) accept(kind string, content []byte) jobs.Delivery {
	r.t.Helper()
	return r.acceptWith(kind, content, func(*store.Upload) {})
}

// acceptWith is accept of an upload that is changed first.
func (r *rig) acceptWith(kind string, content []byte, change func(*store.Upload)) jobs.Delivery {
	r.t.Helper()
	up := store.Upload{
		File: store.NewFile{
			ID: jobs.NewID(), Name: "f", Size: int64(len(content)), SHA256: sha256.Sum256(content),
			MediaType: "text/plain", Content: content,
		},
		Job: store.NewJob{
			ID: jobs.NewID(), Kind: kind, KindVersion: 1, Queue: "default",
			Params: []byte("{}"), ParamsHash: sha256.Sum256([]byte("{}")), MaxAttempts: 3,
		},
	}
	change(&up)
	accepted, err := r.store.Accept(r.t.Context(), tenant, []store.Upload{up})
	if err != nil {
		r.t.Fatal(err)
	}
	return jobs.Delivery{JobID: accepted[0].JobID, Generation: accepted[0].Generation, Queue: "default"}
}

// run delivers a fresh job and waits until the worker is through with it.
func (r *rig) run(kind string, content []byte) *jobs.Job {
	r.t.Helper()
	d := r.accept(kind, content)
	<-r.source.deliver(d)
	return r.job(d.JobID)
}

func (r *rig) job(id uuid.UUID) *jobs.Job {
	r.t.Helper()
	job, err := r.store.Job(r.t.Context(), tenant, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return job
}

// want fails the test unless the job is in the state, with the error code.
func (r *rig) want(job *jobs.Job, state jobs.State, code jobs.Code) {
	r.t.Helper()
	var got jobs.Code
	if job.Error != nil {
		got = job.Error.Code
	}
	if job.State != state || got != code {
		r.t.Errorf("job is %s with code %q (%v), want %s with %q", job.State, got, job.Error, state, code)
	}
}

// fence is a lease that the test holds, for what only the leader may do.
func (r *rig) fence() store.Lease {
	r.t.Helper()
	lease, _, err := r.store.Acquire(r.t.Context(), "test", uuid.New(), time.Minute)
	if err != nil {
		r.t.Fatal(err)
	}
	return lease
}

// awayStore does not answer while it is away; what it was asked may have happened or not.
type awayStore struct {
	worker.Store
	mu    sync.Mutex
	away  bool
	after bool // what is asked happens, and only the answer is lost
	calls int
}

func (s *awayStore) set(away, after bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away, s.after = away, after
}

func (s *awayStore) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *awayStore) state() (away, after bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	return s.away, s.after
}

var errAway = errors.Join(errors.New("connection refused"), store.ErrUnavailable)

func (s *awayStore) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	away, after := s.state()
	if away && !after {
		return store.Claimed{}, errAway
	}
	c, err := s.Store.Claim(ctx, req)
	if away {
		return store.Claimed{}, errAway
	}
	return c, err
}

func (s *awayStore) End(ctx context.Context, end store.RunEnd) (jobs.State, error) {
	away, after := s.state()
	if away && !after {
		return "", errAway
	}
	state, err := s.Store.End(ctx, end)
	if away {
		return "", errAway
	}
	return state, err
}
