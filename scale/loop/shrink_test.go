package loop_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/store"
)

// run makes the member's worker busy with so many jobs.
func (w *world) run(name string, jobs int) {
	w.set(func() {
		w.workers[name].Runs = make([]store.RunRef, jobs)
		for i := range w.workers[name].Runs {
			w.workers[name].Runs[i] = store.RunRef{JobID: uuid.New(), Claim: uuid.New()}
		}
	})
}

// pin has an operator want so many from now on.
func (w *world) pin(replicas int) {
	w.set(func() { w.state.Pin = &store.Pin{Replicas: replicas, Until: time.Now().Add(time.Hour)} })
}

// cordoned names the members whose workers are told to take nothing new.
func (w *world) cordoned() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name, worker := range w.workers {
		if worker.CordonedFor > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestP8StartingReplicasGoFirst: as many workers stay as are wanted, whatever else there is.
func TestP8StartingReplicasGoFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ready, starting, missing int
		want                     int
		emptied                  int
	}{
		"they suffice":           {15, 10, 0, 2, 0},
		"those missing as well":  {15, 4, 6, 2, 0},
		"and workers after them": {5, 2, 1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				for range c.starting {
					w.addStarting()
				}
				w.wanted += c.missing
				w.ready, w.slow = c.ready, true
				stop := begin(t, w, perTen())
				defer stop()
				if names := w.cordoned(); len(names) != c.emptied {
					t.Errorf("%v are cordoned, want %d of 2", names, c.emptied)
				}
				after(w, 10*time.Second)
				if w.size() != c.want {
					t.Errorf("%d replicas, want %d", w.size(), c.want)
				}
				for _, victims := range w.gone() {
					if len(victims) != c.emptied {
						t.Errorf("%v are the victims, want %d: others may have taken jobs", victims, c.emptied)
					}
				}
			})
		})
	}
}

// A replica that will never have a worker goes by name, and before any worker.
func TestStuckReplicasGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		stuck := w.addStarting()
		w.ready = 30
		stop := begin(t, w, perTen())
		defer stop()
		after(w, time.Minute)
		w.set(func() { w.ready = 20 })
		after(w, 2*time.Second)
		if gone := w.gone(); len(gone) != 1 || !slices.Equal(gone[0], []string{stuck}) || len(w.cordoned()) > 0 {
			t.Errorf("given up: %v, cordoned: %v", gone, w.cordoned())
		}
	})
}

// TestP8GivenUpWorkersStayEmpty: until they are gone, however long that takes, whatever cannot be seen.
func TestP8GivenUpWorkersStayEmpty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.ready, w.slow = 10, true
		stop := begin(t, w, perTen())
		defer stop()
		after(w, 10*time.Second)
		given := w.cordoned()
		if w.size() != 1 || len(given) != 2 {
			t.Fatalf("%d replicas, %v are cordoned", w.size(), given)
		}
		renewed := func(while string) {
			t.Helper()
			w.set(func() { clear(w.cordons) })
			after(w, 30*time.Second)
			w.set(func() {
				for _, name := range given {
					if w.cordons[name] < 2 {
						t.Errorf("%s: the cordon of %s was renewed %d times in 30 s", while, name, w.cordons[name])
					}
				}
			})
		}
		renewed("seen")
		w.set(func() { w.unseen = errAway })
		renewed("unseen")
		w.set(func() { w.unseen = nil; w.register(given[1]) })
		renewed("its worker restarted")
		w.set(func() { w.remove(given[0]); clear(w.cordons) })
		after(w, 30*time.Second)
		if n := w.size(); n != 1 || !slices.Equal(w.cordoned(), given[1:]) {
			t.Errorf("%d replicas, %v are cordoned when one is gone", n, w.cordoned())
		}
	})
}

// A replica that was given up while it was starting takes nothing once it has started after all.
func TestP8GivenUpReplicasThatStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		late := w.addStarting()
		w.ready, w.slow = 10, true
		stop := begin(t, w, perTen())
		defer stop()
		w.set(func() { w.register(late) })
		after(w, 2*time.Second)
		if w.size() != 1 || !slices.Equal(w.cordoned(), []string{late}) {
			t.Errorf("%d replicas, %v are cordoned, want %s", w.size(), w.cordoned(), late)
		}
	})
}

// Those that were given up and stay after all, because the fleet grows again, take jobs again.
func TestGivenUpWorkersThatStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.ready, w.slow = 10, true
		stop := begin(t, w, perTen())
		defer stop()
		after(w, 10*time.Second)
		w.set(func() { w.ready = 20 })
		after(w, 4*time.Second)
		if w.size() != 2 || len(w.cordoned()) != 3 {
			t.Fatalf("%d replicas, %v are cordoned: two of these are to go, and nobody knows which", w.size(), w.cordoned())
		}
		w.set(func() { w.ready = 40 })
		after(w, 4*time.Second)
		if w.size() != 4 || len(w.cordoned()) != 0 {
			t.Errorf("%d replicas, %v are still cordoned", w.size(), w.cordoned())
		}
	})
}

