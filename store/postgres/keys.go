package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// keyColumns are what scanKey reads of a row k of keys.
const keyColumns = `k.id, k.name, k.hash, k.tenant, k.label, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.used_at`

func scanKey(row pgx.CollectableRow) (store.Key, error) {
	var (
		k      store.Key
		scopes []string
	)
	err := row.Scan((*[16]byte)(&k.ID), &k.Name, (*hash)(&k.Hash), (*string)(&k.Tenant), &k.Label, &scopes,
		&k.CreatedAt, (*zeronull.Timestamptz)(&k.ExpiresAt), (*zeronull.Timestamptz)(&k.RevokedAt), (*zeronull.Timestamptz)(&k.UsedAt))
	for _, scope := range scopes {
		k.Scopes = append(k.Scopes, access.Scope(scope))
	}
	return k, err
}

// AddKey keeps a new key.
func (s *Store) AddKey(ctx context.Context, key store.NewKey, by store.Actor) (store.Key, error) {
	const sql = `INSERT INTO keys AS k (id, name, hash, tenant, label, scopes, expires_at)
		VALUES ($1, $2, $3, $4, $5, string_to_array($6, ','), now() + nullif($7::bigint, 0) * interval '1 microsecond')
		RETURNING ` + keyColumns
	return s.changeKey(ctx, "add a key", func(ctx context.Context, tx pgx.Tx) (store.Key, error) {
		added, err := one(ctx, tx, scanKey, sql, [16]byte(jobs.NewID()), key.Name, key.Hash[:], string(key.Tenant), key.Label,
			key.Scopes.String(), key.Expires.Microseconds())
		if err != nil {
			return added, err
		}
		return added, note(ctx, tx, store.KeyCreated(&added, by))
	})
}

// RevokeKey ends a key.
func (s *Store) RevokeKey(ctx context.Context, name string, by store.Actor) (store.Key, error) {
	const (
		look   = `SELECT ` + keyColumns + ` FROM keys k WHERE k.name = $1 FOR UPDATE`
		revoke = `UPDATE keys AS k SET revoked_at = now() WHERE k.name = $1 RETURNING ` + keyColumns
	)
	return s.changeKey(ctx, "revoke a key", func(ctx context.Context, tx pgx.Tx) (store.Key, error) {
		key, err := one(ctx, tx, scanKey, look, name)
		if err != nil || !key.RevokedAt.IsZero() {
			return key, err
		}
		if key, err = one(ctx, tx, scanKey, revoke, name); err != nil {
			return key, err
		}
		return key, note(ctx, tx, store.KeyRevoked(&key, by))
	})
}

func (s *Store) changeKey(ctx context.Context, what string, change func(context.Context, pgx.Tx) (store.Key, error)) (store.Key, error) {
	var key store.Key
	err := s.tx(ctx, what, func(ctx context.Context, tx pgx.Tx) (err error) {
		key, err = change(ctx, tx)
		return err
	})
	return key, err
}

// one reads the one row of a statement's answer, or says ErrNotFound.
func one[T any](ctx context.Context, q querier, scan func(pgx.CollectableRow) (T, error), sql string, args ...any) (T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		var none T
		return none, err
	}
	row, err := pgx.CollectExactlyOneRow(rows, scan)
	return row, found(err)
}

// Key returns the key of that name.
func (s *Store) Key(ctx context.Context, name string) (store.Key, error) {
	const sql = `SELECT ` + keyColumns + ` FROM keys k WHERE k.name = $1`
	var key store.Key
	err := s.do(ctx, "key", func(ctx context.Context) (err error) {
		key, err = one(ctx, s.pool, scanKey, sql, name)
		return err
	})
	return key, err
}

// ListKeys returns a page of keys, newest first.
func (s *Store) ListKeys(ctx context.Context, filter store.KeyFilter, page store.Page) ([]store.Key, store.Cursor, error) {
	w := new(conditions)
	w.terms = append(w.terms, "true")
	if filter.Tenant != "" {
		w.add("k.tenant = %s", string(filter.Tenant))
	}
	if filter.Prefix != "" {
		w.add("starts_with(k.name, %s)", filter.Prefix)
	}
	if !page.After.IsZero() {
		w.add("k.id < %s", [16]byte(page.After.ID))
	}
	limit := min(max(page.Limit, 1), store.MaxLimit)
	sql := fmt.Sprintf(`SELECT %s FROM keys k WHERE %s ORDER BY k.id DESC LIMIT %d`, keyColumns, w, limit+1)
	list, err := read(ctx, s, "list keys", scanKey, sql, w.args...)
	if err != nil || len(list) <= limit {
		return list, store.Cursor{}, err
	}
	return list[:limit], store.Cursor{ID: list[limit-1].ID}, nil
}

// TouchKey notes that a key is in use.
func (s *Store) TouchKey(ctx context.Context, name string) error {
	_, err := s.exec(ctx, "touch a key", `UPDATE keys SET used_at = now() WHERE name = $1`, name)
	return err
}
