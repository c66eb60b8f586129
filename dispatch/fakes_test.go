package dispatch_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/leat-dev/leat/dispatch"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/store"
)

var errAway = errors.New("away")

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func meter() *dispatch.Metrics { return dispatch.NewMetrics(prometheus.NewRegistry()) }

// backlog is a store's backlog and fleet in memory.
type backlog struct {
	mu          sync.Mutex
	heads       []jobs.Delivery
	workers     []store.Worker
	away        bool
	windows     map[string]int // of the latest Heads
	reads       int
	rooms       map[string]int
	publishes   int
	redelivered []jobs.Delivery
}

func (b *backlog) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *backlog) Heads(_ context.Context, windows map[string]int, window int) ([]jobs.Delivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, errAway
	}
	b.reads++
	b.windows = windows
	count := map[string]int{}
	var heads []jobs.Delivery
	for _, d := range b.heads {
		limit, ok := windows[d.Queue]
		if !ok {
			limit = window
		}
		if count[d.Queue] < limit {
			count[d.Queue]++
			heads = append(heads, d)
		}
	}
	return heads, nil
}

func (b *backlog) Redeliver(_ context.Context, _ store.Lease, stuck []jobs.Delivery) ([]jobs.Delivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var moved []jobs.Delivery
	for _, s := range stuck {
		for i := range b.heads {
			if b.heads[i] == s {
				b.heads[i].Generation++
				moved = append(moved, b.heads[i])
			}
		}
	}
	b.redelivered = append(b.redelivered, moved...)
	return moved, nil
}

func (b *backlog) PublishRoom(_ context.Context, _ store.Lease, rooms map[string]int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rooms = maps.Clone(rooms)
	b.publishes++
	return nil
}

func (b *backlog) Room(context.Context, string) (map[string]int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, errAway
	}
	return maps.Clone(b.rooms), nil
}

func (b *backlog) Workers(context.Context) ([]store.Worker, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, errAway
	}
	return append([]store.Worker(nil), b.workers...), nil
}

// redis is a delivery layer in memory: a set of what was enqueued, which can be emptied.
type redis struct {
	mu    sync.Mutex
	tasks map[jobs.Delivery]int
	calls int
	away  bool
	fails map[uuid.UUID]bool
}

func newRedis() *redis { return &redis{tasks: map[jobs.Delivery]int{}, fails: map[uuid.UUID]bool{}} }

func (r *redis) Enqueue(_ context.Context, deliveries []jobs.Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away && len(deliveries) > 0 {
		return errAway
	}
	failed := &queue.EnqueueError{Err: errAway}
	for _, d := range deliveries {
		if r.fails[d.JobID] {
			failed.Failed = append(failed.Failed, d)
			continue
		}
		r.calls++
		r.tasks[d]++
	}
	if len(failed.Failed) > 0 {
		return failed
	}
	return nil
}

func (r *redis) count(d jobs.Delivery) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tasks[d]
}

func (r *redis) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// leases gives out one lease by the bubble's clock.
type leases struct {
	mu      sync.Mutex
	holder  uuid.UUID
	epoch   int64
	expires time.Time
	away    bool
}

func (l *leases) Acquire(_ context.Context, name string, holder uuid.UUID, ttl time.Duration) (store.Lease, time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return store.Lease{}, 0, errAway
	}
	now := time.Now()
	if l.holder != holder && now.Before(l.expires) {
		return store.Lease{}, l.expires.Sub(now), store.ErrLeaseLost
	}
	if l.holder != holder || !now.Before(l.expires) {
		l.holder, l.epoch = holder, l.epoch+1
	}
	l.expires = now.Add(ttl)
	return store.Lease{Name: name, Holder: holder, Epoch: l.epoch}, 0, nil
}

func (l *leases) Release(_ context.Context, lease store.Lease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == lease.Holder && l.epoch == lease.Epoch {
		l.expires = time.Time{}
	}
	return nil
}

func (l *leases) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}
