package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

// The reaper's times.
const (
	// DeadAfter is how long a worker's row may stay unchanged before its jobs are given to others.
	// Workers beat every 5 s.
	DeadAfter = 15 * time.Second
	// lookEvery is how often the reaper reads the workers' rows.
	lookEvery = 500 * time.Millisecond
	// runsEvery is how often it compares the running jobs with what their workers say they hold.
	runsEvery = 5 * time.Second
	// forgottenBeats is for how many beats a live worker may leave out a run of its own.
	forgottenBeats = 2

	reapPage = 1000
)

// ReaperStore is what the reaper needs of the store.
type ReaperStore interface {
	store.Reaper
	Workers(ctx context.Context) ([]store.Worker, error)
}

// Reaper gives the jobs of dead workers to others.
//
// Whether a worker is dead is counted on the reaper's own monotonic clock, over its own successful
// reads in which the worker's row did not change. While the store is away no read succeeds and no
// worker can beat, so that time counts against nobody.
type Reaper struct {
	store ReaperStore
	log   *slog.Logger
	meter *Metrics
	seen  map[uuid.UUID]sighting // of this term and those before it
}

// NewReaper makes a reaper. Its Run is a Duty.
func NewReaper(s ReaperStore, log *slog.Logger, meter *Metrics) *Reaper {
	return &Reaper{store: s, log: log, meter: meter, seen: map[uuid.UUID]sighting{}}
}

// Run reaps until ctx ends. A new term goes on counting where the one before it ended, or a lease
// that is lost every few seconds, as on a store that stalls, would keep the dead for ever; the time
// between two terms counts against nobody. Only one Run may go on at a time.
func (r *Reaper) Run(ctx context.Context, fence store.Lease) error {
	t := reaperTerm{Reaper: r, fence: fence, forgotten: map[uuid.UUID]int64{}}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		err := t.look(ctx, time.Now())
		switch {
		case errors.Is(err, store.ErrLeaseLost):
			return err
		case err == nil:
			t.failing = false
		case !t.failing && ctx.Err() == nil:
			t.log.WarnContext(ctx, "cannot watch over the workers; no worker is given up meanwhile", "error", err)
			t.failing = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

type reaperTerm struct {
	*Reaper
	fence     store.Lease
	forgotten map[uuid.UUID]int64 // claim of a run that its worker left out → the worker's beats then
	readAt    time.Time           // of the latest read, if it succeeded
	runsAt    time.Time
	failing   bool
}

// sighting is one worker's row: how often it had beaten, and for how long it has not since.
type sighting struct {
	beats int64
	still time.Duration
}

// look reads the workers once, reaps the dead, and now and then compares the runs.
func (t *reaperTerm) look(ctx context.Context, now time.Time) error {
	workers, err := t.store.Workers(ctx)
	if err != nil {
		t.readAt = time.Time{} // the gap to the next successful read counts against nobody
		return err
	}
	dead := t.count(workers, now)
	if len(dead) > 0 {
		if err := t.bury(ctx, workers, dead); err != nil {
			return err
		}
	}
	if now.Sub(t.runsAt) < runsEvery {
		return nil
	}
	if err := t.compare(ctx, workers); err != nil {
		return err
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	t.runsAt = now
	return nil
}

// count adds the time since the last successful read to every row that did not change in it, and
// returns the rows that have been still for too long. A gap longer than two reads, as after this
// process was stopped and woken, counts as two.
func (t *reaperTerm) count(workers []store.Worker, now time.Time) map[uuid.UUID]int64 {
	var gap time.Duration
	if !t.readAt.IsZero() {
		gap = min(now.Sub(t.readAt), 2*lookEvery)
	}
	t.readAt = now
	seen := make(map[uuid.UUID]sighting, len(workers))
	dead := map[uuid.UUID]int64{}
	for _, w := range workers {
		s := sighting{beats: w.Beats}
		if before, ok := t.seen[w.ID]; ok && before.beats == w.Beats {
			s.still = before.still + gap
		}
		if s.still >= DeadAfter {
			dead[w.ID] = w.Beats
		}
		seen[w.ID] = s
	}
	t.seen = seen
	return dead
}

func (t *reaperTerm) bury(ctx context.Context, workers []store.Worker, dead map[uuid.UUID]int64) error {
	reaped, err := t.store.ReapWorkers(ctx, t.fence, dead)
	if err != nil {
		return err
	}
	t.meter.reaped(reaped)
	for _, w := range workers {
		if _, ok := dead[w.ID]; ok {
			t.log.WarnContext(ctx, "worker is silent: its jobs go to others",
				"worker", w.ID, "label", w.Label, "silent_for", DeadAfter, "runs_listed", len(w.Runs), "runs_taken_back", reaped.Runs)
		}
	}
	return nil
}

// compare takes back runs whose worker has no row, which a claim that crossed a reaping leaves, and
// runs that their live worker has not listed for some beats.
func (t *reaperTerm) compare(ctx context.Context, workers []store.Worker) error {
	beats := make(map[uuid.UUID]int64, len(workers))
	held := map[uuid.UUID]bool{}
	for _, w := range workers {
		beats[w.ID] = w.Beats
		for _, run := range w.Runs {
			held[run.Claim] = true
		}
	}
	forgotten := map[uuid.UUID]int64{}
	var lost []store.RunRef
	for after := uuid.Nil; ; {
		page, err := t.store.Running(ctx, after, reapPage)
		if err != nil {
			return err
		}
		for _, run := range page {
			switch since, known := t.forgotten[run.Claim]; {
			case !run.Registered:
				lost = append(lost, run.RunRef)
			case held[run.Claim]:
			case !known:
				forgotten[run.Claim] = beats[run.Worker]
			case beats[run.Worker] >= since+forgottenBeats:
				lost = append(lost, run.RunRef)
			default:
				forgotten[run.Claim] = since
			}
		}
		if len(page) < reapPage {
			break
		}
		after = page[len(page)-1].JobID
	}
	t.forgotten = forgotten
	if len(lost) == 0 {
		return nil
	}
	reaped, err := t.store.ReapRuns(ctx, t.fence, lost)
	if err != nil {
		return err
	}
	t.meter.reaped(reaped)
	t.log.WarnContext(ctx, "runs that no worker holds: their jobs go to others", "runs", reaped.Runs)
	return nil
}

// settle finishes what a crash left between a child's end and its parent's.
func (t *reaperTerm) settle(ctx context.Context) error {
	for {
		n, err := t.store.SettleParents(ctx, t.fence, reapPage)
		if err != nil || n < reapPage {
			return err
		}
	}
}
