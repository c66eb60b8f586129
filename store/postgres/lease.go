package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/store"
)

// Acquire takes or renews a lease. The times are the clock's, not the transaction's start, which
// may lie before the wait for the row's lock.
func (s *Store) Acquire(ctx context.Context, name string, holder uuid.UUID, ttl time.Duration) (store.Lease, time.Duration, error) {
	const take = `
		INSERT INTO leases AS l (name, holder, epoch, expires_at)
		VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 microsecond')
		ON CONFLICT (name) DO UPDATE SET
			holder = EXCLUDED.holder,
			epoch = l.epoch + CASE WHEN l.holder = EXCLUDED.holder AND l.expires_at > clock_timestamp() THEN 0 ELSE 1 END,
			expires_at = clock_timestamp() + $3 * interval '1 microsecond'
		WHERE l.holder = EXCLUDED.holder OR l.expires_at <= clock_timestamp()
		RETURNING epoch`
	const wait = `SELECT greatest(ceil(extract(epoch FROM expires_at - clock_timestamp()) * 1000000), 0)::bigint FROM leases WHERE name = $1`
	lease := store.Lease{Name: name, Holder: holder}
	var left int64
	err := s.do(ctx, "acquire a lease", func(ctx context.Context) error {
		err := s.pool.QueryRow(ctx, take, name, [16]byte(holder), ttl.Microseconds()).Scan(&lease.Epoch)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return s.pool.QueryRow(ctx, wait, name).Scan(&left)
	})
	switch {
	case err != nil:
		return store.Lease{}, 0, err
	case lease.Epoch == 0:
		return store.Lease{}, time.Duration(left) * time.Microsecond, store.ErrLeaseLost
	}
	return lease, 0, nil
}

// Release ends a lease. Its row stays, and with it the epoch.
func (s *Store) Release(ctx context.Context, lease store.Lease) error {
	const sql = `UPDATE leases SET expires_at = clock_timestamp()
		WHERE name = $1 AND holder = $2 AND epoch = $3 AND expires_at > clock_timestamp()`
	_, err := s.exec(ctx, "release a lease", sql, lease.Name, [16]byte(lease.Holder), lease.Epoch)
	return err
}

// fenced runs fn in a transaction during which the lease cannot pass to another. Postgres gives such a
// transaction up when its client says nothing for a second, or a leader that was stopped in the midst
// of one would keep its followers waiting.
func (s *Store) fenced(ctx context.Context, what string, fence store.Lease, fn func(context.Context, pgx.Tx) error) error {
	const sql = `SELECT set_config('idle_in_transaction_session_timeout', '1000', true)
		FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3 AND expires_at > clock_timestamp() FOR SHARE`
	return s.tx(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		held, err := tx.Exec(ctx, sql, fence.Name, [16]byte(fence.Holder), fence.Epoch)
		switch {
		case err != nil:
			return err
		case held.RowsAffected() == 0:
			return store.ErrLeaseLost
		}
		return fn(ctx, tx)
	})
}
