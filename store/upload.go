package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// Uploads commits what the upload API has received. Bound to a tenant.
type Uploads interface {
	// Accept commits the files and their jobs, all of them or none, and returns when they are
	// durable. The caller made the IDs and stored the bytes beforehand. A job that takes over is given
	// the result and artifacts of the newest job with the same reuse key that has succeeded, and has
	// then succeeded itself without a run; blobs of artifacts are shared. Errors: ErrStale,
	// ErrNoSpace, ErrUnavailable (after which the upload may have been committed or not).
	Accept(ctx context.Context, tenant jobs.Tenant, uploads []Upload) ([]Accepted, error)
}

// Upload is one file and the job to do on it.
type Upload struct {
	File NewFile
	Job  NewJob
}

// NewFile is a file whose bytes are durable: in Content, or as the blob BlobKey.
type NewFile struct {
	ID          uuid.UUID
	Name        string
	Size        int64
	SHA256      [32]byte
	MediaType   string
	ClaimedType string
	Content     []byte    // for a small file (and an empty one), when BlobKey is uuid.Nil
	BlobKey     uuid.UUID // key of the blob otherwise
	// StoredAt is when the blob was stored, by this process's monotonic clock. Accept refuses with
	// ErrStale once MaxBlobAge has passed. Ignored without BlobKey.
	StoredAt time.Time
}

// SweepGrace is how old an object without a row must be before it is an orphan, and MaxBlobAge is
// how long after its bytes were stored a commit may still refer to them: half of it, which leaves
// the other half for differing clocks and slow commits.
const (
	SweepGrace = 24 * time.Hour
	MaxBlobAge = SweepGrace / 2
)

// NewJob is a job to be made, pending, at generation 1.
type NewJob struct {
	ID               uuid.UUID
	Kind             string
	KindVersion      int
	Queue            string
	Params           json.RawMessage // canonical
	ParamsHash       [32]byte
	MaxAttempts      int
	FailWithChildren bool
	Reusable         bool         // see jobs.Spec
	Fresh            bool         // not to be given the result of an earlier job
	Budget           *jobs.Budget // of a job that another spawns; nil otherwise
	RunAt            time.Time    // not before; zero means now, by the store's clock
}

// JobOf is a job of a kind, with parameters as the kind's spec has put them.
func JobOf(spec *jobs.Spec, params json.RawMessage, hash [32]byte) NewJob {
	return NewJob{
		ID:               jobs.NewID(),
		Kind:             spec.Name,
		KindVersion:      spec.Version,
		Queue:            spec.Queue,
		Params:           params,
		ParamsHash:       hash,
		MaxAttempts:      spec.Retry.MaxAttempts,
		FailWithChildren: spec.FailWithChildren,
		Reusable:         spec.Reusable,
	}
}

// BudgetJSON is the budget as it is stored: nil where there is none.
func (j *NewJob) BudgetJSON() json.RawMessage {
	if j.Budget == nil {
		return nil
	}
	text, err := json.Marshal(j.Budget)
	if err != nil {
		panic("store: a budget that is not JSON: " + err.Error()) // of numbers and a time
	}
	return text
}

// ReuseKey stands for all that the job's result depends on; nil when its result must not be given to
// others. Jobs with the same key get the same result.
func (u *Upload) ReuseKey(tenant jobs.Tenant) []byte {
	if !u.Job.Reusable {
		return nil
	}
	hash := sha256.New()
	for _, part := range []string{
		string(tenant), u.Job.Kind, strconv.Itoa(u.Job.KindVersion), u.File.MediaType, u.File.ClaimedType,
		string(u.Job.ParamsHash[:]), string(u.File.SHA256[:]),
	} {
		fmt.Fprintf(hash, "%d:%s", len(part), part) // a hash takes everything
	}
	return hash.Sum(nil)
}

// TakesOver reports whether the job is to be given the result of an earlier one, if there is any. One
// that is put off is not: its sender has said when.
func (j *NewJob) TakesOver() bool { return j.Reusable && !j.Fresh && j.RunAt.IsZero() }

// Accepted tells how a job was committed.
type Accepted struct {
	JobID      uuid.UUID
	Generation int
	RunAt      time.Time
	Due        bool      // may run now
	ResultOf   uuid.UUID // the job whose result it was given, with which it has succeeded; else uuid.Nil
}

// Content is where bytes lie: inline, or in the blob store.
type Content struct {
	Inline  []byte
	BlobKey uuid.UUID // uuid.Nil when inline
}
