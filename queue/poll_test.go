package queue

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Without the budget the idle polls of a large fleet alone keep Redis busy.
func TestPace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name              string
		processes, queues int
		budget            float64
		want              time.Duration
	}{
		{"alone", 1, 1, 2000, 500 * time.Microsecond},
		{"a large fleet", 100, 3, 2000, 150 * time.Millisecond},
		{"no budget", 1e6, 3, 0, 0},
		{"an unknown fleet counts as one", 0, 1, 100, 10 * time.Millisecond},
		{"never more than a server may take", 1e9, 3, 1e-9, time.Minute},
	} {
		if got := pace(c.processes, c.queues, c.budget); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A queue that was found empty is left alone for the pace, one that had work or could not be asked is not.
func TestGateKeepsThePace(t *testing.T) {
	t.Parallel()
	const pace = 10 * time.Second
	now := time.Unix(1_800_000_000, 0)
	g := newGate()
	asks := func(queue string, answer error) bool {
		if !g.beginPop(queue, now) {
			return false
		}
		g.endPop(queue, now, answer)
		if answer == nil {
			g.admit()
			g.leave()
		}
		return true
	}
	expect := func(what string, want, got bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: asked %t, want %t", what, got, want)
		}
	}
	expect("at first", true, asks("a", redis.Nil))
	expect("again, without a pace", true, asks("a", redis.Nil))
	g.setPace(pace)
	expect("an empty queue", false, asks("a", redis.Nil))
	expect("another queue", true, asks("b", nil))
	expect("one that had work", true, asks("b", nil))
	now = now.Add(pace - 1)
	expect("just before its time", false, asks("a", redis.Nil))
	now = now.Add(1)
	expect("in time", true, asks("a", errors.New("connection refused")))
	expect("after a failure", true, asks("a", nil))
	expect("after work", true, asks("a", redis.Nil))
	expect("empty again", false, asks("a", nil))
	if g.popping != 0 || g.inside() != 0 {
		t.Errorf("%d dequeues and %d handlers are left", g.popping, g.inside())
	}
}
