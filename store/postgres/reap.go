package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// ReapWorkers forgets processes and takes their runs back.
//
// A claim that a process is granted at this very moment may be seen by neither side: Claim read the
// process's row before it was gone, and the runs are read before the claim is committed. Running
// then shows it as one whose worker is not registered, and ReapRuns takes it.
func (s *Store) ReapWorkers(ctx context.Context, fence store.Lease, beats map[uuid.UUID]int64) (store.Reaped, error) {
	const forget = `DELETE FROM workers w USING unnest($1::uuid[], $2::bigint[]) b (id, beats)
		WHERE w.id = b.id AND w.beats = b.beats RETURNING w.id`
	const held = `SELECT id, claim FROM jobs WHERE state = 'running' AND worker_id = ANY ($1::uuid[])`
	var (
		workers uuidArray
		counts  []int64
		reaped  store.Reaped
		parents []uuid.UUID
	)
	for worker, n := range beats {
		workers, counts = append(workers, worker), append(counts, n)
	}
	err := s.fenced(ctx, "reap workers", fence, func(ctx context.Context, tx pgx.Tx) error {
		gone, err := query(ctx, tx, scanID, forget, workers, counts)
		if err != nil || len(gone) == 0 {
			return err
		}
		runs, err := query(ctx, tx, scanRun, held, ids(gone))
		if err != nil {
			return err
		}
		reaped.Workers = len(gone)
		reaped.Runs, parents, err = s.lose(ctx, tx, runs)
		return err
	})
	if err != nil {
		return store.Reaped{}, err
	}
	s.settleAfter(ctx, parents)
	return reaped, nil
}

// ReapRuns takes runs back.
func (s *Store) ReapRuns(ctx context.Context, fence store.Lease, runs []store.RunRef) (store.Reaped, error) {
	var (
		reaped  store.Reaped
		parents []uuid.UUID
	)
	err := s.fenced(ctx, "reap runs", fence, func(ctx context.Context, tx pgx.Tx) (err error) {
		reaped.Runs, parents, err = s.lose(ctx, tx, runs)
		return err
	})
	if err != nil {
		return store.Reaped{}, err
	}
	s.settleAfter(ctx, parents)
	return reaped, nil
}

// loseSQL takes back those of the runs (jobs $2, claims $3) that hold their claims: it moves their
// jobs as jobs.Settle says of a lost run, and records what happened. $1 is the writer, $4 and $5
// the error. It answers with the new states of the jobs and their parents.
const loseSQL = `
WITH run AS MATERIALIZED (
	SELECT j.id, j.tenant, j.parent_id, j.queue, j.runs, j.events, j.claim, j.worker_id, j.worker_label, j.started_at,
		'lost' AS outcome, 0 AS delay, $4::text AS error_code, $5::text AS error_message,
		CASE WHEN j.cancel_requested THEN 'cancelled' WHEN j.alone THEN 'failed' ELSE 'pending' END AS state
	FROM unnest($2::uuid[], $3::uuid[]) r (job_id, claim)
		JOIN jobs j ON j.id = r.job_id AND j.claim = r.claim
	ORDER BY j.id
	FOR UPDATE OF j
), ended AS (
	UPDATE jobs j SET
		state = r.state, events = j.events + 1, losses = j.losses + 1, ` + released + `,
		generation = CASE WHEN r.state = 'pending' THEN j.generation + 1 ELSE j.generation END,
		run_at = CASE WHEN r.state = 'pending' THEN now() ELSE j.run_at END,
		finished_at = CASE WHEN r.state <> 'pending' THEN now() END,
		error_code = CASE WHEN r.state = 'failed' THEN r.error_code ELSE j.error_code END,
		error_message = CASE WHEN r.state = 'failed' THEN r.error_message ELSE j.error_message END
	FROM run r WHERE j.id = r.id
), ` + recordRuns + `
SELECT state, parent_id FROM run`

// lose takes runs back and returns how many, and the parents of the jobs that ended with it.
func (s *Store) lose(ctx context.Context, tx pgx.Tx, runs []store.RunRef) (int, []uuid.UUID, error) {
	var jobIDs, claims uuidArray
	seen := make(map[store.RunRef]bool, len(runs))
	for _, run := range runs {
		if !seen[run] {
			jobIDs, claims = append(jobIDs, run.JobID), append(claims, run.Claim)
		}
		seen[run] = true
	}
	n := 0
	parents, err := query(ctx, tx, func(row pgx.CollectableRow) (parent uuid.UUID, err error) {
		var state jobs.State
		if err := row.Scan((*string)(&state), (*zeronull.UUID)(&parent)); err != nil || !state.Ended() {
			parent = uuid.Nil
		}
		n++
		return parent, err
	}, loseSQL, s.writer, jobIDs, claims, string(jobs.CodeWorkerLost), "the worker died, or forgot the run")
	return n, known(parents), err
}

func scanRun(row pgx.CollectableRow) (store.RunRef, error) {
	var run store.RunRef
	err := row.Scan((*[16]byte)(&run.JobID), (*[16]byte)(&run.Claim))
	return run, err
}

// Running returns running jobs by ID.
func (s *Store) Running(ctx context.Context, after uuid.UUID, limit int) ([]store.RunningJob, error) {
	const sql = `
		SELECT j.id, j.claim, j.worker_id, EXISTS (SELECT FROM workers w WHERE w.id = j.worker_id)
		FROM jobs j WHERE j.state = 'running' AND j.id > $1 ORDER BY j.id LIMIT $2`
	return read(ctx, s, "running jobs", func(row pgx.CollectableRow) (store.RunningJob, error) {
		var r store.RunningJob
		err := row.Scan((*[16]byte)(&r.JobID), (*[16]byte)(&r.Claim), (*[16]byte)(&r.Worker), &r.Registered)
		return r, err
	}, sql, [16]byte(after), limit)
}
