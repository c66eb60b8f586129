package jobs

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Tenant names the owner of files and jobs. It is a type of its own so that a call which forgets
// it does not compile.
type Tenant string

// DefaultTenant owns what comes in where nobody is asked for a key.
const DefaultTenant Tenant = "default"

// NewID returns a fresh UUIDv7: unique, and ordered by time of creation to the millisecond.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// File is a set of bytes that was accepted.
type File struct {
	ID          uuid.UUID
	Tenant      Tenant
	Name        string // as the sender gave it, cleaned by CleanName; never used as a path
	Size        int64  // bytes
	SHA256      [32]byte
	MediaType   string // sniffed from the content
	ClaimedType string // as the sender said; empty when not said
	CreatedAt   time.Time
}

// Job is one piece of work on one file.
type Job struct {
	ID          uuid.UUID
	Tenant      Tenant
	FileID      uuid.UUID
	ParentID    uuid.UUID // uuid.Nil for a job that no job has spawned
	Kind        string    // names the handler
	KindVersion int       // of the kind's spec when the job was made
	Queue       string
	Params      json.RawMessage // canonical, see Spec.Canonical; nil when the kind takes none
	ParamsHash  [32]byte        // SHA-256 of Params
	Budget      *Budget         // what it may spawn, as the job that spawned it left it; nil when none did
	Fresh       bool            // to be run itself, and so are the jobs that it spawns
	ResultOf    uuid.UUID       // the job whose result and artifacts it was given; uuid.Nil when it was run itself

	State           State
	Generation      int // rises whenever the job must be delivered anew; starts at 1
	CancelRequested bool
	Failures        int // runs that the handler failed, since the job was made or retried by hand
	Losses          int // runs that died with their worker
	Drains          int // runs that their worker handed back
	MaxAttempts     int
	Progress        float64 // 0 to 1, of the latest run; meaningful when ProgressKnown
	ProgressKnown   bool

	RunAt      time.Time // not before
	CreatedAt  time.Time
	StartedAt  time.Time // of the latest run; zero before the first
	FinishedAt time.Time // zero until the job has ended

	Error     *Error          // why it failed, or why its latest attempt did
	Result    json.RawMessage // what the handler answered
	Artifacts []Artifact
	Children  Children
}

// Attempt is 1 + the runs that the handler failed, and never more than MaxAttempts.
func (j *Job) Attempt() int { return min(j.Failures+1, max(j.MaxAttempts, 1)) }

// Children counts a job's children by state; retrying ones count as pending and waiting ones as
// running.
type Children struct {
	Pending, Running, Succeeded, Failed, Cancelled int
}

// Open is the number of children that have not ended.
func (c Children) Open() int { return c.Pending + c.Running }

// Total is the number of children.
func (c Children) Total() int { return c.Open() + c.Succeeded + c.Failed + c.Cancelled }

// Artifact is a file that a handler made.
type Artifact struct {
	Name      string
	MediaType string
	Size      int64 // bytes
	SHA256    [32]byte
}

// Attempt is the record of one run. Runs that were lost or drained are recorded too, though they
// burn no attempt.
type Attempt struct {
	Run        int       // 1 for the first run of the job, rising
	Worker     uuid.UUID // the process
	Label      string    // the process's label, such as the pod's name
	Claim      uuid.UUID
	StartedAt  time.Time
	FinishedAt time.Time // zero while it runs
	Outcome    Outcome   // empty while it runs
	Error      *Error
}

// Delivery is a job at a generation, on its way to a worker. A job that must be delivered anew gets
// another generation, so that whatever is left of an earlier delivery comes to nothing.
type Delivery struct {
	JobID      uuid.UUID
	Generation int
	Queue      string
}
