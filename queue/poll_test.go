package queue_test

import (
	"testing"
	"time"

	"github.com/leat-dev/leat/queue"
)

// Without the budget the idle polls of a large fleet alone keep Redis busy.
func TestPollInterval(t *testing.T) {
	t.Parallel()
	const base = 100 * time.Millisecond
	for _, c := range []struct {
		name string
		in   queue.Polling
		want time.Duration
	}{
		{"within the budget", queue.Polling{Base: base, Processes: 10, Servers: 4, Queues: 3, Budget: 2000}, base},
		{"at the budget", queue.Polling{Base: base, Processes: 50, Servers: 4, Queues: 1, Budget: 2000}, base},
		{"beyond it", queue.Polling{Base: base, Processes: 100, Servers: 4, Queues: 3, Budget: 2000}, 600 * time.Millisecond},
		{"no budget", queue.Polling{Base: base, Processes: 1e6, Servers: 4, Queues: 3}, base},
		{"an unknown fleet counts as one", queue.Polling{Base: time.Millisecond, Budget: 100}, 10 * time.Millisecond},
		{"never more than a server takes", queue.Polling{Base: base, Processes: 1e9, Servers: 4, Queues: 3, Budget: 1e-9}, time.Minute},
	} {
		if got := queue.PollInterval(c.in); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
