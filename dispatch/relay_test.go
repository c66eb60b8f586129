package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/leat-dev/leat/dispatch"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func deliveries(queue string, n int) []jobs.Delivery {
	list := make([]jobs.Delivery, n)
	for i := range list {
		list[i] = jobs.Delivery{JobID: jobs.NewID(), Generation: 1, Queue: queue}
	}
	return list
}

// relay runs one until the test is over.
func relay(t *testing.T, b *backlog, r *redis) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- dispatch.NewRelay(b, r, quiet(), meter()).Run(ctx, store.Lease{}) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// settle lets the relay work for d.
func settle(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestRelayEnqueuesEachHeadOnceBetweenFullRounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{heads: deliveries("a", 40)}, newRedis()
		defer relay(t, b, r)()
		settle(dispatch.ResyncEvery - time.Second)
		for _, d := range b.heads {
			if n := r.count(d); n != 1 {
				t.Fatalf("job %s was enqueued %d times, want once", d.JobID, n)
			}
		}
	})
}

// Without the full round, what an emptied Redis has lost would stay lost: the relay remembers
// having enqueued it.
func TestRelayBringsBackWhatRedisLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{heads: deliveries("a", 40)}, newRedis()
		defer relay(t, b, r)()
		settle(time.Second)
		r.set(func() { clear(r.tasks) })
		settle(dispatch.ResyncEvery + time.Second)
		for _, d := range b.heads {
			if r.count(d) == 0 {
				t.Fatalf("job %s is not back in the emptied Redis", d.JobID)
			}
		}
	})
}

func TestRelayTriesAgainWhatCouldNotBeEnqueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{heads: deliveries("a", 3)}, newRedis()
		r.fails[b.heads[1].JobID] = true
		defer relay(t, b, r)()
		settle(time.Second)
		r.set(func() { clear(r.fails) })
		settle(2 * dispatch.Tick)
		if n := r.count(b.heads[1]); n != 1 {
			t.Fatalf("the failed delivery was enqueued %d times after Redis took it again, want once", n)
		}
	})
}

func TestRelayGoesOnAfterRedisAndStoreWereAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{heads: deliveries("a", 3)}, newRedis()
		r.away = true
		defer relay(t, b, r)()
		settle(time.Minute)
		r.set(func() { r.away = false })
		b.set(func() { b.away = true })
		settle(time.Minute)
		if r.count(b.heads[0]) != 0 {
			t.Fatal("enqueued from a store that does not answer")
		}
		b.set(func() { b.away = false })
		settle(2 * dispatch.Tick)
		for _, d := range b.heads {
			if r.count(d) != 1 {
				t.Fatalf("job %s was enqueued %d times, want once", d.JobID, r.count(d))
			}
		}
	})
}

func TestRelayKeepsRedisWithinTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{heads: deliveries("a", 5000)}, newRedis()
		b.workers = []store.Worker{{WorkerStatus: store.WorkerStatus{ID: uuid.New(), Slots: 200, Queues: []string{"a", "b"}}}}
		defer relay(t, b, r)()
		settle(10 * time.Second)
		if got := len(r.tasks); got != 200*dispatch.SlotFactor {
			t.Fatalf("%d jobs in Redis, want %d for 200 slots", got, 200*dispatch.SlotFactor)
		}
		b.set(func() { b.heads = b.heads[300:] })
		settle(2 * dispatch.Tick)
		if got := len(r.tasks); got != 200*dispatch.SlotFactor+300 {
			t.Fatalf("%d jobs were enqueued after 300 ended, want 300 more", got)
		}
	})
}

// Whoever uploads names the queue. Those that nobody serves must not fill Redis, however many they are,
// and one must be ready to go when its first worker comes.
func TestRelayHasOneWindowForAllQueuesThatNobodyServes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{heads: deliveries("lone", 600)}, newRedis()
		defer relay(t, b, r)()
		settle(time.Second)
		if got := len(r.tasks); got != dispatch.MinWindow {
			t.Fatalf("%d jobs in Redis of the one queue, want %d", got, dispatch.MinWindow)
		}
		b.set(func() {
			b.heads = nil
			for i := range 1000 {
				b.heads = append(b.heads, deliveries(fmt.Sprintf("queue-%d", i), 3)...)
			}
		})
		r.set(func() { clear(r.tasks) })
		settle(dispatch.ResyncEvery + time.Second)
		if got := len(r.tasks); got != 1000 {
			t.Errorf("%d jobs in Redis of a thousand queues, want one of each", got)
		}
	})
}

