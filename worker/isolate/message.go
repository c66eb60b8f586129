package isolate

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// runHead is a run without what passes over the pipes by itself.
type runHead struct {
	JobID   uuid.UUID
	Attempt int
	File    jobs.File
	Params  json.RawMessage
	Size    int64
}

type artifactHead struct {
	Name      string
	MediaType string
}

// failure is an error that passes from one process to the other.
type failure struct {
	Code       jobs.Code     `json:",omitempty"` // of a jobs.Error
	Message    string        `json:",omitempty"`
	Permanent  bool          `json:",omitempty"`
	RetryAfter time.Duration `json:",omitempty"` // plus one, so that 0 is none
	Drain      bool          `json:",omitempty"`
}

func failureOf(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Message: err.Error(), Permanent: jobs.IsPermanent(err), Drain: errors.Is(err, jobs.ErrDrain)}
	if e, ok := errors.AsType[*jobs.Error](err); ok {
		f.Code, f.Message = e.Code, e.Message
	}
	if after, ok := jobs.RetryDelay(err); ok {
		f.RetryAfter = after + 1
	}
	return f
}

// error gives the error back, as far as its handler can steer a job with it.
func (f *failure) error() error {
	switch {
	case f == nil:
		return nil
	case f.Drain:
		return jobs.ErrDrain
	}
	err := f.plain()
	if f.Permanent {
		err = jobs.Permanent(err)
	}
	if f.RetryAfter > 0 {
		err = jobs.RetryAfter(f.RetryAfter-1, err)
	}
	return err
}

func (f *failure) plain() error {
	if f.Code == "" {
		return errors.New(f.Message)
	}
	return &jobs.Error{Code: f.Code, Message: f.Message}
}

// outcome is what a handler returned.
type outcome struct {
	Result json.RawMessage `json:",omitempty"`
	Failed *failure        `json:",omitempty"`
}
