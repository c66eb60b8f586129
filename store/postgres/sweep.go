package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// PruneJobs deletes jobs that ended long ago. It passes over those that others hold.
func (s *Store) PruneJobs(ctx context.Context, age time.Duration, limit int) (n int, freed []uuid.UUID, err error) {
	const old = `
		SELECT p.id FROM jobs p
		WHERE p.finished_at < now() - $1 * interval '1 microsecond'
			AND NOT ` + hasOpen + `
			AND NOT EXISTS (SELECT FROM jobs up WHERE up.id = p.parent_id AND up.finished_at IS NULL OFFSET 0)
		ORDER BY p.finished_at, p.id LIMIT $2
		FOR UPDATE SKIP LOCKED`
	err = s.tx(ctx, "prune jobs", func(ctx context.Context, tx pgx.Tx) error {
		doomed, err := query(ctx, tx, scanID, old, age.Microseconds(), limit)
		if err != nil || len(doomed) == 0 {
			return err
		}
		n = len(doomed)
		freed, err = deleteJobs(ctx, tx, doomed)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return n, freed, nil
}

// deleteJobs deletes jobs with all that is theirs, and returns the keys of the blobs that nothing
// refers to any more.
func deleteJobs(ctx context.Context, tx pgx.Tx, doomed []uuid.UUID) ([]uuid.UUID, error) {
	const (
		records = `
			WITH event AS (DELETE FROM events WHERE job_id = ANY ($1::uuid[])),
				attempt AS (DELETE FROM attempts WHERE job_id = ANY ($1::uuid[]))
			DELETE FROM artifacts WHERE job_id = ANY ($1::uuid[]) RETURNING blob_key`
		job  = `DELETE FROM jobs WHERE id = ANY ($1::uuid[]) RETURNING file_id`
		file = `DELETE FROM files f WHERE f.id = ANY ($1::uuid[]) AND NOT EXISTS (SELECT FROM jobs j WHERE j.file_id = f.id OFFSET 0)
			RETURNING f.blob_key`
		// Whoever shares a blob locks its row first, and finds it gone, or is seen here.
		lock = `SELECT key FROM blobs WHERE key = ANY ($1::uuid[]) ORDER BY key FOR UPDATE`
		blob = `DELETE FROM blobs b WHERE b.key = ANY ($1::uuid[])
			AND NOT EXISTS (SELECT FROM files f WHERE f.blob_key = b.key OFFSET 0)
			AND NOT EXISTS (SELECT FROM artifacts a WHERE a.blob_key = b.key OFFSET 0)
			RETURNING b.key`
	)
	ofArtifacts, err := query(ctx, tx, scanParent, records, ids(doomed))
	if err != nil {
		return nil, err
	}
	files, err := query(ctx, tx, scanID, job, ids(doomed))
	if err != nil {
		return nil, err
	}
	ofFiles, err := query(ctx, tx, scanParent, file, ids(files))
	if err != nil {
		return nil, err
	}
	keys := known(append(ofArtifacts, ofFiles...))
	if len(keys) == 0 {
		return nil, nil
	}
	if _, err := tx.Exec(ctx, lock, ids(keys)); err != nil {
		return nil, err
	}
	return query(ctx, tx, scanID, blob, ids(keys))
}

// PruneRollups deletes old roll-ups.
func (s *Store) PruneRollups(ctx context.Context, age time.Duration, limit int) (int, error) {
	const sql = `
		DELETE FROM rollups WHERE ctid = ANY (ARRAY (
			SELECT ctid FROM rollups WHERE bucket < now() - $1 * interval '1 microsecond' ORDER BY bucket LIMIT $2
		))`
	return s.exec(ctx, "prune roll-ups", sql, age.Microseconds(), limit)
}

// DropHolds deletes blobs that a run held which is over.
func (s *Store) DropHolds(ctx context.Context, age time.Duration, limit int) ([]uuid.UUID, error) {
	const sql = `
		WITH held AS MATERIALIZED (
			SELECT b.key FROM blobs b
			WHERE b.held_claim IS NOT NULL AND b.created_at < now() - $1 * interval '1 microsecond'
				AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = b.held_job AND j.claim = b.held_claim OFFSET 0)
				AND NOT EXISTS (SELECT FROM files f WHERE f.blob_key = b.key OFFSET 0)
				AND NOT EXISTS (SELECT FROM artifacts a WHERE a.blob_key = b.key OFFSET 0)
			ORDER BY b.created_at LIMIT $2
			FOR UPDATE OF b SKIP LOCKED
		)
		DELETE FROM blobs b USING held WHERE b.key = held.key RETURNING b.key`
	return read(ctx, s, "drop holds", scanID, sql, age.Microseconds(), limit)
}

// Unowned returns the keys that have no row.
func (s *Store) Unowned(ctx context.Context, keys []uuid.UUID) ([]uuid.UUID, error) {
	const sql = `SELECT k.key FROM unnest($1::uuid[]) k (key) WHERE NOT EXISTS (SELECT FROM blobs b WHERE b.key = k.key OFFSET 0)`
	if len(keys) == 0 {
		return nil, nil
	}
	return read(ctx, s, "unowned blobs", scanID, sql, ids(keys))
}
