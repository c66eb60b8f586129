package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// tenantColumns are what scanTenant reads of a row of tenants.
const tenantColumns = `tenant, weight, requests_per_second, burst, bytes_per_day, jobs_waiting, file_bytes, updated_at`

func scanTenant(row pgx.CollectableRow) (store.TenantSettings, error) {
	var (
		t                  store.TenantSettings
		burst, jobsWaiting zeronull.Int4
	)
	err := row.Scan((*string)(&t.Tenant), &t.Weight, (*zeronull.Float8)(&t.RequestsPerSecond), &burst,
		(*zeronull.Int8)(&t.BytesPerDay), &jobsWaiting, (*zeronull.Int8)(&t.FileBytes), &t.UpdatedAt)
	t.Burst, t.JobsWaiting = int(burst), int(jobsWaiting)
	return t, err
}

// SetTenant keeps what is set for a tenant.
func (s *Store) SetTenant(ctx context.Context, settings store.TenantSettings, by store.Actor) (store.TenantSettings, error) {
	const sql = `INSERT INTO tenants (tenant, weight, requests_per_second, burst, bytes_per_day, jobs_waiting, file_bytes)
		VALUES ($1, $2, nullif($3::float8, 0), nullif($4::int, 0), nullif($5::bigint, 0), nullif($6::int, 0), nullif($7::bigint, 0))
		ON CONFLICT (tenant) DO UPDATE SET weight = excluded.weight, requests_per_second = excluded.requests_per_second,
			burst = excluded.burst, bytes_per_day = excluded.bytes_per_day, jobs_waiting = excluded.jobs_waiting,
			file_bytes = excluded.file_bytes, updated_at = excluded.updated_at
		RETURNING ` + tenantColumns
	var kept store.TenantSettings
	err := s.tx(ctx, "set a tenant", func(ctx context.Context, tx pgx.Tx) (err error) {
		kept, err = one(ctx, tx, scanTenant, sql, string(settings.Tenant), settings.Weight, settings.RequestsPerSecond,
			settings.Burst, settings.BytesPerDay, settings.JobsWaiting, settings.FileBytes)
		if err != nil {
			return err
		}
		return note(ctx, tx, store.TenantSet(&kept, by))
	})
	return kept, err
}

// TenantSettings returns what holds for a tenant.
func (s *Store) TenantSettings(ctx context.Context, tenant jobs.Tenant) (store.TenantSettings, error) {
	const sql = `SELECT ` + tenantColumns + ` FROM tenants WHERE tenant = $1`
	var kept store.TenantSettings
	err := s.do(ctx, "tenant", func(ctx context.Context) (err error) {
		kept, err = one(ctx, s.pool, scanTenant, sql, string(tenant))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.DefaultTenantSettings(tenant), nil
	}
	return kept, err
}

// Tenants returns a page of tenants for which something was set.
func (s *Store) Tenants(ctx context.Context, after jobs.Tenant, limit int) ([]store.TenantSettings, error) {
	const sql = `SELECT ` + tenantColumns + ` FROM tenants WHERE tenant > $1 ORDER BY tenant LIMIT $2`
	return read(ctx, s, "tenants", scanTenant, sql, string(after), min(max(limit, 1), store.MaxLimit))
}
