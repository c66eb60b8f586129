package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// decisionColumns are what decisionScan reads of a row d of scaling_decisions, which may be the
// missing side of a join.
const decisionColumns = `d.id, d.at, d.until, coalesce(d.current, 0), coalesce(d.replicas, 0), coalesce(d.bound, ''),
	coalesce(d.outcome, ''), coalesce(d.same, ''), d.detail`

// intoDecision gives the places to scan decisionColumns to.
func intoDecision(d *store.Decision) []any {
	return []any{
		intoID{&d.ID}, intoTime{&d.At}, intoTime{&d.Until}, &d.Current, &d.Replicas, &d.Bound, &d.Outcome, &d.Same, intoRaw(&d.Detail),
	}
}

// Targets returns every target that the scaler or an operator has used, by name.
func (s *Store) Targets(ctx context.Context, _ jobs.Tenant) ([]store.Target, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.Target, error) {
		var targets []store.Target
		err := q.each(ctx, func(row scanner) error {
			var one store.Target
			var pin pinScan
			var latest store.Decision
			err := row.Scan(append([]any{&one.Name, &one.Paused, &pin.replicas, intoTime{&pin.until}}, intoDecision(&latest)...)...)
			one.Pin = pin.at(q.now)
			if latest.ID != uuid.Nil {
				one.Latest = &latest
			}
			targets = append(targets, one)
			return err
		}, `
			SELECT scalings.target, paused_at IS NOT NULL, pinned, pinned_until, `+decisionColumns+`
			FROM scalings LEFT JOIN scaling_decisions d ON d.id = last_decision ORDER BY scalings.target`)
		if err != nil {
			return nil, fmt.Errorf("read targets: %w", err)
		}
		return targets, nil
	})
}

// Decisions returns a target's decisions, latest first, that are older than the one given.
func (s *Store) Decisions(ctx context.Context, _ jobs.Tenant, target string, before uuid.UUID, limit int) ([]store.Decision, error) {
	if err := store.CheckTarget(target); err != nil {
		return nil, err
	}
	if before == uuid.Nil {
		before = uuid.Max
	}
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.Decision, error) {
		var list []store.Decision
		err := q.each(ctx, func(row scanner) error {
			var d store.Decision
			err := row.Scan(intoDecision(&d)...)
			list = append(list, d)
			return err
		}, `
			SELECT `+decisionColumns+` FROM scaling_decisions d INDEXED BY scaling_decisions_target
			WHERE d.target = ? AND d.id < ? ORDER BY d.id DESC LIMIT ?`,
			target, key(before), min(max(limit, 0), store.MaxLimit))
		if err != nil {
			return nil, fmt.Errorf("read decisions on %s: %w", target, err)
		}
		return list, nil
	})
}

// PinScaling makes the number of replicas a fixed one for d, or ends that.
func (s *Store) PinScaling(ctx context.Context, _ jobs.Tenant, target string, replicas int, d time.Duration) error {
	if err := store.CheckTarget(target); err != nil {
		return err
	}
	if err := store.CheckPin(replicas, d); err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, t *tx) (err error) {
		if replicas < 0 {
			_, err = t.exec(ctx, `UPDATE scalings SET pinned = NULL, pinned_until = NULL WHERE target = ?`, target)
		} else {
			_, err = t.exec(ctx, `
				INSERT INTO scalings (target, pinned, pinned_until) VALUES (?, ?, ?)
				ON CONFLICT (target) DO UPDATE SET pinned = excluded.pinned, pinned_until = excluded.pinned_until`,
				target, replicas, micros(t.now.Add(d)))
		}
		if err != nil {
			return fmt.Errorf("pin %s: %w", target, err)
		}
		return nil
	})
}

// PauseScaling makes the scaler change nothing, or lets it go on.
func (s *Store) PauseScaling(ctx context.Context, _ jobs.Tenant, target string, paused bool) error {
	if err := store.CheckTarget(target); err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, t *tx) (err error) {
		if paused {
			_, err = t.exec(ctx, `
				INSERT INTO scalings (target, paused_at) VALUES (?, ?)
				ON CONFLICT (target) DO UPDATE SET paused_at = coalesce(paused_at, excluded.paused_at)`, target, micros(t.now))
		} else {
			_, err = t.exec(ctx, `UPDATE scalings SET paused_at = NULL WHERE target = ?`, target)
		}
		if err != nil {
			return fmt.Errorf("pause %s: %w", target, err)
		}
		return nil
	})
}
