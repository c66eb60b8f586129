package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/tmaxmax/go-sse"

	"github.com/leat-dev/leat/api/wire"
)

const (
	// silence is after which time a stream that says nothing is taken for dead; servers beat every 15 s.
	silence = 45 * time.Second
	// reopenMin is the wait before a broken stream is opened again, doubled up to reopenMax while that
	// fails.
	reopenMin = 250 * time.Millisecond
	reopenMax = 5 * time.Second
)

// FollowJob tells what happens to a job, from the first event on, until it has ended, and returns nil
// then. A stream that breaks is opened again where it was, as often as Options.Retries says without a
// new event in between. An error of handle ends it, and is returned.
func (c *Client) FollowJob(ctx context.Context, id uuid.UUID, handle func(wire.Event) error) error {
	f := following{client: c, id: id, handle: handle}
	for failures := 0; ; failures++ {
		before := f.last
		over, err := f.stream(ctx)
		switch {
		case over || f.stopped != nil:
			return f.stopped
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if f.last != before || err == nil { // it went well until it ended
			failures = 0
		}
		wait := min(reopenMin<<min(failures, 10), reopenMax)
		if busy, ok := errors.AsType[*busyError](err); ok && !busy.later() {
			wait = busy.pause()
		} else if problem, ok := errors.AsType[*wire.Problem](err); ok && problem.Status < http.StatusInternalServerError {
			return err
		}
		if err != nil && failures >= max(c.retries, 0) {
			return err
		}
		if err := c.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// following is a job that is being followed.
type following struct {
	client  *Client
	id      uuid.UUID
	handle  func(wire.Event) error
	last    string // ID of the latest event
	stopped error  // of handle
}

// stream reads one stream to its end, and reports whether the job is over.
func (f *following) stream(ctx context.Context) (over bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := f.client.request(ctx, http.MethodGet, nil, nil, "v1", "jobs", f.id.String(), "events")
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept", wire.EventStream)
	if f.last != "" {
		req.Header.Set("Last-Event-ID", f.last)
	}
	res, err := f.client.send(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		return true, nil
	}
	alive := time.AfterFunc(silence, cancel)
	defer alive.Stop()
	for e, err := range sse.Read(&lively{res.Body, alive}, &sse.ReadConfig{MaxEventSize: maxAnswer}) {
		if err != nil {
			return false, fmt.Errorf("read the job's events: %w", err)
		}
		if e.Type == "" {
			continue
		}
		var event wire.Event
		if err := json.Unmarshal([]byte(e.Data), &event); err != nil {
			return false, fmt.Errorf("read the job's events: %w", err)
		}
		if f.stopped = f.handle(event); f.stopped != nil {
			return false, nil
		}
		f.last = e.LastEventID
	}
	return false, nil
}

// lively puts off the end of a stream with each byte that comes.
type lively struct {
	io.Reader
	alive *time.Timer
}

func (l *lively) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	l.alive.Reset(silence)
	return n, err
}

// WaitOptions say who is shown what while a job is waited for.
type WaitOptions struct {
	Look  func(*wire.Job)   // the job, after each of its events
	Place func(*wire.Place) // where it stands while it waits
}

// WaitJob waits until a job has ended, whatever its end, and returns it.
func (c *Client) WaitJob(ctx context.Context, id uuid.UUID, o WaitOptions) (*wire.Job, error) {
	for {
		err := c.FollowJob(ctx, id, func(e wire.Event) error {
			switch {
			case e.Type == wire.EventPlace && o.Place != nil:
				var place wire.Place
				if err := json.Unmarshal(e.Data, &place); err != nil {
					return fmt.Errorf("read the job's place: %w", err)
				}
				o.Place(&place)
			case e.Type != wire.EventPlace && o.Look != nil:
				job, err := c.Job(ctx, id)
				if err != nil {
					return err
				}
				o.Look(job)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		job, err := c.Job(ctx, id)
		if err != nil || job.Ended() {
			return job, err
		} // else it was retried by hand meanwhile
	}
}
