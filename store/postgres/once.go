package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// takeOnceSQL makes holder $4 the one that answers to the key $2 of tenant $1, for $5 microseconds, if
// nobody is or the row's time is over ($6 microseconds after it was made). A row that another
// transaction is writing is waited for.
const takeOnceSQL = `
	INSERT INTO onces AS o (tenant, key, request, holder, held_until)
	VALUES ($1, $2, $3, $4, now() + $5 * interval '1 microsecond')
	ON CONFLICT (tenant, key) DO UPDATE SET request = EXCLUDED.request, holder = EXCLUDED.holder,
		held_until = EXCLUDED.held_until, status = NULL, location = NULL, body = NULL, created_at = now()
	WHERE o.created_at < now() - $6 * interval '1 microsecond' OR o.held_until < now() AND o.request = EXCLUDED.request`

// takeOnce makes the caller the one, or returns the answer that there is.
func takeOnce(ctx context.Context, tx pgx.Tx, tenant jobs.Tenant, once store.Once, hold time.Duration) (*store.Answer, error) {
	const look = `SELECT request = $3, status, location, body FROM onces WHERE tenant = $1 AND key = $2`
	tag, err := tx.Exec(ctx, takeOnceSQL, string(tenant), once.Key, once.Request[:], [16]byte(once.Holder),
		hold.Microseconds(), store.KeepOnce.Microseconds())
	if err != nil || tag.RowsAffected() == 1 {
		return nil, err
	}
	var (
		same     bool
		answer   store.Answer
		status   zeronull.Int4
		location zeronull.Text
	)
	err = tx.QueryRow(ctx, look, string(tenant), once.Key, once.Request[:]).Scan(&same, &status, &location, &answer.Body)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // let go, or pruned, since
		return nil, store.ErrOnceBusy
	case err != nil:
		return nil, err
	case !same:
		return nil, store.ErrOtherRequest
	case status == 0:
		return nil, store.ErrOnceBusy
	}
	answer.Status, answer.Location = int(status), string(location)
	return &answer, nil
}

// giveOnce keeps the answer of the one.
func giveOnce(ctx context.Context, q querier, tenant jobs.Tenant, once store.Once, answer *store.Answer) error {
	const sql = `UPDATE onces SET status = $4, location = $5, body = $6, held_until = NULL
		WHERE tenant = $1 AND key = $2 AND holder = $3 AND status IS NULL`
	_, err := q.Exec(ctx, sql, string(tenant), once.Key, [16]byte(once.Holder), answer.Status, zeronull.Text(answer.Location), notNil(answer.Body))
	return err
}

// notNil makes nil the empty content that it stands for.
func notNil(content []byte) []byte {
	if content == nil {
		return []byte{}
	}
	return content
}

// BeginOnce makes the caller the one that answers, unless there is an answer.
func (s *Store) BeginOnce(ctx context.Context, tenant jobs.Tenant, once store.Once, hold time.Duration) (*store.Answer, error) {
	var answer *store.Answer
	err := s.tx(ctx, "begin once", func(ctx context.Context, tx pgx.Tx) (err error) {
		answer, err = takeOnce(ctx, tx, tenant, once, hold)
		return err
	})
	return answer, err
}

// EndOnce keeps the answer of the one, or lets another be it.
func (s *Store) EndOnce(ctx context.Context, tenant jobs.Tenant, once store.Once, answer *store.Answer) error {
	const drop = `DELETE FROM onces WHERE tenant = $1 AND key = $2 AND holder = $3 AND status IS NULL`
	if answer == nil {
		_, err := s.exec(ctx, "end once", drop, string(tenant), once.Key, [16]byte(once.Holder))
		return err
	}
	return s.do(ctx, "end once", func(ctx context.Context) error { return giveOnce(ctx, s.pool, tenant, once, answer) })
}

// AcceptOnce commits the files and their jobs with the answer.
func (s *Store) AcceptOnce(
	ctx context.Context, tenant jobs.Tenant, once store.Once, uploads []store.Upload, answer func([]store.Accepted) store.Answer,
) (all []store.Accepted, given store.Answer, replayed bool, err error) {
	err = s.acceptSolo(ctx, "accept once", tenant, uploads, func(ctx context.Context, tx pgx.Tx, accept func() ([]store.Accepted, error)) error {
		earlier, err := takeOnce(ctx, tx, tenant, once, time.Hour) // which no other sees
		if err != nil {
			return err
		}
		if earlier != nil {
			all, given, replayed = nil, *earlier, true
			return nil
		}
		if all, err = accept(); err != nil {
			return err
		}
		given, replayed = answer(all), false
		return giveOnce(ctx, tx, tenant, once, &given)
	})
	return all, given, replayed, err
}

// PruneOnces deletes keys whose time is over.
func (s *Store) PruneOnces(ctx context.Context, age time.Duration, limit int) (int, error) {
	const sql = `DELETE FROM onces WHERE (tenant, key) IN (
		SELECT tenant, key FROM onces WHERE created_at < now() - $1 * interval '1 microsecond' ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`
	return s.exec(ctx, "prune onces", sql, age.Microseconds(), limit)
}
