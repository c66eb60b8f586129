package testserver_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/leat-dev/leat/internal/testserver"
)

func host(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestGivenRedis(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := testserver.NewRedis(t, testserver.RedisSetting("databases", "4"))
	inUse := redisClient(t, s.URL())
	if err := inUse.Set(ctx, "someone's", "data", 0).Err(); err != nil {
		t.Fatal(err)
	}

	env := []string{testserver.EnvRedisURL + "=" + s.URL(), testserver.EnvServers + "="}
	taken := make(map[string]bool)
	for range 3 {
		c := startChild(t, "redis", env...)
		defer c.end(t)
		got := c.urls[0]
		if host(t, got) != host(t, s.URL()) {
			t.Fatalf("a test was sent to %s; want the given %s", got, s.URL())
		}
		if taken[got] {
			t.Fatalf("two test binaries share %s", got)
		}
		taken[got] = true
	}
	if taken[s.URL()] {
		t.Fatal("a test was given a database with someone's data")
	}
	if n, err := inUse.DBSize(ctx).Result(); err != nil || n != 1 {
		t.Fatalf("the database in use has %d keys, %v; want its one", n, err)
	}
}

func TestGivenPostgres(t *testing.T) {
	t.Parallel()
	s := testserver.NewPostgres(t)
	hours := func(n int) int64 { return time.Now().Add(-time.Duration(n) * time.Hour).Unix() }
	stale := fmt.Sprintf("leat_test_%d_test_a", hours(24))
	fresh := fmt.Sprintf("leat_test_%d_test_b", hours(1))
	if err := execSQL(t.Context(), s.URL(),
		"CREATE DATABASE mine", "CREATE DATABASE leat_test_mine", "CREATE DATABASE "+stale, "CREATE DATABASE "+fresh); err != nil {
		t.Fatal(err)
	}
	databases := func() string {
		return query[string](t, s.URL(), "SELECT string_agg(datname::text, ' ' ORDER BY datname) FROM pg_database")
	}

	c := startChild(t, "postgres", testserver.EnvDatabaseURL+"="+s.URL(), testserver.EnvServers+"=")
	if got := c.urls[0]; host(t, got) != host(t, s.URL()) {
		t.Fatalf("a test was sent to %s; want the given %s", got, s.URL())
	}
	if n := len(strings.Fields(databases())); n != 7 {
		t.Fatalf("%d databases: %s; want the three of the system, mine, leat_test_mine, the fresh one and the test's", n, databases())
	}
	c.end(t)
	want := strings.Join([]string{fresh, "leat_test_mine", "mine", "postgres", "template0", "template1"}, " ")
	if got := databases(); got != want {
		t.Fatalf("after the test binary: %s; want %s", got, want)
	}
}

// A test that finds no server must fail and say what is wrong.
func TestUnknownSource(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=redis", testserver.EnvServers+"=elsewhere")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `LEAT_TEST_SERVERS="elsewhere"`) {
		t.Fatalf("%v, output %q; want a failure that names the variable and its value", err, out)
	}
}
