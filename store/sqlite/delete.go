package sqlite

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// tree finds the jobs on the file ?1 and all that they have spawned, and how deep they lie below it.
const tree = `
	WITH RECURSIVE tree (id, depth) AS (
		SELECT id, 0 FROM jobs INDEXED BY jobs_file WHERE file_id = ?1
		UNION ALL
		SELECT j.id, t.depth + 1 FROM tree t CROSS JOIN jobs j INDEXED BY jobs_parent ON j.parent_id = t.id
	)`

// DeleteFile deletes a file and what was made of it, at most limit jobs of it.
func (s *Store) DeleteFile(ctx context.Context, tenant jobs.Tenant, id uuid.UUID, by store.Actor, limit int) (store.Deleted, error) {
	return solo(ctx, s, func(ctx context.Context, t *tx) (store.Deleted, error) {
		file, _, err := t.file(ctx, tenant, id)
		if err != nil {
			return store.Deleted{}, err
		}
		var total int
		var open bool
		err = t.row(ctx, tree+`
			SELECT count(*), coalesce(max(j.finished_at IS NULL), 0)
				OR EXISTS (SELECT 1 FROM jobs r INDEXED BY jobs_file JOIN jobs up ON up.id = r.parent_id WHERE r.file_id = ?1 AND up.finished_at IS NULL)
			FROM tree t CROSS JOIN jobs j ON j.id = t.id`, key(id)).Scan(&total, &open)
		switch {
		case err != nil:
			return store.Deleted{}, fmt.Errorf("look at the jobs of file %s: %w", id, err)
		case open:
			return store.Deleted{}, store.ErrInUse
		}
		doomed, err := t.ids(ctx, tree+` SELECT id FROM tree ORDER BY depth DESC, id LIMIT ?2`, key(id), max(limit, 1))
		if err != nil {
			return store.Deleted{}, fmt.Errorf("find the jobs of file %s: %w", id, err)
		}
		deleted := store.Deleted{Jobs: len(doomed), Done: len(doomed) == total}
		for _, job := range doomed {
			freed, err := t.prune(ctx, job)
			if err != nil {
				return store.Deleted{}, fmt.Errorf("delete job %s: %w", job, err)
			}
			deleted.Freed = append(deleted.Freed, freed...)
		}
		if !deleted.Done {
			return deleted, nil
		}
		return deleted, t.note(ctx, store.FileDeleted(&file, by))
	})
}
