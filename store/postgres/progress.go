package postgres

import (
	"context"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

// Progress records how far runs are.
func (s *Store) Progress(ctx context.Context, progress []store.RunProgress) ([]uuid.UUID, error) {
	const sql = `
		WITH run AS MATERIALIZED (
			SELECT j.id, r.claim, r.progress
			FROM unnest($1::uuid[], $2::uuid[], $3::real[]) r (job_id, claim, progress)
				JOIN jobs j ON j.id = r.job_id AND j.claim = r.claim
			ORDER BY j.id
			FOR UPDATE OF j
		), moved AS (
			UPDATE jobs j SET progress = r.progress FROM run r WHERE j.id = r.id
		)
		SELECT claim FROM unnest($2::uuid[]) r (claim) EXCEPT SELECT claim FROM run`
	if len(progress) == 0 {
		return nil, nil
	}
	n := len(progress)
	jobIDs, claims, shares := make(uuidArray, n), make(uuidArray, n), make([]float32, n)
	for i, p := range progress {
		jobIDs[i], claims[i], shares[i] = p.JobID, p.Claim, float32(min(max(p.Progress, 0), 1))
	}
	return read(ctx, s, "progress", scanID, sql, jobIDs, claims, shares)
}

// HoldBlob records that a live run owns a blob.
func (s *Store) HoldBlob(ctx context.Context, job, claim, key uuid.UUID) error {
	const sql = `
		INSERT INTO blobs AS b (key, held_job, held_claim)
		SELECT $3, $1, $2 WHERE EXISTS (SELECT FROM jobs WHERE id = $1 AND claim = $2)
		ON CONFLICT (key) DO UPDATE SET held_job = $1 WHERE b.held_job = $1 AND b.held_claim = $2`
	n, err := s.exec(ctx, "hold a blob", sql, [16]byte(job), [16]byte(claim), [16]byte(key))
	if err == nil && n == 0 {
		return store.ErrClaimLost
	}
	return err
}
