package worker

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

// heartbeat tells the store every BeatEvery, and when something has changed, that the process lives
// and what it holds, and does what the answer says, until ctx ends.
func (w *Worker) heartbeat(ctx context.Context) {
	ticker := time.NewTicker(BeatEvery)
	defer ticker.Stop()
	failing := false
	for {
		err := w.beat(ctx)
		switch {
		case err != nil && !failing && ctx.Err() == nil:
			w.log.WarnContext(ctx, "heartbeat failed, the runs go on", "error", err)
			failing = true
		case err == nil && failing:
			w.log.InfoContext(ctx, "heartbeat goes on")
			failing = false
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-w.beatNow:
		}
	}
}

// beatSoon asks for a beat out of turn.
func (w *Worker) beatSoon() {
	select {
	case w.beatNow <- struct{}{}:
	default:
	}
}

func (w *Worker) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatLimit)
	defer cancel()
	orders, err := w.store.Beat(ctx, w.status())
	if errors.Is(err, store.ErrWorkerGone) {
		return w.returnFromTheDead(ctx)
	}
	if err != nil {
		return err
	}
	var cancelled []uuid.UUID
	for _, run := range orders.Cancel {
		cancelled = append(cancelled, run.Claim)
	}
	w.cancelRuns(cancelled, errCancelled)
	w.orderCordon(orders.Cordon)
	w.source.SetFleet(orders.Fleet)
	return nil
}

// returnFromTheDead begins a new life: the store has given this process up and its runs to others,
// so they are ended here, and the process registers under a new identity.
func (w *Worker) returnFromTheDead(ctx context.Context) error {
	var lost []uuid.UUID
	var before, now uuid.UUID
	w.tally(func() {
		for claim := range w.runs {
			lost = append(lost, claim)
		}
		before, now = w.id, uuid.New()
		w.id = now
	})
	w.log.WarnContext(ctx, "this worker was given up as dead: ending its runs, which others have now, and registering anew",
		"was", before, "worker", now, "runs", len(lost))
	w.cancelRuns(lost, errLost)
	return w.store.Register(ctx, w.status())
}

// cancelRuns ends the contexts of these runs.
func (w *Worker) cancelRuns(claims []uuid.UUID, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, claim := range claims {
		if run, ok := w.runs[claim]; ok {
			run.cancel(cause)
		}
	}
}

// orderCordon passes on what the store wants, replacing what it wanted before.
func (w *Worker) orderCordon(on bool) {
	select {
	case <-w.cordons:
	default:
	}
	w.cordons <- on // only the heartbeat sends, so there is room
}

// followOrders cordons and uncordons the source, apart from the heartbeat, which must not wait for
// it, until ctx ends.
func (w *Worker) followOrders(ctx context.Context) {
	is := false
	for {
		var want bool
		select {
		case <-ctx.Done():
			return
		case want = <-w.cordons:
		}
		if want == is || w.intake.Err() != nil {
			continue
		}
		if want {
			w.source.Cordon(ctx)
		} else {
			w.source.Uncordon()
		}
		is = want
		w.tally(func() { w.cordoned = want })
		w.log.InfoContext(ctx, "cordon changed", "cordoned", want)
		w.beatSoon()
	}
}
