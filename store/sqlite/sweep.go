package sqlite

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// PruneJobs deletes jobs that ended longer ago than age and have no open parent or child, with all
// that belongs to them, and returns the keys of the blobs that nothing refers to now.
func (s *Store) PruneJobs(ctx context.Context, age time.Duration, limit int) (int, []uuid.UUID, error) {
	type pruned struct {
		n     int
		freed []uuid.UUID
	}
	out, err := solo(ctx, s, func(ctx context.Context, t *tx) (pruned, error) {
		ids, err := t.ids(ctx, `
			SELECT j.id FROM jobs j INDEXED BY jobs_ended
			WHERE j.finished_at < ?
				AND NOT EXISTS (SELECT 1 FROM jobs c INDEXED BY jobs_children
					WHERE c.parent_id = j.id AND c.state IN ('pending', 'running', 'retrying', 'waiting'))
				AND NOT EXISTS (SELECT 1 FROM jobs p WHERE p.id = j.parent_id AND p.finished_at IS NULL)
			ORDER BY j.finished_at, j.id LIMIT ?`, micros(t.now.Add(-age)), max(limit, 0))
		if err != nil {
			return pruned{}, fmt.Errorf("find jobs to prune: %w", err)
		}
		p := pruned{n: len(ids)}
		for _, id := range ids {
			freed, err := t.prune(ctx, id)
			if err != nil {
				return pruned{}, fmt.Errorf("prune job %s: %w", id, err)
			}
			p.freed = append(p.freed, freed...)
		}
		return p, nil
	})
	return out.n, out.freed, err
}

// prune deletes one job, its file if no other job is left on it, and the rows of the blobs that
// nothing refers to then, whose keys it returns.
func (t *tx) prune(ctx context.Context, id uuid.UUID) ([]uuid.UUID, error) {
	var file uuid.UUID
	if err := t.row(ctx, `SELECT file_id FROM jobs WHERE id = ?`, key(id)).Scan(intoID{&file}); err != nil {
		return nil, err
	}
	blobs, err := t.ids(ctx, `DELETE FROM artifacts WHERE job_id = ? RETURNING blob_key`, key(id))
	if err != nil {
		return nil, err
	}
	for _, text := range []string{
		`DELETE FROM attempts WHERE job_id = ?`,
		`DELETE FROM events WHERE job_id = ?`,
		`DELETE FROM jobs WHERE id = ?`,
	} {
		if _, err := t.exec(ctx, text, key(id)); err != nil {
			return nil, err
		}
	}
	ofFile, err := t.ids(ctx, `
		DELETE FROM files WHERE id = ?1
			AND NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_file WHERE file_id = ?1)
		RETURNING blob_key`, key(file))
	if err != nil {
		return nil, err
	}
	var freed []uuid.UUID
	for _, blob := range append(blobs, ofFile...) {
		if blob == uuid.Nil { // the bytes were in the row
			continue
		}
		n, err := t.exec(ctx, `DELETE FROM blobs WHERE key = ?1`+unreferenced, key(blob))
		if err != nil {
			return nil, err
		}
		if n == 1 {
			freed = append(freed, blob)
		}
	}
	return freed, nil
}

// unreferenced narrows a statement on blobs to those that nothing refers to.
const unreferenced = `
	AND NOT EXISTS (SELECT 1 FROM files f INDEXED BY files_blob WHERE f.blob_key = blobs.key)
	AND NOT EXISTS (SELECT 1 FROM artifacts a INDEXED BY artifacts_blob WHERE a.blob_key = blobs.key)`

// PruneRollups deletes roll-ups older than age.
func (s *Store) PruneRollups(ctx context.Context, age time.Duration, limit int) (int, error) {
	return solo(ctx, s, func(ctx context.Context, t *tx) (int, error) {
		n, err := t.exec(ctx, `
			DELETE FROM rollups WHERE (bucket, queue) IN (
				SELECT bucket, queue FROM rollups WHERE bucket < ? ORDER BY bucket LIMIT ?)`,
			micros(t.now.Add(-age)), max(limit, 0))
		if err != nil {
			return 0, fmt.Errorf("prune roll-ups: %w", err)
		}
		return n, nil
	})
}

// DropHolds deletes the rows of blobs that a run held which is over, and that nothing refers to,
// once they are older than age; it returns their keys.
func (s *Store) DropHolds(ctx context.Context, age time.Duration, limit int) ([]uuid.UUID, error) {
	return solo(ctx, s, func(ctx context.Context, t *tx) ([]uuid.UUID, error) {
		keys, err := t.ids(ctx, `
			SELECT key FROM blobs INDEXED BY blobs_held
			WHERE held_claim IS NOT NULL AND created_at < ?
				AND NOT EXISTS (SELECT 1 FROM jobs j
					WHERE j.id = held_job AND j.state = 'running' AND j.claim = held_claim)`+unreferenced+`
			ORDER BY created_at LIMIT ?`, micros(t.now.Add(-age)), max(limit, 0))
		if err != nil {
			return nil, fmt.Errorf("find blobs that are held no more: %w", err)
		}
		for _, blob := range keys {
			if _, err := t.exec(ctx, `DELETE FROM blobs WHERE key = ?`, key(blob)); err != nil {
				return nil, fmt.Errorf("drop blob %s: %w", blob, err)
			}
		}
		return keys, nil
	})
}

// Unowned returns those of the keys that have no row.
func (s *Store) Unowned(ctx context.Context, keys []uuid.UUID) ([]uuid.UUID, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	texts := make([]string, len(keys))
	for i, blob := range keys {
		texts[i] = hex.EncodeToString(blob[:])
	}
	list, err := encode(texts)
	if err != nil {
		return nil, err
	}
	return read(ctx, s, func(ctx context.Context, q *tx) ([]uuid.UUID, error) {
		unowned, err := q.ids(ctx, `
			SELECT unhex(value) FROM json_each(?)
			WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE key = unhex(value))`, list)
		if err != nil {
			return nil, fmt.Errorf("look for blobs without a row: %w", err)
		}
		return unowned, nil
	})
}
