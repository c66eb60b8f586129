package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// queuesSQL tells how queues stand, for all tenants or, with ofTenant, for tenant $3. Ready and later
// jobs are counted up to $1 for each queue, running and waiting ones up to $1 altogether: there are no
// more running ones than the fleet has slots. Rates are over $2 seconds.
func queuesSQL(of string) string {
	return `
WITH busy AS MATERIALIZED (
	(SELECT queue, state FROM jobs WHERE state = 'running'` + of + ` LIMIT $1)
	UNION ALL
	(SELECT queue, state FROM jobs WHERE state = 'waiting'` + of + ` LIMIT $1)
), held AS (
	SELECT queue, count(*) FILTER (WHERE state = 'running') AS running, count(*) FILTER (WHERE state = 'waiting') AS waiting
	FROM busy GROUP BY queue
), total AS (
	SELECT count(*) FILTER (WHERE state = 'running') >= $1 AS running, count(*) FILTER (WHERE state = 'waiting') >= $1 AS waiting FROM busy
), rate AS (
	SELECT queue, sum(arrived) / $2 AS arrived, sum(succeeded) / $2 AS succeeded, sum(failed) / $2 AS failed,
		sum(cancelled) / $2 AS cancelled, sum(retried) / $2 AS retried, sum(lost) / $2 AS lost, sum(busy_ms) / 1000 / $2 AS busy
	FROM rollups
	WHERE bucket >= ` + bucket + ` - $2 * interval '1 second' AND bucket < ` + bucket + `
	GROUP BY queue
)
SELECT q.name, q.paused_at IS NOT NULL, ready.n, later.n, coalesce(held.running, 0), total.running, coalesce(held.waiting, 0), total.waiting,
	head.run_at, coalesce(extract(epoch FROM now() - head.run_at) * 1000000, 0)::bigint,
	coalesce(r.arrived, 0)::float8, coalesce(r.succeeded, 0)::float8, coalesce(r.failed, 0)::float8, coalesce(r.cancelled, 0)::float8,
	coalesce(r.retried, 0)::float8, coalesce(r.lost, 0)::float8, coalesce(r.busy, 0)::float8
FROM queues q
	CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
		SELECT FROM jobs WHERE queue = q.name AND state IN ('pending', 'retrying') AND run_at <= now()` + of + ` LIMIT $1
	) j) ready
	CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
		SELECT FROM jobs WHERE queue = q.name AND state IN ('pending', 'retrying') AND run_at > now()` + of + ` LIMIT $1
	) j) later
	CROSS JOIN total
	LEFT JOIN LATERAL (
		SELECT run_at FROM jobs WHERE queue = q.name AND state IN ('pending', 'retrying') AND run_at <= now()` + of + `
		ORDER BY run_at, id LIMIT 1
	) head ON true
	LEFT JOIN held ON held.queue = q.name
	LEFT JOIN rate r ON r.queue = q.name
ORDER BY q.name`
}

const ofTenant = ` AND tenant = $3`

// Queues tells how every queue stands for a tenant.
func (s *Store) Queues(ctx context.Context, tenant jobs.Tenant) ([]store.QueueStats, error) {
	return read(ctx, s, "queues", scanQueue, queuesSQL(ofTenant), store.CountLimit+1, store.RateWindow.Seconds(), string(tenant))
}

// AllQueues tells how every queue stands for all tenants together.
func (s *Store) AllQueues(ctx context.Context) ([]store.QueueStats, error) {
	return read(ctx, s, "all queues", scanQueue, queuesSQL(""), store.CountLimit+1, store.RateWindow.Seconds())
}

func scanQueue(row pgx.CollectableRow) (store.QueueStats, error) {
	var (
		q                        store.QueueStats
		manyRunning, manyWaiting bool
		age                      int64
	)
	r := &q.Rates
	err := row.Scan(&q.Name, &q.Paused, &q.Ready.N, &q.Later.N, &q.Running.N, &manyRunning, &q.Waiting.N, &manyWaiting,
		(*zeronull.Timestamptz)(&q.OldestAt), &age,
		&r.Arrived, &r.Succeeded, &r.Failed, &r.Cancelled, &r.Retried, &r.Lost, &r.BusySeconds)
	q.Ready, q.Later = bounded(q.Ready.N, false), bounded(q.Later.N, false)
	q.Running, q.Waiting = bounded(q.Running.N, manyRunning), bounded(q.Waiting.N, manyWaiting)
	q.Age = time.Duration(age) * time.Microsecond
	return q, err
}

// bounded makes a count that was stopped one above store.CountLimit, or for other reasons.
func bounded(n int, stopped bool) store.Count {
	return store.Count{N: min(n, store.CountLimit), AtLeast: stopped || n > store.CountLimit}
}

// PauseQueue stops the handing out of a queue's jobs.
func (s *Store) PauseQueue(ctx context.Context, _ jobs.Tenant, queue string) error {
	const sql = `INSERT INTO queues AS q (name, paused_at) VALUES ($1, now())
		ON CONFLICT (name) DO UPDATE SET paused_at = now() WHERE q.paused_at IS NULL`
	_, err := s.exec(ctx, "pause a queue", sql, queue)
	return err
}

// ResumeQueue starts it again.
func (s *Store) ResumeQueue(ctx context.Context, _ jobs.Tenant, queue string) error {
	const sql = `INSERT INTO queues AS q (name) VALUES ($1)
		ON CONFLICT (name) DO UPDATE SET paused_at = NULL WHERE q.paused_at IS NOT NULL`
	_, err := s.exec(ctx, "resume a queue", sql, queue)
	return err
}
