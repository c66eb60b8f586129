package sqlite

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// hasOpenChildren tells whether a child of the job has not ended.
func (t *tx) hasOpenChildren(ctx context.Context, id uuid.UUID) (open bool, err error) {
	err = t.row(ctx, `
		SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_children
			WHERE parent_id = ? AND state IN ('pending', 'running', 'retrying', 'waiting'))`, key(id)).Scan(&open)
	if err != nil {
		return false, fmt.Errorf("look for open children of job %s: %w", id, err)
	}
	return open, nil
}

// settleUp moves a waiting job whose children have all ended to where they lead, and then the job
// above it.
func (t *tx) settleUp(ctx context.Context, id uuid.UUID) error {
	for id != uuid.Nil {
		r, err := t.load(ctx, id)
		if err != nil || r == nil || r.State != jobs.Waiting {
			return err
		}
		if open, err := t.hasOpenChildren(ctx, id); err != nil || open {
			return err
		}
		if err := t.settle(ctx, r); err != nil {
			return err
		}
		id = r.ParentID
	}
	return nil
}

// settle moves a waiting job none of whose children is open. Only the children of its latest run
// count: one that was retried by hand is not held to those that failed it before.
func (t *tx) settle(ctx context.Context, r *record) error {
	var failed int
	err := t.row(ctx, `
		SELECT count(*) FROM jobs INDEXED BY jobs_parent
		WHERE parent_id = ? AND state = 'failed' AND created_at >= ?`, key(r.ID), micros(r.StartedAt)).Scan(&failed)
	if err != nil {
		return fmt.Errorf("count failed children of job %s: %w", r.ID, err)
	}
	r.State = jobs.SettleParent(failed, r.failWithChildren)
	if r.State == jobs.Failed {
		r.Error = &jobs.Error{Code: jobs.CodeChildren, Message: fmt.Sprintf("%d of its children failed", failed)}
	}
	r.FinishedAt = t.now
	if err := t.tell(ctx, r, store.EventSettled, settledData{State: r.State}); err != nil {
		return err
	}
	t.countState(r.Queue, r.State, 0)
	return t.save(ctx, r)
}

// SettleParents moves waiting jobs whose children have all ended, and cancels open children of
// cancelled parents.
func (s *Store) SettleParents(ctx context.Context, fence store.Lease, limit int) (int, error) {
	return solo(ctx, s, func(ctx context.Context, t *tx) (int, error) {
		if err := t.fenced(ctx, fence); err != nil {
			return 0, err
		}
		settled, err := t.ids(ctx, `
			SELECT j.id FROM jobs j INDEXED BY jobs_waiting
			WHERE j.state = 'waiting' AND NOT EXISTS (SELECT 1 FROM jobs c INDEXED BY jobs_children
				WHERE c.parent_id = j.id AND c.state IN ('pending', 'running', 'retrying', 'waiting'))
			LIMIT ?`, max(limit, 0))
		if err != nil {
			return 0, fmt.Errorf("find jobs to settle: %w", err)
		}
		for _, id := range settled {
			if err := t.settleUp(ctx, id); err != nil {
				return 0, err
			}
		}
		orphans, err := t.orphans(ctx, max(limit, 0)-len(settled))
		if err != nil {
			return 0, err
		}
		for _, id := range orphans {
			if _, err := t.cancelChild(ctx, id); err != nil {
				return 0, err
			}
		}
		return len(settled) + len(orphans), nil
	})
}

// orphans finds open jobs whose parent is cancelled and which nobody has told so. It steps from one
// parent with open children to the next, so that it does not read all children.
func (t *tx) orphans(ctx context.Context, limit int) ([]uuid.UUID, error) {
	ids, err := t.ids(ctx, `
		WITH RECURSIVE parents (id) AS (
			SELECT min(parent_id) FROM jobs INDEXED BY jobs_children
			WHERE parent_id IS NOT NULL AND state IN ('pending', 'running', 'retrying', 'waiting')
			UNION ALL
			SELECT (SELECT min(c.parent_id) FROM jobs c INDEXED BY jobs_children
				WHERE c.parent_id > parents.id AND c.state IN ('pending', 'running', 'retrying', 'waiting'))
			FROM parents WHERE parents.id IS NOT NULL
		)
		SELECT c.id FROM parents
		CROSS JOIN jobs p ON p.id = parents.id AND p.state = 'cancelled'
		CROSS JOIN jobs c INDEXED BY jobs_children ON c.parent_id = p.id
			AND c.state IN ('pending', 'running', 'retrying', 'waiting')
		WHERE c.state <> 'running' OR c.cancel_requested = 0
		LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("find children of cancelled jobs: %w", err)
	}
	return ids, nil
}

// ids runs a query for IDs.
func (t *tx) ids(ctx context.Context, text string, args ...any) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := t.each(ctx, func(row scanner) error {
		var id uuid.UUID
		if err := row.Scan(intoID{&id}); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	}, text, args...)
	return ids, err
}
