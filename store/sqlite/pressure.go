package sqlite

import (
	"context"
	"fmt"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// readyIn counts the jobs of a lane that are due until then, in microseconds, up to limit.
func (t *tx) readyIn(ctx context.Context, lane store.Lane, until int64, limit int) (n int, err error) {
	err = t.row(ctx, `SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_lanes
		WHERE queue = ? AND tenant = ? AND run_at <= ? AND state IN ('pending', 'retrying') LIMIT ?)`,
		lane.Queue, string(lane.Tenant), until, limit).Scan(&n)
	return n, err
}

// Ready counts the tenant's jobs that are ready to run.
func (s *Store) Ready(ctx context.Context, tenant jobs.Tenant) (int, error) {
	return read(ctx, s, func(ctx context.Context, t *tx) (int, error) {
		queues, err := t.openQueues(ctx)
		if err != nil {
			return 0, err
		}
		all := 0
		for _, queue := range queues {
			n, err := t.readyIn(ctx, store.Lane{Queue: queue, Tenant: tenant}, micros(t.now), store.CountLimit)
			if err != nil {
				return 0, fmt.Errorf("count what is ready in queue %s: %w", queue, err)
			}
			all += n
		}
		return all, nil
	})
}

// Pressure tells how much all tenants have ready to run.
func (s *Store) Pressure(ctx context.Context) (store.Pressure, error) {
	return read(ctx, s, func(ctx context.Context, t *tx) (store.Pressure, error) {
		var p store.Pressure
		queues, err := t.openQueues(ctx)
		if err != nil {
			return p, err
		}
		weights := map[jobs.Tenant]int{}
		for _, queue := range queues {
			var n int
			err := t.row(ctx, `SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ready
				WHERE queue = ? AND run_at <= ? AND state IN ('pending', 'retrying') LIMIT ?)`, queue, micros(t.now), store.CountLimit).Scan(&n)
			if err != nil {
				return p, fmt.Errorf("count what is ready in queue %s: %w", queue, err)
			}
			p.Jobs += n
			lanes, err := t.appendLanes(ctx, nil, store.Lane{Queue: queue}, store.MaxPressure)
			if err != nil {
				return p, err
			}
			for _, lane := range lanes {
				if lane.Ready {
					weights[lane.Tenant] = lane.Weight
				}
			}
		}
		for _, weight := range weights {
			p.Weights += weight
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
