package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/store"
)

const (
	// open is the condition that row c of jobs is somebody's child and has not ended.
	open = `c.parent_id IS NOT NULL AND c.state IN ('pending', 'running', 'retrying', 'waiting')`
	// openChild is the same for the children of row p.
	openChild = open + ` AND c.parent_id = p.id`
	// hasOpen is the condition that row p has such a child. OFFSET keeps the planner from joining
	// all with all.
	hasOpen = `EXISTS (SELECT FROM jobs c WHERE ` + openChild + ` OFFSET 0)`
	// untold leaves out those that were asked to stop.
	untold = ` AND NOT (c.state = 'running' AND c.cancel_requested)`
)

// settleSQL moves those of the jobs $2 that wait and have no open child to where jobs.SettleParent
// says. Only the children of the latest run can fail it: a job that was retried by hand is not held
// to those that failed it before. They are counted when there is nothing left to wait for, so that
// the end of each of many children costs one look. $1 is the writer. It answers with the parents of
// what it moved.
const settleSQL = `
WITH parent AS MATERIALIZED (
	SELECT p.id, p.tenant, p.queue, p.parent_id, p.events, p.fail_with_children,
		(SELECT count(*) FROM jobs c WHERE c.parent_id = p.id AND c.state = 'failed' AND c.created_at >= p.started_at) AS failed
	FROM jobs p
	WHERE p.id = ANY ($2::uuid[]) AND p.state = 'waiting' AND NOT ` + hasOpen + `
	ORDER BY p.id
	FOR UPDATE OF p
), verdict AS MATERIALIZED (
	SELECT *, CASE WHEN failed > 0 AND fail_with_children THEN 'failed' ELSE 'succeeded' END AS state FROM parent
), settled AS (
	UPDATE jobs j SET state = v.state, finished_at = now(), events = j.events + 1, ` + released + `,
		error_code = CASE WHEN v.state = 'failed' THEN 'children_failed' END,
		error_message = CASE WHEN v.state = 'failed' THEN v.failed || ' of its children failed' END
	FROM verdict v WHERE j.id = v.id
), event AS (
	INSERT INTO events (job_id, seq, tenant, type, data)
	SELECT id, events + 1, tenant, 'settled', ('{"state":"' || state || '"}')::json FROM verdict
), counted AS (
	INSERT INTO rollups (queue, bucket, writer, succeeded, failed)
	SELECT queue, ` + bucket + `, $1, count(*) FILTER (WHERE state = 'succeeded'), count(*) FILTER (WHERE state = 'failed')
	FROM verdict GROUP BY queue ORDER BY queue
	ON CONFLICT (bucket, queue, writer) DO UPDATE SET
		succeeded = rollups.succeeded + EXCLUDED.succeeded, failed = rollups.failed + EXCLUDED.failed
)
SELECT parent_id FROM verdict`

// settleAfter settles the parents of jobs that have just ended, then theirs, and so on. What it
// cannot reach now is left to SettleParents: the ends are committed, and their callers are told so.
func (s *Store) settleAfter(ctx context.Context, parents []uuid.UUID) {
	for len(parents) > 0 {
		var err error
		if parents, err = read(ctx, s, "settle", scanParent, settleSQL, s.writer, ids(parents)); err != nil {
			s.log.WarnContext(ctx, "parents are left to be settled later", "error", err)
			return
		}
		parents = known(parents)
	}
}

// scanParent reads a row of one ID that may be NULL.
func scanParent(row pgx.CollectableRow) (uuid.UUID, error) {
	var id uuid.UUID
	err := row.Scan((*zeronull.UUID)(&id))
	return id, err
}

// known leaves the IDs that are not uuid.Nil.
func known(list []uuid.UUID) []uuid.UUID {
	kept := list[:0]
	for _, id := range list {
		if id != uuid.Nil {
			kept = append(kept, id)
		}
	}
	return kept
}

// SettleParents picks up what a crash left between a child's end and its parent's, or between a
// parent's cancellation and its children's.
func (s *Store) SettleParents(ctx context.Context, fence store.Lease, limit int) (int, error) {
	settled, err := s.settleWaiting(ctx, fence, limit)
	if err != nil {
		return 0, err
	}
	cancelled, err := s.cancelLeft(ctx, fence, limit)
	return settled + cancelled, err
}

// settleWaiting settles at most limit waiting jobs that have no open child, and what is above them.
func (s *Store) settleWaiting(ctx context.Context, fence store.Lease, limit int) (int, error) {
	const sql = `SELECT p.id FROM jobs p WHERE p.state = 'waiting' AND NOT ` + hasOpen + `
		ORDER BY p.id LIMIT $1`
	var parents []uuid.UUID
	n := 0
	err := s.fenced(ctx, "settle parents", fence, func(ctx context.Context, tx pgx.Tx) error {
		found, err := query(ctx, tx, scanID, sql, limit)
		if err != nil || len(found) == 0 {
			return err
		}
		parents, err = query(ctx, tx, scanParent, settleSQL, s.writer, ids(found))
		n = len(parents)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.settleAfter(ctx, known(parents))
	return n, nil
}

// cancelLeft cancels at most limit open children of cancelled jobs. It steps from one job with open
// children to the next, so that it does not read all children.
func (s *Store) cancelLeft(ctx context.Context, fence store.Lease, limit int) (int, error) {
	const left = `
		WITH RECURSIVE parent (id) AS (
			(SELECT c.parent_id FROM jobs c WHERE ` + open + ` ORDER BY c.parent_id LIMIT 1)
			UNION ALL
			SELECT (SELECT c.parent_id FROM jobs c WHERE ` + open + ` AND c.parent_id > parent.id ORDER BY c.parent_id LIMIT 1)
			FROM parent WHERE parent.id IS NOT NULL
		), p AS MATERIALIZED (
			SELECT jobs.id FROM parent JOIN jobs ON jobs.id = parent.id WHERE jobs.state = 'cancelled'
		)
		SELECT c.id FROM p JOIN jobs c ON ` + openChild + untold + ` LIMIT $1`
	n := 0
	err := s.fenced(ctx, "cancel children", fence, func(ctx context.Context, tx pgx.Tx) error {
		children, err := query(ctx, tx, scanID, left, limit)
		if err != nil || len(children) == 0 {
			return err
		}
		cancelled, err := query(ctx, tx, scanCancelled, cancelSQL, s.writer, ids(children), nil)
		n = len(cancelled)
		return err
	})
	return n, err
}
