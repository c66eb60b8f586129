package dispatch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// world is a queue as the store and the delivery layer have it, for a share to look after: jobs come,
// and are taken from the front of what was chosen.
type world struct {
	share   *share
	ready   map[jobs.Tenant][]store.Head
	weights map[jobs.Tenant]int
	costs   map[string]time.Duration
	size    int

	served map[jobs.Tenant]time.Duration
	most   map[jobs.Tenant]time.Duration // cost of the dearest job that was served
	taken  map[jobs.Tenant]int
	held   map[store.Head]bool // what is in the delivery layer
}

func newWorld(size int) *world {
	return &world{
		share: newShare(), ready: map[jobs.Tenant][]store.Head{}, weights: map[jobs.Tenant]int{}, costs: map[string]time.Duration{}, size: size,
		served: map[jobs.Tenant]time.Duration{}, most: map[jobs.Tenant]time.Duration{}, taken: map[jobs.Tenant]int{}, held: map[store.Head]bool{},
	}
}

func (w *world) add(tenant jobs.Tenant, kind string, n int) {
	for range n {
		w.ready[tenant] = append(w.ready[tenant], store.Head{
			Delivery: jobs.Delivery{JobID: jobs.NewID(), Generation: 1, Queue: "q"}, Tenant: tenant, Kind: kind,
		})
	}
}

// look has the share choose its window anew.
func (w *world) look() {
	var lanes []store.LaneState
	for tenant, list := range w.ready {
		if len(list) > 0 {
			lanes = append(lanes, store.LaneState{Lane: store.Lane{Queue: "q", Tenant: tenant}, Weight: w.weights[tenant], Ready: true})
		}
	}
	w.share.see(lanes, len(lanes)+1)
	var heads []store.Head
	limits := w.share.limits(w.size)
	for tenant, limit := range limits {
		heads = append(heads, w.ready[tenant][:min(limit, len(w.ready[tenant]))]...)
	}
	gone := w.share.fill(heads, limits, w.size, func(kind string) time.Duration { return w.costs[kind] })
	for _, t := range w.share.window {
		w.held[t.Head] = true
	}
	for h := range w.held {
		if slices.Contains(gone, h.Delivery) {
			delete(w.held, h)
		}
	}
}

// take serves the first of the window.
func (w *world) take() jobs.Tenant { return w.takeAt(w.front()) }

func (w *world) takeAt(place int) jobs.Tenant {
	head := w.share.window[place].Head
	i := slices.Index(w.ready[head.Tenant], head)
	w.ready[head.Tenant] = slices.Delete(w.ready[head.Tenant], i, i+1)
	delete(w.held, head)
	cost := w.costs[head.Kind]
	w.served[head.Tenant] += cost
	w.most[head.Tenant] = max(w.most[head.Tenant], cost)
	w.taken[head.Tenant]++
	return head.Tenant
}

// front is the place of the first of the window that was not taken since the last look.
func (w *world) front() int {
	return slices.IndexFunc(w.share.window, func(t turn) bool { return w.held[t.Head] })
}

// TestServedByWeight: over any backlog of which every tenant always has some left, what two tenants
// got, by their weights, is never further apart than one job of each.
func TestServedByWeight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.IntRange(6, 60).Draw(t, "window"))
		tenants := rapid.IntRange(2, 6).Draw(t, "tenants")
		var names []jobs.Tenant
		for i := range tenants {
			tenant := jobs.Tenant(fmt.Sprintf("t%d", i))
			names = append(names, tenant)
			w.weights[tenant] = rapid.IntRange(1, 5).Draw(t, "weight")
			kind := "kind-" + string(tenant)
			w.costs[kind] = time.Duration(rapid.IntRange(1, 1000).Draw(t, "cost")) * time.Millisecond
			w.add(tenant, kind, 400)
		}
		for range rapid.IntRange(1, 60).Draw(t, "looks") {
			w.look()
			if len(w.held) > w.size {
				t.Fatalf("%d jobs are delivered, over the window of %d", len(w.held), w.size)
			}
			for range rapid.IntRange(0, min(len(w.held), 6)).Draw(t, "taken") {
				w.take()
				for _, a := range names {
					for _, b := range names {
						got := func(n jobs.Tenant) time.Duration { return w.served[n] / time.Duration(w.weights[n]) }
						one := func(n jobs.Tenant) time.Duration {
							return w.costs["kind-"+string(n)]/time.Duration(w.weights[n]) + time.Microsecond
						}
						if apart := got(a) - got(b); apart > one(a)+one(b) {
							t.Fatalf("%s got %v more than %s by weight, over one job of each, %v", a, apart, b, one(a)+one(b))
						}
					}
				}
			}
		}
	})
}

// TestServedByWeightThoughRedisIsNotInOrder: jobs are enqueued many at once, so that they are taken in
// about the order of the window only.
func TestServedByWeightThoughRedisIsNotInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(60)
	w.weights = map[jobs.Tenant]int{"a": 3, "b": 1}
	w.costs["x"] = time.Second
	w.add("a", "x", 2000)
	w.add("b", "x", 2000)
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		w.look()
		for range 2 {
			place := w.front() + random.IntN(32)
			for !w.held[w.share.window[place].Head] {
				place--
			}
			w.takeAt(place)
		}
	}
	if got := w.taken["a"]; got < 745 || got > 755 {
		t.Errorf("the one of weight three got %d of 1000", got)
	}
}

