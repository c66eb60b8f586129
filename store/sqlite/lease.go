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

// Acquire takes or renews the named lease for ttl.
func (s *Store) Acquire(ctx context.Context, name string, holder uuid.UUID, ttl time.Duration) (store.Lease, time.Duration, error) {
	type answer struct {
		lease store.Lease
		wait  time.Duration
	}
	got, err := write(ctx, s, func(ctx context.Context, t *tx) (answer, error) {
		var present uuid.UUID
		var epoch int64
		var ends time.Time
		err := t.row(ctx, `SELECT holder, epoch, expires_at FROM leases WHERE name = ?`, name).
			Scan(intoID{&present}, &epoch, intoTime{&ends})
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return answer{}, fmt.Errorf("read lease %s: %w", name, err)
		}
		live := ends.After(t.now)
		if live && present != holder {
			return answer{wait: ends.Sub(t.now)}, nil
		}
		if !live {
			epoch++
		}
		_, err = t.exec(ctx, `
			INSERT INTO leases (name, holder, epoch, expires_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, expires_at = excluded.expires_at`,
			name, key(holder), epoch, micros(t.now.Add(ttl)))
		if err != nil {
			return answer{}, fmt.Errorf("write lease %s: %w", name, err)
		}
		return answer{lease: store.Lease{Name: name, Holder: holder, Epoch: epoch}}, nil
	})
	if err == nil && got.lease == (store.Lease{}) {
		err = store.ErrLeaseLost
	}
	return got.lease, got.wait, err
}

// Release ends the lease if it is still the caller's. Its row stays, for the epoch.
func (s *Store) Release(ctx context.Context, lease store.Lease) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE leases SET expires_at = ?1 WHERE name = ?2 AND holder = ?3 AND epoch = ?4 AND expires_at > ?1`,
			micros(t.now), lease.Name, key(lease.Holder), lease.Epoch)
		if err != nil {
			return fmt.Errorf("end lease %s: %w", lease.Name, err)
		}
		return nil
	})
}

// fenced gives store.ErrLeaseLost unless the lease holds. Nobody else can take it before the
// transaction ends.
func (t *tx) fenced(ctx context.Context, lease store.Lease) error {
	var holds bool
	err := t.row(ctx, `
		SELECT EXISTS (SELECT 1 FROM leases WHERE name = ? AND holder = ? AND epoch = ? AND expires_at > ?)`,
		lease.Name, key(lease.Holder), lease.Epoch, micros(t.now)).Scan(&holds)
	if err != nil {
		return fmt.Errorf("check lease %s: %w", lease.Name, err)
	}
	if !holds {
		return store.ErrLeaseLost
	}
	return nil
}
