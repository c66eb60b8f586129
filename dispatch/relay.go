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
	// LanesAtOnce is how many tenants of a queue the relay looks for at a time. Where more have jobs
	// waiting, it goes round.
	LanesAtOnce = 200
	// costsEvery is how often it asks how long runs take; costsSample is of how many jobs.
	costsEvery  = 10 * time.Second
	costsSample = 1000
	// leastCost is what any run costs, and all while nothing is known of any: what counts is how they
	// compare.
	leastCost = time.Millisecond
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

// Arranger is an Enqueuer that can put deliveries before others, and take them back.
type Arranger interface {
	Enqueuer
	Arrange(ctx context.Context, queue string, first, gone []jobs.Delivery) error
}

// Relay keeps the head of each queue in the delivery layer.
type Relay struct {
	store     RelayStore
	queue     Arranger
	log       *slog.Logger
	meter     *Metrics
	delivered map[uuid.UUID]delivered // the jobs of the windows that were enqueued, in any term
}

// NewRelay makes a relay. Its Run is a Duty.
func NewRelay(s RelayStore, q Arranger, log *slog.Logger, meter *Metrics) *Relay {
	return &Relay{store: s, queue: q, log: log, meter: meter, delivered: map[uuid.UUID]delivered{}}
}

// Run keeps delivering until ctx ends. A new term enqueues all windows anew, and remembers of the
// one before it only since when a job is delivered, or a lease that is lost every few seconds would
// leave for ever what is stuck. Only one Run may go on at a time.
func (r *Relay) Run(ctx context.Context, fence store.Lease) error {
	t := relayTerm{Relay: r, fence: fence, shares: map[string]*share{}, rooms: map[string]int{}}
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

// relayTerm is what is known in one term alone. Losing it costs nothing but enqueuing the heads again.
type relayTerm struct {
	*Relay
	fence    store.Lease
	resynced time.Time
	shares   map[string]*share // by queue
	fleet    fleetView
	unserved int // the window of a queue that no worker serves
	costs    costView
	rooms    map[string]int // as last published
	failing  bool
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
	if err := t.costs.refresh(ctx, t.store, now); err != nil {
		return Tick, err
	}
	heads, limits, err := t.look(ctx)
	if err != nil {
		return Tick, err
	}
	if err := t.redeliver(ctx, heads, now); err != nil {
		return Tick, err
	}

	r := round{now: now, full: now.Sub(t.resynced) >= ResyncEvery, filled: map[string]int{}, seen: make(map[uuid.UUID]delivered, len(t.delivered))}
	for name := range t.shares {
		t.fill(&r, name, heads[name], limits[name])
	}
	enqueueErr := t.queue.Enqueue(ctx, r.fresh)
	failed := notEnqueued(r.fresh, enqueueErr)
	for _, d := range failed {
		delete(r.seen, d.JobID)
	}
	t.delivered = r.seen // what is in no window any more was claimed, ended, paused or taken back
	t.meter.delivered(len(r.fresh) - len(failed))
	if enqueueErr == nil || len(failed) < len(r.fresh) {
		enqueueErr = errors.Join(enqueueErr, t.arrange(ctx, r.plans))
	}
	if r.full && enqueueErr == nil {
		t.resynced = now
	}
	if err := t.publish(ctx, enqueueErr == nil); err != nil {
		return Tick, errors.Join(enqueueErr, err)
	}
	return t.next(r.filled), enqueueErr
}

// window is how many jobs of a queue are in the delivery layer. Queues that no worker serves share the
// least window: whoever uploads names the queue, and a thousand names must not fill Redis.
func (t *relayTerm) window(name string) int {
	if n, served := t.fleet.windows[name]; served {
		return n
	}
	return t.unserved
}

// round is what one tick has to do.
type round struct {
	now    time.Time
	full   bool // all is enqueued and put in order, whatever is known
	fresh  []jobs.Delivery
	plans  []arrangement
	filled map[string]int          // how many were not delivered yet, by queue
	seen   map[uuid.UUID]delivered // what will be
}

// arrangement is what a queue's new window asks of the delivery layer, beside what is to be enqueued.
type arrangement struct {
	queue       string
	first, gone []jobs.Delivery
}

// fill chooses a queue's window anew, and notes what the delivery layer lacks of it.
func (t *relayTerm) fill(r *round, name string, heads []store.Head, limits map[jobs.Tenant]int) {
	s := t.shares[name]
	gone := s.fill(heads, limits, t.window(name), t.costs.of)
	first := s.overtaking(t.has)
	if r.full && s.contended() {
		first = s.window
	}
	if len(first)+len(gone) > 0 {
		r.plans = append(r.plans, arrangement{name, deliveries(first), gone})
	}
	for i := range s.window {
		turn := &s.window[i]
		has := t.has(turn)
		if has {
			r.seen[turn.JobID] = t.delivered[turn.JobID]
		} else {
			r.filled[name]++
			r.seen[turn.JobID] = delivered{turn.Generation, r.now}
		}
		if r.full || !has {
			r.fresh = append(r.fresh, turn.Delivery)
		}
	}
}

// look reads the heads of the queues' lanes, by queue, within the limits that it tells too.
func (t *relayTerm) look(ctx context.Context) (map[string][]store.Head, map[string]map[jobs.Tenant]int, error) {
	after := map[string]jobs.Tenant{}
	for name, s := range t.shares {
		if s.after != "" {
			after[name] = s.after
		}
	}
	list, err := t.store.Lanes(ctx, after, LanesAtOnce)
	if err != nil {
		return nil, nil, err
	}
	lanes := map[string][]store.LaneState{}
	for _, l := range list {
		lanes[l.Queue] = append(lanes[l.Queue], l)
		if t.shares[l.Queue] == nil {
			t.shares[l.Queue] = newShare()
		}
	}
	unserved := 0
	for name := range t.shares {
		if _, served := t.fleet.windows[name]; !served {
			unserved++
		}
	}
	t.unserved = max(MinWindow/max(unserved, 1), 1)
	limits, wanted := map[string]map[jobs.Tenant]int{}, map[store.Lane]int{}
	for name, s := range t.shares {
		s.see(lanes[name], LanesAtOnce)
		limits[name] = s.limits(t.window(name))
		for tenant, limit := range limits[name] {
			wanted[store.Lane{Queue: name, Tenant: tenant}] = limit
		}
	}
	found, err := t.store.Heads(ctx, wanted)
	heads := map[string][]store.Head{}
	for _, h := range found {
		heads[h.Queue] = append(heads[h.Queue], h)
	}
	return heads, limits, err
}

// has tells whether a job of a window was delivered at its present generation.
func (t *relayTerm) has(turn *turn) bool {
	known, ok := t.delivered[turn.JobID]
	return ok && known.generation == turn.Generation
}

// arrange has the queues' windows put in order. After an error the next tick does it again for all.
func (t *relayTerm) arrange(ctx context.Context, plans []arrangement) error {
	for _, p := range plans {
		if err := t.queue.Arrange(ctx, p.queue, p.first, p.gone); err != nil {
			t.resynced = time.Time{}
			return err
		}
	}
	return nil
}

func deliveries(turns []turn) []jobs.Delivery {
	list := make([]jobs.Delivery, len(turns))
	for i := range turns {
		list[i] = turns[i].Delivery
	}
	return list
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

// next is shorter the emptier the fullest-used window had become since the last tick, and short
// while there may be more for a window that is not full.
func (t *relayTerm) next(filled map[string]int) time.Duration {
	wait := Tick
	for name, s := range t.shares {
		size := t.window(name)
		half := max(size/2, 1)
		wait = min(wait, Tick*time.Duration(max(half-filled[name], 0))/time.Duration(half))
		if s.cut && len(s.window) < size {
			wait = busyTick
		}
	}
	return max(wait, busyTick)
}

// redeliver gives jobs that somebody popped and never claimed their next generation, also among heads.
func (t *relayTerm) redeliver(ctx context.Context, heads map[string][]store.Head, now time.Time) error {
	var stuck []jobs.Delivery
	for name, list := range heads {
		for _, head := range list {
			known, ok := t.delivered[head.JobID]
			if ok && known.generation == head.Generation && now.Sub(known.at) >= StuckAfter &&
				t.fleet.free[name] && !t.fleet.held[head.JobID] {
				stuck = append(stuck, head.Delivery)
			}
		}
	}
	if len(stuck) == 0 {
		return nil
	}
	moved, err := t.store.Redeliver(ctx, t.fence, stuck)
	if err != nil {
		return err
	}
	t.meter.redelivered(len(moved))
	generation := make(map[uuid.UUID]int, len(moved))
	for _, m := range moved {
		generation[m.JobID] = m.Generation
		t.log.WarnContext(ctx, "job was delivered but not claimed while slots were free: delivering it again",
			"job", m.JobID, "queue", m.Queue, "generation", m.Generation, "waited", StuckAfter)
	}
	for _, list := range heads {
		for i := range list {
			if g, ok := generation[list[i].JobID]; ok {
				list[i].Generation = g
			}
		}
	}
	return nil
}

// publish tells uploads how much room each queue's window has. Only a window that holds all that
// is ready has any, or a fresh job would overtake those that wait in the store. It writes when the
// answer has changed enough to matter.
func (t *relayTerm) publish(ctx context.Context, reachable bool) error {
	rooms := map[string]int{}
	if reachable {
		for name := range t.rooms {
			rooms[name] = t.window(name)
		}
		maps.Copy(rooms, t.fleet.windows)
		for name, s := range t.shares {
			rooms[name] = max(t.window(name)-len(s.window), 0)
			if s.cut {
				rooms[name] = 0
			}
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

// costView is how long runs take, by kind. It decides between tenants alone.
type costView struct {
	read  time.Time
	kinds map[string]time.Duration
	other time.Duration // of kinds of which nothing is known: the mean of the others
}

func (c *costView) refresh(ctx context.Context, s RelayStore, now time.Time) error {
	if !c.read.IsZero() && now.Sub(c.read) < costsEvery {
		return nil
	}
	kinds, err := s.Costs(ctx, costsSample)
	if err != nil {
		return err
	}
	var sum time.Duration
	for _, cost := range kinds {
		sum += cost
	}
	*c = costView{read: now, kinds: kinds}
	if len(kinds) > 0 {
		c.other = sum / time.Duration(len(kinds))
	}
	return nil
}

func (c *costView) of(kind string) time.Duration {
	cost, ok := c.kinds[kind]
	if !ok {
		cost = c.other
	}
	return max(cost, leastCost)
}
