package sqlite_test

import (
	"context"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/sqlite"
	"github.com/leat-dev/leat/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a fresh store that is closed with the test.
func open(t testing.TB, change ...func(*sqlite.Options)) *sqlite.Store {
	t.Helper()
	return openAt(t, sqlitetest.Path(t), change...)
}

func openAt(t testing.TB, path string, change ...func(*sqlite.Options)) *sqlite.Store {
	t.Helper()
	opts := sqlite.Options{Path: path}
	for _, c := range change {
		c(&opts)
	}
	s, err := sqlite.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (c *clock) set(opts *sqlite.Options) { opts.Now = c.now }

// upload makes an upload with content in the row.
func upload(content string) store.Upload {
	return store.Upload{
		File: store.NewFile{
			ID: jobs.NewID(), Name: "plan.txt", Size: int64(len(content)), SHA256: sha256.Sum256([]byte(content)),
			MediaType: "text/plain", Content: []byte(content),
		},
		Job: store.NewJob{ID: jobs.NewID(), Kind: "inspect", KindVersion: 1, Queue: jobs.DefaultQueue, MaxAttempts: 5},
	}
}

// accept commits an upload and returns its job's ID.
func accept(t testing.TB, s store.Store, up store.Upload) uuid.UUID {
	t.Helper()
	if _, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{up}); err != nil {
		t.Fatal(err)
	}
	return up.Job.ID
}

// register makes a worker known.
func register(t testing.TB, s store.Store) uuid.UUID {
	t.Helper()
	worker := uuid.New()
	if err := s.Register(t.Context(), store.WorkerStatus{ID: worker, Label: "w", Slots: 4, Free: 4}); err != nil {
		t.Fatal(err)
	}
	return worker
}

// claim starts a run of a job at its present generation.
func claim(t testing.TB, s store.Store, worker, job uuid.UUID) store.RunRef {
	t.Helper()
	run := store.RunRef{JobID: job, Claim: uuid.New()}
	claimed, err := s.Claim(t.Context(), store.ClaimRequest{
		JobID: job, Generation: load(t, s, job).Generation, Claim: run.Claim, Worker: worker,
		Kinds: []string{"inspect"}, Alone: true,
	})
	if err != nil || claimed.Refused != "" {
		t.Fatalf("claim: refused %q, %v", claimed.Refused, err)
	}
	return run
}

// end ends a run.
func end(t testing.TB, s store.Store, run store.RunRef, outcome jobs.Outcome) jobs.State {
	t.Helper()
	state, err := s.End(t.Context(), store.RunEnd{JobID: run.JobID, Claim: run.Claim, Outcome: outcome})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func load(t testing.TB, s store.Store, id uuid.UUID) *jobs.Job {
	t.Helper()
	job, err := s.Job(context.WithoutCancel(t.Context()), jobs.DefaultTenant, id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}
