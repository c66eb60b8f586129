package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// found gives ErrNotFound for the lack of a row.
func found(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// Job returns a job with its artifacts and the counts of its children, as they were at one moment.
func (s *Store) Job(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (*jobs.Job, error) {
	const sql = `
		SELECT ` + jobColumns + `, a.names, a.media_types, a.sizes, a.hashes, c.pending, c.running, c.succeeded, c.failed, c.cancelled
		FROM jobs j
			CROSS JOIN LATERAL (
				SELECT array_agg(name ORDER BY name) AS names, array_agg(media_type ORDER BY name) AS media_types,
					array_agg(size ORDER BY name) AS sizes, array_agg(sha256 ORDER BY name) AS hashes
				FROM artifacts WHERE job_id = j.id
			) a
			CROSS JOIN LATERAL (
				SELECT count(*) FILTER (WHERE state IN ('pending', 'retrying')) AS pending,
					count(*) FILTER (WHERE state IN ('running', 'waiting')) AS running,
					count(*) FILTER (WHERE state = 'succeeded') AS succeeded,
					count(*) FILTER (WHERE state = 'failed') AS failed,
					count(*) FILTER (WHERE state = 'cancelled') AS cancelled
				FROM jobs WHERE parent_id = j.id
			) c
		WHERE j.id = $1 AND j.tenant = $2`
	var (
		scan              jobScan
		names, mediaTypes []string
		sizes             []int64
		hashes            byteArray
	)
	c := &scan.job.Children
	targets := append(scan.targets(), &names, &mediaTypes, &sizes, &hashes,
		&c.Pending, &c.Running, &c.Succeeded, &c.Failed, &c.Cancelled)
	err := s.do(ctx, "job", func(ctx context.Context) error {
		return found(s.pool.QueryRow(ctx, sql, [16]byte(id), string(tenant)).Scan(targets...))
	})
	if err != nil {
		return nil, err
	}
	job := scan.get()
	for i, name := range names {
		a := jobs.Artifact{Name: name, MediaType: mediaTypes[i], Size: sizes[i]}
		copy(a.SHA256[:], hashes[i])
		job.Artifacts = append(job.Artifacts, a)
	}
	return &job, nil
}

// ListJobs returns a page of jobs, newest first.
func (s *Store) ListJobs(ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, page store.Page) ([]jobs.Job, store.Cursor, error) {
	w := where(tenant, filter)
	if !page.After.IsZero() {
		w.add("j.id < %s", [16]byte(page.After.ID))
	}
	floor, err := s.scanFloor(ctx, tenant, filter, page)
	if err != nil {
		return nil, store.Cursor{}, err
	}
	if !floor.IsZero() {
		w.add("j.id >= %s", [16]byte(floor.ID))
	}
	limit := min(max(page.Limit, 1), store.MaxLimit)
	// The limit is part of the text, for the planner to see how few are wanted.
	sql := fmt.Sprintf(`SELECT %s FROM jobs j WHERE %s ORDER BY j.id DESC LIMIT %d`, listColumns, w, limit+1)
	list, err := read(ctx, s, "list jobs", scanJob, sql, w.args...)
	if err != nil || len(list) <= limit {
		return list, floor, err
	}
	return list[:limit], store.Cursor{ID: list[limit-1].ID}, nil
}

// scanFloor is the last job that a page of a filtered list looks at; zero when that is all of them.
func (s *Store) scanFloor(ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, page store.Page) (store.Cursor, error) {
	if !filter.Scans() {
		return store.Cursor{}, nil
	}
	w := where(tenant, store.JobFilter{State: filter.State})
	if !page.After.IsZero() {
		w.add("j.id < %s", [16]byte(page.After.ID))
	}
	sql := fmt.Sprintf(`SELECT j.id FROM jobs j WHERE %s ORDER BY j.id DESC OFFSET %d LIMIT 1`, w, page.Looks()-1)
	last, err := read(ctx, s, "list jobs", scanID, sql, w.args...)
	if err != nil || len(last) == 0 {
		return store.Cursor{}, err
	}
	return store.Cursor{ID: last[0]}, nil
}

// conditions are the conditions of a WHERE on rows j of jobs, with their arguments. There are as
// many texts as there are combinations of filters, so that each is planned for what it asks.
type conditions struct {
	terms []string
	args  []any
}

// where gives the conditions of a filter.
//
// What belongs to a file or a parent is few, and of one tenant. There the tenant is only checked,
// in a form that no index offers to find.
func where(tenant jobs.Tenant, f store.JobFilter) *conditions {
	w := new(conditions)
	if f.FileID == uuid.Nil && f.ParentID == uuid.Nil {
		w.add("j.tenant = %s", string(tenant))
	} else {
		w.add("j.tenant || '' = %s", string(tenant))
	}
	if f.State != "" {
		w.state(f.State)
	}
	if f.Kind != "" {
		w.add("j.kind = %s", f.Kind)
	}
	if f.Queue != "" {
		w.add("j.queue = %s", f.Queue)
	}
	if f.FileID != uuid.Nil {
		w.add("j.file_id = %s", [16]byte(f.FileID))
	}
	if f.ParentID != uuid.Nil {
		w.add("j.parent_id = %s", [16]byte(f.ParentID))
	}
	return w
}

// state asks for a state by a literal: only then can the planner tell that a partial index fits.
func (w *conditions) state(state jobs.State) {
	if !state.Valid() {
		w.terms = append(w.terms, "false")
		return
	}
	w.terms = append(w.terms, "j.state = '"+string(state)+"'")
}

func (w *conditions) add(format string, arg any) {
	w.terms = append(w.terms, fmt.Sprintf(format, w.arg(arg)))
}

// arg adds an argument and returns its name.
func (w *conditions) arg(arg any) string {
	w.args = append(w.args, arg)
	return fmt.Sprintf("$%d", len(w.args))
}

// String joins the conditions.
func (w *conditions) String() string { return strings.Join(w.terms, " AND ") }

// Attempts returns a job's runs. The present one stands in the job's own row.
func (s *Store) Attempts(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) ([]jobs.Attempt, error) {
	const sql = `
		SELECT run, worker_id, worker_label, claim, started_at, finished_at, outcome, error_code, error_message
		FROM attempts WHERE job_id = $1
		UNION ALL
		SELECT runs, worker_id, worker_label, claim, started_at, NULL, NULL, NULL, NULL
		FROM jobs WHERE id = $1 AND state = 'running'
		ORDER BY run`
	var list []jobs.Attempt
	err := s.do(ctx, "attempts", func(ctx context.Context) (err error) {
		if err := s.exists(ctx, tenant, id); err != nil {
			return err
		}
		list, err = prepared(ctx, s.pool, scanAttempt, sql, [16]byte(id))
		return err
	})
	return list, err
}

func scanAttempt(row pgx.CollectableRow) (jobs.Attempt, error) {
	var (
		a                      jobs.Attempt
		outcome, code, message zeronull.Text
	)
	err := row.Scan(&a.Run, (*[16]byte)(&a.Worker), &a.Label, (*[16]byte)(&a.Claim),
		&a.StartedAt, (*zeronull.Timestamptz)(&a.FinishedAt), &outcome, &code, &message)
	a.Outcome, a.Error = jobs.Outcome(outcome), jobError(code, message)
	return a, err
}

// exists tells whether a tenant has a job.
func (s *Store) exists(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) error {
	var one int
	return found(s.pool.QueryRow(ctx, `SELECT 1 FROM jobs WHERE id = $1 AND tenant = $2`, [16]byte(id), string(tenant)).Scan(&one))
}

// Events returns events of a job.
func (s *Store) Events(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, after, limit int) ([]store.Event, error) {
	const sql = `SELECT job_id, seq, type, at, data FROM events WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3`
	var list []store.Event
	err := s.do(ctx, "events", func(ctx context.Context) (err error) {
		if err := s.exists(ctx, tenant, id); err != nil {
			return err
		}
		list, err = prepared(ctx, s.pool, scanEvent, sql, [16]byte(id), after, limit)
		return err
	})
	return list, err
}

func scanEvent(row pgx.CollectableRow) (store.Event, error) {
	var (
		e    store.Event
		data []byte
	)
	err := row.Scan((*[16]byte)(&e.JobID), &e.Seq, (*string)(&e.Type), &e.At, &data)
	e.Data = json.RawMessage(data)
	return e, err
}

// File returns a file and where its bytes lie.
func (s *Store) File(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (jobs.File, store.Content, error) {
	const sql = `SELECT ` + fileColumns + ` FROM files f WHERE f.id = $1 AND f.tenant = $2`
	var scan fileScan
	err := s.do(ctx, "file", func(ctx context.Context) error {
		return found(s.pool.QueryRow(ctx, sql, [16]byte(id), string(tenant)).Scan(scan.targets()...))
	})
	file, content := scan.get()
	return file, content, err
}

// Artifact returns a job's artifact and where its bytes lie.
func (s *Store) Artifact(ctx context.Context, tenant jobs.Tenant, job uuid.UUID, name string) (jobs.Artifact, store.Content, error) {
	const sql = `
		SELECT a.name, a.media_type, a.size, a.sha256, a.content, a.blob_key
		FROM artifacts a JOIN jobs j ON j.id = a.job_id
		WHERE a.job_id = $1 AND a.name = $2 AND j.tenant = $3`
	var (
		a       jobs.Artifact
		content store.Content
	)
	err := s.do(ctx, "artifact", func(ctx context.Context) error {
		return found(s.pool.QueryRow(ctx, sql, [16]byte(job), name, string(tenant)).Scan(
			&a.Name, &a.MediaType, &a.Size, (*hash)(&a.SHA256), &content.Inline, (*zeronull.UUID)(&content.BlobKey)))
	})
	return a, content, err
}