// TestWhoWaitsLosesNothing: a job that is taken out of its order does not make up for it at the cost of
// those who wait.
func TestWhoWaitsLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(60)
	w.weights = map[jobs.Tenant]int{"a": 1, "b": 1}
	w.costs["x"] = time.Second
	w.add("a", "x", 100)
	w.add("b", "x", 100)
	w.look()
	for range 3 {
		place := len(w.share.window) - 1
		for w.share.window[place].Tenant != "a" {
			place--
		}
		w.takeAt(place)
		w.look()
	}
	for i := range 3 {
		if got := w.take(); got != "b" {
			t.Fatalf("a got three more than b, and %s is number %d of the next", got, i)
		}
	}
}

// TestWindowsAreStable: whatever comes and goes, a look with nothing new changes nothing, the order
// within a tenant is kept, a window is full when it can be, and no more than it is delivered.
func TestWindowsAreStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.IntRange(1, 40).Draw(t, "window"))
		w.costs["x"], w.costs["y"] = time.Second, 70*time.Millisecond
		names := []jobs.Tenant{"a", "b", "c", "d"}
		for i, n := range names {
			w.weights[n] = 1 + i
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			if n := rapid.IntRange(0, 3).Draw(t, "jobs"); n > 0 {
				w.add(rapid.SampledFrom(names).Draw(t, "tenant"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "kind"), n*n*n)
			}
			w.look()
			for range 10 { // tenants with more than their part take what others leave, look by look
				w.look()
			}
			first := slices.Clone(w.share.window)
			w.look()
			if !slices.Equal(first, w.share.window) {
				t.Fatal("a look with nothing new chose anew")
			}
			if len(w.held) != len(w.share.window) || len(w.held) > w.size {
				t.Fatalf("%d jobs are delivered, the window has %d, of at most %d", len(w.held), len(w.share.window), w.size)
			}
			waiting := 0
			for tenant, list := range w.ready {
				waiting += len(list)
				var mine []store.Head
				for _, turn := range w.share.window {
					if turn.Tenant == tenant {
						mine = append(mine, turn.Head)
					}
				}
				if !slices.Equal(mine, list[:len(mine)]) {
					t.Fatalf("of %s not the first are chosen, or not in order", tenant)
				}
			}
			if len(w.held) < min(waiting, w.size) {
				t.Fatalf("%d jobs are delivered of %d that wait, in a window of %d", len(w.held), waiting, w.size)
			}
			for range rapid.IntRange(0, min(3, len(w.held))).Draw(t, "taken") {
				w.take()
			}
		}
	})
}

// TestNewcomerIsFirst: who had nothing waiting comes before all that others have.
func TestNewcomerIsFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(50)
	w.costs["x"] = time.Second
	w.weights = map[jobs.Tenant]int{"a": 3, "b": 1, "c": 1}
	w.add("a", "x", 1000)
	w.add("b", "x", 1000)
	for range 30 {
		w.look()
		w.take()
	}
	for range 5 {
		w.add("c", "x", 1)
		w.look()
		if got := w.take(); got != "c" {
			t.Fatalf("%s came first", got)
		}
		w.look()
		for range 8 {
			w.take()
		}
	}
	// It cannot have more than its part by never having more than one job waiting.
	before := w.taken["c"]
	for range 200 {
		if len(w.ready["c"]) == 0 {
			w.add("c", "x", 1)
		}
		w.look()
		w.take()
	}
	if got := w.taken["c"] - before; got < 38 || got > 42 {
		t.Errorf("one job at a time got %d of 200, want a fifth", got)
	}
}

// TestTenantsBeyondOneLook: where more tenants have jobs than a look or a window has room for, all
// get their turn.
func TestTenantsBeyondOneLook(t *testing.T) {
	t.Parallel()
	const tenants, limit, size = 50, 7, 10
	s := newShare()
	var names []jobs.Tenant
	w := newWorld(size)
	for i := range tenants {
		tenant := jobs.Tenant(fmt.Sprintf("t%02d", i))
		names = append(names, tenant)
		w.add(tenant, "x", 100)
	}
	queue := w.ready
	got := map[jobs.Tenant]int{}
	for range 1000 {
		var lanes []store.LaneState
		for _, tenant := range names {
			if tenant > s.after && len(lanes) < limit {
				lanes = append(lanes, store.LaneState{Lane: store.Lane{Tenant: tenant}, Weight: 1, Ready: len(queue[tenant]) > 0})
			}
		}
		s.see(lanes, limit)
		var heads []store.Head
		limits := s.limits(size)
		for tenant, n := range limits {
			heads = append(heads, queue[tenant][:min(n, len(queue[tenant]))]...)
		}
		if s.fill(heads, limits, size, func(string) time.Duration { return time.Second }); len(s.window) > size {
			t.Fatalf("a window of %d", len(s.window))
		}
		head := s.window[0].Head
		queue[head.Tenant] = queue[head.Tenant][1:]
		got[head.Tenant]++
	}
	for _, tenant := range names {
		if got[tenant] < 18 || got[tenant] > 22 {
			t.Errorf("%s got %d of 1000 among %d", tenant, got[tenant], tenants)
		}
	}
	if !s.partial {
		t.Error("a look that had no room for all takes itself for whole")
	}
	if len(s.ahead) > tenants {
		t.Errorf("remembers %d tenants", len(s.ahead))
	}
}
