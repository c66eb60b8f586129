package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Claim gives the job to the run, or tells why not.
func (s *Store) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	return write(ctx, s, func(ctx context.Context, t *tx) (store.Claimed, error) {
		c, err := t.candidate(ctx, req)
		if err != nil {
			return store.Claimed{}, err
		}
		if c == nil {
			return store.Claimed{Refused: store.RefusedUnknown}, nil
		}
		if c.heldBy(req.Claim) && c.Generation == req.Generation {
			return t.granted(ctx, c)
		}
		switch refusal := c.refusal(req, t.now); refusal {
		case "":
		case store.RefusedKind:
			return store.Claimed{Refused: refusal, Job: jobs.Job{ID: c.ID, Kind: c.Kind}}, nil
		default:
			return store.Claimed{Refused: refusal}, nil
		}
		if err := t.start(ctx, c, req); err != nil {
			return store.Claimed{}, err
		}
		return t.granted(ctx, c)
	})
}

// candidate is a job with what stands in the way of its being claimed.
type candidate struct {
	record
	paused      bool
	workerLabel sql.NullString // of the worker that asks; NULL when it has no row
	cordonUntil time.Time
}

func (t *tx) candidate(ctx context.Context, req store.ClaimRequest) (*candidate, error) {
	c := &candidate{}
	row := t.row(ctx, `
		SELECT`+columns+`, q.paused_at IS NOT NULL, w.label, w.cordon_until
		FROM jobs j
		LEFT JOIN queues q ON q.name = j.queue
		LEFT JOIN workers w ON w.id = ?2
		WHERE j.id = ?1`, key(req.JobID), key(req.Worker))
	err := c.scan(row, &c.paused, &c.workerLabel, intoTime{&c.cordonUntil})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read job %s: %w", req.JobID, err)
	}
	return c, nil
}

// refusal is why the request is not granted; empty when it is.
func (c *candidate) refusal(req store.ClaimRequest, now time.Time) store.Refusal {
	switch {
	case c.Generation != req.Generation, c.State.Ready() && c.RunAt.After(now):
		return store.RefusedStale
	case !c.State.Ready():
		return store.RefusedTaken
	case c.paused:
		return store.RefusedPaused
	case !c.workerLabel.Valid, c.cordonUntil.After(now):
		return store.RefusedWorker
	case !slices.Contains(req.Kinds, c.Kind):
		return store.RefusedKind
	case c.Losses >= jobs.AloneAfter && !req.Alone:
		return store.RefusedCrowd
	}
	return ""
}

func (t *tx) start(ctx context.Context, c *candidate, req store.ClaimRequest) error {
	c.State = jobs.Running
	c.runs++
	c.worker, c.label, c.claim = req.Worker, c.workerLabel.String, req.Claim
	c.alone = req.Alone && c.Losses >= jobs.AloneAfter
	c.StartedAt = t.now
	c.Progress, c.ProgressKnown = 0, false
	data := startedData{Run: c.runs, Worker: req.Worker, Attempt: c.Attempt()}
	if err := t.tell(ctx, &c.record, store.EventStarted, data); err != nil {
		return err
	}
	return t.save(ctx, &c.record)
}

func (t *tx) granted(ctx context.Context, c *candidate) (store.Claimed, error) {
	file, content, err := t.file(ctx, c.Tenant, c.FileID)
	if err != nil {
		return store.Claimed{}, err
	}
	return store.Claimed{Job: c.Job, File: file, Content: content}, nil
}

// file reads a tenant's file. It gives store.ErrNotFound when there is none.
func (t *tx) file(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (jobs.File, store.Content, error) {
	file := jobs.File{ID: id, Tenant: tenant}
	var content store.Content
	err := t.row(ctx, `
		SELECT name, size, sha256, media_type, claimed_type, created_at, blob_key, content
		FROM files WHERE id = ? AND tenant = ?`, key(id), string(tenant)).
		Scan(&file.Name, &file.Size, intoHash{&file.SHA256}, &file.MediaType, &file.ClaimedType,
			intoTime{&file.CreatedAt}, intoID{&content.BlobKey}, &content.Inline)
	if errors.Is(err, sql.ErrNoRows) {
		return jobs.File{}, store.Content{}, store.ErrNotFound
	}
	if err != nil {
		return jobs.File{}, store.Content{}, fmt.Errorf("read file %s: %w", id, err)
	}
	return file, content, nil
}