// A fleet that shrinks again while some are on their way out empties others.
func TestShrinkBesideThoseThatGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.ready, w.slow = 30, true
		stop := begin(t, w, perTen())
		defer stop()
		after(w, 10*time.Second)
		w.set(func() { w.ready = 20 })
		after(w, 10*time.Second)
		gone := w.gone()
		if w.size() != 2 || len(gone) != 2 || len(gone[1]) != 2 || !slices.Contains(gone[1], gone[0][0]) {
			t.Errorf("%d replicas, given up: %v, want one and then both", w.size(), gone)
		}
	})
}

// TestP8BusyWorkersGetAMinute: from when an operator's pin asked for fewer, whatever was to go before.
func TestP8BusyWorkersGetAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.drains = true
		w.run("pod-1", 1)
		w.run("pod-2", 1)
		w.ready = 10
		stop := begin(t, w, perTen())
		defer stop()
		after(w, 5*time.Minute) // one is to go, but is busy
		w.pin(1)
		after(w, 58*time.Second)
		if w.size() != 2 {
			t.Fatal("a busy worker was not waited for")
		}
		w.set(func() { w.state.Pin = nil })
		after(w, 4*time.Second)
		w.pin(1)
		after(w, 58*time.Second)
		if w.size() != 2 {
			t.Fatal("the minute did not begin anew")
		}
		after(w, 10*time.Second)
		if w.size() != 1 {
			t.Errorf("%d replicas after the minute", w.size())
		}
	})
}

// A pin is heard while the work cannot be seen, but takes no worker: nobody knows which are empty.
func TestP8PinnedBlindly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.ready = 20
		stop := begin(t, w, perTen())
		defer stop()
		w.set(func() { w.blocked = errAway })
		w.pin(1)
		after(w, 5*time.Minute)
		if d, _ := w.latest(); w.size() != 2 || d.Outcome != store.ScalePending {
			t.Errorf("%d replicas, %s", w.size(), d.Outcome)
		}
		w.pin(3)
		after(w, 2*time.Second)
		if w.size() != 3 {
			t.Errorf("%d replicas, want the 3 that are pinned", w.size())
		}
	})
}

// A fleet that is emptied in parts is told of, recorded and remembered as what was written.
func TestWhatWasWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		for n := range 3 {
			w.run(fmt.Sprintf("pod-%d", n+1), n+1)
		}
		p := perTen()
		p.Behavior.ScaleDown.Policies = []scale.Rate{{Type: scale.Pods, Value: 3, Period: 10 * time.Minute}}
		w.ready = 10
		stop := begin(t, w, p)
		defer stop()
		after(w, 20*time.Second)
		if w.size() != 3 {
			t.Fatalf("%d replicas, want the three that are busy", w.size())
		}
		want := "From 4 to 3 replicas, on the way to 1: 10 jobs wait or run, at 10 for each replica."
		if news := w.told(); len(news) != 1 || news[0].Message != want {
			t.Errorf("told %+v", news)
		}
		applied := slices.DeleteFunc(w.recorded(), func(d store.NewDecision) bool { return d.Outcome != store.ScaleApplied })
		if len(applied) == 0 {
			t.Fatal("no write is recorded")
		}
		if len(applied) != 1 || applied[0].Current != 4 || applied[0].Replicas != 3 {
			t.Errorf("%d writes are recorded, the first from %d to %d", len(applied), applied[0].Current, applied[0].Replicas)
		}
		if d, _ := w.latest(); d.Current != 3 || d.Replicas != 1 {
			t.Errorf("from 3 it wants %d, want the 1 that the rate still allows", d.Replicas)
		}
	})
}

// TestP8OrderedMembers: where the target removes members in an order of its own, these are emptied,
// and none goes before the one that is ahead of it.
func TestP8OrderedMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.ordered = true
		w.run("pod-1", 3)
		w.ready = 20
		stop := begin(t, w, perTen())
		defer stop()
		after(w, time.Minute)
		if w.size() != 4 || !slices.Equal(w.cordoned(), []string{"pod-1", "pod-2"}) {
			t.Fatalf("%d replicas, %v are cordoned, want pod-1, which is busy, and the next", w.size(), w.cordoned())
		}
		w.run("pod-1", 0)
		after(w, 10*time.Second)
		if w.size() != 2 || len(w.cordoned()) > 0 {
			t.Errorf("%d replicas, %v are cordoned", w.size(), w.cordoned())
		}
	})
}

// TestADeposedLeaderLiftsNoCordons: they are its successor's by then.
func TestADeposedLeaderLiftsNoCordons(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		stop := begin(t, w, perTen())
		if len(w.cordoned()) != 2 {
			t.Fatalf("%v are cordoned", w.cordoned())
		}
		w.set(func() { w.deposed = fmt.Errorf("lease lost: %w", scale.ErrNotLeader) })
		stop()
		if len(w.cordoned()) != 2 {
			t.Errorf("%v are still cordoned, want both", w.cordoned())
		}
	})
}