// Without this a job whose task was popped by a process that died before it claimed the job would
// wait for ever: its task ID is gone from Redis or stays active in it, and its worker held no run.
func TestRelayDeliversAnewWhatNobodyClaimsWhileSlotsAreFree(t *testing.T) {
	t.Parallel()
	idle := store.Worker{WorkerStatus: store.WorkerStatus{ID: uuid.New(), Slots: 2, Free: 2, Queues: []string{"a"}}, FreeBefore: 2}
	busy, fresh, elsewhere, parking := idle, idle, idle, idle
	busy.Free = 0
	fresh.FreeBefore = 0
	elsewhere.Queues = []string{"b"}
	cases := []struct {
		name    string
		worker  store.Worker
		park    bool
		want    int
		after   time.Duration
		message string
	}{
		{"free slots", idle, false, 2, dispatch.StuckAfter + time.Second, "popped and never claimed"},
		{"not yet", idle, false, 1, dispatch.StuckAfter - time.Second, "too early"},
		{"all busy", busy, false, 1, time.Minute, "it simply waits its turn"},
		{"free only just now", fresh, false, 1, time.Minute, "one beat may be a moment between two jobs"},
		{"free for another queue", elsewhere, false, 1, time.Minute, "nobody there would take it"},
		{"held for want of room in its kind", parking, true, 1, time.Minute, "a live worker has it"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, r := &backlog{heads: deliveries("a", 1)}, newRedis()
				if c.park {
					c.worker.Runs = []store.RunRef{{JobID: b.heads[0].JobID}}
				}
				b.workers = []store.Worker{c.worker}
				defer relay(t, b, r)()
				settle(c.after)
				b.mu.Lock()
				defer b.mu.Unlock()
				if got := b.heads[0].Generation; got != c.want {
					t.Fatalf("generation %d, want %d: %s", got, c.want, c.message)
				}
				if r.count(b.heads[0]) == 0 {
					t.Fatal("the present generation is not in Redis")
				}
			})
		})
	}
}

func TestRelayFindsWhatIsStuckAlthoughItsTermsAreShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{heads: deliveries("a", 1)}, newRedis()
		b.workers = []store.Worker{{WorkerStatus: store.WorkerStatus{ID: uuid.New(), Slots: 2, Free: 2, Queues: []string{"a"}}, FreeBefore: 2}}
		rl := dispatch.NewRelay(b, r, quiet(), meter())
		const term = 4 * time.Second
		for range dispatch.StuckAfter/term + 1 {
			if got := b.heads[0].Generation; got != 1 {
				t.Fatalf("generation %d before %v had passed", got, dispatch.StuckAfter)
			}
			ctx, cancel := context.WithTimeout(t.Context(), term)
			if err := rl.Run(ctx, store.Lease{}); err != nil {
				t.Errorf("Run: %v", err)
			}
			cancel()
		}
		if got := b.heads[0].Generation; got != 2 || r.count(b.heads[0]) == 0 {
			t.Errorf("generation %d, in Redis %d times; want the job delivered anew", got, r.count(b.heads[0]))
		}
	})
}

func TestRelayPublishesRoomOnlyWhenNothingWaitsBehindTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{heads: slices.Concat(deliveries("full", 600), deliveries("open", 100))}, newRedis()
		b.workers = []store.Worker{{WorkerStatus: store.WorkerStatus{ID: uuid.New(), Slots: 1, Queues: []string{"full", "open"}}}}
		defer relay(t, b, r)()
		settle(time.Second)
		b.mu.Lock()
		if b.rooms["full"] != 0 || b.rooms["open"] != dispatch.MinWindow-100 {
			t.Errorf("rooms %v, want none for the full queue and %d for the open one", b.rooms, dispatch.MinWindow-100)
		}
		b.mu.Unlock()
		before := b.publishes
		settle(10 * time.Second)
		if b.publishes != before {
			t.Errorf("published %d times while nothing changed", b.publishes-before)
		}
		r.set(func() { r.away = true })
		b.set(func() { b.heads = append(b.heads, deliveries("open", 1)...) })
		settle(dispatch.ResyncEvery)
		if b.rooms["open"] != 0 {
			t.Errorf("rooms %v although Redis is away, want none", b.rooms)
		}
	})
}

func TestShortcutTakesOnlyWhatThereIsRoomFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{rooms: map[string]int{"a": 2}}, newRedis()
		s := dispatch.NewShortcut(b, r, quiet())
		early := deliveries("a", 1)
		s.HandOver(early)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		settle(time.Millisecond)
		a, other := deliveries("a", 3), deliveries("b", 1)
		s.HandOver(append(a, other...))
		settle(time.Millisecond)
		if r.count(early[0]) != 0 || r.count(a[0]) != 1 || r.count(a[1]) != 1 || r.count(a[2]) != 0 || r.count(other[0]) != 0 {
			t.Errorf("enqueued %v, want exactly the first two of the queue with room for two", r.tasks)
		}
		b.set(func() { b.away = true })
		settle(time.Second)
		late := deliveries("a", 1)
		s.HandOver(late)
		settle(time.Second)
		if r.count(late[0]) != 0 {
			t.Error("handed over without knowing whether there is room")
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestRelayTellsHowFarBehindItIs: while Redis is away its lag grows, and it is none after that and once
// another leads.
func TestRelayTellsHowFarBehindItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, r := &backlog{heads: deliveries("a", 3)}, newRedis()
		registry := prometheus.NewRegistry()
		meter := dispatch.NewMetrics(registry)
		lag := func() float64 {
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "leat_dispatch_lag_seconds" })
			return families[i].GetMetric()[0].GetGauge().GetValue()
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		r.away = true
		go func() { done <- dispatch.NewRelay(b, r, quiet(), meter).Run(ctx, store.Lease{}) }()
		settle(time.Minute)
		if got := lag(); got < 59 || got > 61 {
			t.Errorf("after a minute without Redis the lag is %v s", got)
		}
		r.set(func() { r.away = false })
		settle(time.Second)
		if got := lag(); got > 1 {
			t.Errorf("with Redis back the lag is %v s", got)
		}
		r.set(func() { r.away = true })
		b.set(func() { b.heads = deliveries("a", 1) })
		settle(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := lag(); got != 0 {
			t.Errorf("of one that does not lead any more the lag is %v s", got)
		}
	})
}
