package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/store"
)

// Store is what a worker needs of the store.
type Store interface {
	store.Runs
	Register(ctx context.Context, w store.WorkerStatus) error
	Beat(ctx context.Context, w store.WorkerStatus) (store.Orders, error)
	Leave(ctx context.Context, worker uuid.UUID) error
}

// Source is where deliveries come from; queue.Server is one. It calls its handler from many
// goroutines, at most as many at once as it has slots.
type Source interface {
	Start() error
	// Cordon returns once no further call begins; calls that have begun go on. Uncordon undoes it.
	Cordon(ctx context.Context)
	Uncordon()
	// SetFleet tells how many processes of the fleet take deliveries, this one included.
	SetFleet(processes int)
	// Shutdown cordons for good and returns when every call has returned, or ctx ends.
	Shutdown(ctx context.Context) error
}

// Options are a worker's settings.
type Options struct {
	Label   string // tells people which process this is, such as the pod's name
	Version string
	Slots   int // handlers at once; the source must hand out no more deliveries than that at once
	Queues  []string
	Grace   time.Duration // how long a drain lets runs finish
}

// The worker's own times.
const (
	// BeatEvery is how often a process writes its row.
	BeatEvery = 5 * time.Second
	beatLimit = 4 * time.Second // for one beat
	// stopGrace is how long a handler may take to return once its context has ended, before its
	// end is recorded without it. Its slot stays taken until it does return.
	stopGrace = 3 * time.Second
	// handBackLimit bounds what a drain spends on returning deliveries and runs.
	handBackLimit = 5 * time.Second
	// elsewhereDelay is how long a job waits that this process cannot run now and hands back: its
	// kind is not known here, as in a rolling update, or has no room and too many wait for it.
	elsewhereDelay = 10 * time.Second
	// fullPause is how long a delivery is kept that is handed back since its kind is full here. A backlog
	// of that kind would else be taken and handed back as fast as the store can write.
	fullPause     = 250 * time.Millisecond
	storeRetry    = 100 * time.Millisecond // first wait after a failed call, doubled up to storeRetryMax
	storeRetryMax = 2 * time.Second
)

// Worker is one process's share of the fleet.
type Worker struct {
	store  Store
	blobs  blob.Store
	source Source
	kinds  *jobs.Kinds
	opts   Options
	log    *slog.Logger
	meter  *Metrics

	slots   *semaphore.Weighted      // held while a handler runs
	rooms   map[string]chan struct{} // room in each kind that has a bound of its own
	open    []string                 // kinds without such a bound
	beatNow chan struct{}
	cordons chan bool // what the store wants, the latest only

	intake      context.Context // ends when the drain begins: nothing new is taken
	stopIntake  context.CancelFunc
	working     context.Context // ends with the drain's grace period: runs are handed back
	stopWorking context.CancelCauseFunc
	recording   context.Context // ends last: what is not recorded by then is left to the reaper
	stopRecord  context.CancelFunc

	mu       sync.Mutex
	id       uuid.UUID              // of this process; a new one after it was reaped
	runs     map[uuid.UUID]*running // by claim
	parked   map[jobs.Delivery]bool // taken, waiting for room in their kind
	inside   int                    // deliveries that the source has handed out
	loners   int                    // of these, jobs that run alone or wait to
	cordoned bool
}

// New makes a worker, with the source that newSource makes for its handler. It does nothing until
// Run.
func New(s Store, blobs blob.Store, kinds *jobs.Kinds, opts Options, newSource func(queue.Handler) (Source, error), log *slog.Logger, meter *Metrics) (*Worker, error) {
	switch {
	case opts.Slots < 1:
		return nil, fmt.Errorf("worker: %d slots: at least one is needed", opts.Slots)
	case len(opts.Queues) == 0:
		return nil, errors.New("worker: no queue to serve")
	case opts.Grace < 0:
		return nil, fmt.Errorf("worker: grace period %v is negative", opts.Grace)
	}
	w := &Worker{
		store: s, blobs: blobs, kinds: kinds, opts: opts, log: log, meter: meter,
		slots:   semaphore.NewWeighted(int64(opts.Slots)),
		rooms:   map[string]chan struct{}{},
		beatNow: make(chan struct{}, 1),
		cordons: make(chan bool, 1),
		id:      uuid.New(),
		runs:    map[uuid.UUID]*running{},
		parked:  map[jobs.Delivery]bool{},
	}
	w.intake, w.stopIntake = context.WithCancel(context.Background())
	w.working, w.stopWorking = context.WithCancelCause(context.Background())
	w.recording, w.stopRecord = context.WithCancel(context.Background())
	for _, spec := range kinds.Specs.All() {
		if spec.Concurrency > 0 && spec.Concurrency < opts.Slots {
			w.rooms[spec.Name] = make(chan struct{}, spec.Concurrency)
		} else {
			w.open = append(w.open, spec.Name)
		}
	}
	var err error
	if w.source, err = newSource(w.handle); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return w, nil
}

