package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// tenantColumns are what scanTenant reads of a row of tenants.
const tenantColumns = ` tenant, weight, coalesce(requests_per_second, 0), coalesce(burst, 0), coalesce(bytes_per_day, 0),
	coalesce(jobs_waiting, 0), coalesce(file_bytes, 0), updated_at`

func scanTenant(row scanner) (store.TenantSettings, error) {
	var t store.TenantSettings
	err := row.Scan(&t.Tenant, &t.Weight, &t.RequestsPerSecond, &t.Burst, &t.BytesPerDay, &t.JobsWaiting, &t.FileBytes, intoTime{&t.UpdatedAt})
	return t, err
}

// SetTenant keeps what is set for a tenant, and notes who set it.
func (s *Store) SetTenant(ctx context.Context, settings store.TenantSettings, by store.Actor) (store.TenantSettings, error) {
	return write(ctx, s, func(ctx context.Context, t *tx) (store.TenantSettings, error) {
		_, err := t.exec(ctx, `
			REPLACE INTO tenants (tenant, weight, requests_per_second, burst, bytes_per_day, jobs_waiting, file_bytes, updated_at)
			VALUES (?, ?, nullif(?, 0), nullif(?, 0), nullif(?, 0), nullif(?, 0), nullif(?, 0), ?)`,
			string(settings.Tenant), settings.Weight, settings.RequestsPerSecond, settings.Burst, settings.BytesPerDay,
			settings.JobsWaiting, settings.FileBytes, micros(t.now))
		if err != nil {
			return settings, fmt.Errorf("set tenant %s: %w", settings.Tenant, err)
		}
		settings.UpdatedAt = t.now
		return settings, t.note(ctx, store.TenantSet(&settings, by))
	})
}

// TenantSettings returns what holds for a tenant.
func (s *Store) TenantSettings(ctx context.Context, tenant jobs.Tenant) (store.TenantSettings, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) (store.TenantSettings, error) {
		kept, err := scanTenant(q.row(ctx, `SELECT`+tenantColumns+` FROM tenants WHERE tenant = ?`, string(tenant)))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return store.DefaultTenantSettings(tenant), nil
		case err != nil:
			return kept, fmt.Errorf("read tenant %s: %w", tenant, err)
		}
		return kept, nil
	})
}

// Tenants returns a page of tenants for which something was set.
func (s *Store) Tenants(ctx context.Context, after jobs.Tenant, limit int) ([]store.TenantSettings, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.TenantSettings, error) {
		var list []store.TenantSettings
		err := q.each(ctx, func(row scanner) error {
			t, err := scanTenant(row)
			list = append(list, t)
			return err
		}, `SELECT`+tenantColumns+` FROM tenants WHERE tenant > ? ORDER BY tenant LIMIT ?`, string(after), min(max(limit, 1), store.MaxLimit))
		if err != nil {
			return nil, fmt.Errorf("list tenants: %w", err)
		}
		return list, nil
	})
}
