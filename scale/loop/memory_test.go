package loop_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/store"
)

// TestP9QuietDecisionsAreTheSame: what moves with the clock alone makes no other decision, all else does.
func TestP9QuietDecisionsAreTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.addStarting()
		w.ready = 15
		w.queue.Running.N = 5
		happened := store.Happened{Arrived: 1, Succeeded: 1, Busy: time.Second}
		w.queue.Past = []store.Happened{happened, happened}
		p := perTen()
		p.Drain = &scale.Drain{Target: 10 * time.Minute, Headroom: 0} // its reasons change, its answer does not
		p.Behavior.ScaleDown.Window = 5 * time.Minute
		began := time.Now()
		tick := func() {
			w.set(func() {
				gone := time.Since(began)
				w.queue.Age, w.queue.Held = gone, gone+time.Second
				w.queue.Past[0].Over, w.queue.Past[1].Over = 10*time.Second+gone, time.Minute+gone
			})
			after(w, 2*time.Second)
		}
		tick()
		stop := begin(t, w, p)
		defer stop()
		for range 10 {
			tick()
		}
		all := w.recorded()
		for _, d := range all[1:] {
			if d.Same != all[0].Same {
				t.Fatalf("decisions that differ only in time are not known for the same:\n%s\n%s", all[0].Detail, d.Detail)
			}
		}
		w.set(func() { w.queue.Past[1].Succeeded++ })
		after(w, 2*time.Second)
		if d, _ := w.latest(); d.Same == all[0].Same {
			t.Error("another job has ended, and it is called the same")
		}
	})
}

// Only the first worker of a replica tells how long a start takes.
func TestStartsAreLearnedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1) // it was there before the loop
		w.set(func() { w.ready = 20 })
		stop := begin(t, w, perTen())
		defer stop()
		delay := func() time.Duration {
			_, detail := w.latest()
			return detail.Observation.Fleet.StartDelay
		}
		after(w, 2*time.Second)
		if d := delay(); d != 0 {
			t.Errorf("%v was learned from a worker whose start nobody saw", d)
		}
		var name string
		w.set(func() { w.wanted--; name = w.addStarting() })
		after(w, 4*time.Second)
		w.set(func() { w.register(name) })
		after(w, 4*time.Second)
		learned := delay()
		if learned < 10*time.Second || learned > 15*time.Second {
			t.Errorf("%v was learned of a start of about 14 s", learned)
		}
		for _, restarted := range []string{name, "pod-1"} {
			w.set(func() { delete(w.workers, restarted) })
			after(w, 5*time.Minute)
			w.set(func() { w.register(restarted) })
			after(w, 4*time.Second)
			if d := delay(); d != learned {
				t.Errorf("the delay is %v and was %v: it was learned from a restart", d, learned)
			}
		}
	})
}
