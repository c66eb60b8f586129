package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Fleet is how a worker process tells that it lives, and hears what it must do. System role.
type Fleet interface {
	// Register makes the process known, with its first beat. Repeating it is harmless.
	Register(ctx context.Context, w WorkerStatus) error
	// Beat replaces the process's row, that row alone, and returns its orders. Errors:
	// ErrWorkerGone, ErrUnavailable.
	Beat(ctx context.Context, w WorkerStatus) (Orders, error)
	// Leave forgets the process. It is called last, when it holds nothing.
	Leave(ctx context.Context, worker uuid.UUID) error
	// Workers returns every registered process, by ID.
	Workers(ctx context.Context) ([]Worker, error)
	// Cordon tells a process to take nothing new until the cordon is lifted or d has passed
	// without another Cordon. d of 0 lifts it. Errors: ErrWorkerGone.
	Cordon(ctx context.Context, worker uuid.UUID, d time.Duration) error
}

// WorkerStatus is what a worker process says of itself.
type WorkerStatus struct {
	ID      uuid.UUID // fresh for each process, and again after it was reaped
	Label   string    // such as the pod's name
	Version string
	Slots   int
	Free    int // slots that would take a job now: 0 when cordoned or draining
	Queues  []string
	Kinds   []string
	// Runs are the runs that the process holds. One with the claim uuid.Nil is a delivery that it
	// has taken and not claimed yet, because its kind has no room.
	Runs     []RunRef
	Cordoned bool // it has stopped taking jobs
	Draining bool
}

// RunRef names one run.
type RunRef struct {
	JobID uuid.UUID
	Claim uuid.UUID
}

// Worker is a registered process as the store knows it.
type Worker struct {
	WorkerStatus
	Beats        int64 // rises with every beat
	FreeBefore   int   // Free of the beat before the last; 0 when there was none
	CordonedFor  time.Duration
	RegisteredAt time.Time
	SeenAt       time.Time // of the last beat
}

// Orders is what a worker must do.
type Orders struct {
	Cancel []RunRef // runs of this process whose job's cancellation was asked for
	Cordon bool     // take nothing new
	Fleet  int      // registered processes, this one included
}
