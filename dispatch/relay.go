package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/store"
)

// The relay's times and sizes.
const (
	// MinWindow is the least number of ready jobs of a queue that the relay keeps delivered; more
	// slots make it SlotFactor times the slots that serve the queue.
	MinWindow  = 500
	SlotFactor = 4
	// Tick is how long the relay waits when there was nothing to do.
	Tick = 100 * time.Millisecond
	// busyTick is how long it waits when the window had run half empty meanwhile.
	busyTick = 5 * time.Millisecond
	// ResyncEvery is how often the whole window is enqueued again.
	ResyncEvery = 5 * time.Second
	// StuckAfter is how long a delivered job may stay unclaimed while workers have free slots.
	StuckAfter = 15 * time.Second
	// fleetEvery is how often the relay looks at the workers.
	fleetEvery = time.Second
)

// RelayStore is what the relay needs of the store.
type RelayStore interface {
	store.Backlog
	Workers(ctx context.Context) ([]store.Worker, error)
}

// Enqueuer puts deliveries before the workers; queue.Conn is one. A delivery that is there already
// is a success. The error is a *queue.EnqueueError, which names those that failed.
type Enqueuer interface {
	Enqueue(ctx context.Context, deliveries []jobs.Delivery) error
}

// Relay keeps the head of each queue in the delivery layer.
type Relay struct {
	store RelayStore
	queue Enqueuer
	log   *slog.Logger
	meter *Metrics
}

// NewRelay makes a relay. Its Run is a Duty.
func NewRelay(s RelayStore, q Enqueuer, log *slog.Logger, meter *Metrics) *Relay {
	return &Relay{store: s, queue: q, log: log, meter: meter}
}

// Run keeps delivering until ctx ends. It remembers nothing from one term to the next.
func (r *Relay) Run(ctx context.Context, fence store.Lease) error {
	t := relayTerm{Relay: r, fence: fence, delivered: map[uuid.UUID]delivered{}, rooms: map[string]int{}}
	defer r.meter.behind(0) // the next leader tells its own
	caughtUp := time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		wait, err := t.tick(ctx)
		if err == nil {
			caughtUp = began
		}
		r.meter.behind(time.Since(caughtUp))
		if errors.Is(err, store.ErrLeaseLost) {
			return err
		}
		t.report(ctx, err)
		pause(ctx, wait)
	}
	return nil
}

// relayTerm is the memory of one term. Losing it costs nothing but enqueuing the heads again.
type relayTerm struct {
	*Relay
	fence     store.Lease
	delivered map[uuid.UUID]delivered // the jobs of the windows that were enqueued
	resynced  time.Time
	fleet     fleetView
	rooms     map[string]int // as last published
	failing   bool
}

type delivered struct {
	generation int
	at         time.Time
}

// tick makes the delivery layer match the store once, and returns when to do so again.
func (t *relayTerm) tick(ctx context.Context) (time.Duration, error) {
	now := time.Now()
	if err := t.fleet.refresh(ctx, t.store, now); err != nil {
		return Tick, err
	}
	heads, err := t.store.Heads(ctx, t.fleet.windows, MinWindow)
	if err != nil {
		return Tick, err
	}
	heads, err = t.redeliver(ctx, heads, now)
	if err != nil {
		return Tick, err
	}

	resync := now.Sub(t.resynced) >= ResyncEvery
	fresh := make([]jobs.Delivery, 0, len(heads))
	depths, filled := map[string]int{}, map[string]int{}
	seen := make(map[uuid.UUID]delivered, len(heads))
	for _, head := range heads {
		depths[head.Queue]++
		known, ok := t.delivered[head.JobID]
		if ok && known.generation == head.Generation {
			seen[head.JobID] = known
		} else {
			filled[head.Queue]++
			seen[head.JobID] = delivered{head.Generation, now}
		}
		if resync || !ok || known.generation != head.Generation {
			fresh = append(fresh, head)
		}
	}
	enqueueErr := t.queue.Enqueue(ctx, fresh)
	failed := notEnqueued(fresh, enqueueErr)
	for _, head := range failed {
		delete(seen, head.JobID)
	}
	t.delivered = seen // what is in no window any more was claimed, ended or paused
	t.meter.delivered(len(fresh) - len(failed))
	if resync && enqueueErr == nil {
		t.resynced = now
	}
	if err := t.publish(ctx, depths, enqueueErr == nil); err != nil {
		return Tick, errors.Join(enqueueErr, err)
	}
	return t.next(filled), enqueueErr
}

