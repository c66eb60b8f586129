package testserver_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/leat-dev/leat/internal/testserver"
)

func TestRedisDatabasesAreApart(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	a, b := redisClient(t, testserver.Redis(t)), redisClient(t, testserver.Redis(t))
	if err := a.Set(ctx, "key", "a", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.DBSize(ctx).Result(); err != nil || n != 0 {
		t.Fatalf("another test's database has %d keys, %v; want none", n, err)
	}
}

func TestRedisDatabaseIsEmptyAgain(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("use", func(t *testing.T) {
		url = testserver.Redis(t)
		if err := redisClient(t, url).Set(t.Context(), "key", "value", 0).Err(); err != nil {
			t.Fatal(err)
		}
	})
	if n, err := redisClient(t, url).DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Fatalf("after its test the database has %d keys, %v; want none", n, err)
	}
}

func TestRedisFaults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := testserver.NewRedis(t, testserver.AOF(testserver.Always))
	c := redisClient(t, s.URL())
	set := func(value string) {
		t.Helper()
		if err := c.Set(ctx, "key", value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(want string) {
		t.Helper()
		if got, err := c.Get(ctx, "key").Result(); err != nil || got != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}

	set("first")
	s.Stop()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Fatal("a stopped server answers")
	}
	s.Start()
	holds("first")

	set("second")
	s.Kill()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Fatal("a killed server answers")
	}
	s.Start()
	holds("second")

	s.Pause()
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	var timeout net.Error
	if err := c.Ping(short).Err(); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("a paused server: %v; want no answer", err)
	}
	s.Resume()
	holds("second")
}

func TestRedisRestore(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]testserver.RedisOption{
		"with AOF":    testserver.AOF(testserver.EverySecond),
		"without AOF": testserver.NoPersistence(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			s := testserver.NewRedis(t, opt)
			c := redisClient(t, s.URL())
			write := func(value string) {
				t.Helper()
				if err := c.Set(ctx, value, value, 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			keys := func() int64 {
				t.Helper()
				n, err := c.DBSize(ctx).Result()
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			write("old")
			snapshot := s.Snapshot()
			for range 2 {
				write("new")
				s.Restore(snapshot)
				if n := keys(); n != 1 {
					t.Fatalf("after Restore: %d keys; want the old one alone", n)
				}
			}
		})
	}
}

func TestRedisKeepsWhatCameAfterARestore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := testserver.NewRedis(t, testserver.AOF(testserver.Always))
	c := redisClient(t, s.URL())
	s.Restore(s.Snapshot())
	if err := c.Set(ctx, "later", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Start()
	if n, err := c.DBSize(ctx).Result(); err != nil || n != 1 {
		t.Fatalf("after Restore, a write and a crash: %d keys, %v; want the written one", n, err)
	}
}
