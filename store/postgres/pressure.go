package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Ready counts the tenant's jobs that are ready to run.
func (s *Store) Ready(ctx context.Context, tenant jobs.Tenant) (int, error) {
	const sql = `
		SELECT coalesce(sum(c.n), 0)::int FROM queues q CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
			SELECT FROM jobs WHERE queue = q.name AND tenant = $1 AND state IN ('pending', 'retrying') AND run_at <= now() LIMIT $2
		) j) c WHERE q.paused_at IS NULL`
	var n int
	err := s.do(ctx, "ready", func(ctx context.Context) (err error) {
		n, err = one(ctx, s.pool, pgx.RowTo[int], sql, string(tenant), store.CountLimit)
		return err
	})
	return n, err
}

// pressureSQL tells what is ready, up to $1 in each queue, the weights of at most $2 tenants in each, and
// how many jobs ended per second, over $3 seconds.
const pressureSQL = `
	WITH RECURSIVE step AS (
		SELECT name AS queue, '' AS tenant, NULL::timestamptz AS run_at, 0 AS n FROM queues WHERE paused_at IS NULL
		UNION ALL
		SELECT step.queue, j.tenant, j.run_at, n + 1
		FROM step CROSS JOIN ` + nextLane + `
		WHERE n < $2
	), tenant AS (
		SELECT DISTINCT tenant FROM step WHERE n > 0 AND run_at <= now()
	)
	SELECT
		(SELECT coalesce(sum(c.n), 0)::int FROM queues q CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
			SELECT FROM jobs WHERE queue = q.name AND state IN ('pending', 'retrying') AND run_at <= now() LIMIT $1
		) j) c WHERE q.paused_at IS NULL),
		(SELECT coalesce(sum(coalesce(t.weight, 1)), 0)::int FROM tenant LEFT JOIN tenants t USING (tenant)),
		(SELECT coalesce(sum(succeeded + failed + cancelled), 0)::float8 / $3::float8 FROM rollups
			WHERE bucket >= ` + bucket + ` - $3 * interval '1 second' AND bucket < ` + bucket + `)`

// Pressure tells how much all tenants have ready to run.
func (s *Store) Pressure(ctx context.Context) (store.Pressure, error) {
	var p store.Pressure
	err := s.do(ctx, "pressure", func(ctx context.Context) (err error) {
		p, err = one(ctx, s.pool, pgx.RowToStructByPos[store.Pressure], pressureSQL, store.CountLimit, store.MaxPressure, store.RateWindow.Seconds())
		return err
	})
	return p, err
}
