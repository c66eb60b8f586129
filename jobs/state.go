package jobs

import (
	"fmt"
	"slices"
)

// State is where a job stands. The zero value is not a state.
type State string

// The states. A job is created pending; Ended tells which states are final unless somebody
// retries the job by hand.
const (
	Pending   State = "pending"   // waits for a slot, or for its time to run
	Running   State = "running"   // one worker holds its claim
	Retrying  State = "retrying"  // failed at least once, waits for its backoff
	Waiting   State = "waiting"   // done itself, its children are not
	Succeeded State = "succeeded" // done, and all its children too
	Failed    State = "failed"    // will not be tried again
	Cancelled State = "cancelled" // somebody asked for it to stop
)

// States lists every state in the order in which a job usually meets them.
func States() []State {
	return []State{Pending, Running, Retrying, Waiting, Succeeded, Failed, Cancelled}
}

// edges is the state machine: every legal move, and no other.
var edges = map[State][]State{
	Pending:   {Running, Cancelled},
	Retrying:  {Running, Cancelled},
	Running:   {Succeeded, Waiting, Retrying, Failed, Cancelled, Pending},
	Waiting:   {Succeeded, Failed, Cancelled},
	Succeeded: {},
	Failed:    {Pending},
	Cancelled: {Pending},
}

// CanMove reports whether a job in state from may move to state to.
func CanMove(from, to State) bool { return slices.Contains(edges[from], to) }

// Valid reports whether s is one of the states.
func (s State) Valid() bool { _, ok := edges[s]; return ok }

// Ended reports whether a job in state s stays there unless it is retried by hand.
func (s State) Ended() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Ready reports whether a job in state s may be claimed once its time has come.
func (s State) Ready() bool { return s == Pending || s == Retrying }

// ParseState returns the state named by text, or an error that lists the names.
func ParseState(text string) (State, error) {
	if s := State(text); s.Valid() {
		return s, nil
	}
	return "", fmt.Errorf("unknown state %q: use one of %v", text, States())
}

// Outcome is how one run of a job ended.
type Outcome string

// The outcomes. Only RunFailed and RunRetry count as an attempt of the handler; a run that was
// lost or drained burns none.
const (
	RunSucceeded Outcome = "succeeded" // the handler returned a result
	RunRetry     Outcome = "retry"     // the handler failed, the job will be tried again
	RunFailed    Outcome = "failed"    // the handler failed for good
	RunCancelled Outcome = "cancelled" // the run stopped because the job was cancelled
	RunDrained   Outcome = "drained"   // the worker stopped and handed the job back
	RunLost      Outcome = "lost"      // the worker died, or forgot the run
)

// Settle gives the state in which a run's outcome leaves its job.
//
// A success leaves the job waiting while children are open. A run that would be tried again is
// cancelled instead when that was asked for meanwhile; success and final failure were first, so
// they stand. A run that was lost while it ran alone in its process (see AloneAfter) has shown
// that it kills workers, and fails.
func Settle(o Outcome, cancelRequested, openChildren, alone bool) State {
	switch o {
	case RunSucceeded:
		if openChildren {
			return Waiting
		}
		return Succeeded
	case RunFailed:
		return Failed
	case RunCancelled:
		return Cancelled
	case RunRetry, RunDrained, RunLost:
		switch {
		case cancelRequested:
			return Cancelled
		case o == RunRetry:
			return Retrying
		case o == RunLost && alone:
			return Failed
		}
		return Pending
	}
	panic(fmt.Sprintf("jobs: outcome %q has no state", o))
}

// AloneAfter is the number of losses after which a job is suspected of killing its workers and
// runs alone in a process, so that no neighbour is blamed or harmed for it.
const AloneAfter = 2

// SettleParent gives the state to which a waiting job moves once no child of it is open.
// A failed child fails the parent when its kind says so; a cancelled one never does.
func SettleParent(failedChildren int, failWithChildren bool) State {
	if failedChildren > 0 && failWithChildren {
		return Failed
	}
	return Succeeded
}
