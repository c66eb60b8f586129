package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/sqlite"
)

// broken is an upload that the schema refuses: its size is not its content's.
func broken() store.Upload {
	up := upload("broken")
	up.File.Size++
	return up
}

// TestOnlyTheCulpritFails: of calls that share a transaction, the one with bad data fails as a whole,
// and the others are committed, wherever among them it stands.
func TestOnlyTheCulpritFails(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]int{"first": 0, "in the middle": 2, "last": 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			calls := make([][]store.Upload, 5)
			for i := range calls {
				calls[i] = []store.Upload{upload("a"), upload("b")}
			}
			calls[at][1] = broken()
			for i, err := range s.AcceptTogether(t.Context(), calls...) {
				if (err != nil) != (i == at) {
					t.Errorf("call %d: %v", i, err)
				}
				for _, up := range calls[i] {
					_, err := s.Job(t.Context(), jobs.DefaultTenant, up.Job.ID)
					if i == at && !errors.Is(err, store.ErrNotFound) || i != at && err != nil {
						t.Errorf("a job of call %d: %v", i, err)
					}
				}
			}
		})
	}
}

// TestRollupsOfAReplay: what is done twice, because a neighbour failed, is counted once.
func TestRollupsOfAReplay(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	errs := s.AcceptTogether(t.Context(),
		[]store.Upload{upload("a")}, []store.Upload{upload("b"), broken()}, []store.Upload{upload("c")})
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Fatalf("verdicts %v", errs)
	}
	c.pass(10 * time.Second)
	queues, err := s.Queues(t.Context(), jobs.DefaultTenant)
	if err != nil || len(queues) != 1 {
		t.Fatalf("queues %+v, %v", queues, err)
	}
	if got, want := queues[0].Rates.Arrived*store.RateWindow.Seconds(), 2.0; got != want {
		t.Errorf("%v arrivals are counted, want %v", got, want)
	}
}

// TestAloneItFailsTheSame: a call that is the only one of its group is rolled back as a whole too.
func TestAloneItFailsTheSame(t *testing.T) {
	t.Parallel()
	s := open(t)
	good := upload("a")
	if _, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{good, broken()}); err == nil {
		t.Fatal("accepted")
	}
	if _, err := s.Job(t.Context(), jobs.DefaultTenant, good.Job.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the job beside the broken one: %v", err)
	}
	queues, err := s.Queues(t.Context(), jobs.DefaultTenant)
	if err != nil || len(queues) != 0 {
		t.Errorf("queues %+v, %v", queues, err)
	}
}

// TestVerdicts: calls of every kind that arrive while the writer is busy share what comes next, and
// each gets its own answer.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	s := open(t)
	worker := register(t, s)
	id := accept(t, s, upload("a"))
	release := occupy(t, s)

	const claims = 20
	var granted, taken sync.Map
	var calls sync.WaitGroup
	for i := range claims {
		calls.Go(func() {
			req := store.ClaimRequest{JobID: id, Generation: 1, Claim: uuid.New(), Worker: worker, Kinds: []string{"inspect"}}
			claimed, err := s.Claim(t.Context(), req)
			switch {
			case err != nil:
				t.Errorf("claim: %v", err)
			case claimed.Refused == "":
				granted.Store(i, true)
			case claimed.Refused == store.RefusedTaken:
				taken.Store(i, true)
			}
		})
	}
	calls.Go(func() {
		if _, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{broken()}); err == nil {
			t.Error("a broken upload was accepted")
		}
	})
	calls.Go(func() {
		_, err := s.End(t.Context(), store.RunEnd{JobID: id, Claim: uuid.New(), Outcome: jobs.RunSucceeded})
		if !errors.Is(err, store.ErrClaimLost) {
			t.Errorf("end without a claim: %v", err)
		}
	})
	release()
	calls.Wait()
	if g, n := size(&granted), size(&taken); g != 1 || n != claims-1 {
		t.Errorf("%d granted, %d taken, want 1 and %d", g, n, claims-1)
	}
}

func size(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

// occupy takes the writer's connection until release is called.
func occupy(t *testing.T, s *sqlite.Store) (release func()) {
	t.Helper()
	conn, err := s.Writer().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestCallerGivesUp: a caller whose context ends stops waiting, whatever the writer does, and what it
// asked for may still happen.
func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	s := open(t)
	release := occupy(t, s)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	up := upload("a")
	gaveUp := make(chan error)
	go func() {
		_, err := s.Accept(ctx, jobs.DefaultTenant, []store.Upload{up})
		gaveUp <- err
	}()
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want the context's error", err)
	}
}

