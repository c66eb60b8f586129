package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Cancel cancels a job that waits, asks a running one to stop, and of a waiting one cancels what is
// left below it.
func (s *Store) Cancel(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (*jobs.Job, error) {
	state, err := write(ctx, s, func(ctx context.Context, t *tx) (jobs.State, error) {
		r, err := t.loadOf(ctx, tenant, id)
		if err != nil {
			return "", err
		}
		return r.State, t.cancel(ctx, r)
	})
	if err != nil {
		return nil, err
	}
	if state == jobs.Waiting || state == jobs.Cancelled { // cancelled: by a call that did not get to the end
		s.cancelBelow(ctx, []uuid.UUID{id})
	}
	return s.Job(ctx, tenant, id)
}

// cancel cancels one job, or asks its run to stop. A job to which that was done stays as it is.
func (t *tx) cancel(ctx context.Context, r *record) error {
	switch r.State {
	case jobs.Running:
		if r.CancelRequested {
			return nil
		}
		r.CancelRequested = true
		if err := t.tell(ctx, r, store.EventCancelRequested, nil); err != nil {
			return err
		}
		return t.save(ctx, r)
	case jobs.Pending, jobs.Retrying, jobs.Waiting:
		r.State, r.FinishedAt = jobs.Cancelled, t.now
		if err := t.tell(ctx, r, store.EventCancelled, nil); err != nil {
			return err
		}
		t.countState(r.Queue, r.State, 0)
		if err := t.save(ctx, r); err != nil {
			return err
		}
		return t.settleUp(ctx, r.ParentID)
	case jobs.Cancelled:
		return nil
	case jobs.Succeeded, jobs.Failed:
	}
	return &store.StateError{State: r.State, Want: "cancel"}
}

// portionSize bounds the jobs that one transaction cancels or retries.
const portionSize = 500

// cancelBelow cancels the open descendants of cancelled jobs, level by level. What it does not get
// to is left to SettleParents: those above are cancelled, and their callers are told so.
func (s *Store) cancelBelow(ctx context.Context, parents []uuid.UUID) {
	for len(parents) > 0 {
		var next []uuid.UUID
		for _, parent := range parents {
			for {
				found, waiting, err := s.cancelChildren(ctx, parent)
				if err != nil {
					s.log.WarnContext(ctx, "children are left to be cancelled later", "parent", parent, "error", err)
					return
				}
				next = append(next, waiting...)
				if found < portionSize {
					break
				}
			}
		}
		parents = next
	}
}

// cancelChildren cancels some open children of a job, and returns those of them that have children
// of their own.
func (s *Store) cancelChildren(ctx context.Context, parent uuid.UUID) (found int, waiting []uuid.UUID, err error) {
	found, err = solo(ctx, s, func(ctx context.Context, t *tx) (int, error) {
		ids, err := t.ids(ctx, `
			SELECT id FROM jobs INDEXED BY jobs_children
			WHERE parent_id = ? AND state IN ('pending', 'running', 'retrying', 'waiting')
				AND (state <> 'running' OR cancel_requested = 0)
			ORDER BY id LIMIT ?`, key(parent), portionSize)
		if err != nil {
			return 0, fmt.Errorf("find children of job %s: %w", parent, err)
		}
		for _, id := range ids {
			was, err := t.cancelChild(ctx, id)
			if err != nil {
				return 0, err
			}
			if was == jobs.Waiting {
				waiting = append(waiting, id)
			}
		}
		return len(ids), nil
	})
	return found, waiting, err
}

// cancelChild cancels an open job and returns the state in which it was.
func (t *tx) cancelChild(ctx context.Context, id uuid.UUID) (was jobs.State, err error) {
	r, err := t.load(ctx, id)
	if err != nil {
		return "", err
	}
	was = r.State
	return was, t.cancel(ctx, r)
}

// Retry makes a failed or cancelled job pending again, due now. Children of its earlier runs stay;
// it may spawn others.
func (s *Store) Retry(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (*jobs.Job, error) {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		r, err := t.loadOf(ctx, tenant, id)
		if err != nil {
			return err
		}
		return t.retry(ctx, r)
	})
	if err != nil {
		return nil, err
	}
	return s.Job(ctx, tenant, id)
}

