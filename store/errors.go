package store

import (
	"errors"
	"fmt"

	"github.com/leat-dev/leat/jobs"
)

var (
	// ErrNotFound: there is no such thing, or it is another tenant's.
	ErrNotFound = errors.New("store: not found")
	// ErrUnavailable wraps every failure to reach the database or to get an answer in time. What
	// was asked for may have happened or not.
	ErrUnavailable = errors.New("store: unavailable")
	// ErrNoSpace: the database's disk is full.
	ErrNoSpace = errors.New("store: no space left")
	// ErrClaimLost: the run does not hold its job's claim (any more), so it can write nothing.
	ErrClaimLost = errors.New("store: claim lost")
	// ErrWorkerGone: the worker is not registered (any more); its runs were given away.
	ErrWorkerGone = errors.New("store: worker not registered")
	// ErrLeaseLost: the caller's lease has ended or is another's.
	ErrLeaseLost = errors.New("store: lease lost")
	// ErrInUse: the file's jobs have not ended, so it cannot be deleted.
	ErrInUse = errors.New("store: the file is in use")
	// ErrStale: the bytes of an upload were stored too long ago to be committed safely; the sweep
	// of orphans might take them.
	ErrStale = errors.New("store: stored bytes are too old to be committed")
)

// StateError says that a job's state forbids what was asked for.
type StateError struct {
	State jobs.State
	Want  string // "cancel", "retry"
}

// Error names the state and what it forbids.
func (e *StateError) Error() string {
	return fmt.Sprintf("store: cannot %s a job that is %s", e.Want, e.State)
}
