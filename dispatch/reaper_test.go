package dispatch_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/dispatch"
	"github.com/leat-dev/leat/store"
)

// graveyard is a store's workers and running jobs in memory.
type graveyard struct {
	mu      sync.Mutex
	away    bool
	workers map[uuid.UUID]*store.Worker
	running []store.RunningJob
	reaped  map[uuid.UUID]time.Time
	runs    []store.RunRef
}

func (g *graveyard) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

func (g *graveyard) Workers(context.Context) ([]store.Worker, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.away {
		return nil, errAway
	}
	var list []store.Worker
	for _, w := range g.workers {
		list = append(list, *w)
	}
	return list, nil
}

func (g *graveyard) ReapWorkers(_ context.Context, _ store.Lease, beats map[uuid.UUID]int64) (store.Reaped, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var r store.Reaped
	for id, n := range beats {
		if w, ok := g.workers[id]; ok && w.Beats == n {
			delete(g.workers, id)
			g.reaped[id] = time.Now()
			r.Workers++
		}
	}
	return r, nil
}

func (g *graveyard) Running(_ context.Context, after uuid.UUID, limit int) ([]store.RunningJob, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var page []store.RunningJob
	for _, run := range g.running {
		if run.JobID.String() > after.String() && len(page) < limit {
			run.Registered = g.workers[run.Worker] != nil
			page = append(page, run)
		}
	}
	return page, nil
}

func (g *graveyard) ReapRuns(_ context.Context, _ store.Lease, runs []store.RunRef) (store.Reaped, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.runs = append(g.runs, runs...)
	return store.Reaped{Runs: len(runs)}, nil
}

func (g *graveyard) SettleParents(context.Context, store.Lease, int) (int, error) { return 0, nil }

// beatUntil beats for the worker every 5 s while alive is true.
func (g *graveyard) beat(ctx context.Context, id uuid.UUID, alive func() bool) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			g.set(func() {
				if w := g.workers[id]; w != nil && !g.away && alive() {
					w.Beats++
				}
			})
		}
	}
}

func reaper(t *testing.T, g *graveyard) (ctx context.Context, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- dispatch.NewReaper(g, quiet(), meter()).Run(ctx, store.Lease{}) }()
	return ctx, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func newGraveyard(ids ...uuid.UUID) *graveyard {
	g := &graveyard{workers: map[uuid.UUID]*store.Worker{}, reaped: map[uuid.UUID]time.Time{}}
	for _, id := range ids {
		g.workers[id] = &store.Worker{WorkerStatus: store.WorkerStatus{ID: id}, Beats: 1}
	}
	return g
}

func TestReaperTakesTheSilentWithinSixteenSecondsAndNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		live, dead := uuid.New(), uuid.New()
		g := newGraveyard(live, dead)
		began := time.Now()
		ctx, stop := reaper(t, g)
		go g.beat(ctx, live, func() bool { return true })
		settle(time.Minute)
		stop()
		if _, ok := g.reaped[live]; ok {
			t.Error("a worker that beats was reaped")
		}
		if at, ok := g.reaped[dead]; !ok || at.Sub(began) < dispatch.DeadAfter || at.Sub(began) > dispatch.DeadAfter+time.Second {
			t.Errorf("the silent worker was reaped after %v (%v), want %v to a second more", at.Sub(began), ok, dispatch.DeadAfter)
		}
	})
}

// If the reaper counted wall time instead of its own successful reads, an outage of the store of
// half a minute, in which nobody can beat, would kill every worker.
func TestReaperCountsNoTimeInWhichTheStoreWasAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		live := uuid.New()
		g := newGraveyard(live)
		ctx, stop := reaper(t, g)
		go g.beat(ctx, live, func() bool { return true })
		settle(12 * time.Second)
		g.set(func() { g.away = true })
		settle(30 * time.Second)
		g.set(func() { g.away = false })
		settle(time.Minute)
		stop()
		if len(g.reaped) != 0 {
			t.Error("an outage of the store killed a live worker")
		}
	})
}

// On a store that stalls, a leader may lose its lease more often than a worker takes to be given up.
func TestReaperCountsOnWhenItLeadsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		live, dead := uuid.New(), uuid.New()
		g := newGraveyard(live, dead)
		go g.beat(t.Context(), live, func() bool { return true })
		r := dispatch.NewReaper(g, quiet(), meter())
		const term, between = 4 * time.Second, 20 * time.Second
		lead := func() {
			ctx, cancel := context.WithTimeout(t.Context(), term)
			defer cancel()
			if err := r.Run(ctx, store.Lease{}); err != nil {
				t.Errorf("Run: %v", err)
			}
			settle(between)
		}
		for range dispatch.DeadAfter / term {
			lead()
		}
		if len(g.reaped) != 0 {
			t.Errorf("%v were reaped: the time between two terms was counted", g.reaped)
		}
		lead()
		lead()
		if _, ok := g.reaped[dead]; !ok || len(g.reaped) != 1 {
			t.Errorf("reaped %v after five terms of %v, want the silent worker %s alone", g.reaped, term, dead)
		}
	})
}

func TestReaperTakesBackRunsThatTheirWorkerForgot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		live := uuid.New()
		held := store.RunRef{JobID: uuid.New(), Claim: uuid.New()}
		forgotten := store.RunRef{JobID: uuid.New(), Claim: uuid.New()}
		orphan := store.RunRef{JobID: uuid.New(), Claim: uuid.New()}
		g := newGraveyard(live)
		g.workers[live].Runs = []store.RunRef{held}
		g.running = []store.RunningJob{{RunRef: held, Worker: live}, {RunRef: forgotten, Worker: live}, {RunRef: orphan, Worker: uuid.New()}}
		ctx, stop := reaper(t, g)
		go g.beat(ctx, live, func() bool { return true })
		settle(time.Second)
		got := map[store.RunRef]bool{}
		g.set(func() {
			for _, run := range g.runs {
				got[run] = true
			}
		})
		if want := map[store.RunRef]bool{orphan: true}; !maps.Equal(got, want) {
			t.Errorf("reaped at once %v, want the run of the worker without a row alone", got)
		}
		settle(30 * time.Second)
		stop()
		clear(got)
		for _, run := range g.runs {
			got[run] = true
		}
		if want := map[store.RunRef]bool{orphan: true, forgotten: true}; !maps.Equal(got, want) {
			t.Errorf("reaped %v, want the forgotten and the orphaned run", got)
		}
	})
}
