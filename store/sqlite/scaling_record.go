package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

// ScalingState returns what is known of a target.
func (s *Store) ScalingState(ctx context.Context, target string) (store.ScalingState, error) {
	if err := store.CheckTarget(target); err != nil {
		return store.ScalingState{}, err
	}
	return read(ctx, s, func(ctx context.Context, q *tx) (store.ScalingState, error) {
		state := store.ScalingState{Now: q.now}
		var pin pinScan
		err := q.row(ctx, `SELECT memory, paused_at IS NOT NULL, pinned, pinned_until FROM scalings WHERE target = ?`, target).
			Scan(intoRaw(&state.Memory), &state.Paused, &pin.replicas, intoTime{&pin.until})
		if errors.Is(err, sql.ErrNoRows) {
			return state, nil
		}
		if err != nil {
			return state, fmt.Errorf("read scaling of %s: %w", target, err)
		}
		state.Pin = pin.at(q.now)
		return state, q.used(ctx, target, &state)
	})
}

// used adds up a target's replica-hours of the present day, week and month.
func (t *tx) used(ctx context.Context, target string, state *store.ScalingState) error {
	year, month, day := t.now.Date()
	today := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	thisWeek := today.AddDate(0, 0, -(int(today.Weekday())+6)%7) // Monday
	thisMonth := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	err := t.row(ctx, `
		SELECT total(hours) FILTER (WHERE hour >= ?), total(hours) FILTER (WHERE hour >= ?), total(hours) FILTER (WHERE hour >= ?)
		FROM replica_hours WHERE target = ? AND hour >= ?`,
		micros(today), micros(thisWeek), micros(thisMonth), target, min(micros(thisWeek), micros(thisMonth))).
		Scan(&state.Day, &state.Week, &state.Month)
	if err != nil {
		return fmt.Errorf("read replica-hours of %s: %w", target, err)
	}
	return nil
}

// pinScan is a place to scan pinned and pinned_until to.
type pinScan struct {
	replicas sql.NullInt64
	until    time.Time
}

// at gives the pin, unless it has ended.
func (s *pinScan) at(now time.Time) *store.Pin {
	if !s.replicas.Valid || !s.until.After(now) {
		return nil
	}
	return &store.Pin{Replicas: int(s.replicas.Int64), Until: s.until}
}

// RecordDecision appends a decision, or has the last one last longer.
func (s *Store) RecordDecision(ctx context.Context, target string, d store.NewDecision) (uuid.UUID, error) {
	if err := errors.Join(store.CheckTarget(target), d.Check()); err != nil {
		return uuid.Nil, err
	}
	return write(ctx, s, func(ctx context.Context, t *tx) (uuid.UUID, error) {
		id, err := t.decide(ctx, target, d)
		if err != nil {
			return uuid.Nil, fmt.Errorf("record a decision on %s: %w", target, err)
		}
		return id, nil
	})
}

func (t *tx) decide(ctx context.Context, target string, d store.NewDecision) (uuid.UUID, error) {
	if _, err := t.exec(ctx, `INSERT INTO scalings (target) VALUES (?) ON CONFLICT (target) DO NOTHING`, target); err != nil {
		return uuid.Nil, err
	}
	var last store.LastDecision
	err := t.row(ctx, `SELECT last_decision, last_at, coalesce(last_current, 0) FROM scalings WHERE target = ?`, target).
		Scan(intoID{&last.ID}, intoTime{&last.At}, &last.Current)
	if err != nil {
		return uuid.Nil, err
	}
	id, err := t.putDecision(ctx, target, last, d)
	if err != nil {
		return uuid.Nil, err
	}
	for _, u := range last.Used(t.now) {
		_, err := t.exec(ctx, `
			INSERT INTO replica_hours (target, hour, hours) VALUES (?, ?, ?)
			ON CONFLICT (target, hour) DO UPDATE SET hours = hours + excluded.hours`, target, micros(u.Hour), u.Hours)
		if err != nil {
			return uuid.Nil, err
		}
	}
	_, err = t.exec(ctx, `UPDATE scalings SET memory = ?, last_decision = ?, last_at = ?, last_current = ? WHERE target = ?`,
		jsonOrNull(d.Memory), key(id), micros(t.now), d.Current, target)
	return id, err
}

// putDecision writes a decision, or that the last one still holds.
func (t *tx) putDecision(ctx context.Context, target string, last store.LastDecision, d store.NewDecision) (uuid.UUID, error) {
	if last.MayLast(t.now, d.Same) {
		n, err := t.exec(ctx, `UPDATE scaling_decisions SET until = max(until, ?) WHERE id = ? AND same = ?`,
			micros(d.At), key(last.ID), d.Same)
		if err != nil || n > 0 {
			return last.ID, err
		}
	}
	id := last.NextID(t.now)
	_, err := t.exec(ctx, `
		INSERT INTO scaling_decisions (id, target, at, until, current, replicas, bound, outcome, same, detail)
		VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
		key(id), target, micros(d.At), d.Current, d.Replicas, d.Bound, string(d.Outcome), d.Same, jsonOrNull(d.Detail))
	return id, err
}

// PruneDecisions deletes decisions older than age, and replica-hours that no month needs any more.
func (s *Store) PruneDecisions(ctx context.Context, age time.Duration, limit int) (int, error) {
	return solo(ctx, s, func(ctx context.Context, t *tx) (int, error) {
		_, err := t.exec(ctx, `
			DELETE FROM replica_hours WHERE (target, hour) IN (
				SELECT h.target, h.hour FROM scalings CROSS JOIN replica_hours h ON h.target = scalings.target
				WHERE h.hour < ? LIMIT ?)`, micros(t.now.Add(-store.KeepUsage)), max(limit, 0))
		if err != nil {
			return 0, fmt.Errorf("prune replica-hours: %w", err)
		}
		n, err := t.exec(ctx, `
			DELETE FROM scaling_decisions WHERE id IN (SELECT id FROM scaling_decisions WHERE id < ? ORDER BY id LIMIT ?)`,
			key(store.IDAt(t.now.Add(-age), uuid.Nil)), max(limit, 0))
		if err != nil {
			return 0, fmt.Errorf("prune decisions: %w", err)
		}
		return n, nil
	})
}