func (t *tx) retry(ctx context.Context, r *record) error {
	if !jobs.CanMove(r.State, jobs.Pending) || r.State == jobs.Running {
		return &store.StateError{State: r.State, Want: "retry"}
	}
	if err := t.dropArtifacts(ctx, r.ID); err != nil {
		return err
	}
	r.State = jobs.Pending
	r.Failures, r.Losses, r.CancelRequested = 0, 0, false
	r.FinishedAt, r.Error, r.Result = time.Time{}, nil, nil
	r.Progress, r.ProgressKnown = 0, false
	r.deliverAnew(t.now, 0)
	t.count(tally{queue: r.Queue, arrived: 1})
	if err := t.tell(ctx, r, store.EventRetried, nil); err != nil {
		return err
	}
	return t.save(ctx, r)
}

// dropArtifacts takes away what a run left that succeeded itself, but whose children then failed or
// were cancelled: the next run makes its own. Their blobs become held by a claim that is over, and
// DropHolds finds them.
func (t *tx) dropArtifacts(ctx context.Context, job uuid.UUID) error {
	_, err := t.exec(ctx, `
		UPDATE blobs SET held_job = ?1, held_claim = ?2, created_at = ?3
		WHERE key IN (SELECT blob_key FROM artifacts WHERE job_id = ?1)`, key(job), key(uuid.Nil), micros(t.now))
	if err == nil {
		_, err = t.exec(ctx, `DELETE FROM artifacts WHERE job_id = ?`, key(job))
	}
	if err != nil {
		return fmt.Errorf("drop artifacts of job %s: %w", job, err)
	}
	return nil
}

// CancelJobs cancels at most limit jobs that fit the filter, oldest first.
func (s *Store) CancelJobs(ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, limit int) (int, error) {
	return inPortions(limit, func(limit int) (int, error) {
		var parents []uuid.UUID
		n, err := solo(ctx, s, func(ctx context.Context, t *tx) (n int, err error) {
			n, parents, err = t.cancelOldest(ctx, tenant, filter, limit)
			return n, err
		})
		if err == nil {
			s.cancelBelow(ctx, parents)
		}
		return n, err
	})
}

// cancelOldest cancels a portion of jobs, and returns those of them that have children.
func (t *tx) cancelOldest(
	ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, limit int,
) (n int, parents []uuid.UUID, err error) {
	states := []jobs.State{jobs.Pending, jobs.Retrying, jobs.Running, jobs.Waiting}
	ids, err := t.oldest(ctx, tenant, filter, states, ` AND (j.state <> 'running' OR j.cancel_requested = 0)`, limit)
	if err != nil {
		return 0, nil, err
	}
	for _, id := range ids {
		r, err := t.load(ctx, id)
		if err != nil {
			return 0, nil, err
		}
		if r.State.Ended() { // it waited for one that came before it in the list
			continue
		}
		if r.State == jobs.Waiting {
			parents = append(parents, id)
		}
		if err := t.cancel(ctx, r); err != nil {
			return 0, nil, err
		}
	}
	return len(ids), parents, nil
}

// RetryJobs retries at most limit jobs that fit the filter, oldest first.
func (s *Store) RetryJobs(ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, limit int) (int, error) {
	return inPortions(limit, func(limit int) (int, error) {
		return solo(ctx, s, func(ctx context.Context, t *tx) (int, error) {
			ids, err := t.oldest(ctx, tenant, filter, []jobs.State{jobs.Failed, jobs.Cancelled}, ``, limit)
			if err != nil {
				return 0, err
			}
			for _, id := range ids {
				r, err := t.load(ctx, id)
				if err != nil {
					return 0, err
				}
				if err := t.retry(ctx, r); err != nil {
					return 0, err
				}
			}
			return len(ids), nil
		})
	})
}

// inPortions changes at most limit jobs, in transactions that let others write in between.
func inPortions(limit int, change func(limit int) (int, error)) (int, error) {
	done := 0
	for done < limit {
		portion := min(limit-done, portionSize)
		n, err := change(portion)
		done += n
		if err != nil || n < portion {
			return done, err
		}
	}
	return done, nil
}

// oldest finds the jobs with the smallest IDs that fit the filter and are in one of the states.
func (t *tx) oldest(
	ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, states []jobs.State, also string, limit int,
) ([]uuid.UUID, error) {
	var all []uuid.UUID
	for _, state := range states {
		if filter.State != "" && filter.State != state {
			continue
		}
		one := filter
		one.State = state
		from, args := selection(tenant, one)
		ids, err := t.ids(ctx, `SELECT j.id`+from+also+` ORDER BY j.id LIMIT ?`, append(args, limit)...)
		if err != nil {
			return nil, fmt.Errorf("find %s jobs: %w", state, err)
		}
		all = append(all, ids...)
	}
	slices.SortFunc(all, compareIDs)
	return all[:min(len(all), limit)], nil
}
