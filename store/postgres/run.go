package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// maxTries bounds how often what Postgres gave up as a deadlock's victim is done.
const maxTries = 5

// do runs one statement or transaction under the store's deadline, and again when Postgres undid
// it for the sake of another. Errors come translated.
func (s *Store) do(ctx context.Context, what string, fn func(context.Context) error) error {
	for try := 1; ; try++ {
		err := s.once(ctx, fn)
		if err == nil || try == maxTries || !isUndone(err) {
			return translate(ctx, what, err)
		}
		// Jittered, so that those who met do not meet again.
		pause := time.NewTimer(time.Duration(rand.Int64N(int64(10*time.Millisecond) << try)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return translate(ctx, what, err)
		}
	}
}

func (s *Store) once(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return fn(ctx)
}

// planned has a statement planned each time it runs, for the tables as they are. Those that go
// without it are prepared once for each connection, and keep a plan that may have been made when
// the tables were empty: they are the ones that run so often that planning would cost, and leave the
// planner no choice (equality on a unique index).
const planned = pgx.QueryExecModeCacheDescribe

// querier is a pool or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// prepared runs a statement on q and reads each row of its answer.
func prepared[T any](ctx context.Context, q querier, scan func(pgx.CollectableRow) (T, error), sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// query runs a statement on q, planned for now, and reads each row of its answer.
func query[T any](ctx context.Context, q querier, scan func(pgx.CollectableRow) (T, error), sql string, args ...any) ([]T, error) {
	return prepared(ctx, q, scan, sql, append([]any{planned}, args...)...)
}

// read runs a statement by itself, planned for now, and reads each row of its answer.
func read[T any](ctx context.Context, s *Store, what string, scan func(pgx.CollectableRow) (T, error), sql string, args ...any) ([]T, error) {
	var all []T
	err := s.do(ctx, what, func(ctx context.Context) (err error) {
		all, err = query(ctx, s.pool, scan, sql, args...)
		return err
	})
	return all, err
}

// exec runs a statement by itself, planned for now, and returns how many rows it touched.
func (s *Store) exec(ctx context.Context, what, sql string, args ...any) (int, error) {
	var n int64
	err := s.do(ctx, what, func(ctx context.Context) error {
		tag, err := s.pool.Exec(ctx, sql, append([]any{planned}, args...)...)
		n = tag.RowsAffected()
		return err
	})
	return int(n), err
}

// tx runs fn in a transaction, which is committed when it returns nil.
func (s *Store) tx(ctx context.Context, what string, fn func(context.Context, pgx.Tx) error) error {
	return s.do(ctx, what, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return fn(ctx, tx) })
	})
}

// writers are numbers under which groups that are under way at once count their roll-ups, so that
// none waits for another's row.
type writers chan int32

func newWriters(n int) writers {
	w := make(writers, n)
	for range n {
		w <- newWriter()
	}
	return w
}

func newWriter() int32 { return rand.Int32() }
