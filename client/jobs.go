package client

import (
	"context"
	"iter"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
)

// Job returns a job.
func (c *Client) Job(ctx context.Context, id uuid.UUID) (*wire.Job, error) {
	var job wire.Job
	if err := c.get(ctx, &job, nil, "v1", "jobs", id.String()); err != nil {
		return nil, err
	}
	return &job, nil
}

// Filter narrows a list of jobs; zero fields do not.
type Filter struct {
	State    string
	Kind     string
	Queue    string
	FileID   uuid.UUID
	ParentID uuid.UUID
}

func (f Filter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"state": f.State, "kind": f.Kind, "queue": f.Queue} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, id := range map[string]uuid.UUID{"file_id": f.FileID, "parent_id": f.ParentID} {
		if id != uuid.Nil {
			q.Set(name, id.String())
		}
	}
	return q
}

// JobPage returns one page of the jobs that fit the filter, newest first: the first one for an
// empty cursor, else the one behind the page that gave it. A limit of 0 leaves it to the server.
func (c *Client) JobPage(ctx context.Context, filter Filter, limit int, cursor string) (*wire.Jobs, error) {
	q := filter.query()
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	var page wire.Jobs
	if err := c.get(ctx, &page, q, "v1", "jobs"); err != nil {
		return nil, err
	}
	return &page, nil
}

// Jobs goes through all jobs that fit the filter, newest first, asking for a page when it is
// needed. An error ends it.
func (c *Client) Jobs(ctx context.Context, filter Filter) iter.Seq2[wire.Job, error] {
	return func(yield func(wire.Job, error) bool) {
		for cursor := ""; ; {
			page, err := c.JobPage(ctx, filter, 0, cursor)
			if err != nil {
				yield(wire.Job{}, err)
				return
			}
			for _, job := range page.Jobs {
				if !yield(job, nil) {
					return
				}
			}
			if cursor = page.NextCursor; cursor == "" {
				return
			}
		}
	}
}

// Attempts returns a job's runs, oldest first.
func (c *Client) Attempts(ctx context.Context, id uuid.UUID) ([]wire.Attempt, error) {
	var answer wire.Attempts
	if err := c.get(ctx, &answer, nil, "v1", "jobs", id.String(), "attempts"); err != nil {
		return nil, err
	}
	return answer.Attempts, nil
}

// Cancel cancels a job, or asks it to stop if it runs.
func (c *Client) Cancel(ctx context.Context, id uuid.UUID) (*wire.Job, error) {
	return c.change(ctx, id, "cancel")
}

// Retry has a failed or cancelled job run again.
func (c *Client) Retry(ctx context.Context, id uuid.UUID) (*wire.Job, error) {
	return c.change(ctx, id, "retry")
}

func (c *Client) change(ctx context.Context, id uuid.UUID, what string) (*wire.Job, error) {
	var job wire.Job
	if err := c.post(ctx, &job, nil, "v1", "jobs", id.String(), what); err != nil {
		return nil, err
	}
	return &job, nil
}

// CancelJobs cancels all jobs that fit the filter, which must not be empty, and returns how many.
// With an error comes the number of those cancelled before it.
func (c *Client) CancelJobs(ctx context.Context, filter Filter) (int, error) {
	return c.changeAll(ctx, filter, "cancel")
}

// RetryJobs has all failed or cancelled jobs that fit the filter run again; else it is like
// CancelJobs. A job that fails again meanwhile may be counted again.
func (c *Client) RetryJobs(ctx context.Context, filter Filter) (int, error) {
	return c.changeAll(ctx, filter, "retry")
}

func (c *Client) changeAll(ctx context.Context, filter Filter, what string) (int, error) {
	total := 0
	for {
		var changed wire.Changed
		if err := c.post(ctx, &changed, filter.query(), "v1", "jobs", what); err != nil {
			return total, err
		}
		total += changed.Changed
		if !changed.More {
			return total, nil
		}
	}
}
