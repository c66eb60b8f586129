package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

// ReapWorkers forgets the processes whose row still has the given number of beats, and takes their
// runs back.
func (s *Store) ReapWorkers(ctx context.Context, fence store.Lease, beats map[uuid.UUID]int64) (store.Reaped, error) {
	return solo(ctx, s, func(ctx context.Context, t *tx) (store.Reaped, error) {
		var reaped store.Reaped
		if err := t.fenced(ctx, fence); err != nil {
			return reaped, err
		}
		for _, worker := range slices.SortedFunc(maps.Keys(beats), compareIDs) {
			n, err := t.exec(ctx, `DELETE FROM workers WHERE id = ? AND beats = ?`, key(worker), beats[worker])
			if err != nil {
				return reaped, fmt.Errorf("forget worker %s: %w", worker, err)
			}
			if n == 0 {
				continue
			}
			reaped.Workers++
			runs, err := t.loseAll(ctx, worker)
			if err != nil {
				return reaped, err
			}
			reaped.Runs += runs
		}
		return reaped, nil
	})
}

func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// loseAll takes all of a worker's runs back.
func (t *tx) loseAll(ctx context.Context, worker uuid.UUID) (int, error) {
	ids, err := t.ids(ctx, `
		SELECT id FROM jobs INDEXED BY jobs_running WHERE state = 'running' AND worker_id = ? ORDER BY id`, key(worker))
	if err != nil {
		return 0, fmt.Errorf("find runs of worker %s: %w", worker, err)
	}
	for _, id := range ids {
		r, err := t.load(ctx, id)
		if err != nil {
			return 0, err
		}
		if err := t.lose(ctx, r); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// Running returns at most limit running jobs whose ID is greater than after, by ID.
func (s *Store) Running(ctx context.Context, after uuid.UUID, limit int) ([]store.RunningJob, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.RunningJob, error) {
		var running []store.RunningJob
		err := q.each(ctx, func(row scanner) error {
			var r store.RunningJob
			if err := row.Scan(intoID{&r.JobID}, intoID{&r.Claim}, intoID{&r.Worker}, &r.Registered); err != nil {
				return err
			}
			running = append(running, r)
			return nil
		}, `
			SELECT j.id, j.claim, j.worker_id, w.id IS NOT NULL
			FROM jobs j INDEXED BY jobs_running LEFT JOIN workers w ON w.id = j.worker_id
			WHERE j.state = 'running' AND j.id > ? ORDER BY j.id LIMIT ?`, key(after), max(limit, 0))
		if err != nil {
			return nil, fmt.Errorf("read running jobs: %w", err)
		}
		return running, nil
	})
}

// ReapRuns takes back the runs that still hold their claims.
func (s *Store) ReapRuns(ctx context.Context, fence store.Lease, runs []store.RunRef) (store.Reaped, error) {
	return solo(ctx, s, func(ctx context.Context, t *tx) (store.Reaped, error) {
		var reaped store.Reaped
		if err := t.fenced(ctx, fence); err != nil {
			return reaped, err
		}
		for _, run := range runs {
			r, err := t.load(ctx, run.JobID)
			if err != nil {
				return reaped, err
			}
			if r == nil || !r.heldBy(run.Claim) {
				continue
			}
			if err := t.lose(ctx, r); err != nil {
				return reaped, err
			}
			reaped.Runs++
		}
		return reaped, nil
	})
}
