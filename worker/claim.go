package worker

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// handle is called by the source for each delivery. When it returns, the delivery layer may forget
// the delivery: by then the job is recorded, handed back, or somebody else's business.
//
// The source's own context is not used: the delivery layer ends it when it loses sight of the
// delivery, and a run goes on then. The worker has a deadline, a cancel and a drain of its own.
func (w *Worker) handle(_ context.Context, d jobs.Delivery) {
	w.tally(func() { w.inside++ })
	defer w.tally(func() { w.inside-- })
	t := taking{Worker: w, delivery: d, accepts: w.open}
	defer t.giveBack()
	t.take() //nolint:contextcheck // the worker's own contexts count, see above
}

// tally changes the counts that the heartbeat reports.
func (w *Worker) tally(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// taking is one delivery on its way to becoming a run, with what it holds meanwhile.
type taking struct {
	*Worker
	delivery jobs.Delivery
	accepts  []string      // the kinds that a claim would take now
	held     int64         // of the process's slots
	room     chan struct{} // of its kind, when it has room there
	alone    bool          // it must have all slots
}

// take claims the job and runs it. Most jobs are claimed at once. One whose kind has a bound waits
// outside the slots until there is room in it; one that is suspected of killing workers waits until
// the process is empty and keeps it so.
func (t *taking) take() {
	for {
		if err := t.takeSlots(); err != nil {
			t.handBack(0)
			return
		}
		claim := uuid.New()
		claimed, err := t.claim(claim)
		if err != nil {
			// The drain ended the asking, and the store was away until then; or the store cannot do what
			// it is asked. If a claim was granted unheard, the reaper finds it as soon as this process has
			// signed off. Else the relay finds the job, and says that it is stuck.
			if t.intake.Err() == nil {
				t.log.Error("job could not be claimed; it will be delivered again", "job", t.delivery.JobID, "error", err)
			}
			return
		}
		switch claimed.Refused {
		case "":
			t.run(claimed, claim)
			return
		case store.RefusedKind:
			t.releaseSlots()
			if !t.enterKind(claimed.Job.Kind) {
				return
			}
		case store.RefusedCrowd:
			t.releaseSlots()
			t.alone = true
			t.tally(func() { t.loners++ })
		case store.RefusedWorker:
			t.handBack(0)
			t.beatSoon() // hears what is the matter
			return
		case store.RefusedStale, store.RefusedTaken, store.RefusedPaused, store.RefusedUnknown:
			t.log.Debug("delivery is void", "job", t.delivery.JobID,
				"generation", t.delivery.Generation, "reason", string(claimed.Refused))
			return
		}
	}
}

// takeSlots takes one slot, or all of them to be alone, unless the drain begins first.
func (t *taking) takeSlots() error {
	n := int64(1)
	if t.alone {
		n = int64(t.opts.Slots)
	}
	if err := t.slots.Acquire(t.intake, n); err != nil {
		return err
	}
	t.held = n
	return t.intake.Err()
}

func (t *taking) releaseSlots() {
	t.slots.Release(t.held)
	t.held = 0
}

// claim asks the store until it answers, or the drain begins. The drain does not cut off a question
// that is under way: a claim granted unheard would be a lost run, and this one can be handed back.
func (t *taking) claim(claim uuid.UUID) (store.Claimed, error) {
	req := store.ClaimRequest{
		JobID: t.delivery.JobID, Generation: t.delivery.Generation, Claim: claim,
		Worker: t.ID(), Kinds: t.accepts, Alone: t.alone,
	}
	var claimed store.Claimed
	err := t.untilAnswered(t.intake, "claim a job", func(context.Context) (err error) {
		claimed, err = t.store.Claim(t.recording, req) //nolint:contextcheck // it has an end of its own, see above
		return err
	})
	return claimed, err
}

// enterKind waits, without a slot, until the job's kind has room in this process. It reports false
// when the delivery was handed back instead: the kind is not known here, or as many deliveries wait
// already as may, so that they leave half of the source's room to other kinds.
func (t *taking) enterKind(kind string) bool {
	room, bounded := t.rooms[kind]
	if !bounded {
		t.log.Info("job's kind is not known to this worker, leaving it to another", "job", t.delivery.JobID, "kind", kind)
		t.handBack(elsewhereDelay)
		return false
	}
	if !t.park() {
		t.pause(fullPause)
		t.handBack(elsewhereDelay)
		return false
	}
	defer t.tally(func() { delete(t.parked, t.delivery) })
	select {
	case room <- struct{}{}:
		t.room = room
		t.accepts = []string{kind}
		return true
	case <-t.intake.Done():
		t.handBack(0)
		return false
	}
}

// park counts the delivery among those that wait for room in their kind, unless too many do.
func (t *taking) park() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.parked) >= max(t.opts.Slots/2, 1) {
		return false
	}
	t.parked[t.delivery] = true
	return true
}

// pause waits, or until the drain begins.
func (t *taking) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.intake.Done():
	}
}

// giveBack returns what the delivery still holds.
func (t *taking) giveBack() {
	t.releaseSlots()
	if t.room != nil {
		<-t.room
	}
	if t.alone {
		t.tally(func() { t.loners-- })
	}
}

// handBack lets the job be delivered again, after delay, without this delivery.
func (t *taking) handBack(delay time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.working), handBackLimit)
	defer cancel()
	if err := t.store.HandBack(ctx, t.delivery.JobID, t.delivery.Generation, delay); err != nil {
		t.log.WarnContext(ctx, "could not hand a delivery back; it will be delivered again as stuck",
			"job", t.delivery.JobID, "error", err)
	}
}