// notEnqueued gives the deliveries that an error leaves out: all of them unless it says which.
func notEnqueued(tried []jobs.Delivery, err error) []jobs.Delivery {
	var some *queue.EnqueueError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &some):
		return some.Failed
	}
	return tried
}

// next is shorter the emptier the fullest-used window had become since the last tick.
func (t *relayTerm) next(filled map[string]int) time.Duration {
	wait := Tick
	for name, n := range filled {
		half := t.fleet.window(name) / 2
		wait = min(wait, Tick*time.Duration(max(half-n, 0))/time.Duration(half))
	}
	return max(wait, busyTick)
}

// redeliver gives jobs that somebody popped and never claimed their next generation.
func (t *relayTerm) redeliver(ctx context.Context, heads []jobs.Delivery, now time.Time) ([]jobs.Delivery, error) {
	var stuck []jobs.Delivery
	for _, head := range heads {
		known, ok := t.delivered[head.JobID]
		if ok && known.generation == head.Generation && now.Sub(known.at) >= StuckAfter &&
			t.fleet.free[head.Queue] && !t.fleet.held[head.JobID] {
			stuck = append(stuck, head)
		}
	}
	if len(stuck) == 0 {
		return heads, nil
	}
	moved, err := t.store.Redeliver(ctx, t.fence, stuck)
	if err != nil {
		return nil, err
	}
	t.meter.redelivered(len(moved))
	generation := make(map[uuid.UUID]int, len(moved))
	for _, m := range moved {
		generation[m.JobID] = m.Generation
		t.log.WarnContext(ctx, "job was delivered but not claimed while slots were free: delivering it again",
			"job", m.JobID, "queue", m.Queue, "generation", m.Generation, "waited", StuckAfter)
	}
	for i, head := range heads {
		if g, ok := generation[head.JobID]; ok {
			heads[i].Generation = g
		}
	}
	return heads, nil
}

// publish tells uploads how much room each queue's window has. Only a window that holds all that
// is ready has any, or a fresh job would overtake those that wait in the store. It writes when the
// answer has changed enough to matter.
func (t *relayTerm) publish(ctx context.Context, depths map[string]int, reachable bool) error {
	rooms := map[string]int{}
	if reachable {
		for name := range t.rooms {
			rooms[name] = t.fleet.window(name)
		}
		maps.Copy(rooms, t.fleet.windows)
		for name, depth := range depths {
			rooms[name] = max(t.fleet.window(name)-depth, 0)
		}
	}
	if maps.EqualFunc(rooms, t.rooms, func(a, b int) bool { return (a == 0) == (b == 0) && 2*a >= b && 2*b >= a }) {
		return nil
	}
	if err := t.store.PublishRoom(ctx, t.fence, rooms); err != nil {
		return err
	}
	t.rooms = rooms
	return nil
}

// report logs the first failure of a row of them, and their end.
func (t *relayTerm) report(ctx context.Context, err error) {
	switch {
	case err != nil && !t.failing && ctx.Err() == nil:
		t.log.WarnContext(ctx, "dispatch is held up; accepted jobs wait in the store", "error", err)
		t.failing = true
	case err == nil && t.failing:
		t.log.InfoContext(ctx, "dispatch goes on")
		t.failing = false
	}
}

// fleetView is what the workers say about the queues that they serve.
type fleetView struct {
	read    time.Time
	windows map[string]int
	free    map[string]bool    // a live worker reported a free slot in its last two beats
	held    map[uuid.UUID]bool // deliveries that a worker keeps for want of room in their kind
}

func (f *fleetView) refresh(ctx context.Context, s RelayStore, now time.Time) error {
	if !f.read.IsZero() && now.Sub(f.read) < fleetEvery {
		return nil
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		return err
	}
	slots, free, held := map[string]int{}, map[string]bool{}, map[uuid.UUID]bool{}
	for _, w := range workers {
		for _, name := range w.Queues {
			slots[name] += w.Slots
			free[name] = free[name] || (w.Free > 0 && w.FreeBefore > 0)
		}
		for _, run := range w.Runs {
			if run.Claim == uuid.Nil {
				held[run.JobID] = true
			}
		}
	}
	windows := make(map[string]int, len(slots))
	for name, n := range slots {
		windows[name] = max(MinWindow, SlotFactor*n)
	}
	*f = fleetView{read: now, windows: windows, free: free, held: held}
	return nil
}

func (f *fleetView) window(name string) int {
	if n, ok := f.windows[name]; ok {
		return n
	}
	return MinWindow
}
