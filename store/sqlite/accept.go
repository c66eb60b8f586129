package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Accept commits the files and their jobs, all of them or none.
func (s *Store) Accept(ctx context.Context, tenant jobs.Tenant, uploads []store.Upload) ([]store.Accepted, error) {
	if len(uploads) == 0 {
		return nil, nil
	}
	return write(ctx, s, func(ctx context.Context, t *tx) ([]store.Accepted, error) { return t.acceptAll(ctx, tenant, uploads) })
}

func (t *tx) acceptAll(ctx context.Context, tenant jobs.Tenant, uploads []store.Upload) ([]store.Accepted, error) {
	accepted := make([]store.Accepted, 0, len(uploads))
	for i := range uploads {
		one, err := t.accept(ctx, tenant, nil, &uploads[i])
		if err != nil {
			return nil, err
		}
		accepted = append(accepted, one)
	}
	return accepted, nil
}

// accept inserts a file and its job, spawned by parent where that is given.
func (t *tx) accept(ctx context.Context, tenant jobs.Tenant, parent *record, up *store.Upload) (store.Accepted, error) {
	file, job := &up.File, &up.Job
	created, parentID := t.now, uuid.Nil
	if parent != nil {
		parentID = parent.ID
		if parent.StartedAt.After(created) { // the clock was set back, yet settle tells runs apart by it
			created = parent.StartedAt
		}
	}
	if err := t.own(ctx, file.BlobKey, file.StoredAt); err != nil {
		return store.Accepted{}, err
	}
	_, err := t.exec(ctx, `
		INSERT INTO files (id, tenant, name, size, sha256, media_type, claimed_type, content, blob_key, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		key(file.ID), string(tenant), file.Name, file.Size, file.SHA256[:], file.MediaType, file.ClaimedType,
		bytesOrNull(file.Content, file.BlobKey), keyOrNull(file.BlobKey), micros(t.now))
	if err != nil {
		return store.Accepted{}, fmt.Errorf("insert file %s: %w", file.ID, err)
	}
	runAt := t.now
	if !job.RunAt.IsZero() {
		runAt = job.RunAt.UTC().Truncate(time.Microsecond)
	}
	_, err = t.exec(ctx, `
		INSERT INTO jobs (id, tenant, file_id, parent_id, kind, kind_version, queue, params, params_hash,
			fail_with_children, budget, max_attempts, events, run_at, created_at, fresh, reuse_key)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?)`,
		key(job.ID), string(tenant), key(file.ID), keyOrNull(parentID), job.Kind, job.KindVersion, job.Queue,
		jsonOrNull(job.Params), job.ParamsHash[:], job.FailWithChildren, jsonOrNull(job.BudgetJSON()), job.MaxAttempts, micros(runAt), micros(created),
		job.Fresh, up.ReuseKey(tenant))
	if err != nil {
		return store.Accepted{}, fmt.Errorf("insert job %s: %w", job.ID, err)
	}
	if err := t.addEvent(ctx, job.ID, 1, tenant, store.EventAccepted, nil); err != nil {
		return store.Accepted{}, err
	}
	t.count(tally{queue: job.Queue, arrived: 1})
	origin, err := t.takeOver(ctx, tenant, up)
	if err != nil {
		return store.Accepted{}, err
	}
	return store.Accepted{
		JobID: job.ID, Generation: 1, RunAt: runAt, Due: origin == uuid.Nil && !runAt.After(t.now), ResultOf: origin,
	}, nil
}

// own makes sure that a blob has its row, no longer held by a run, unless its bytes were stored too
// long ago.
func (t *tx) own(ctx context.Context, blob uuid.UUID, storedAt time.Time) error {
	if blob == uuid.Nil {
		return nil
	}
	if t.clock.Sub(storedAt) > store.MaxBlobAge {
		return store.ErrStale
	}
	_, err := t.exec(ctx, `
		INSERT INTO blobs (key, created_at) VALUES (?, ?)
		ON CONFLICT (key) DO UPDATE SET held_job = NULL, held_claim = NULL`, key(blob), micros(t.now))
	if err != nil {
		return fmt.Errorf("own blob %s: %w", blob, err)
	}
	return nil
}
