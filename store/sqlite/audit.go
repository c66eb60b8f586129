package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

// note writes an entry of the audit, in the transaction of what it tells of.
func (t *tx) note(ctx context.Context, e store.AuditEntry) error {
	_, err := t.exec(ctx, `
		INSERT INTO audit (id, at, actor, client, request_id, action, tenant, subject, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		key(e.ID), micros(t.now), e.Actor.Name, e.Actor.Client, e.Actor.RequestID,
		string(e.Action), string(e.Tenant), e.Subject, jsonOrNull(e.Data))
	if err != nil {
		return fmt.Errorf("write the audit: %w", err)
	}
	return nil
}

// Audit returns a page of the audit, latest first.
func (s *Store) Audit(ctx context.Context, page store.Page) ([]store.AuditEntry, store.Cursor, error) {
	before, limit := uuid.Max, min(max(page.Limit, 1), store.MaxLimit)
	if !page.After.IsZero() {
		before = page.After.ID
	}
	list, err := read(ctx, s, func(ctx context.Context, q *tx) ([]store.AuditEntry, error) {
		var list []store.AuditEntry
		err := q.each(ctx, func(row scanner) error {
			var e store.AuditEntry
			err := row.Scan(intoID{&e.ID}, intoTime{&e.At}, &e.Actor.Name, &e.Actor.Client, &e.Actor.RequestID,
				&e.Action, &e.Tenant, &e.Subject, intoRaw(&e.Data))
			list = append(list, e)
			return err
		}, `
			SELECT id, at, actor, client, request_id, action, tenant, subject, data
			FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?`, key(before), limit+1)
		if err != nil {
			return nil, fmt.Errorf("read the audit: %w", err)
		}
		return list, nil
	})
	if err != nil || len(list) <= limit {
		return list, store.Cursor{}, err
	}
	return list[:limit], store.Cursor{ID: list[limit-1].ID}, nil
}

// PruneAudit deletes entries of the audit older than age.
func (s *Store) PruneAudit(ctx context.Context, age time.Duration, limit int) (int, error) {
	return solo(ctx, s, func(ctx context.Context, t *tx) (int, error) {
		n, err := t.exec(ctx, `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < ? ORDER BY id LIMIT ?)`,
			key(store.IDAt(t.now.Add(-age), uuid.Nil)), max(limit, 0))
		if err != nil {
			return 0, fmt.Errorf("prune the audit: %w", err)
		}
		return n, nil
	})
}
