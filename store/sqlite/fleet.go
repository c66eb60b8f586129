package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

// lists gives a worker's lists as they are stored.
func lists(w *store.WorkerStatus) (queues, kinds, runs string, err error) {
	if queues, err = encode(w.Queues); err != nil {
		return "", "", "", err
	}
	if kinds, err = encode(w.Kinds); err != nil {
		return "", "", "", err
	}
	runs, err = encode(w.Runs)
	return queues, kinds, runs, err
}

// Register makes the process known, with its first beat. Repeated, it counts as another beat.
func (s *Store) Register(ctx context.Context, w store.WorkerStatus) error {
	queues, kinds, runs, err := lists(&w)
	if err != nil {
		return fmt.Errorf("register worker %s: %w", w.ID, err)
	}
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `
			INSERT INTO workers (id, label, version, slots, free, queues, kinds, runs, cordoned, draining, registered_at, seen_at)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)
			ON CONFLICT (id) DO UPDATE SET
				label = ?2, version = ?3, slots = ?4, free_before = free, free = ?5, queues = ?6, kinds = ?7, runs = ?8,
				cordoned = ?9, draining = ?10, beats = beats + 1, seen_at = ?11`,
			key(w.ID), w.Label, w.Version, w.Slots, w.Free, queues, kinds, runs, w.Cordoned, w.Draining, micros(t.now))
		if err != nil {
			return fmt.Errorf("register worker %s: %w", w.ID, err)
		}
		return nil
	})
}

// Beat replaces the process's row and returns its orders.
func (s *Store) Beat(ctx context.Context, w store.WorkerStatus) (store.Orders, error) {
	queues, kinds, runs, err := lists(&w)
	if err != nil {
		return store.Orders{}, fmt.Errorf("beat of worker %s: %w", w.ID, err)
	}
	return write(ctx, s, func(ctx context.Context, t *tx) (store.Orders, error) {
		n, err := t.exec(ctx, `
			UPDATE workers SET
				label = ?2, version = ?3, slots = ?4, free_before = free, free = ?5, queues = ?6, kinds = ?7, runs = ?8,
				cordoned = ?9, draining = ?10, beats = beats + 1, seen_at = ?11
			WHERE id = ?1`,
			key(w.ID), w.Label, w.Version, w.Slots, w.Free, queues, kinds, runs, w.Cordoned, w.Draining, micros(t.now))
		if err != nil {
			return store.Orders{}, fmt.Errorf("beat of worker %s: %w", w.ID, err)
		}
		if n == 0 {
			return store.Orders{}, store.ErrWorkerGone
		}
		return t.orders(ctx, w.ID)
	})
}

func (t *tx) orders(ctx context.Context, worker uuid.UUID) (store.Orders, error) {
	var orders store.Orders
	err := t.row(ctx, `
		SELECT coalesce(cordon_until > ?, 0), (SELECT count(*) FROM workers) FROM workers WHERE id = ?`,
		micros(t.now), key(worker)).Scan(&orders.Cordon, &orders.Fleet)
	if err != nil {
		return store.Orders{}, fmt.Errorf("read orders of worker %s: %w", worker, err)
	}
	err = t.each(ctx, func(row scanner) error {
		var run store.RunRef
		if err := row.Scan(intoID{&run.JobID}, intoID{&run.Claim}); err != nil {
			return err
		}
		orders.Cancel = append(orders.Cancel, run)
		return nil
	}, `
		SELECT id, claim FROM jobs INDEXED BY jobs_running
		WHERE state = 'running' AND worker_id = ? AND cancel_requested = 1 ORDER BY id`, key(worker))
	if err != nil {
		return store.Orders{}, fmt.Errorf("read cancelled runs of worker %s: %w", worker, err)
	}
	return orders, nil
}

// Leave forgets the process.
func (s *Store) Leave(ctx context.Context, worker uuid.UUID) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `DELETE FROM workers WHERE id = ?`, key(worker)); err != nil {
			return fmt.Errorf("forget worker %s: %w", worker, err)
		}
		return nil
	})
}

// Cordon tells a process to take nothing new for d, or lifts that when d is 0.
func (s *Store) Cordon(ctx context.Context, worker uuid.UUID, d time.Duration) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		var until time.Time
		if d > 0 {
			until = t.now.Add(d)
		}
		n, err := t.exec(ctx, `UPDATE workers SET cordon_until = ? WHERE id = ?`, microsOrNull(until), key(worker))
		if err != nil {
			return fmt.Errorf("cordon worker %s: %w", worker, err)
		}
		if n == 0 {
			return store.ErrWorkerGone
		}
		return nil
	})
}

// Workers returns every registered process, by ID.
func (s *Store) Workers(ctx context.Context) ([]store.Worker, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.Worker, error) {
		var workers []store.Worker
		err := q.each(ctx, func(row scanner) error {
			w, err := scanWorker(row, q.now)
			workers = append(workers, w)
			return err
		}, `
			SELECT id, label, version, slots, free, free_before, queues, kinds, runs, cordoned, draining, beats,
				cordon_until, registered_at, seen_at
			FROM workers ORDER BY id`)
		if err != nil {
			return nil, fmt.Errorf("read workers: %w", err)
		}
		return workers, nil
	})
}

func scanWorker(row scanner, now time.Time) (store.Worker, error) {
	var w store.Worker
	var queues, kinds, runs sql.RawBytes
	var cordon time.Time
	err := row.Scan(intoID{&w.ID}, &w.Label, &w.Version, &w.Slots, &w.Free, &w.FreeBefore, &queues, &kinds, &runs,
		&w.Cordoned, &w.Draining, &w.Beats, intoTime{&cordon}, intoTime{&w.RegisteredAt}, intoTime{&w.SeenAt})
	if err != nil {
		return w, err
	}
	w.CordonedFor = max(cordon.Sub(now), 0)
	return w, errors.Join(
		json.Unmarshal(queues, &w.Queues), json.Unmarshal(kinds, &w.Kinds), json.Unmarshal(runs, &w.Runs))
}
