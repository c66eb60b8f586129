package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

// Progress records the latest share of the work done for each run, and returns the claims that are
// lost.
func (s *Store) Progress(ctx context.Context, progress []store.RunProgress) ([]uuid.UUID, error) {
	if len(progress) == 0 {
		return nil, nil
	}
	return write(ctx, s, func(ctx context.Context, t *tx) ([]uuid.UUID, error) {
		var lost []uuid.UUID
		for _, p := range progress {
			n, err := t.exec(ctx, `UPDATE jobs SET progress = ? WHERE id = ? AND state = 'running' AND claim = ?`,
				share(p.Progress), key(p.JobID), key(p.Claim))
			if err != nil {
				return nil, fmt.Errorf("record progress of job %s: %w", p.JobID, err)
			}
			if n == 0 {
				lost = append(lost, p.Claim)
			}
		}
		return lost, nil
	})
}

// share makes a number a share of 1; what is none is 0.
func share(x float64) float64 {
	if !(x > 0) { // NaN too
		return 0
	}
	return min(x, 1)
}

// HoldBlob records that a live run owns a blob that it is about to write.
func (s *Store) HoldBlob(ctx context.Context, job, claim, blob uuid.UUID) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		r, err := t.load(ctx, job)
		if err != nil {
			return err
		}
		if r == nil || !r.heldBy(claim) {
			return store.ErrClaimLost
		}
		_, err = t.exec(ctx, `
			INSERT INTO blobs (key, held_job, held_claim, created_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (key) DO NOTHING`, key(blob), key(job), key(claim), micros(t.now))
		if err != nil {
			return fmt.Errorf("hold blob %s: %w", blob, err)
		}
		return nil
	})
}

// HandBack returns a delivery that was not claimed.
func (s *Store) HandBack(ctx context.Context, job uuid.UUID, generation int, delay time.Duration) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		r, err := t.load(ctx, job)
		if err != nil {
			return err
		}
		if r == nil || !r.State.Ready() || r.Generation != generation {
			return nil
		}
		r.deliverAnew(t.now, delay)
		return t.save(ctx, r)
	})
}
