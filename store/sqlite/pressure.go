package sqlite

import (
	"context"
	"fmt"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Ready counts the tenant's jobs that are ready to run.
func (s *Store) Ready(ctx context.Context, tenant jobs.Tenant) (int, error) {
	return read(ctx, s, func(ctx context.Context, t *tx) (n int, err error) {
		err = t.row(ctx, `
			SELECT coalesce(sum((SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_lanes
				WHERE queue = queues.name AND tenant = ? AND run_at <= ? AND state IN ('pending', 'retrying') LIMIT ?))), 0)
			FROM queues WHERE paused_at IS NULL`, string(tenant), micros(t.now), store.CountLimit).Scan(&n)
		if err != nil {
			return 0, fmt.Errorf("count what is ready: %w", err)
		}
		return n, nil
	})
}

// Pressure tells how much all tenants have ready to run.
func (s *Store) Pressure(ctx context.Context) (store.Pressure, error) {
	return read(ctx, s, func(ctx context.Context, t *tx) (store.Pressure, error) {
		var p store.Pressure
		// Each count within the index, and from tenant to tenant along it.
		err := t.row(ctx, `
			WITH RECURSIVE step (queue, tenant, run_at, n) AS (
				SELECT name, '', NULL, 0 FROM queues WHERE paused_at IS NULL
				UNION ALL
				SELECT queue, (SELECT j.tenant FROM jobs j INDEXED BY jobs_lanes
						WHERE j.queue = step.queue AND j.tenant > step.tenant AND j.state IN ('pending', 'retrying')
						ORDER BY j.tenant, j.run_at LIMIT 1),
					(SELECT j.run_at FROM jobs j INDEXED BY jobs_lanes
						WHERE j.queue = step.queue AND j.tenant > step.tenant AND j.state IN ('pending', 'retrying')
						ORDER BY j.tenant, j.run_at LIMIT 1), n + 1
				FROM step WHERE n < ?3 AND tenant IS NOT NULL
			), ready AS (
				SELECT DISTINCT tenant FROM step WHERE n > 0 AND run_at <= ?1
			)
			SELECT
				(SELECT coalesce(sum((SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ready
					WHERE queue = queues.name AND run_at <= ?1 AND state IN ('pending', 'retrying') LIMIT ?2))), 0)
					FROM queues WHERE paused_at IS NULL),
				(SELECT coalesce(sum(coalesce((SELECT weight FROM tenants w WHERE w.tenant = ready.tenant), 1)), 0) FROM ready)`,
			micros(t.now), store.CountLimit, store.MaxPressure).Scan(&p.Jobs, &p.Weights)
		if err != nil {
			return p, fmt.Errorf("count what is ready: %w", err)
		}
		rates, err := t.rates(ctx)
		if err != nil {
			return p, err
		}
		for _, r := range rates {
			p.Ended += r.Succeeded + r.Failed + r.Cancelled
		}
		return p, nil
	})
}
