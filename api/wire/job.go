package wire

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Job is one piece of work on one file.
type Job struct {
	ID       uuid.UUID `json:"id" format:"uuid"`
	FileID   uuid.UUID `json:"file_id" format:"uuid"`
	ParentID uuid.UUID `json:"parent_id,omitzero" format:"uuid" doc:"The job that spawned this one."`
	ResultOf uuid.UUID `json:"result_of,omitzero" format:"uuid" doc:"The job whose result and artifacts this one was given, without a run of its own: same bytes, kind, version and parameters."`
	Kind     string    `json:"kind" doc:"Names the work."`
	Queue    string    `json:"queue"`
	State    string    `json:"state" enum:"pending,running,retrying,waiting,succeeded,failed,cancelled"`

	CancelRequested bool `json:"cancel_requested" doc:"Somebody asked for the job to stop."`
	Attempt         int  `json:"attempt" doc:"1 + the runs that failed. Runs that were lost with their worker, or handed back by it, do not count."`
	MaxAttempts     int  `json:"max_attempts"`
	Losses          int  `json:"losses" doc:"Runs that were lost with their worker."`

	Progress *float64 `json:"progress,omitempty" minimum:"0" maximum:"1" doc:"Share of the work done, as far as the latest run told."`

	RunAt      time.Time `json:"run_at" doc:"Not run before."`
	CreatedAt  time.Time `json:"created_at"`
	StartedAt  time.Time `json:"started_at,omitzero" doc:"Of the latest run."`
	FinishedAt time.Time `json:"finished_at,omitzero"`

	Error     *JobError       `json:"error,omitempty" doc:"Why the job failed, or why its latest attempt did."`
	Result    json.RawMessage `json:"result,omitempty" doc:"What the work answered. Lists of jobs leave it out."`
	Artifacts []Artifact      `json:"artifacts,omitempty" nullable:"false" doc:"Files that the work made."`
	Children  *Children       `json:"children,omitempty" doc:"The jobs that this one spawned, counted by state."`
}

// The states of a job.
const (
	Pending   = "pending"
	Running   = "running"
	Retrying  = "retrying"
	Waiting   = "waiting"
	Succeeded = "succeeded"
	Failed    = "failed"
	Cancelled = "cancelled"
)

// Ended reports whether the job stays as it is unless somebody retries it.
func (j *Job) Ended() bool {
	return j.State == Succeeded || j.State == Failed || j.State == Cancelled
}

// JobError is why a job, or one of its attempts, failed.
type JobError struct {
	Code    string `json:"code" doc:"Stable, for programs."`
	Message string `json:"message" doc:"For people."`
}

// Artifact is a file that a job made.
type Artifact struct {
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size" minimum:"0" doc:"Bytes."`
	SHA256    string `json:"sha256" pattern:"^[0-9a-f]{64}$"`
	URL       string `json:"url" format:"uri-reference" doc:"Where its bytes are."`
}

// Children counts a job's children by state; retrying ones count as pending, waiting ones as
// running.
type Children struct {
	Pending   int `json:"pending"`
	Running   int `json:"running"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
}

// Jobs is one page of a list of jobs.
type Jobs struct {
	Jobs       []Job  `json:"jobs" nullable:"false" doc:"Newest first, without result, artifacts and children."`
	NextCursor string `json:"next_cursor,omitempty" doc:"Give it back as cursor for the next page; absent on the last one. A page of a kind or a queue may be short, or empty, although others follow."`
}

// Attempt is the record of one run of a job.
type Attempt struct {
	Run        int       `json:"run" minimum:"1" doc:"1 for the job's first run, rising."`
	Worker     uuid.UUID `json:"worker" format:"uuid" doc:"The process."`
	Label      string    `json:"label,omitempty" doc:"The process's label, such as the pod's name."`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	Outcome    string    `json:"outcome,omitempty" enum:"succeeded,retry,failed,cancelled,drained,lost" doc:"Absent while it runs."`
	Error      *JobError `json:"error,omitempty"`
}

// Attempts are all runs of a job.
type Attempts struct {
	Attempts []Attempt `json:"attempts" nullable:"false" doc:"Oldest first, the present one included."`
}

// Changed tells what a call that changes many jobs has done.
type Changed struct {
	Changed int  `json:"changed" doc:"Jobs changed by this call."`
	More    bool `json:"more" doc:"There may be more of them: call again."`
}
