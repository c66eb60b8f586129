package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/store"
)

// loadSQL tells how queues stand, of all tenants together. Ready and upcoming jobs are counted up to
// $1 for each queue, running ones up to $1 altogether: there are no more of them than the fleet has
// slots. $2 are horizons and $3 spans in µs, in rising order; $4 and $5 the greatest of each.
//
// Upcoming jobs are read once for all horizons: each is counted in the part that says how many
// horizons it lies beyond. In the same way, a roll-up counts in the part that says in how many spans
// it lies.
const loadSQL = `
WITH running AS MATERIALIZED (
	SELECT queue, started_at FROM jobs WHERE state = 'running' LIMIT $1
), held AS MATERIALIZED (
	SELECT queue, count(*) AS n, greatest(avg(extract(epoch FROM now() - started_at)) * 1000000, 0)::bigint AS held
	FROM running GROUP BY queue
), past AS MATERIALIZED (
	SELECT queue, array_agg(ARRAY[part, arrived, succeeded, failed, cancelled, retried, lost, busy_ms]::bigint[]) AS parts
	FROM (
		SELECT queue, width_bucket(bucket, ARRAY (
				SELECT date_bin('10 seconds', now() - span * interval '1 microsecond', 'epoch'::timestamptz)
				FROM unnest($3::bigint[]) s (span) ORDER BY span DESC
			)) AS part,
			sum(arrived) AS arrived, sum(succeeded) AS succeeded, sum(failed) AS failed, sum(cancelled) AS cancelled,
			sum(retried) AS retried, sum(lost) AS lost, sum(busy_ms) AS busy_ms
		FROM rollups
		WHERE bucket >= date_bin('10 seconds', now() - $5 * interval '1 microsecond', 'epoch'::timestamptz) AND bucket <= ` + bucket + `
		GROUP BY queue, part
	) p GROUP BY queue
)
SELECT now(), q.name, q.paused_at IS NOT NULL, ready.n, coalesce(extract(epoch FROM now() - ready.oldest) * 1000000, 0)::bigint,
	coalesce(held.n, 0), (SELECT count(*) FROM running), coalesce(held.held, 0), due.parts, past.parts
FROM queues q
	CROSS JOIN LATERAL (SELECT count(*) AS n, min(run_at) AS oldest FROM (
		SELECT run_at FROM jobs WHERE queue = q.name AND state IN ('pending', 'retrying') AND run_at <= now() ORDER BY run_at, id LIMIT $1
	) j) ready
	CROSS JOIN LATERAL (SELECT array_agg(ARRAY[part, n]::bigint[]) AS parts FROM (
		SELECT width_bucket(run_at, ARRAY (
				SELECT now() + (horizon + 1) * interval '1 microsecond' FROM unnest($2::bigint[]) h (horizon) ORDER BY horizon
			)) AS part, count(*) AS n
		FROM (
			SELECT run_at FROM jobs
			WHERE queue = q.name AND state IN ('pending', 'retrying') AND run_at > now() AND run_at <= now() + $4 * interval '1 microsecond'
			ORDER BY run_at, id LIMIT $1
		) j GROUP BY part
	) p) due
	LEFT JOIN held ON held.queue = q.name
	LEFT JOIN past ON past.queue = q.name
ORDER BY q.name`

// Load tells how every queue stands.
func (s *Store) Load(ctx context.Context, horizons, spans []time.Duration) ([]store.QueueLoad, error) {
	scan := func(row pgx.CollectableRow) (store.QueueLoad, error) { return scanLoad(row, len(horizons), spans) }
	return read(ctx, s, "load", scan, loadSQL,
		store.CountLimit+1, micros(horizons), micros(spans), last(horizons).Microseconds(), last(spans).Microseconds())
}

func micros(list []time.Duration) []int64 {
	all := make([]int64, len(list))
	for i, d := range list {
		all[i] = d.Microseconds()
	}
	return all
}

func last(rising []time.Duration) time.Duration {
	if len(rising) == 0 {
		return 0
	}
	return rising[len(rising)-1]
}

func scanLoad(row pgx.CollectableRow, horizons int, spans []time.Duration) (store.QueueLoad, error) {
	var (
		q               store.QueueLoad
		now             time.Time
		age, held       int64
		allRunning      int
		dueParts, parts [][]int64
	)
	err := row.Scan(&now, &q.Name, &q.Paused, &q.Ready.N, &age, &q.Running.N, &allRunning, &held, &dueParts, &parts)
	q.Ready, q.Running = bounded(q.Ready.N, false), bounded(q.Running.N, allRunning > store.CountLimit)
	q.Age, q.Held = time.Duration(age)*time.Microsecond, time.Duration(held)*time.Microsecond
	q.Due = make([]int, horizons)
	for i := range q.Due {
		for _, part := range dueParts {
			if int(part[0]) <= i {
				q.Due[i] += int(part[1])
			}
		}
		q.Due[i] = min(q.Due[i], store.CountLimit)
	}
	q.Past = make([]store.Happened, len(spans))
	for i, span := range spans {
		q.Past[i].Over = now.Sub(store.FirstRollup(now, span))
		for _, part := range parts {
			if int(part[0]) >= len(spans)-i {
				add(&q.Past[i], part[1:])
			}
		}
	}
	return q, err
}

// add adds the sums of roll-ups.
func add(h *store.Happened, n []int64) {
	for i, sum := range []*int{&h.Arrived, &h.Succeeded, &h.Failed, &h.Cancelled, &h.Retried, &h.Lost} {
		*sum += int(n[i])
	}
	h.Busy += time.Duration(n[6]) * time.Millisecond
}

// Arrivals counts what arrived in each full hour. It asks for a day at a time, so that no statement
// takes long, however far it goes back: of what is over, the next one sees the same as the first.
func (s *Store) Arrivals(ctx context.Context, since time.Time) ([]store.HourlyArrivals, error) {
	const kept = `SELECT coalesce(date_bin('1 hour', min(bucket), 'epoch'::timestamptz), now()), date_bin('1 hour', now(), 'epoch'::timestamptz) FROM rollups`
	const sql = `
		SELECT queue, date_bin('1 hour', bucket, 'epoch'::timestamptz) AS hour, sum(arrived)::bigint
		FROM rollups WHERE bucket >= $1 AND bucket < $2
		GROUP BY queue, hour HAVING sum(arrived) > 0`
	var first, end time.Time
	err := s.do(ctx, "arrivals", func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, kept).Scan(&first, &end)
	})
	if err != nil {
		return nil, err
	}
	return store.GatherArrivals(since, first, end, func(from, to time.Time) ([]store.HourlyArrivals, error) {
		return read(ctx, s, "arrivals", scanArrivals, sql, from, to)
	})
}

func scanArrivals(row pgx.CollectableRow) (store.HourlyArrivals, error) {
	var a store.HourlyArrivals
	err := row.Scan(&a.Queue, &a.Hour, &a.Jobs)
	return a, err
}
