package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// The statements below lock jobs by their IDs alone, and judge what they have locked: a condition on
// the state beside the ID could make the planner read the index of all jobs in that state.

// cancelSQL cancels those of the jobs $2 (of tenant $3, unless that is NULL) that wait, and asks
// the running ones to stop. $1 is the writer. It answers with a row for each job that it changed:
// the state in which that was, and its parent. (As to the columns that stay as they are in the row
// that is locked, see released.)
const cancelSQL = `
WITH known AS MATERIALIZED (
	SELECT id, tenant, parent_id, queue, events, state, worker_id, claim, cancel_requested
	FROM jobs WHERE id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE
), job AS MATERIALIZED (
	SELECT * FROM known
	WHERE tenant = coalesce($3, tenant)
		AND (state IN ('pending', 'retrying', 'waiting') OR state = 'running' AND NOT cancel_requested)
), moved AS (
	UPDATE jobs j SET
		state = CASE WHEN job.state = 'running' THEN job.state ELSE 'cancelled' END,
		worker_id = job.worker_id, claim = job.claim,
		finished_at = CASE WHEN job.state = 'running' THEN NULL ELSE now() END,
		cancel_requested = j.cancel_requested OR job.state = 'running',
		events = j.events + 1
	FROM job WHERE j.id = job.id
), event AS (
	INSERT INTO events (job_id, seq, tenant, type)
	SELECT id, events + 1, tenant, CASE WHEN state = 'running' THEN 'cancel_requested' ELSE 'cancelled' END FROM job
), counted AS (
	INSERT INTO rollups (queue, bucket, writer, cancelled)
	SELECT queue, ` + bucket + `, $1, count(*) FROM job WHERE state <> 'running' GROUP BY queue ORDER BY queue
	ON CONFLICT (bucket, queue, writer) DO UPDATE SET cancelled = rollups.cancelled + EXCLUDED.cancelled
)
SELECT id, state, parent_id FROM job`

// cancelled is a job that cancelSQL has changed.
type cancelled struct {
	id     uuid.UUID
	was    jobs.State
	parent uuid.UUID
}

func scanCancelled(row pgx.CollectableRow) (cancelled, error) {
	var c cancelled
	err := row.Scan((*[16]byte)(&c.id), (*string)(&c.was), (*zeronull.UUID)(&c.parent))
	return c, err
}

// retrySQL makes those of the jobs $2 (of tenant $3) that failed or were cancelled pending again.
// Artifacts of a success that was undone by its children go; their blobs become as if held by a run
// that is over, for DropHolds to find. Children stay. $1 is the writer: to the roll-ups, a job that is
// retried by hand arrives anew. It answers with the jobs.
const retrySQL = `
WITH known AS MATERIALIZED (
	SELECT id, tenant, queue, state, events FROM jobs WHERE id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE
), job AS MATERIALIZED (
	SELECT * FROM known WHERE tenant = $3 AND state IN ('failed', 'cancelled')
), artifact AS (
	DELETE FROM artifacts a USING job WHERE a.job_id = job.id RETURNING a.job_id, a.blob_key
), blob AS (
	UPDATE blobs b SET held_job = a.job_id, held_claim = gen_random_uuid(), created_at = now()
	FROM artifact a WHERE b.key = a.blob_key
), moved AS (
	UPDATE jobs j SET state = 'pending', generation = j.generation + 1, run_at = now(), events = j.events + 1, ` + released + `,
		failures = 0, losses = 0, cancel_requested = false, progress = NULL, finished_at = NULL,
		error_code = NULL, error_message = NULL, result = NULL
	FROM job WHERE j.id = job.id
), event AS (
	INSERT INTO events (job_id, seq, tenant, type) SELECT id, events + 1, tenant, 'retried' FROM job
), counted AS (
	INSERT INTO rollups (queue, bucket, writer, arrived)
	SELECT queue, ` + bucket + `, $1, count(*) FROM job GROUP BY queue ORDER BY queue
	ON CONFLICT (bucket, queue, writer) DO UPDATE SET arrived = rollups.arrived + EXCLUDED.arrived
)
SELECT id FROM job`