// TestTooLong: what cannot get at the database within the statement timeout is told so.
func TestTooLong(t *testing.T) {
	t.Parallel()
	s := open(t, func(o *sqlite.Options) { o.StatementTimeout = 500 * time.Millisecond })
	release := occupy(t, s)
	defer release()
	_, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{upload("a")})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("grouped: %v, want ErrUnavailable", err)
	}
	if _, _, err := s.PruneJobs(t.Context(), 0, 1); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("alone: %v, want ErrUnavailable", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("readers do not wait for the writer: %v", err)
	}
}

// TestLockedByAnother: a lock that another process holds is waited for no longer than the busy
// timeout; what comes after it works again.
func TestLockedByAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leat.db")
	s, other := openAt(t, path), openAt(t, path)
	if _, err := s.Writer().ExecContext(t.Context(), `PRAGMA busy_timeout = 1`); err != nil {
		t.Fatal(err)
	}
	lock, err := other.Writer().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{upload("a")}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	accept(t, s, upload("b"))
}

// TestReadersBesideTheWriter: readers neither wait for a write that is under way nor see it, and see
// all of it once it is committed.
func TestReadersBesideTheWriter(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := accept(t, s, upload("a"))
	tx, err := s.Writer().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `UPDATE jobs SET kind = 'other'`); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 20 {
		readers.Go(func() {
			if kind := load(t, s, id).Kind; kind != "inspect" {
				t.Errorf("an uncommitted write is seen: %q", kind)
			}
		})
	}
	readers.Wait()
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if kind := load(t, s, id).Kind; kind != "other" {
		t.Errorf("a committed write is not seen: %q", kind)
	}
}

// TestOwnWritesAreSeen: what was acknowledged is seen by every read that comes after, with many
// writers and readers at once.
func TestOwnWritesAreSeen(t *testing.T) {
	t.Parallel()
	s := open(t)
	worker := register(t, s)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 10 {
				up := upload("a")
				if _, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{up}); err != nil {
					t.Errorf("accept: %v", err)
					return
				}
				run := store.RunRef{JobID: up.Job.ID, Claim: uuid.New()}
				claimed, err := s.Claim(t.Context(), store.ClaimRequest{
					JobID: run.JobID, Generation: 1, Claim: run.Claim, Worker: worker, Kinds: []string{"inspect"},
				})
				if err != nil || claimed.Refused != "" {
					t.Errorf("claim: %q, %v", claimed.Refused, err)
					return
				}
				job, err := s.Job(t.Context(), jobs.DefaultTenant, run.JobID)
				if err != nil || job.State != jobs.Running {
					t.Errorf("claimed, the job reads %+v, %v", job, err)
				}
				if _, err := s.End(t.Context(), store.RunEnd{JobID: run.JobID, Claim: run.Claim, Outcome: jobs.RunDrained}); err != nil {
					t.Errorf("end: %v", err)
				}
				if job, err := s.Job(t.Context(), jobs.DefaultTenant, run.JobID); err != nil || job.Generation != 2 {
					t.Errorf("ended, the job reads %+v, %v", job, err)
				}
			}
		})
	}
	callers.Wait()
}

// TestBulkInPortions: more jobs than one transaction takes are cancelled and retried up to the limit,
// oldest first, and fewer than that when there are no more.
func TestBulkInPortions(t *testing.T) {
	t.Parallel()
	const n, limit = 620, 550
	s := open(t)
	uploads := make([]store.Upload, n)
	for i := range uploads {
		uploads[i] = upload("a")
	}
	if _, err := s.Accept(t.Context(), jobs.DefaultTenant, uploads); err != nil {
		t.Fatal(err)
	}
	for _, bulk := range []func(context.Context, jobs.Tenant, store.JobFilter, int) (int, error){s.CancelJobs, s.RetryJobs} {
		before := len(events(t, s, uploads[n-1].Job.ID))
		for i, want := range []int{limit, n - limit, 0} {
			got, err := bulk(t.Context(), jobs.DefaultTenant, store.JobFilter{Queue: jobs.DefaultQueue}, limit)
			if err != nil || got != want {
				t.Errorf("%d jobs, %v; want %d", got, err, want)
			}
			if i == 0 && len(events(t, s, uploads[n-1].Job.ID)) != before {
				t.Error("the youngest job is among the first")
			}
		}
	}
	if job := load(t, s, uploads[n-1].Job.ID); job.State != jobs.Pending || job.Generation != 2 {
		t.Errorf("cancelled and retried, a job reads %+v", job)
	}
}

func events(t *testing.T, s store.Store, id uuid.UUID) []store.Event {
	t.Helper()
	events, err := s.Events(t.Context(), jobs.DefaultTenant, id, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return events
}
