package sqlite_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/sqlite"
)

// TestCrash_P1_AcceptedIsDurable copies the database and its log while uploads are being accepted: what
// a machine that dies then would find. Opened again, each image holds whatever was acknowledged
// before it was taken, and is whole.
func TestCrash_P1_AcceptedIsDurable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leat.db")
	s := openAt(t, path)
	// Without a checkpoint the database's file stays as it is and the log only grows, so that a
	// copy of both is what was there at one moment.
	if _, err := s.Writer().ExecContext(t.Context(), `PRAGMA wal_autocheckpoint = 0`); err != nil {
		t.Fatal(err)
	}
	acks := &acknowledged{}
	stop := make(chan struct{})
	var uploaders sync.WaitGroup
	finish := sync.OnceFunc(func() {
		close(stop)
		uploaders.Wait()
	})
	defer finish()
	for range 4 {
		uploaders.Go(func() { acceptUntil(t, s, acks, stop) })
	}
	before := map[string][]uuid.UUID{} // what was acknowledged before an image was taken
	for round := 1; round <= 4; round++ {
		acks.wait(10 * round)
		ids := acks.list()
		before[copyImage(t, path, -1)] = ids
	}
	finish()
	for image, ids := range before {
		checkImage(t, image, ids)
	}

	// The log may also end in the middle of a write.
	size := stat(t, path+"-wal").Size()
	for _, cut := range []int64{1, 100, 4096, size / 2, size - 10} {
		checkImage(t, copyImage(t, path, size-cut), nil)
	}
}

func acceptUntil(t *testing.T, s *sqlite.Store, acks *acknowledged, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		up := upload("some content")
		if _, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{up}); err != nil {
			t.Errorf("accept: %v", err)
			acks.end()
			return
		}
		acks.add(up.Job.ID)
	}
}

// acknowledged is what was acknowledged so far.
type acknowledged struct {
	mu    sync.Mutex
	grown *sync.Cond
	ids   []uuid.UUID
	ended bool
}

func (a *acknowledged) cond() *sync.Cond {
	if a.grown == nil {
		a.grown = sync.NewCond(&a.mu)
	}
	return a.grown
}

func (a *acknowledged) add(id uuid.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids = append(a.ids, id)
	a.cond().Broadcast()
}

// end says that there may be no more.
func (a *acknowledged) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	a.cond().Broadcast()
}

// wait waits until n more were acknowledged, or there may be no more.
func (a *acknowledged) wait(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for target := len(a.ids) + n; len(a.ids) < target && !a.ended; {
		a.cond().Wait()
	}
}

func (a *acknowledged) list() []uuid.UUID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]uuid.UUID(nil), a.ids...)
}

// copyImage copies a database and the first logSize bytes of its log, all of it when negative. The
// log's index is not copied: it does not survive a crash. It fails when the database's own file is
// written meanwhile, as the copies are of different moments then.
func copyImage(t *testing.T, path string, logSize int64) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "leat.db")
	defer func(was time.Time) {
		if now := stat(t, path).ModTime(); !now.Equal(was) {
			t.Fatalf("the database was written at %v, while it was copied: a checkpoint, though there is to be none", now)
		}
	}(stat(t, path).ModTime())
	if logSize < 0 {
		logSize = stat(t, path+"-wal").Size() // it grows while it is copied, maybe as fast
	}
	copyBytes(t, image, path, stat(t, path).Size())
	copyBytes(t, image+"-wal", path+"-wal", logSize)
	return image
}

func copyBytes(t *testing.T, to, from string, n int64) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.CopyN(target, source, n)
	if err := errors.Join(err, target.Close()); err != nil {
		t.Fatal(err)
	}
}

func stat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func checkImage(t *testing.T, image string, want []uuid.UUID) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: image})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var whole string
	if err := s.Writer().QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&whole); err != nil || whole != "ok" {
		t.Errorf("integrity: %q, %v", whole, err)
	}
	const halves = `SELECT (SELECT count(*) FROM jobs) - (SELECT count(*) FROM files),
		(SELECT count(*) FROM jobs) - (SELECT count(*) FROM events)`
	var files, events int
	if err := s.Writer().QueryRowContext(t.Context(), halves).Scan(&files, &events); err != nil || files != 0 || events != 0 {
		t.Errorf("jobs without files or events, or these without jobs: %d, %d, %v", files, events, err)
	}
	for _, id := range want {
		if _, err := s.Job(t.Context(), jobs.DefaultTenant, id); err != nil {
			t.Errorf("acknowledged job %s: %v", id, err)
		}
	}
	accept(t, s, upload("and on it goes"))
}

// TestReopen: all that a store was told is there when it is opened again, its identity included.
func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leat.db")
	s := openAt(t, path)
	worker := register(t, s)
	running := claim(t, s, worker, accept(t, s, upload("a")))
	retrying := accept(t, s, upload("b"))
	end(t, s, claim(t, s, worker, retrying), jobs.RunRetry)
	identity, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("closed, the store leaves a log of %d bytes", info.Size())
	}

	s = openAt(t, path)
	if got, err := s.Identity(t.Context()); err != nil || got != identity {
		t.Errorf("identity is %v, was %v (%v)", got, identity, err)
	}
	if job := load(t, s, retrying); job.State != jobs.Retrying || job.Failures != 1 {
		t.Errorf("the failed job reads %+v", job)
	}
	if state := end(t, s, running, jobs.RunSucceeded); state != jobs.Succeeded {
		t.Errorf("the run of before ends as %s", state)
	}
}

// TestDiskFull_P1: while there is no space, every write says so and leaves nothing behind; reads go on, and
// with space everything works again.
func TestDiskFull_P1(t *testing.T) {
	t.Parallel()
	s := open(t)
	worker := register(t, s)
	run := claim(t, s, worker, accept(t, s, upload("a")))
	if _, err := s.Writer().ExecContext(t.Context(), `PRAGMA max_page_count = 1`); err != nil { // SQLite makes it the present size
		t.Fatal(err)
	}
	big := upload(string(make([]byte, 256<<10)))
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			other := big
			other.File.ID, other.Job.ID = jobs.NewID(), jobs.NewID()
			if _, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{other}); !errors.Is(err, store.ErrNoSpace) {
				t.Errorf("accept: %v, want ErrNoSpace", err)
			}
			if _, err := s.Job(t.Context(), jobs.DefaultTenant, other.Job.ID); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("what was not accepted: %v", err)
			}
		})
	}
	callers.Wait()
	whole := store.RunEnd{JobID: run.JobID, Claim: run.Claim, Outcome: jobs.RunSucceeded, Children: []store.Upload{big}}
	if _, err := s.End(t.Context(), whole); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("end: %v, want ErrNoSpace", err)
	}
	if job := load(t, s, run.JobID); job.State != jobs.Running {
		t.Errorf("the run that could not end is %s", job.State)
	}

	if _, err := s.Writer().ExecContext(t.Context(), `PRAGMA max_page_count = 1000000`); err != nil {
		t.Fatal(err)
	}
	if state, err := s.End(t.Context(), whole); err != nil || state != jobs.Waiting {
		t.Errorf("with space, the end gives %s, %v", state, err)
	}
}
