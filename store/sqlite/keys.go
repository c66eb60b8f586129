package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// keyColumns are what scanKey reads of a row of keys.
const keyColumns = ` id, name, hash, tenant, label, scopes, created_at, expires_at, revoked_at, used_at`

func scanKey(row scanner) (store.Key, error) {
	var k store.Key
	var scopes string
	err := row.Scan(intoID{&k.ID}, &k.Name, intoHash{(*[32]byte)(&k.Hash)}, &k.Tenant, &k.Label, &scopes,
		intoTime{&k.CreatedAt}, intoTime{&k.ExpiresAt}, intoTime{&k.RevokedAt}, intoTime{&k.UsedAt})
	if err != nil {
		return k, err
	}
	k.Scopes, err = access.ParseScopes(scopes)
	return k, err
}

// key returns the key of that name, or ErrNotFound.
func (t *tx) key(ctx context.Context, name string) (store.Key, error) {
	k, err := scanKey(t.row(ctx, `SELECT`+keyColumns+` FROM keys WHERE name = ?`, name))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return k, store.ErrNotFound
	case err != nil:
		return k, fmt.Errorf("read key %s: %w", name, err)
	}
	return k, nil
}

// AddKey keeps a new key, and notes who made it.
func (s *Store) AddKey(ctx context.Context, k store.NewKey, by store.Actor) (store.Key, error) {
	return write(ctx, s, func(ctx context.Context, t *tx) (store.Key, error) {
		var expires time.Time
		if k.Expires != 0 {
			expires = t.now.Add(k.Expires)
		}
		_, err := t.exec(ctx, `
			INSERT INTO keys (id, name, hash, tenant, label, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			key(jobs.NewID()), k.Name, k.Hash[:], string(k.Tenant), k.Label, k.Scopes.String(), micros(t.now), microsOrNull(expires))
		if err != nil {
			return store.Key{}, fmt.Errorf("insert key %s: %w", k.Name, err)
		}
		added, err := t.key(ctx, k.Name)
		if err != nil {
			return added, err
		}
		return added, t.note(ctx, store.KeyCreated(&added, by))
	})
}

// Key returns the key of that name, or ErrNotFound.
func (s *Store) Key(ctx context.Context, name string) (store.Key, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) (store.Key, error) { return q.key(ctx, name) })
}

// ListKeys returns a page of keys, newest first.
func (s *Store) ListKeys(ctx context.Context, filter store.KeyFilter, page store.Page) ([]store.Key, store.Cursor, error) {
	limit := min(max(page.Limit, 1), store.MaxLimit)
	list, err := read(ctx, s, func(ctx context.Context, q *tx) ([]store.Key, error) {
		where, args := ` WHERE true`, []any{}
		and := func(term string, value any) { where, args = where+` AND `+term, append(args, value) }
		if filter.Tenant != "" {
			and(`tenant = ?`, string(filter.Tenant))
		}
		if filter.Prefix != "" {
			and(`name GLOB ? || '*'`, filter.Prefix) // of letters, digits and underscores alone
		}
		if !page.After.IsZero() {
			and(`id < ?`, key(page.After.ID))
		}
		var list []store.Key
		err := q.each(ctx, func(row scanner) error {
			k, err := scanKey(row)
			list = append(list, k)
			return err
		}, `SELECT`+keyColumns+` FROM keys`+where+` ORDER BY id DESC LIMIT ?`, append(args, limit+1)...)
		if err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		return list, nil
	})
	if err != nil || len(list) <= limit {
		return list, store.Cursor{}, err
	}
	return list[:limit], store.Cursor{ID: list[limit-1].ID}, nil
}

// RevokeKey ends a key for good, and notes who did.
func (s *Store) RevokeKey(ctx context.Context, name string, by store.Actor) (store.Key, error) {
	return write(ctx, s, func(ctx context.Context, t *tx) (store.Key, error) {
		k, err := t.key(ctx, name)
		if err != nil || !k.RevokedAt.IsZero() {
			return k, err
		}
		if _, err := t.exec(ctx, `UPDATE keys SET revoked_at = ? WHERE name = ?`, micros(t.now), name); err != nil {
			return k, fmt.Errorf("revoke key %s: %w", name, err)
		}
		k.RevokedAt = t.now
		return k, t.note(ctx, store.KeyRevoked(&k, by))
	})
}

// TouchKey notes that a key is in use.
func (s *Store) TouchKey(ctx context.Context, name string) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `UPDATE keys SET used_at = ? WHERE name = ?`, micros(t.now), name); err != nil {
			return fmt.Errorf("touch key %s: %w", name, err)
		}
		return nil
	})
}
