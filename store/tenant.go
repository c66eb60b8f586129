package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// Tenanted is everything that the upload API is given: each method takes the tenant, and another
// tenant's things are not found.
type Tenanted interface {
	Uploads
	Transfers
	Admissions
	Onces
	JobReader
	JobControl
	Follow
	Files
	Queues
	Scalings
}

// JobReader reads jobs. Bound to a tenant.
type JobReader interface {
	// Job returns a job with its artifacts and the counts of its children, or ErrNotFound.
	Job(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (*jobs.Job, error)
	// ListJobs returns at most page.Limit jobs, newest first (by ID), without results, artifacts and
	// children, and the cursor of the next page, zero at the end. Jobs of a kind or a queue are found by
	// looking at page.Scan of the tenant's jobs for each page, which may then be short, or empty, although
	// others follow.
	ListJobs(ctx context.Context, tenant jobs.Tenant, filter JobFilter, page Page) ([]jobs.Job, Cursor, error)
	// Attempts returns the job's runs, oldest first, the present one included, or ErrNotFound.
	Attempts(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) ([]jobs.Attempt, error)
	// Events returns at most limit events of the job that come after number after, in order, or
	// ErrNotFound.
	Events(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, after, limit int) ([]Event, error)
}

// JobControl cancels and retries jobs by hand. Bound to a tenant.
type JobControl interface {
	// Cancel cancels a job that waits, asks a running one to stop (its worker hears of it with its
	// next heartbeat), and of a waiting one cancels what is left below it. Cancelling a job that is
	// being cancelled or is cancelled changes nothing of it and succeeds; one that was asked to stop, yet
	// succeeded and waits for its children, is cancelled as any waiting one. Errors: ErrNotFound,
	// *StateError for one that succeeded or failed.
	Cancel(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (*jobs.Job, error)
	// Retry makes a failed or cancelled job pending again, due now, with fresh counts of failures
	// and losses and a new generation, and without the error, result, progress and artifacts of its
	// earlier runs (DropHolds finds their blobs). Children of those runs stay, and do not count for
	// how it settles next. Errors: ErrNotFound, *StateError for any other state.
	Retry(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (*jobs.Job, error)
	// CancelJobs and RetryJobs do the same to at most limit jobs that fit the filter and whose
	// state allows it, oldest first, and return how many. Fewer than limit means: no more are left.
	CancelJobs(ctx context.Context, tenant jobs.Tenant, filter JobFilter, limit int) (int, error)
	RetryJobs(ctx context.Context, tenant jobs.Tenant, filter JobFilter, limit int) (int, error)
}

// Files finds files and artifacts. Bound to a tenant.
type Files interface {
	// File returns a file and where its bytes lie, or ErrNotFound.
	File(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (jobs.File, Content, error)
	// Artifact returns a job's artifact and where its bytes lie, or ErrNotFound.
	Artifact(ctx context.Context, tenant jobs.Tenant, job uuid.UUID, name string) (jobs.Artifact, Content, error)
	// DeleteFile deletes a file with its jobs, all jobs that these have spawned, and their files,
	// results and artifacts: at most limit jobs in one call, the ones spawned last first, so that a
	// caller repeats it until it is done. The last call notes who did it. Results that other files'
	// jobs have taken over are theirs, and stay. Errors: ErrNotFound; ErrInUse while one of the jobs,
	// or one that has spawned one of them, has not ended.
	DeleteFile(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, by Actor, limit int) (Deleted, error)
}

// Deleted is what a call of DeleteFile did.
type Deleted struct {
	Done  bool        // the file is gone
	Jobs  int         // that were deleted
	Freed []uuid.UUID // keys of blobs that nothing refers to now; their rows are gone
}

// Queues tells how queues stand, and pauses them. A pause holds for all tenants.
type Queues interface {
	// Queues returns every queue that ever had a job or a pause, by name. Counts are the tenant's.
	Queues(ctx context.Context, tenant jobs.Tenant) ([]QueueStats, error)
	// PauseQueue and ResumeQueue stop and start the handing out of a queue's jobs; runs go on.
	// Both are idempotent and make the queue known where it is not yet.
	PauseQueue(ctx context.Context, tenant jobs.Tenant, queue string) error
	ResumeQueue(ctx context.Context, tenant jobs.Tenant, queue string) error
}

// JobFilter narrows a list of jobs; zero fields do not.
type JobFilter struct {
	State    jobs.State
	Kind     string
	Queue    string
	FileID   uuid.UUID
	ParentID uuid.UUID
}

// Scans reports whether what it asks for is in no index, and not of the few jobs of one file or parent.
func (f JobFilter) Scans() bool {
	return (f.Kind != "" || f.Queue != "") && f.FileID == uuid.Nil && f.ParentID == uuid.Nil
}

// CountLimit bounds every count of a queue: up to it counts are exact.
const CountLimit = 100_000

// Count is a number of jobs, exact unless AtLeast says that there may be more.
type Count struct {
	N       int
	AtLeast bool
}

// QueueStats is how a queue stands.
type QueueStats struct {
	Name     string
	Paused   bool
	Ready    Count     // pending or retrying and due
	Later    Count     // pending or retrying, their time yet to come
	Running  Count     //
	Waiting  Count     // for children
	OldestAt time.Time // since when the oldest ready job could have run; zero without one
	Age      time.Duration
	Rates    Rates
}

// RateWindow is the time over which Rates are averaged; it ends with the latest full roll-up.
const RateWindow = time.Minute

// Rates are averages per second over RateWindow.
type Rates struct {
	Arrived, Succeeded, Failed, Cancelled, Retried, Lost float64
	BusySeconds                                          float64 // slots in use, on average
}

// Event is one thing that happened to a job, numbered from 1 within the job without gaps.
type Event struct {
	JobID uuid.UUID
	Seq   int
	Type  EventType
	At    time.Time
	Data  json.RawMessage // an object; empty when there is nothing to add
}

// EventType names what happened.
type EventType string

// The events of a job.
const (
	EventAccepted        EventType = "accepted"
	EventStarted         EventType = "started"          // data: run, worker (its ID), attempt
	EventEnded           EventType = "ended"            // data: outcome, state, code of the error, delay_ms for a retry
	EventCancelRequested EventType = "cancel_requested" // of a running job
	EventCancelled       EventType = "cancelled"        // of a job that did not run
	EventRetried         EventType = "retried"          // by hand
	EventReused          EventType = "reused"           // given the result of another job, data: result_of
	EventSettled         EventType = "settled"          // a waiting job's children have ended; data: state
)
