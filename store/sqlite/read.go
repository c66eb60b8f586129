package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Job returns a job with its artifacts and the counts of its children.
func (s *Store) Job(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (*jobs.Job, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) (*jobs.Job, error) {
		r, err := q.loadOf(ctx, tenant, id)
		if err != nil {
			return nil, err
		}
		if r.Artifacts, err = q.artifacts(ctx, id); err != nil {
			return nil, err
		}
		if r.Children, err = q.children(ctx, id); err != nil {
			return nil, err
		}
		return &r.Job, nil
	})
}

// loadOf reads a tenant's job. It gives store.ErrNotFound when there is none.
func (t *tx) loadOf(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (*record, error) {
	r, err := t.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if r == nil || r.Tenant != tenant {
		return nil, store.ErrNotFound
	}
	return r, nil
}

func (t *tx) artifacts(ctx context.Context, job uuid.UUID) ([]jobs.Artifact, error) {
	var list []jobs.Artifact
	err := t.each(ctx, func(row scanner) error {
		var a jobs.Artifact
		err := row.Scan(&a.Name, &a.MediaType, &a.Size, intoHash{&a.SHA256})
		list = append(list, a)
		return err
	}, `SELECT name, media_type, size, sha256 FROM artifacts WHERE job_id = ? ORDER BY name`, key(job))
	if err != nil {
		return nil, fmt.Errorf("read artifacts of job %s: %w", job, err)
	}
	return list, nil
}

func (t *tx) children(ctx context.Context, job uuid.UUID) (jobs.Children, error) {
	var c jobs.Children
	err := t.each(ctx, func(row scanner) error {
		var state jobs.State
		var n int
		if err := row.Scan(&state, &n); err != nil {
			return err
		}
		switch state {
		case jobs.Pending, jobs.Retrying:
			c.Pending += n
		case jobs.Running, jobs.Waiting:
			c.Running += n
		case jobs.Succeeded:
			c.Succeeded += n
		case jobs.Failed:
			c.Failed += n
		case jobs.Cancelled:
			c.Cancelled += n
		}
		return nil
	}, `SELECT state, count(*) FROM jobs INDEXED BY jobs_parent WHERE parent_id = ? GROUP BY state`, key(job))
	if err != nil {
		return jobs.Children{}, fmt.Errorf("count children of job %s: %w", job, err)
	}
	return c, nil
}

// Attempts returns the job's runs, oldest first, the present one included.
func (s *Store) Attempts(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) ([]jobs.Attempt, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]jobs.Attempt, error) {
		r, err := q.loadOf(ctx, tenant, id)
		if err != nil {
			return nil, err
		}
		var attempts []jobs.Attempt
		err = q.each(ctx, func(row scanner) error {
			var a jobs.Attempt
			var code, message sql.NullString
			err := row.Scan(&a.Run, intoID{&a.Claim}, intoID{&a.Worker}, &a.Label, intoTime{&a.StartedAt},
				intoTime{&a.FinishedAt}, &a.Outcome, &code, &message)
			a.Error = toError(code, message)
			attempts = append(attempts, a)
			return err
		}, `
			SELECT run, claim, worker_id, worker_label, started_at, finished_at, outcome, error_code, error_message
			FROM attempts WHERE job_id = ? ORDER BY run`, key(id))
		if err != nil {
			return nil, fmt.Errorf("read attempts of job %s: %w", id, err)
		}
		if r.State == jobs.Running {
			attempts = append(attempts, jobs.Attempt{
				Run: r.runs, Worker: r.worker, Label: r.label, Claim: r.claim, StartedAt: r.StartedAt,
			})
		}
		return attempts, nil
	})
}

// Events returns at most limit events of the job that come after number after, in order.
func (s *Store) Events(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, after, limit int) ([]store.Event, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.Event, error) {
		if _, err := q.loadOf(ctx, tenant, id); err != nil {
			return nil, err
		}
		var events []store.Event
		err := q.each(ctx, func(row scanner) error {
			e := store.Event{JobID: id}
			err := row.Scan(&e.Seq, &e.Type, intoTime{&e.At}, intoRaw(&e.Data))
			events = append(events, e)
			return err
		}, `SELECT seq, type, at, data FROM events WHERE job_id = ? AND seq > ? ORDER BY seq LIMIT ?`, key(id), after, max(limit, 0))
		if err != nil {
			return nil, fmt.Errorf("read events of job %s: %w", id, err)
		}
		return events, nil
	})
}

// File returns a file and where its bytes lie.
func (s *Store) File(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (jobs.File, store.Content, error) {
	type found struct {
		file    jobs.File
		content store.Content
	}
	f, err := read(ctx, s, func(ctx context.Context, q *tx) (f found, err error) {
		f.file, f.content, err = q.file(ctx, tenant, id)
		return f, err
	})
	return f.file, f.content, err
}

// Artifact returns a job's artifact and where its bytes lie.
func (s *Store) Artifact(ctx context.Context, tenant jobs.Tenant, job uuid.UUID, name string) (jobs.Artifact, store.Content, error) {
	type found struct {
		artifact jobs.Artifact
		content  store.Content
	}
	f, err := read(ctx, s, func(ctx context.Context, q *tx) (found, error) {
		f := found{artifact: jobs.Artifact{Name: name}}
		err := q.row(ctx, `
			SELECT a.media_type, a.size, a.sha256, a.blob_key, a.content
			FROM artifacts a JOIN jobs j ON j.id = a.job_id
			WHERE a.job_id = ? AND a.name = ? AND j.tenant = ?`, key(job), name, string(tenant)).
			Scan(&f.artifact.MediaType, &f.artifact.Size, intoHash{&f.artifact.SHA256},
				intoID{&f.content.BlobKey}, &f.content.Inline)
		if errors.Is(err, sql.ErrNoRows) {
			return found{}, store.ErrNotFound
		}
		if err != nil {
			return found{}, fmt.Errorf("read artifact %q of job %s: %w", name, job, err)
		}
		return f, nil
	})
	return f.artifact, f.content, err
}
