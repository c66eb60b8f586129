package dispatch_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
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
	tenants     map[uuid.UUID]jobs.Tenant // of jobs that are not the default one's
	weights     map[jobs.Tenant]int
	kinds       map[uuid.UUID]string
	costs       map[string]time.Duration
	workers     []store.Worker
	away        bool
	most        int // jobs that one Heads has asked for
	rooms       map[string]int
	publishes   int
	redelivered []jobs.Delivery
}

func (b *backlog) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *backlog) lane(d jobs.Delivery) store.Lane {
	return store.Lane{Queue: d.Queue, Tenant: cmp.Or(b.tenants[d.JobID], jobs.DefaultTenant)}
}

func (b *backlog) Lanes(_ context.Context, after map[string]jobs.Tenant, limit int) ([]store.LaneState, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, errAway
	}
	all := map[store.Lane]bool{}
	var last store.Lane
	for _, d := range b.heads {
		if lane := b.lane(d); lane != last && lane.Tenant > after[d.Queue] {
			all[lane] = true
			last = lane
		}
	}
	var lanes []store.LaneState
	count := map[string]int{}
	for _, lane := range slices.SortedFunc(maps.Keys(all), func(a, b store.Lane) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Tenant, b.Tenant))
	}) {
		if count[lane.Queue]++; count[lane.Queue] <= limit {
			lanes = append(lanes, store.LaneState{Lane: lane, Weight: max(b.weights[lane.Tenant], 1), Ready: true})
		}
	}
	return lanes, nil
}

func (b *backlog) Heads(_ context.Context, limits map[store.Lane]int) ([]store.Head, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, errAway
	}
	count := map[store.Lane]int{}
	var heads []store.Head
	for _, d := range b.heads {
		if lane := b.lane(d); count[lane] < limits[lane] {
			count[lane]++
			heads = append(heads, store.Head{Delivery: d, Tenant: lane.Tenant, Kind: b.kinds[d.JobID]})
		}
	}
	b.most = max(b.most, len(heads))
	return heads, nil
}

func (b *backlog) Costs(context.Context, int) (map[string]time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.costs, nil
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

// redis is a delivery layer in memory: what was enqueued, how often, and what of it waits, in order;
// it can be emptied.
type redis struct {
	mu       sync.Mutex
	tasks    map[jobs.Delivery]int
	waiting  map[string][]jobs.Delivery
	arranged int
	away     bool
	fails    map[uuid.UUID]bool
}

func newRedis() *redis {
	return &redis{tasks: map[jobs.Delivery]int{}, waiting: map[string][]jobs.Delivery{}, fails: map[uuid.UUID]bool{}}
}

func (r *redis) Enqueue(_ context.Context, deliveries []jobs.Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away && len(deliveries) > 0 {
		return errAway
	}
	failed := &queue.EnqueueError{Err: errAway}
	there := map[jobs.Delivery]bool{}
	for _, list := range r.waiting {
		for _, d := range list {
			there[d] = true
		}
	}
	for _, d := range deliveries {
		if r.fails[d.JobID] {
			failed.Failed = append(failed.Failed, d)
			continue
		}
		r.tasks[d]++
		if !there[d] {
			r.waiting[d.Queue] = append(r.waiting[d.Queue], d)
		}
	}
	if len(failed.Failed) > 0 {
		return failed
	}
	return nil
}

func (r *redis) Arrange(_ context.Context, queue string, first, gone []jobs.Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return errAway
	}
	r.arranged++
	var order []jobs.Delivery
	for _, d := range first {
		if slices.Contains(r.waiting[queue], d) {
			order = append(order, d)
		}
	}
	for _, d := range r.waiting[queue] {
		if !slices.Contains(first, d) && !slices.Contains(gone, d) {
			order = append(order, d)
		}
	}
	r.waiting[queue] = order
	return nil
}

// pop takes the first n that wait out of a queue, as workers do, and out of the backlog.
func (r *redis) pop(queue string, n int, b *backlog) []jobs.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, len(r.waiting[queue]))
	popped := r.waiting[queue][:n:n]
	r.waiting[queue] = r.waiting[queue][n:]
	b.set(func() {
		b.heads = slices.DeleteFunc(b.heads, func(d jobs.Delivery) bool { return slices.Contains(popped, d) })
	})
	return popped
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
