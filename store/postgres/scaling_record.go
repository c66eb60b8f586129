package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/store"
)

// ScalingState returns what is known of a target, as it was at one moment.
func (s *Store) ScalingState(ctx context.Context, target string) (store.ScalingState, error) {
	const sql = `
		SELECT s.memory, s.paused_at IS NOT NULL, ` + livePin + `, coalesce(u.day, 0), coalesce(u.week, 0), coalesce(u.month, 0), now()
		FROM (VALUES ($1)) t (target)
			LEFT JOIN scalings s ON s.target = t.target
			CROSS JOIN LATERAL (
				SELECT sum(hours) FILTER (WHERE hour >= date_trunc('day', now(), 'UTC')) AS day,
					sum(hours) FILTER (WHERE hour >= date_trunc('week', now(), 'UTC')) AS week,
					sum(hours) FILTER (WHERE hour >= date_trunc('month', now(), 'UTC')) AS month
				FROM replica_hours
				WHERE target = t.target AND hour >= least(date_trunc('week', now(), 'UTC'), date_trunc('month', now(), 'UTC'))
			) u`
	if err := store.CheckTarget(target); err != nil {
		return store.ScalingState{}, err
	}
	var (
		state store.ScalingState
		pin   pinScan
	)
	err := s.do(ctx, "scaling state", func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, sql, planned, target).Scan((*[]byte)(&state.Memory), &state.Paused, &pin.replicas, &pin.until,
			&state.Day, &state.Week, &state.Month, &state.Now)
	})
	state.Pin = pin.get()
	return state, err
}

// livePin are what pinScan reads of a row s of scalings.
const livePin = `CASE WHEN s.pinned_until > now() THEN s.pinned END, CASE WHEN s.pinned_until > now() THEN s.pinned_until END`

type pinScan struct {
	replicas *int
	until    zeronull.Timestamptz
}

func (s *pinScan) get() *store.Pin {
	if s.replicas == nil {
		return nil
	}
	return &store.Pin{Replicas: *s.replicas, Until: time.Time(s.until)}
}

// RecordDecision appends a decision, or has the last one last longer. The target's row is locked
// first, so that decisions of one target are recorded one after the other.
func (s *Store) RecordDecision(ctx context.Context, target string, d store.NewDecision) (uuid.UUID, error) {
	if err := errors.Join(store.CheckTarget(target), d.Check()); err != nil {
		return uuid.Nil, err
	}
	var id uuid.UUID
	err := s.tx(ctx, "record a decision", func(ctx context.Context, tx pgx.Tx) error {
		last, now, err := lastDecision(ctx, tx, target)
		if err != nil {
			return err
		}
		if id, err = putDecision(ctx, tx, target, last, now, d); err != nil {
			return err
		}
		return putUsage(ctx, tx, target, last.Used(now), store.LastDecision{ID: id, At: now, Current: d.Current}, d.Memory)
	})
	if err != nil {
		return uuid.Nil, err
	}
	return id, nil
}

// lastDecision locks a target's row, which it makes where there is none, and reads the clock behind
// the lock. As in fenced, a leader that is stopped now does not keep its follower waiting.
func lastDecision(ctx context.Context, tx pgx.Tx, target string) (store.LastDecision, time.Time, error) {
	const (
		lock = `SELECT last_decision, last_at, coalesce(last_current, 0), set_config('idle_in_transaction_session_timeout', '1000', true)
			FROM scalings WHERE target = $1 FOR UPDATE`
		add = `INSERT INTO scalings (target) VALUES ($1) ON CONFLICT (target) DO NOTHING`
	)
	var (
		l   store.LastDecision
		now time.Time
	)
	read := func() error {
		return tx.QueryRow(ctx, lock, planned, target).Scan((*zeronull.UUID)(&l.ID), (*zeronull.Timestamptz)(&l.At), &l.Current, nil)
	}
	err := read()
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = tx.Exec(ctx, add, planned, target); err == nil {
			err = read()
		}
	}
	if err == nil {
		err = tx.QueryRow(ctx, `SELECT clock_timestamp()`, planned).Scan(&now)
	}
	return l, now, err
}

func putDecision(ctx context.Context, tx pgx.Tx, target string, last store.LastDecision, now time.Time, d store.NewDecision) (uuid.UUID, error) {
	const (
		again = `UPDATE scaling_decisions SET until = greatest(until, $3) WHERE id = $1 AND same = $2`
		anew  = `INSERT INTO scaling_decisions (id, target, at, until, current, replicas, bound, outcome, same, detail)
			VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9)`
	)
	if last.MayLast(now, d.Same) {
		done, err := tx.Exec(ctx, again, planned, [16]byte(last.ID), d.Same, d.At)
		if err != nil || done.RowsAffected() > 0 {
			return last.ID, err
		}
	}
	id := last.NextID(now)
	_, err := tx.Exec(ctx, anew, planned, [16]byte(id), target, d.At, d.Current, d.Replicas, d.Bound, string(d.Outcome), d.Same, raw(d.Detail))
	return id, err
}

// putUsage adds replica-hours, and writes what the next decision needs to know.
func putUsage(ctx context.Context, tx pgx.Tx, target string, used []store.UsedHours, last store.LastDecision, memory []byte) error {
	const sql = `
		WITH used AS (
			INSERT INTO replica_hours AS h (target, hour, hours)
			SELECT $1, hour, hours FROM unnest($6::timestamptz[], $7::float8[]) u (hour, hours) ORDER BY hour
			ON CONFLICT (target, hour) DO UPDATE SET hours = h.hours + EXCLUDED.hours
		)
		UPDATE scalings SET memory = $2, last_decision = $3, last_at = $4, last_current = $5 WHERE target = $1`
	hours, sums := make([]time.Time, len(used)), make([]float64, len(used))
	for i, u := range used {
		hours[i], sums[i] = u.Hour, u.Hours
	}
	_, err := tx.Exec(ctx, sql, planned, target, raw(memory), [16]byte(last.ID), last.At, last.Current, hours, sums)
	return err
}

// PruneDecisions deletes old decisions, and replica-hours that no month needs any more. It passes
// over decisions that others hold.
func (s *Store) PruneDecisions(ctx context.Context, age time.Duration, limit int) (int, error) {
	const sql = `
		WITH hours AS (
			DELETE FROM replica_hours WHERE (target, hour) IN (
				SELECT h.target, h.hour FROM scalings s JOIN replica_hours h ON h.target = s.target
				WHERE h.hour < now() - $3 * interval '1 microsecond' LIMIT $2
			)
		)
		DELETE FROM scaling_decisions WHERE id = ANY (ARRAY (
			SELECT id FROM scaling_decisions
			WHERE id < ` + idBefore + `
			ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
		))`
	return s.exec(ctx, "prune decisions", sql, age.Microseconds(), limit, store.KeepUsage.Microseconds())
}
