package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// treeSQL finds the jobs on the file $1 and all that they have spawned, and how deep they lie below it.
const treeSQL = `WITH RECURSIVE tree (id, depth) AS (
		SELECT id, 0 FROM jobs WHERE file_id = $1
		UNION ALL
		SELECT j.id, t.depth + 1 FROM tree t JOIN jobs j ON j.parent_id = t.id
	)`

// DeleteFile deletes a file and what was made of it, at most limit jobs of it.
func (s *Store) DeleteFile(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, by store.Actor, limit int) (store.Deleted, error) {
	const (
		file  = `SELECT ` + fileColumns + ` FROM files f WHERE f.id = $1 AND f.tenant = $2 FOR UPDATE`
		state = treeSQL + `
			SELECT coalesce(bool_or(j.finished_at IS NULL), false)
				OR EXISTS (SELECT FROM jobs r JOIN jobs up ON up.id = r.parent_id WHERE r.file_id = $1 AND up.finished_at IS NULL)
			FROM tree t JOIN jobs j ON j.id = t.id`
		last = treeSQL + ` SELECT id FROM tree ORDER BY depth DESC, id LIMIT $2`
		done = `SELECT NOT EXISTS (SELECT FROM files WHERE id = $1)` // it goes with the last job on it, whoever deletes that
		lock = `SELECT id FROM jobs WHERE id = ANY ($1::uuid[]) AND finished_at IS NOT NULL ORDER BY id FOR UPDATE`
	)
	var deleted store.Deleted
	err := s.tx(ctx, "delete a file", func(ctx context.Context, tx pgx.Tx) error {
		deleted = store.Deleted{}
		var scan fileScan
		if err := tx.QueryRow(ctx, file, [16]byte(id), string(tenant)).Scan(scan.targets()...); err != nil {
			return found(err)
		}
		var open bool
		if err := tx.QueryRow(ctx, state, planned, [16]byte(id)).Scan(&open); err != nil {
			return err
		}
		if open {
			return store.ErrInUse
		}
		doomed, err := query(ctx, tx, scanID, last, [16]byte(id), max(limit, 1))
		if err != nil {
			return err
		}
		held, err := query(ctx, tx, scanID, lock, ids(doomed))
		if err != nil {
			return err
		}
		if len(held) < len(doomed) { // one was retried or pruned just now
			return store.ErrInUse
		}
		if deleted.Freed, err = deleteJobs(ctx, tx, doomed); err != nil {
			return err
		}
		deleted.Jobs = len(doomed)
		if err := tx.QueryRow(ctx, done, [16]byte(id)).Scan(&deleted.Done); err != nil || !deleted.Done {
			return err
		}
		gone, _ := scan.get()
		return note(ctx, tx, store.FileDeleted(&gone, by))
	})
	if err != nil {
		return store.Deleted{}, err
	}
	return deleted, nil
}
