package wire

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// EventStream is the media type of server-sent events.
const EventStream = "text/event-stream"

// Event is one thing that happened to a job, as a stream of events tells it. The types progress and
// place have no number: they tell how things stand, and are not told again.
type Event struct {
	JobID uuid.UUID       `json:"job_id"`
	Seq   int             `json:"seq,omitempty" doc:"Numbers the events of a job, from 1."`
	Type  string          `json:"type" doc:"accepted, started, ended, cancel_requested, cancelled, retried, reused, settled, progress or place."`
	At    time.Time       `json:"at"`
	Data  json.RawMessage `json:"data,omitempty" doc:"What else there is to say, by type."`
}

// The types of events that have no number.
const (
	EventProgress = "progress" // data: Progress
	EventPlace    = "place"    // data: Place
)

// Progress is how far a run has come.
type Progress struct {
	Progress float64 `json:"progress" doc:"From 0 to 1."`
}

// Place is where a job that waits stands in its queue.
type Place struct {
	Queue    string    `json:"queue"`
	Ahead    int       `json:"ahead" doc:"Jobs that come before it."`
	AtLeast  bool      `json:"at_least,omitempty" doc:"There may be more."`
	Paused   bool      `json:"paused,omitempty" doc:"The queue is paused."`
	RunAt    time.Time `json:"run_at,omitzero" doc:"Before which it is not to begin; absent when that has passed."`
	Estimate *float64  `json:"estimate_seconds,omitempty" doc:"In which it is likely to have ended, if the queue goes on as in the last minute; absent where that says nothing. Good to a tenth where jobs are alike, to a half where they are not or the fleet changes."`
}
