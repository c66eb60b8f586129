package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/group"
)

// tx is one transaction. It is used by one goroutine.
type tx struct {
	tx     *sql.Tx
	kept   *statements
	mine   map[string]*sql.Stmt // statements as bound to this transaction
	clock  time.Time            // of its start, as the store's clock gave it
	now    time.Time            // the same in UTC and microseconds, as it is stored
	tally  []tally
	closed bool
}

// begin starts a transaction on one of the pools. The writer's takes the right to write at once.
func (s *Store) begin(ctx context.Context, pool *statements, opts *sql.TxOptions) (*tx, error) {
	if err := pool.prepare(ctx); err != nil {
		return nil, unreachable(err)
	}
	t, err := pool.db.BeginTx(ctx, opts)
	if err != nil {
		return nil, unreachable(err)
	}
	clock := s.now()
	return &tx{
		tx: t, kept: pool, mine: map[string]*sql.Stmt{},
		clock: clock, now: clock.UTC().Truncate(time.Microsecond),
	}, nil
}

// unreachable says of an error that kept a transaction from starting what it means, whatever it is.
func unreachable(err error) error {
	if err = classify(err); errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// rollback gives the transaction up, unless it is over. An error would only say that the database
// had done so by itself.
func (t *tx) rollback() {
	if !t.closed {
		t.closed = true
		_ = t.tx.Rollback() // what it left undone, the connection's next transaction would meet
	}
}

// commit writes the roll-ups and makes everything durable.
func (t *tx) commit(ctx context.Context) error {
	if err := t.rollUp(ctx); err != nil {
		return err
	}
	t.closed = true
	return t.tx.Commit()
}

// bind sees to it that mine has the statement. The transaction closes it at its end.
func (t *tx) bind(ctx context.Context, text string) (err error) {
	if t.mine[text] != nil {
		return nil
	}
	if kept := t.kept.find(text); kept != nil {
		t.mine[text] = t.tx.StmtContext(ctx, kept)
		return nil
	}
	t.mine[text], err = t.tx.PrepareContext(ctx, text) //nolint:sqlclosecheck // the transaction closes it
	return err
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(ctx context.Context, text string, args ...any) (int, error) {
	if err := t.bind(ctx, text); err != nil {
		return 0, err
	}
	result, err := t.mine[text].ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// scanner is one row, or the promise of one.
type scanner interface{ Scan(dest ...any) error }

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// row runs a query for one row. Scanning it gives sql.ErrNoRows when there is none.
func (t *tx) row(ctx context.Context, text string, args ...any) scanner {
	if err := t.bind(ctx, text); err != nil {
		return failedRow{err}
	}
	return t.mine[text].QueryRowContext(ctx, args...)
}

// each runs a query and gives every row to scan.
func (t *tx) each(ctx context.Context, scan func(row scanner) error, text string, args ...any) (err error) {
	if err := t.bind(ctx, text); err != nil {
		return err
	}
	rows, err := t.mine[text].QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// unit is a write that takes effect as a whole or not at all. It may be run a second time after a
// first that was rolled back.
type unit func(ctx context.Context, t *tx) error

// write runs a small write in the next group's transaction and waits until that is durable, or
// until ctx ends.
func write[T any](ctx context.Context, s *Store, run func(ctx context.Context, t *tx) (T, error)) (T, error) {
	out := new(T)
	_, err := s.group.Do(ctx, func(ctx context.Context, t *tx) (err error) {
		*out, err = run(ctx, t)
		return err
	})
	if err != nil {
		var none T
		return none, translate(ctx, err) // and out may be written yet, so it is left alone
	}
	return *out, nil
}

// change is write for those that give nothing back.
func (s *Store) change(ctx context.Context, run unit) error {
	_, err := s.group.Do(ctx, run)
	return translate(ctx, err)
}

// solo runs a large write in a transaction of its own.
func solo[T any](ctx context.Context, s *Store, run func(ctx context.Context, t *tx) (T, error)) (T, error) {
	var out T
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.transact(bounded, func(t *tx) (err error) {
		out, err = run(bounded, t)
		return err
	})
	if err != nil {
		var none T
		return none, translate(ctx, err)
	}
	return out, nil
}

// read runs a query, or several on one state of the database.
func read[T any](ctx context.Context, s *Store, run func(ctx context.Context, q *tx) (T, error)) (T, error) {
	var none T
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	q, err := s.begin(bounded, s.reads, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return none, translate(ctx, err)
	}
	defer q.rollback() // which is how a transaction that only read ends
	out, err := run(bounded, q)
	if err != nil {
		return none, translate(ctx, err)
	}
	return out, nil
}

// transact runs a write and commits it, or rolls it back when it fails.
func (s *Store) transact(ctx context.Context, run func(t *tx) error) error {
	t, err := s.begin(ctx, s.writes, nil)
	if err != nil {
		return err
	}
	defer t.rollback()
	if err := run(t); err != nil {
		return err
	}
	return t.commit(ctx)
}

// errReplay: a unit of a group failed on its own account, so the group is done again with each unit
// behind a savepoint. Groups in which nothing fails, and most are, do without savepoints.
var errReplay = errors.New("sqlite: group must be replayed")

// runGroup runs units that came together in one transaction.
func (s *Store) runGroup(ctx context.Context, units []unit) []group.Verdict[struct{}] {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	verdicts, err := s.attemptGroup(ctx, units, false)
	if errors.Is(err, errReplay) {
		verdicts, err = s.attemptGroup(ctx, units, true)
	}
	if err != nil {
		return group.All[struct{}](len(units), classify(err))
	}
	return verdicts
}

func (s *Store) attemptGroup(ctx context.Context, units []unit, guarded bool) ([]group.Verdict[struct{}], error) {
	verdicts := make([]group.Verdict[struct{}], len(units))
	// A unit's statements wait for nothing but the disk, so a watch over each, which costs more than
	// many of them, could end none early. When the time runs out, the transaction is rolled back and
	// the next statement finds it so.
	unwatched := context.WithoutCancel(ctx)
	err := s.transact(ctx, func(t *tx) error {
		for i, u := range units {
			var err error
			if guarded {
				err = t.guard(unwatched, u)
			} else {
				err = u(unwatched, t)
			}
			switch {
			case err == nil:
			case breaks(err):
				return err
			case !guarded && len(units) == 1:
				return err
			case !guarded:
				return errReplay
			}
			verdicts[i].Err = err
		}
		return nil
	})
	return verdicts, err
}

// guard runs a unit so that nothing is left of it when it fails.
func (t *tx) guard(ctx context.Context, u unit) error {
	counted := len(t.tally)
	if _, err := t.exec(ctx, `SAVEPOINT unit`); err != nil {
		return err
	}
	failed := u(ctx, t)
	if failed != nil {
		t.tally = t.tally[:counted]
		if breaks(failed) {
			return failed
		}
		if _, err := t.exec(ctx, `ROLLBACK TO unit`); err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, `RELEASE unit`); err != nil {
		return err
	}
	return failed
}
