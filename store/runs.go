package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// Runs is how a worker takes jobs and records what became of them. System role.
type Runs interface {
	// Claim gives the job to the run, or tells why not in Claimed.Refused: the first reason that
	// holds, in the order in which the refusals are listed. Repeating a claim that was granted
	// grants it again while the run lasts, whatever was paused or cordoned since. The only errors
	// are ErrUnavailable and the context's.
	Claim(ctx context.Context, req ClaimRequest) (Claimed, error)
	// End records how a run ended, with its artifacts and children, in one commit, and returns the
	// state in which the job now is (see jobs.Settle). Repeating an identical end succeeds and
	// changes nothing. A result that jobs.CheckResult refuses, or that the database cannot hold,
	// ends the job failed with jobs.CodeInvalidResult, without its artifacts and children, and
	// nobody else's. Errors, after which the run goes on: ErrClaimLost, ErrUnavailable, ErrNoSpace,
	// ErrStale for artifacts and children.
	End(ctx context.Context, end RunEnd) (jobs.State, error)
	// Progress records the latest share of the work done for each run, and returns the claims that
	// are lost.
	Progress(ctx context.Context, progress []RunProgress) (lost []uuid.UUID, err error)
	// HoldBlob records that a live run owns a blob that it is about to write, so that the sweep
	// leaves it alone. Errors: ErrClaimLost.
	HoldBlob(ctx context.Context, job, claim, key uuid.UUID) error
	// HandBack returns a delivery that was not claimed: if the job still waits at that generation,
	// it gets the next one and is due after delay. Anything else changes nothing.
	HandBack(ctx context.Context, job uuid.UUID, generation int, delay time.Duration) error
}

// ClaimRequest asks for one job.
type ClaimRequest struct {
	JobID      uuid.UUID
	Generation int
	Claim      uuid.UUID // fresh for each run
	Worker     uuid.UUID
	Kinds      []string // that the worker would run now
	// Alone says that nothing else runs in the process. It means something only for a job that
	// must run alone (see jobs.AloneAfter); the loss of any other is never held against it.
	Alone bool
}

// Refusal is why a claim was not granted.
type Refusal string

// The refusals. Only RefusedKind and RefusedCrowd leave anything to do for the caller; after the
// others it forgets the delivery.
const (
	RefusedUnknown Refusal = "unknown" // there is no such job
	RefusedStale   Refusal = "stale"   // another generation is current, or its time is yet to come
	RefusedTaken   Refusal = "taken"   // running elsewhere, waiting for children, or ended
	RefusedPaused  Refusal = "paused"  // the queue is paused
	RefusedWorker  Refusal = "worker"  // the worker is not registered (any more), or cordoned
	RefusedKind    Refusal = "kind"    // not among the request's kinds; Claimed.Job.Kind is set
	RefusedCrowd   Refusal = "crowd"   // must run alone and the request does not say so
)

// Claimed is the answer to a claim. With Refused empty the job is running: Job, File and Content
// are set.
type Claimed struct {
	Refused Refusal
	Job     jobs.Job
	File    jobs.File
	Content Content
}

// RunEnd is how one run ended.
type RunEnd struct {
	JobID   uuid.UUID
	Claim   uuid.UUID
	Outcome jobs.Outcome // any but jobs.RunLost
	Delay   time.Duration
	Error   *jobs.Error     // for RunFailed and RunRetry
	Result  json.RawMessage // for RunSucceeded

	// For RunSucceeded.
	Artifacts []NewArtifact
	Children  []Upload
}

// NewArtifact is a file that a run made, whose bytes are durable as in NewFile.
type NewArtifact struct {
	jobs.Artifact
	Content  []byte
	BlobKey  uuid.UUID
	StoredAt time.Time
}

// RunProgress is how far a run is, 0 to 1.
type RunProgress struct {
	JobID    uuid.UUID
	Claim    uuid.UUID
	Progress float64
}