// Cancel cancels a job, or asks it to stop.
func (s *Store) Cancel(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (*jobs.Job, error) {
	return s.control(ctx, tenant, id, order{
		name: "cancel",
		give: s.cancel,
		done: func(job *jobs.Job) bool {
			return job.State == jobs.Cancelled || job.State == jobs.Running && job.CancelRequested
		},
		allowed: func(state jobs.State) bool { return !state.Ended() },
	})
}

// Retry makes a failed or cancelled job pending again.
func (s *Store) Retry(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (*jobs.Job, error) {
	return s.control(ctx, tenant, id, order{
		name:    "retry",
		give:    s.retry,
		done:    func(*jobs.Job) bool { return false },
		allowed: func(state jobs.State) bool { return jobs.CanMove(state, jobs.Pending) && state.Ended() },
	})
}

// order is something that can be asked of a job.
type order struct {
	name    string
	give    func(context.Context, jobs.Tenant, []uuid.UUID) (int, error)
	done    func(*jobs.Job) bool  // there is nothing left to do
	allowed func(jobs.State) bool // it can be done in this state
}

// control gives an order to one job and returns the job. An order that finds nothing to do is given
// again if the job has moved since to where it can be done.
func (s *Store) control(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, o order) (*jobs.Job, error) {
	for try := 1; ; try++ {
		n, err := o.give(ctx, tenant, []uuid.UUID{id})
		if err != nil {
			return nil, err
		}
		job, err := s.Job(ctx, tenant, id)
		switch {
		case err != nil:
			return nil, err
		case n > 0 || o.done(job):
			return job, nil
		case !o.allowed(job.State) || try == maxTries:
			return nil, &store.StateError{State: job.State, Want: o.name}
		}
	}
}

// cancel cancels jobs, with what is below those that waited, and settles what is above.
func (s *Store) cancel(ctx context.Context, tenant jobs.Tenant, list []uuid.UUID) (int, error) {
	changed, err := read(ctx, s, "cancel", scanCancelled, cancelSQL, s.writer, ids(list), string(tenant))
	if err != nil {
		return 0, err
	}
	var waited, parents []uuid.UUID
	for _, c := range changed {
		if c.was == jobs.Waiting {
			waited = append(waited, c.id)
		}
		if c.was != jobs.Running {
			parents = append(parents, c.parent)
		}
	}
	if err := s.cancelBelow(ctx, tenant, waited); err != nil {
		s.log.WarnContext(ctx, "children are left to be cancelled later", "error", err)
	}
	s.settleAfter(ctx, known(parents))
	return len(changed), nil
}

// portionSize is how many jobs one transaction changes.
const portionSize = 1000

// cancelBelow cancels the open children of jobs that have been cancelled, level by level. What it
// does not reach is left to SettleParents.
func (s *Store) cancelBelow(ctx context.Context, tenant jobs.Tenant, parents []uuid.UUID) error {
	const children = `SELECT c.id FROM unnest($1::uuid[]) p (id) JOIN jobs c ON ` + openChild + untold + ` LIMIT $2`
	for len(parents) > 0 {
		list, err := read(ctx, s, "cancel children", scanID, children, ids(parents), portionSize)
		if err != nil || len(list) == 0 {
			return err
		}
		if _, err := s.cancel(ctx, tenant, list); err != nil {
			return err
		}
	}
	return nil
}

// retry makes failed and cancelled jobs pending again.
func (s *Store) retry(ctx context.Context, tenant jobs.Tenant, list []uuid.UUID) (int, error) {
	moved, err := read(ctx, s, "retry", scanID, retrySQL, s.writer, ids(list), string(tenant))
	return len(moved), err
}

// CancelJobs cancels the jobs that fit a filter, oldest first.
func (s *Store) CancelJobs(ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, limit int) (int, error) {
	return s.bulk(ctx, tenant, filter, limit, s.cancel,
		jobs.Pending, jobs.Running, jobs.Retrying, jobs.Waiting)
}

// RetryJobs retries the jobs that fit a filter, oldest first.
func (s *Store) RetryJobs(ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, limit int) (int, error) {
	return s.bulk(ctx, tenant, filter, limit, s.retry, jobs.Failed, jobs.Cancelled)
}

// bulk gives an order to jobs that fit a filter and are in one of the states, in portions, until
// there are limit or no more. It gives up on what others keep changing under it.
func (s *Store) bulk(ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, limit int,
	give func(context.Context, jobs.Tenant, []uuid.UUID) (int, error), states ...jobs.State,
) (int, error) {
	if filter.State != "" {
		states = slices.DeleteFunc(states, func(s jobs.State) bool { return s != filter.State })
	}
	done := 0
	for idle := 0; len(states) > 0 && done < limit && idle < maxTries; {
		sql, args := oldest(tenant, filter, states, min(limit-done, portionSize))
		list, err := read(ctx, s, "find jobs", scanID, sql, args...)
		if err != nil || len(list) == 0 {
			return done, err
		}
		n, err := give(ctx, tenant, list)
		if err != nil {
			return done, err
		}
		done += n
		if idle++; n > 0 {
			idle = 0
		}
	}
	return done, nil
}

// oldest asks for the oldest jobs in the given states that an order would change. Each state is
// asked for apart, since an index has the jobs of one state in order, and not those of several.
func oldest(tenant jobs.Tenant, filter store.JobFilter, states []jobs.State, limit int) (string, []any) {
	filter.State = ""
	w := where(tenant, filter)
	parts := make([]string, len(states))
	for i, state := range states {
		parts[i] = fmt.Sprintf("(SELECT j.id FROM jobs j WHERE %s AND j.state = '%s' ORDER BY j.id LIMIT %d)", w, state, limit)
		if state == jobs.Running {
			parts[i] = strings.Replace(parts[i], " ORDER", " AND NOT j.cancel_requested ORDER", 1)
		}
	}
	return fmt.Sprintf("SELECT id FROM (%s) j ORDER BY id LIMIT %d", strings.Join(parts, " UNION ALL "), limit), w.args
}
