package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/store"
)

// note writes an entry of the audit, in the transaction of what it tells of.
func note(ctx context.Context, tx pgx.Tx, e store.AuditEntry) error {
	const sql = `INSERT INTO audit (id, actor, client, request_id, action, tenant, subject, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	_, err := tx.Exec(ctx, sql, [16]byte(e.ID), e.Actor.Name, e.Actor.Client, e.Actor.RequestID,
		string(e.Action), string(e.Tenant), e.Subject, []byte(e.Data))
	return err
}

// Audit returns a page of the audit, latest first.
func (s *Store) Audit(ctx context.Context, page store.Page) ([]store.AuditEntry, store.Cursor, error) {
	const sql = `SELECT id, at, actor, client, request_id, action, tenant, subject, data FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2`
	before, limit := uuid.Max, min(max(page.Limit, 1), store.MaxLimit)
	if !page.After.IsZero() {
		before = page.After.ID
	}
	list, err := read(ctx, s, "audit", scanAudit, sql, [16]byte(before), limit+1)
	if err != nil || len(list) <= limit {
		return list, store.Cursor{}, err
	}
	return list[:limit], store.Cursor{ID: list[limit-1].ID}, nil
}

func scanAudit(row pgx.CollectableRow) (store.AuditEntry, error) {
	var (
		e    store.AuditEntry
		data []byte
	)
	err := row.Scan((*[16]byte)(&e.ID), &e.At, &e.Actor.Name, &e.Actor.Client, &e.Actor.RequestID,
		(*string)(&e.Action), (*string)(&e.Tenant), &e.Subject, &data)
	e.Data = json.RawMessage(data)
	return e, err
}

// PruneAudit deletes old entries of the audit.
func (s *Store) PruneAudit(ctx context.Context, age time.Duration, limit int) (int, error) {
	const sql = `DELETE FROM audit WHERE id = ANY (ARRAY (
		SELECT id FROM audit WHERE id < ` + idBefore + ` ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED))`
	return s.exec(ctx, "prune the audit", sql, age.Microseconds(), limit)
}

// idBefore is the first ID of version 7 of the moment that is $1 microseconds ago.
const idBefore = `(lpad(to_hex(greatest(extract(epoch FROM now() - $1 * interval '1 microsecond') * 1000, 0)::bigint), 12, '0') || repeat('0', 20))::uuid`
