package scale

import (
	"cmp"
	"time"
)

// How workers are emptied before they are given up.
const (
	// CordonFor is how long a worker takes nothing new unless it is told so again: a scaler that
	// dies leaves none idle for longer. CordonAgain is how often it is told.
	CordonFor   = 30 * time.Second
	CordonAgain = 10 * time.Second
	// emptyBy is how long empty workers wait for the last of those that are to go with them.
	emptyBy = 15 * time.Second
	// forceAfter is how long an operator's pin, a budget or the maximum waits for busy workers to
	// end before they are told to drain.
	forceAfter = time.Minute
)

// Victim is a worker that may be among those to go.
type Victim struct {
	Busy    int  // slots in use
	Leaving bool // it is being emptied
	Made    time.Time
}

// Compare orders victims, those first that are to go first: idle ones, then those that are being
// emptied already, then those with the least to do; the latest first among equals.
func (v Victim) Compare(o Victim) int {
	return cmp.Or(
		-before(v.Busy == 0, o.Busy == 0),
		-before(v.Leaving, o.Leaving),
		cmp.Compare(v.Busy, o.Busy),
		o.Made.Compare(v.Made),
	)
}

func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// GoNow says whether the empty ones of so many that are too many go by themselves, or wait for the
// others to be empty as well.
func GoNow(empty, surplus int, waited time.Duration) bool {
	return empty > 0 && (empty >= surplus || waited >= emptyBy)
}

// Presses says whether the fleet is to become smaller even if its workers stay busy: a pin, a budget
// and the maximum want that, the rules that follow the work never.
func (d Decision) Presses() bool {
	return d.Replicas < d.Current && (d.Bound == RulePin || d.Bound == RuleBudget || d.Bound == RuleMax)
}

// Forces says whether busy workers are told to drain, after decisions have pressed for so long.
func (d Decision) Forces(pressed time.Duration) bool { return d.Presses() && pressed > forceAfter }

// StuckAfter is when a replica without a worker is taken for one that will not have any.
func StuckAfter(startDelay time.Duration) time.Duration { return max(3*startDelay, time.Minute) }
