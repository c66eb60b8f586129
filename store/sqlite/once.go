package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// takeOnce makes the caller the one that answers, or returns the answer that there is.
func (t *tx) takeOnce(ctx context.Context, tenant jobs.Tenant, once store.Once, hold time.Duration) (*store.Answer, error) {
	n, err := t.exec(ctx, `
		INSERT INTO onces AS o (tenant, key, request, holder, held_until, created_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant, key) DO UPDATE SET request = excluded.request, holder = excluded.holder,
			held_until = excluded.held_until, status = NULL, location = NULL, body = NULL, created_at = excluded.created_at
		WHERE o.created_at < ? OR o.held_until < excluded.created_at AND o.request = excluded.request`,
		string(tenant), once.Key, once.Request[:], key(once.Holder), micros(t.now.Add(hold)), micros(t.now), micros(t.now.Add(-store.KeepOnce)))
	if err != nil {
		return nil, fmt.Errorf("take a request's key: %w", err)
	}
	if n == 1 {
		return nil, nil //nolint:nilnil // there is no answer yet
	}
	var (
		same     bool
		status   sql.NullInt64
		location sql.NullString
		answer   store.Answer
	)
	err = t.row(ctx, `SELECT request = ?, status, location, body FROM onces WHERE tenant = ? AND key = ?`,
		once.Request[:], string(tenant), once.Key).Scan(&same, &status, &location, &answer.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read a request's key: %w", err)
	case !same:
		return nil, store.ErrOtherRequest
	case !status.Valid:
		return nil, store.ErrOnceBusy
	}
	answer.Status, answer.Location = int(status.Int64), location.String
	return &answer, nil
}

// giveOnce keeps the answer of the one.
func (t *tx) giveOnce(ctx context.Context, tenant jobs.Tenant, once store.Once, answer *store.Answer) error {
	body := answer.Body
	if body == nil {
		body = []byte{}
	}
	_, err := t.exec(ctx, `
		UPDATE onces SET status = ?, location = ?, body = ?, held_until = NULL
		WHERE tenant = ? AND key = ? AND holder = ? AND status IS NULL`,
		answer.Status, textOrNull(answer.Location), body, string(tenant), once.Key, key(once.Holder))
	if err != nil {
		return fmt.Errorf("keep an answer: %w", err)
	}
	return nil
}

// BeginOnce makes the caller the one that answers, unless there is an answer.
func (s *Store) BeginOnce(ctx context.Context, tenant jobs.Tenant, once store.Once, hold time.Duration) (*store.Answer, error) {
	return write(ctx, s, func(ctx context.Context, t *tx) (*store.Answer, error) { return t.takeOnce(ctx, tenant, once, hold) })
}

// EndOnce keeps the answer of the one, or with nil lets another be it.
func (s *Store) EndOnce(ctx context.Context, tenant jobs.Tenant, once store.Once, answer *store.Answer) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		if answer != nil {
			return t.giveOnce(ctx, tenant, once, answer)
		}
		_, err := t.exec(ctx, `DELETE FROM onces WHERE tenant = ? AND key = ? AND holder = ? AND status IS NULL`,
			string(tenant), once.Key, key(once.Holder))
		if err != nil {
			return fmt.Errorf("let go of a request's key: %w", err)
		}
		return nil
	})
}

// AcceptOnce commits the files and their jobs with the answer, or returns that of an earlier call.
func (s *Store) AcceptOnce(
	ctx context.Context, tenant jobs.Tenant, once store.Once, uploads []store.Upload, answer func([]store.Accepted) store.Answer,
) ([]store.Accepted, store.Answer, bool, error) {
	type outcome struct {
		accepted []store.Accepted
		given    store.Answer
		replayed bool
	}
	out, err := write(ctx, s, func(ctx context.Context, t *tx) (out outcome, err error) {
		earlier, err := t.takeOnce(ctx, tenant, once, time.Hour) // which no other sees
		if err != nil {
			return out, err
		}
		if earlier != nil {
			return outcome{given: *earlier, replayed: true}, nil
		}
		if out.accepted, err = t.acceptAll(ctx, tenant, uploads); err != nil {
			return out, err
		}
		out.given = answer(out.accepted)
		return out, t.giveOnce(ctx, tenant, once, &out.given)
	})
	return out.accepted, out.given, out.replayed, err
}

// PruneOnces deletes keys of requests older than age.
func (s *Store) PruneOnces(ctx context.Context, age time.Duration, limit int) (int, error) {
	return solo(ctx, s, func(ctx context.Context, t *tx) (int, error) {
		n, err := t.exec(ctx, `
			DELETE FROM onces WHERE (tenant, key) IN (SELECT tenant, key FROM onces WHERE created_at < ? ORDER BY created_at LIMIT ?)`,
			micros(t.now.Add(-age)), max(limit, 0))
		if err != nil {
			return 0, fmt.Errorf("prune keys of requests: %w", err)
		}
		return n, nil
	})
}
