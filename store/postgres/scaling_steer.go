package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// decisionColumns are what decisionScan reads of a row d of scaling_decisions, which may be the
// missing side of a join.
const decisionColumns = `d.id, d.at, d.until, d.current, d.replicas, d.bound, d.outcome, d.same, d.detail`

// decisionScan is a place to scan decisionColumns to.
type decisionScan struct {
	id                   zeronull.UUID
	at, until            zeronull.Timestamptz
	current, replicas    zeronull.Int4
	bound, outcome, same zeronull.Text
	detail               []byte
}

func (s *decisionScan) targets() []any {
	return []any{&s.id, &s.at, &s.until, &s.current, &s.replicas, &s.bound, &s.outcome, &s.same, &s.detail}
}

func (s *decisionScan) get() store.Decision {
	return store.Decision{
		ID: uuid.UUID(s.id), Until: time.Time(s.until),
		NewDecision: store.NewDecision{
			At: time.Time(s.at), Current: int(s.current), Replicas: int(s.replicas), Bound: string(s.bound),
			Outcome: store.Outcome(s.outcome), Same: string(s.same), Detail: s.detail,
		},
	}
}

// Targets returns every target that the scaler or an operator has used.
func (s *Store) Targets(ctx context.Context, _ jobs.Tenant) ([]store.Target, error) {
	const sql = `SELECT s.target, s.paused_at IS NOT NULL, ` + livePin + `, ` + decisionColumns + `
		FROM scalings s LEFT JOIN scaling_decisions d ON d.id = s.last_decision ORDER BY s.target`
	return read(ctx, s, "targets", scanTarget, sql)
}

func scanTarget(row pgx.CollectableRow) (store.Target, error) {
	var (
		t      store.Target
		pin    pinScan
		latest decisionScan
	)
	err := row.Scan(append([]any{&t.Name, &t.Paused, &pin.replicas, &pin.until}, latest.targets()...)...)
	t.Pin = pin.get()
	if d := latest.get(); d.ID != uuid.Nil {
		t.Latest = &d
	}
	return t, err
}

// Decisions returns a target's decisions, latest first.
func (s *Store) Decisions(ctx context.Context, _ jobs.Tenant, target string, before uuid.UUID, limit int) ([]store.Decision, error) {
	const sql = `SELECT ` + decisionColumns + ` FROM scaling_decisions d WHERE d.target = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3`
	if err := store.CheckTarget(target); err != nil {
		return nil, err
	}
	if before == uuid.Nil {
		before = uuid.Max
	}
	return read(ctx, s, "decisions", scanDecision, sql, target, [16]byte(before), min(max(limit, 0), store.MaxLimit))
}

func scanDecision(row pgx.CollectableRow) (store.Decision, error) {
	var s decisionScan
	err := row.Scan(s.targets()...)
	return s.get(), err
}

// PinScaling makes the number of replicas a fixed one for a while, or ends that.
func (s *Store) PinScaling(ctx context.Context, _ jobs.Tenant, target string, replicas int, d time.Duration) error {
	const (
		unpin = `UPDATE scalings SET pinned = NULL, pinned_until = NULL WHERE target = $1 AND pinned IS NOT NULL`
		pin   = `INSERT INTO scalings (target, pinned, pinned_until) VALUES ($1, $2, now() + $3 * interval '1 microsecond')
			ON CONFLICT (target) DO UPDATE SET pinned = EXCLUDED.pinned, pinned_until = EXCLUDED.pinned_until`
	)
	err := store.CheckTarget(target)
	if err == nil {
		err = store.CheckPin(replicas, d)
	}
	switch {
	case err != nil:
	case replicas < 0:
		_, err = s.exec(ctx, "unpin scaling", unpin, target)
	default:
		_, err = s.exec(ctx, "pin scaling", pin, target, replicas, d.Microseconds())
	}
	return err
}

// PauseScaling makes the scaler change nothing, or lets it go on.
func (s *Store) PauseScaling(ctx context.Context, _ jobs.Tenant, target string, paused bool) error {
	const (
		pause = `INSERT INTO scalings AS s (target, paused_at) VALUES ($1, now())
			ON CONFLICT (target) DO UPDATE SET paused_at = now() WHERE s.paused_at IS NULL`
		resume = `UPDATE scalings SET paused_at = NULL WHERE target = $1 AND paused_at IS NOT NULL`
	)
	if err := store.CheckTarget(target); err != nil {
		return err
	}
	sql := resume
	if paused {
		sql = pause
	}
	_, err := s.exec(ctx, "pause scaling", sql, target)
	return err
}
