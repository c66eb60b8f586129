package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/sqlite"
)

// TestPragmas: every connection, of either pool, is as durable and as strict as promised.
func TestPragmas(t *testing.T) {
	t.Parallel()
	const readers = 3
	s := open(t, func(o *sqlite.Options) { o.Readers = readers })
	every := map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000",
	}
	writer := map[string]string{"fullfsync": "1", "checkpoint_fullfsync": "1", "query_only": "0"}
	reader := map[string]string{"query_only": "1"}
	check := func(what string, conn *sql.Conn, wants ...map[string]string) {
		for _, want := range wants {
			for pragma, value := range want {
				var got string
				if err := conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != value {
					t.Errorf("%s: %s is %q, want %q (%v)", what, pragma, got, value, err)
				}
			}
		}
	}
	check("writer", hold(t, s.Writer()), every, writer)
	for range readers { // held at once, so each is another
		conn := hold(t, s.Reader())
		check("reader", conn, every, reader)
		if _, err := conn.ExecContext(t.Context(), "DELETE FROM queues"); err == nil {
			t.Error("a reader can write")
		}
	}
	if got := s.Stats(); got.Max != readers+1 || got.Open != readers+1 || got.InUse != readers+1 {
		t.Errorf("stats %+v, want %d connections, all in use", got, readers+1)
	}
}

// hold takes a connection until the test ends.
func hold(t *testing.T, pool *sql.DB) *sql.Conn {
	t.Helper()
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// TestFilesAreTheOwnersAlone: nobody else can read what was uploaded, whatever the umask.
func TestFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leat.db")
	s := openAt(t, path)
	accept(t, s, upload("secret"))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", filepath.Base(path+suffix), mode)
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a folder, 100% #1?")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "leat.db")
	first := openAt(t, path)
	want, err := first.Identity(t.Context())
	if err != nil || want.Version() != 4 {
		t.Fatalf("identity %v, %v: want a random UUID", want, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	escaped := "sqlite://" + filepath.Dir(dir) + "/a%20folder,%20100%25%20%231%3F/leat.db"
	if got, err := openAt(t, escaped).Identity(t.Context()); err != nil || got != want {
		t.Errorf("by its URL it is %v, want %v (%v)", got, want, err)
	}
}

func TestOptionErrors(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]sqlite.Options{
		"no path":         {},
		"in memory":       {Path: ":memory:"},
		"a host":          {Path: "sqlite://host/leat.db"},
		"no file":         {Path: "sqlite:///"},
		"settings":        {Path: "sqlite:///leat.db?mode=ro"},
		"not absolute":    {Path: "sqlite:leat.db"},
		"bad URL":         {Path: "sqlite:///%zz"},
		"negative pool":   {Path: "leat.db", Readers: -1},
		"negative period": {Path: "leat.db", StatementTimeout: -1},
	} {
		var option *sqlite.OptionError
		if _, err := sqlite.Open(t.Context(), opts); !errors.As(err, &option) || option.Error() == "" {
			t.Errorf("%s: %v, want an *OptionError", name, err)
		}
	}
}

func TestNoFolder(t *testing.T) {
	t.Parallel()
	_, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "missing", "leat.db")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want os.ErrNotExist", err)
	}
}

// TestNotADatabase: a file that is something else is left as it is.
func TestNotADatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notes.txt")
	notes := []byte("This is not a database, though it is longer than the header of one: more than 100 bytes of plain text, in fact.")
	if err := os.WriteFile(path, notes, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); err == nil {
		t.Fatal("opened")
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(notes), string(got)); diff != "" {
		t.Error(diff)
	}
}

// TestClosed: a closed store says that it is unavailable, in every kind of call, and can be closed
// again.
func TestClosed(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := accept(t, s, upload("a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"ping":   func() error { return s.Ping(ctx) },
		"job":    func() error { _, err := s.Job(ctx, jobs.DefaultTenant, id); return err },
		"accept": func() error { _, err := s.Accept(ctx, jobs.DefaultTenant, []store.Upload{upload("b")}); return err },
		"claim":  func() error { _, err := s.Claim(ctx, store.ClaimRequest{JobID: id, Generation: 1}); return err },
		"prune":  func() error { _, _, err := s.PruneJobs(ctx, 0, 1); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}