// Run works until ctx ends, then drains: it takes nothing new, lets runs finish for the grace
// period, hands back the rest, and returns when it holds nothing. It returns an error only if it
// could not begin.
func (w *Worker) Run(ctx context.Context) error {
	defer w.stopRecord()
	defer w.stopWorking(nil)
	defer w.stopIntake()
	if err := w.register(ctx); err != nil {
		return err
	}
	beats, stopBeats := context.WithCancel(context.WithoutCancel(ctx))
	var heart sync.WaitGroup
	heart.Go(func() { w.heartbeat(beats) })
	heart.Go(func() { w.followOrders(beats) })
	heart.Go(func() { w.sendProgress(beats) })
	defer heart.Wait()
	defer stopBeats()

	if err := w.source.Start(); err != nil {
		return fmt.Errorf("worker: start taking jobs: %w", err)
	}
	w.log.InfoContext(ctx, "worker is ready", "worker", w.ID(), "label", w.opts.Label,
		"slots", w.opts.Slots, "queues", w.opts.Queues, "kinds", w.kinds.Names())
	<-ctx.Done()
	w.drain(context.WithoutCancel(ctx))
	return nil
}

// register makes the process known; while the store is away it goes on trying.
func (w *Worker) register(ctx context.Context) error {
	return w.untilAnswered(ctx, "register this worker", func(ctx context.Context) error {
		return w.store.Register(ctx, w.status())
	})
}

// drain lets the runs finish, within the grace period, and gives everything else back.
func (w *Worker) drain(ctx context.Context) {
	began := time.Now()
	w.log.InfoContext(ctx, "draining: taking no more jobs", "runs", w.count(), "grace", w.opts.Grace)
	w.stopIntake()
	w.beatSoon()
	grace := time.AfterFunc(w.opts.Grace, func() { w.stopWorking(errDrained) })
	defer grace.Stop()
	last := time.AfterFunc(w.opts.Grace+stopGrace+handBackLimit, w.stopRecord)
	defer last.Stop()

	if err := w.source.Shutdown(w.recording); err != nil { //nolint:contextcheck // the drain has its own end
		w.log.WarnContext(ctx, "drain: some deliveries did not end in time; their jobs will be recovered", "error", err)
	}
	leave, cancelLeave := context.WithTimeout(ctx, handBackLimit)
	defer cancelLeave()
	if err := w.store.Leave(leave, w.ID()); err != nil {
		w.log.WarnContext(ctx, "could not sign off; the reaper will notice", "error", err)
	}
	w.log.InfoContext(ctx, "drained", "took", time.Since(began).Round(time.Millisecond), "runs_left", w.count())
}

// ID is the identity under which the process is registered now.
func (w *Worker) ID() uuid.UUID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.id
}

// count is the number of runs that the process holds.
func (w *Worker) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.runs)
}

// status is what the process says of itself.
func (w *Worker) status() store.WorkerStatus {
	draining := w.intake.Err() != nil
	w.mu.Lock()
	defer w.mu.Unlock()
	s := store.WorkerStatus{
		ID: w.id, Label: w.opts.Label, Version: w.opts.Version, Slots: w.opts.Slots,
		Queues: w.opts.Queues, Kinds: w.kinds.Names(), Cordoned: w.cordoned, Draining: draining,
	}
	if !draining && !w.cordoned && w.loners == 0 {
		s.Free = max(w.opts.Slots-w.inside, 0)
	}
	for claim, run := range w.runs {
		s.Runs = append(s.Runs, store.RunRef{JobID: run.job, Claim: claim})
	}
	for d := range w.parked {
		s.Runs = append(s.Runs, store.RunRef{JobID: d.JobID})
	}
	return s
}

// untilAnswered repeats a call to the store until it gives an answer other than that it is away,
// or ctx ends.
func (w *Worker) untilAnswered(ctx context.Context, what string, call func(context.Context) error) error {
	for wait := storeRetry; ; wait = min(2*wait, storeRetryMax) {
		err := call(ctx)
		if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrNoSpace) {
			return err
		}
		if wait == storeRetry {
			w.log.WarnContext(ctx, "the store does not answer, will go on trying", "to", what, "error", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w", what, errors.Join(context.Cause(ctx), err))
		case <-timer.C:
		}
	}
}
