package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/store"
)

// Register makes a process known, or is one more beat of it.
func (s *Store) Register(ctx context.Context, w store.WorkerStatus) error {
	const sql = `
		INSERT INTO workers AS w (id, label, version, slots, free, queues, kinds, runs, cordoned, draining)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET
			label = $2, version = $3, slots = $4, free = $5, queues = $6, kinds = $7, runs = $8, cordoned = $9, draining = $10,
			free_before = w.free, beats = w.beats + 1, seen_at = now()`
	_, err := s.exec(ctx, "register", sql, statusArgs(w)...)
	return err
}

// Beat replaces a process's row and returns its orders.
func (s *Store) Beat(ctx context.Context, w store.WorkerStatus) (store.Orders, error) {
	const beat = `
		UPDATE workers SET
			label = $2, version = $3, slots = $4, free = $5, queues = $6, kinds = $7, runs = $8, cordoned = $9, draining = $10,
			free_before = free, beats = beats + 1, seen_at = now()
		WHERE id = $1
		RETURNING coalesce(cordon_until > now(), false), (SELECT count(*) FROM workers)`
	const cancel = `SELECT id, claim FROM jobs WHERE worker_id = $1 AND state = 'running' AND cancel_requested ORDER BY id`
	var orders store.Orders
	err := s.do(ctx, "beat", func(ctx context.Context) error {
		err := s.pool.QueryRow(ctx, beat, statusArgs(w)...).Scan(&orders.Cordon, &orders.Fleet)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrWorkerGone
		}
		if err != nil {
			return err
		}
		orders.Cancel, err = query(ctx, s.pool, scanRun, cancel, [16]byte(w.ID))
		return err
	})
	if err != nil {
		return store.Orders{}, err
	}
	return orders, nil
}

func statusArgs(w store.WorkerStatus) []any {
	runs := make(uuidArray, 0, 2*len(w.Runs))
	for _, run := range w.Runs {
		runs = append(runs, run.JobID, run.Claim)
	}
	return []any{
		[16]byte(w.ID), w.Label, w.Version, w.Slots, w.Free, list(w.Queues), list(w.Kinds), runs, w.Cordoned, w.Draining,
	}
}

// list is a list as a parameter that is never NULL.
func list(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// Leave forgets a process.
func (s *Store) Leave(ctx context.Context, worker uuid.UUID) error {
	_, err := s.exec(ctx, "leave", `DELETE FROM workers WHERE id = $1`, [16]byte(worker))
	return err
}

// Cordon tells a process to take nothing new for a while.
func (s *Store) Cordon(ctx context.Context, worker uuid.UUID, d time.Duration) error {
	const sql = `UPDATE workers SET cordon_until = CASE WHEN $2::bigint > 0 THEN now() + $2 * interval '1 microsecond' END WHERE id = $1`
	n, err := s.exec(ctx, "cordon", sql, [16]byte(worker), d.Microseconds())
	if err == nil && n == 0 {
		return store.ErrWorkerGone
	}
	return err
}

// Workers returns every registered process.
func (s *Store) Workers(ctx context.Context) ([]store.Worker, error) {
	const sql = `
		SELECT id, label, version, slots, free, queues, kinds, runs, cordoned, draining, beats, free_before,
			coalesce(greatest(extract(epoch FROM cordon_until - now()) * 1000000, 0), 0)::bigint, registered_at, seen_at
		FROM workers ORDER BY id`
	return read(ctx, s, "workers", scanWorker, sql)
}

func scanWorker(row pgx.CollectableRow) (store.Worker, error) {
	var (
		w        store.Worker
		runs     uuidArray
		cordoned int64
	)
	err := row.Scan((*[16]byte)(&w.ID), &w.Label, &w.Version, &w.Slots, &w.Free, &w.Queues, &w.Kinds, &runs, &w.Cordoned, &w.Draining,
		&w.Beats, &w.FreeBefore, &cordoned, &w.RegisteredAt, &w.SeenAt)
	for i := 0; i+1 < len(runs); i += 2 {
		w.Runs = append(w.Runs, store.RunRef{JobID: runs[i], Claim: runs[i+1]})
	}
	w.CordonedFor = time.Duration(cordoned) * time.Microsecond
	return w, err
}
