package testserver_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/internal/testserver"
)

func TestPostgresDatabasesAreApart(t *testing.T) {
	t.Parallel()
	a, b := testserver.Postgres(t), testserver.Postgres(t)
	if err := execSQL(t.Context(), a, "CREATE TABLE mine ()"); err != nil {
		t.Fatal(err)
	}
	if query[bool](t, b, "SELECT to_regclass('mine') IS NOT NULL") {
		t.Fatal("a table of one test is seen by another")
	}
}

func TestPostgresDatabaseIsDropped(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("use", func(t *testing.T) {
		url = testserver.Postgres(t)
		// A connection that the test forgets must not keep the database.
		if _, err := pgx.Connect(context.WithoutCancel(t.Context()), url); err != nil {
			t.Fatal(err)
		}
	})
	if err := execSQL(t.Context(), url); err == nil {
		t.Fatal("the database outlives its test")
	}
}

func TestPostgresTemplateIsMigratedOnce(t *testing.T) {
	t.Parallel()
	name := rand.Text() // -count repeats this test in one binary
	var calls atomic.Int32
	migrate := func(ctx context.Context, url string) error {
		calls.Add(1)
		return execSQL(ctx, url, "CREATE TABLE migrated (n int)")
	}
	for range 3 {
		t.Run("clone", func(t *testing.T) {
			t.Parallel()
			url := testserver.PostgresTemplate(t, name, migrate)
			if err := execSQL(t.Context(), url, "INSERT INTO migrated VALUES (1)"); err != nil {
				t.Fatal(err)
			}
			if n := query[int](t, url, "SELECT count(*) FROM migrated"); n != 1 {
				t.Fatalf("%d rows; want this test's one", n)
			}
			if n := calls.Load(); n != 1 {
				t.Fatalf("migrated %d times; want once", n)
			}
		})
	}
}

func TestPostgresSettings(t *testing.T) {
	t.Parallel()
	shared := testserver.Postgres(t)
	fast := testserver.NewPostgres(t, testserver.NoFsync("the setting itself is tested")).URL()
	for _, test := range []struct{ url, setting, want string }{
		{shared, "server_encoding", "UTF8"},
		{shared, "fsync", "on"},
		{shared, "synchronous_commit", "on"},
		{shared, "full_page_writes", "on"},
		{shared, "max_connections", "300"},
		{fast, "fsync", "off"},
		{fast, "server_encoding", "UTF8"},
	} {
		if got := query[string](t, test.url, "SELECT current_setting($1)", test.setting); got != test.want {
			t.Errorf("%s is %s; want %s", test.setting, got, test.want)
		}
	}
}

func TestPostgresFaults(t *testing.T) {
	t.Parallel()
	s := testserver.NewPostgres(t)
	ctx := t.Context()
	do := func(statements ...string) {
		t.Helper()
		if err := execSQL(ctx, s.URL(), statements...); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(want int) {
		t.Helper()
		if got := query[int](t, s.URL(), "SELECT count(*) FROM t"); got != want {
			t.Fatalf("%d rows; want %d", got, want)
		}
	}

	do("CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
	s.Stop()
	if err := execSQL(ctx, s.URL()); err == nil {
		t.Fatal("a stopped server answers")
	}
	s.Start()
	holds(1)

	do("INSERT INTO t VALUES (2)")
	s.Kill()
	if err := execSQL(ctx, s.URL()); err == nil {
		t.Fatal("a killed server answers")
	}
	s.Start()
	holds(2)

	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	s.Pause()
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(short, "SELECT 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a paused server: %v; want no answer", err)
	}
	s.Resume()
	holds(2)

	s.Pause()
	s.Kill()
	s.Start()
	holds(2)
	s.Pause() // the end of the test finds it so
}

// A backend that is made while the server is killed, and is left alive, waits for ever for a lock that
// a killed one holds, and keeps the server's files from the next.
func TestPostgresIsKilledWhileClientsConnect(t *testing.T) {
	t.Parallel()
	s := testserver.NewPostgres(t)
	if err := execSQL(t.Context(), s.URL(), "CREATE TABLE t (n int)"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				_ = execSQL(ctx, s.URL(), "INSERT INTO t VALUES (1)") // the server dies meanwhile
			}
		})
	}
	defer clients.Wait()
	defer cancel()
	for range 5 {
		s.Kill()
		s.Start()
	}
}
