package dispatch_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/dispatch"
	"github.com/leat-dev/leat/jobs"
)

// add gives a tenant n more jobs that are ready.
func (b *backlog) add(tenant jobs.Tenant, n int) []jobs.Delivery {
	list := deliveries("a", n)
	b.set(func() {
		if b.tenants == nil {
			b.tenants = map[uuid.UUID]jobs.Tenant{}
		}
		for _, d := range list {
			b.tenants[d.JobID] = tenant
		}
		b.heads = append(b.heads, list...)
	})
	return list
}

// of counts whose jobs deliveries are.
func (b *backlog) of(list []jobs.Delivery) map[jobs.Tenant]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	count := map[jobs.Tenant]int{}
	for _, d := range list {
		count[b.tenants[d.JobID]]++
	}
	return count
}

func (r *redis) line(queue string) []jobs.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.waiting[queue])
}

// Without it one tenant's jobs wait for all that another has in Redis already.
func TestRelayPutsATenantsFirstJobBeforeAnothersMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{}, newRedis()
		b.add("heavy", 5000)
		defer relay(t, b, r)()
		settle(time.Second)
		for range 3 {
			r.pop("a", 2, b)
			light := b.add("light", 1)[0]
			settle(2 * dispatch.Tick)
			line := r.line("a")
			if line[0] != light {
				t.Fatalf("the light tenant's job stands at %d of %d", slices.Index(line, light), len(line))
			}
			if len(line) != dispatch.MinWindow {
				t.Errorf("%d jobs in Redis, want %d", len(line), dispatch.MinWindow)
			}
			r.pop("a", 1, b)
			settle(2 * dispatch.Tick)
		}
		if b.most > 2*dispatch.MinWindow {
			t.Errorf("one look asked for %d jobs", b.most)
		}
	})
}

// The shortcut puts a fresh job at the end; the relay gives it its place.
func TestRelayMovesWhatTheShortcutBrought(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{}, newRedis()
		b.add("heavy", 100)
		defer relay(t, b, r)()
		settle(time.Second)
		r.pop("a", 1, b)
		light := b.add("light", 1)
		if err := r.Enqueue(t.Context(), light); err != nil {
			t.Fatal(err)
		}
		settle(2 * dispatch.Tick)
		if line := r.line("a"); line[0] != light[0] {
			t.Errorf("it stands at %d", slices.Index(line, light[0]))
		}
	})
}

func TestRelayServesByWeight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{weights: map[jobs.Tenant]int{"three": 3}}, newRedis()
		b.add("three", 1200)
		b.add("one", 1200)
		defer relay(t, b, r)()
		settle(time.Second)
		var popped []jobs.Delivery
		for range 60 {
			popped = append(popped, r.pop("a", 20, b)...)
			settle(dispatch.Tick)
		}
		if got := b.of(popped); got["three"] < 895 || got["three"] > 905 {
			t.Errorf("served %v of %d, want three quarters for the one of weight three", got, len(popped))
		}
		if r.arranged > 10 {
			t.Errorf("Redis was put in order %d times while nothing came between, beside the full rounds", r.arranged)
		}
	})
}

// A tenant whose runs take ten times as long gets a tenth of the runs.
func TestRelayServesByCost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{kinds: map[uuid.UUID]string{}, costs: map[string]time.Duration{"slow": time.Second, "quick": time.Second / 10}}, newRedis()
		for _, d := range b.add("s", 700) {
			b.kinds[d.JobID] = "slow"
		}
		for _, d := range b.add("q", 1200) {
			b.kinds[d.JobID] = "quick"
		}
		defer relay(t, b, r)()
		settle(time.Second)
		var popped []jobs.Delivery
		for range 55 {
			popped = append(popped, r.pop("a", 20, b)...)
			settle(dispatch.Tick)
		}
		if got := b.of(popped); got["s"] < 95 || got["s"] > 105 {
			t.Errorf("served %v, want a tenth of the slow as of the quick", got)
		}
	})
}

// What is in Redis in another order, or was left there by another leader, is put in order with the
// next full round.
func TestRelayPutsRedisInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{}, newRedis()
		heavy := b.add("heavy", 400)
		if err := r.Enqueue(t.Context(), heavy); err != nil { // as another leader had it
			t.Fatal(err)
		}
		light := b.add("light", 100)
		stop := relay(t, b, r)
		settle(time.Second)
		if got := b.of(r.line("a")[:200]); got["light"] != 100 {
			t.Errorf("the first 200 are of %v", got)
		}
		r.set(func() { slices.Reverse(r.waiting["a"]) })
		settle(dispatch.ResyncEvery + time.Second)
		if got := b.of(r.line("a")[:200]); got["light"] != 100 || slices.Index(r.line("a"), light[0]) > 1 {
			t.Errorf("after a full round the first 200 are of %v", got)
		}
		stop()
	})
}

func TestRelayLeavesTheOrderOfOneTenantAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{}, newRedis()
		b.add("only", 300)
		defer relay(t, b, r)()
		for range 50 {
			settle(dispatch.Tick)
			b.add("only", 3)
			b.set(func() { slices.Reverse(b.heads) }) // as what was accepted earlier is seen later
			r.pop("a", 3, b)
		}
		settle(2 * dispatch.ResyncEvery)
		if r.arranged != 0 {
			t.Errorf("Redis was put in order %d times", r.arranged)
		}
	})
}

// Where tenants have more ready than was looked at, a fresh job must not go before it.
func TestRelayPublishesNoRoomForWhatItHasNotSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{}, newRedis()
		for i := range dispatch.LanesAtOnce + 10 {
			b.add(jobs.Tenant(uuid.New().String()[:8]+string(rune('a'+i%26))), 1)
		}
		defer relay(t, b, r)()
		settle(time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.rooms["a"] != 0 {
			t.Errorf("room for %d", b.rooms["a"])
		}
		if n := len(r.line("a")); n != dispatch.LanesAtOnce+10 {
			t.Errorf("%d jobs in Redis, want one of each tenant", n)
		}
	})
}
