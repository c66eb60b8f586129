package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/store"
)

const (
	sweepBatch = 500
	// sweepPause lies between two batches, so that sweeping never crowds out the work.
	sweepPause = 50 * time.Millisecond
)

// Retention says how long things are kept that nobody needs for the work any more. Zero keeps them
// for good.
type Retention struct {
	Jobs      time.Duration // after they ended, with attempts, events, artifacts, and files of no other job
	Rollups   time.Duration
	Decisions time.Duration // on scaling
	Audit     time.Duration
	Transfers time.Duration // after they were last touched, finished or not
}

// DefaultRetention keeps ended jobs for 30 days, roll-ups for 14, decisions for 7, the audit for a year,
// and transfers for two days.
func DefaultRetention() Retention {
	const day = 24 * time.Hour
	return Retention{Jobs: 30 * day, Rollups: 14 * day, Decisions: 7 * day, Audit: 365 * day, Transfers: 2 * day}
}

// Ledger is the store as a sweeper sees it.
type Ledger interface {
	store.Sweeper
	// PruneDecisions is store.Scaler's.
	PruneDecisions(ctx context.Context, age time.Duration, limit int) (int, error)
}

// Sweeper deletes what has served its time, and objects in the blob store that belong to nobody.
type Sweeper struct {
	store     Ledger
	blobs     blob.Store
	retention Retention
	every     time.Duration
	log       *slog.Logger
	meter     *Metrics
}

// NewSweeper makes a sweeper that goes round once in every. Its Run is a Duty.
func NewSweeper(s Ledger, blobs blob.Store, retention Retention, every time.Duration, log *slog.Logger, meter *Metrics) *Sweeper {
	return &Sweeper{store: s, blobs: blobs, retention: retention, every: every, log: log, meter: meter}
}

// Run sweeps until ctx ends. A failure is logged and waits for the next round.
func (s *Sweeper) Run(ctx context.Context, _ store.Lease) error {
	for ctx.Err() == nil {
		if err := s.Sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "sweep was cut short, the next one goes on", "error", err)
		}
		pause(ctx, s.every)
	}
	return nil
}

// Sweep goes round once. now is the blob store's idea of the time, for the age of its objects.
func (s *Sweeper) Sweep(ctx context.Context, now time.Time) error {
	return errors.Join(s.pruneRows(ctx), s.dropHolds(ctx), s.sweepOrphans(ctx, now))
}

// pruneRows deletes ended jobs and transfers, with the objects that only they had, old roll-ups and old
// decisions.
func (s *Sweeper) pruneRows(ctx context.Context) error {
	return errors.Join(
		prune(ctx, "jobs", s.retention.Jobs, s.unlinking(func(ctx context.Context, age time.Duration, limit int) (int, []uuid.UUID, error) {
			n, freed, err := s.store.PruneJobs(ctx, age, limit)
			s.meter.pruned(n)
			return n, freed, err
		})),
		prune(ctx, "transfers", s.retention.Transfers, s.unlinking(s.store.PruneTransfers)),
		prune(ctx, "roll-ups", s.retention.Rollups, s.store.PruneRollups),
		prune(ctx, "decisions", s.retention.Decisions, s.store.PruneDecisions),
		prune(ctx, "keys of requests", store.KeepOnce, s.store.PruneOnces),
		prune(ctx, "the audit", s.retention.Audit, s.store.PruneAudit),
	)
}

// prune deletes what is older than age, unless that is 0, batch for batch.
func prune(ctx context.Context, what string, age time.Duration, once func(ctx context.Context, age time.Duration, limit int) (int, error)) error {
	if age <= 0 {
		return nil
	}
	return batches(ctx, func() (int, error) {
		n, err := once(ctx, age, sweepBatch)
		if err != nil {
			return 0, fmt.Errorf("prune %s: %w", what, err)
		}
		return n, nil
	})
}

// unlinking is once, with the objects deleted whose rows it has.
func (s *Sweeper) unlinking(
	once func(ctx context.Context, age time.Duration, limit int) (int, []uuid.UUID, error),
) func(ctx context.Context, age time.Duration, limit int) (int, error) {
	return func(ctx context.Context, age time.Duration, limit int) (int, error) {
		n, freed, err := once(ctx, age, limit)
		if err != nil {
			return 0, err
		}
		return n, s.unlink(ctx, freed)
	}
}

// dropHolds deletes what runs wrote that ended without it.
func (s *Sweeper) dropHolds(ctx context.Context) error {
	return batches(ctx, func() (int, error) {
		freed, err := s.store.DropHolds(ctx, store.SweepGrace, sweepBatch)
		if err != nil {
			return 0, fmt.Errorf("drop holds: %w", err)
		}
		return len(freed), s.unlink(ctx, freed)
	})
}

// sweepOrphans deletes objects that no row owns once they are older than the grace period: what is
// left of uploads that were never committed. It refuses a blob store that is another database's.
func (s *Sweeper) sweepOrphans(ctx context.Context, now time.Time) error {
	mine, err := s.store.Identity(ctx)
	if err != nil {
		return fmt.Errorf("read the store's identity: %w", err)
	}
	marker, err := s.blobs.Identity(ctx)
	if err != nil {
		return fmt.Errorf("read the blob store's marker: %w", err)
	}
	if marker != mine {
		return fmt.Errorf("refusing to sweep: the blob store's marker %s is not this store's %s", marker, mine)
	}
	if temp, ok := s.blobs.(blob.TempSweeper); ok {
		if _, err := temp.SweepTemp(ctx, now.Add(-store.SweepGrace)); err != nil {
			return fmt.Errorf("sweep temporary files: %w", err)
		}
	}
	var after blob.Key
	return batches(ctx, func() (int, error) {
		page, err := s.blobs.List(ctx, after, sweepBatch)
		if err != nil || len(page) == 0 {
			return 0, err
		}
		after = page[len(page)-1].Key
		var old []uuid.UUID
		for _, entry := range page {
			if now.Sub(entry.ModTime) >= store.SweepGrace {
				old = append(old, uuid.UUID(entry.Key))
			}
		}
		if len(old) == 0 {
			return len(page), nil
		}
		orphans, err := s.store.Unowned(ctx, old)
		if err != nil {
			return 0, err
		}
		if len(orphans) > 0 {
			s.log.InfoContext(ctx, "removing objects that belong to no file", "objects", len(orphans))
		}
		return len(page), s.unlink(ctx, orphans)
	})
}

// unlink deletes objects whose rows are gone. What fails is an orphan that a later sweep finds.
func (s *Sweeper) unlink(ctx context.Context, keys []uuid.UUID) error {
	for _, key := range keys {
		if err := s.blobs.Delete(ctx, blob.Key(key)); err != nil {
			return fmt.Errorf("delete blob %s: %w", key, err)
		}
	}
	s.meter.unlinked(len(keys))
	return nil
}

// batches repeats do, with a pause in between, until it did less than a full batch.
func batches(ctx context.Context, do func() (int, error)) error {
	for {
		n, err := do()
		if err != nil {
			return err
		}
		if n < sweepBatch {
			return ctx.Err()
		}
		pause(ctx, sweepPause)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
