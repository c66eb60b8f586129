package queue_test

import (
	"testing"
	"time"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/queue/embedded"
)

// TestLimiter counts in a real Redis and in the embedded one.
func TestLimiter(t *testing.T) {
	t.Parallel()
	open := map[string]func(t *testing.T) *queue.Conn{
		"redis": func(t *testing.T) *queue.Conn {
			conn, err := queue.Open(testserver.Redis(t))
			if err != nil {
				t.Fatal(err)
			}
			return conn
		},
		"embedded": func(t *testing.T) *queue.Conn {
			server := embedded.Start()
			t.Cleanup(func() {
				if err := server.Close(); err != nil {
					t.Error(err)
				}
			})
			conn, err := queue.Open(embedded.URL, queue.WithDialer(server.Dial))
			if err != nil {
				t.Fatal(err)
			}
			return conn
		},
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := open(t)
			t.Cleanup(func() {
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			})
			l := conn.Limiter()
			take := func(key string, n int64) (int64, time.Duration) {
				t.Helper()
				left, wait, err := l.Take(t.Context(), key, 10, time.Hour, n)
				if err != nil {
					t.Fatal(err)
				}
				return left, wait
			}
			if left, wait := take("a", 4); left != 6 || wait != 0 {
				t.Errorf("left %d, wait %v; want 6 and none", left, wait)
			}
			if left, wait := take("a", 6); left != 0 || wait != 0 {
				t.Errorf("left %d, wait %v; want 0 and none", left, wait)
			}
			// An hour brings ten, so two take 12 minutes.
			if left, wait := take("a", 2); left != 0 || wait < 11*time.Minute || wait > 12*time.Minute {
				t.Errorf("left %d, wait %v; want 0 and 12 minutes", left, wait)
			}
			if left, _ := take("b", 1); left != 9 {
				t.Errorf("another key has %d left, want 9", left)
			}
			// As large as it gets: a terabyte a day, by the mebibyte.
			const day = 1 << 40
			for range 3 {
				if left, wait, err := l.Take(t.Context(), "bytes", day, 24*time.Hour, 1<<20); err != nil || wait != 0 || left < day-4<<20 || left >= day {
					t.Errorf("left %d, wait %v, %v", left, wait, err)
				}
			}
		})
	}
}
