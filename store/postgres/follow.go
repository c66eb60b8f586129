package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Marks tells how jobs stand.
func (s *Store) Marks(ctx context.Context, tenant jobs.Tenant, ids []uuid.UUID) ([]store.Mark, error) {
	wanted := make(uuidArray, len(ids))
	for i, id := range ids {
		wanted[i] = id
	}
	const sql = `SELECT j.id, j.state, j.events, coalesce(j.progress, -1) FROM unnest($2::uuid[]) w (id) JOIN jobs j ON j.id = w.id
		WHERE j.tenant || '' = $1`
	return read(ctx, s, "marks", func(row pgx.CollectableRow) (store.Mark, error) {
		var m store.Mark
		err := row.Scan((*[16]byte)(&m.ID), (*string)(&m.State), &m.Events, &m.Progress)
		if m.ProgressKnown = m.Progress >= 0; !m.ProgressKnown {
			m.Progress = 0
		}
		return m, err
	}, sql, string(tenant), wanted)
}

// placeSQL tells what comes before job $1 of tenant $2 in its queue, and how many run, each counted up to
// $3; rates are over $4 seconds, and how long a run took is over what has ended since, too. It takes $5
// steps from tenant to tenant at most; a job that is its tenant's first is before the others' without a
// look at them.
const placeSQL = `
	WITH RECURSIVE mine AS MATERIALIZED (
		SELECT j.id, j.queue, j.run_at, coalesce(w.weight, 1) AS weight, (SELECT count(*) FROM (
			SELECT FROM jobs b WHERE b.queue = j.queue AND b.tenant = j.tenant AND b.state IN ('pending', 'retrying')
				AND (b.run_at, b.id) < (j.run_at, j.id) LIMIT $3
		) b) AS n
		FROM jobs j LEFT JOIN tenants w ON w.tenant = j.tenant
		WHERE j.id = $1 AND j.tenant = $2 AND j.state IN ('pending', 'retrying')
	), step AS (
		SELECT queue, '' AS tenant, 0 AS n FROM mine WHERE n > 0
		UNION ALL
		SELECT step.queue, j.tenant, n + 1
		FROM step CROSS JOIN ` + nextLane + `
		WHERE n < $5
	)
	SELECT j.queue, j.run_at, j.run_at <= now(), q.paused_at IS NOT NULL, j.n + others.n, (SELECT count(*) FROM step) > $5, running.n,
		coalesce(r.succeeded, 0)::float8, coalesce(r.failed, 0)::float8, coalesce(r.cancelled, 0)::float8, coalesce(r.retried, 0)::float8, coalesce(r.busy, 0)::float8,
		coalesce(r.service_us, 0)::bigint
	FROM mine j JOIN queues q ON q.name = j.queue
		CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
			SELECT FROM step LEFT JOIN tenants w ON w.tenant = step.tenant
				CROSS JOIN LATERAL (
					SELECT FROM jobs b WHERE b.queue = step.queue AND b.tenant = step.tenant AND b.state IN ('pending', 'retrying')
						AND b.run_at <= greatest(j.run_at, now())
					LIMIT (j.n * coalesce(w.weight, 1) + j.weight - 1) / j.weight
				) b
			WHERE step.n > 0 AND step.tenant <> $2 LIMIT $3
		) b) others
		CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
			SELECT FROM jobs b WHERE b.queue = j.queue AND b.state = 'running' LIMIT $3
		) b) running
		LEFT JOIN LATERAL (
			SELECT sum(succeeded) FILTER (WHERE full_one) / $4 AS succeeded, sum(failed) FILTER (WHERE full_one) / $4 AS failed,
				sum(cancelled) FILTER (WHERE full_one) / $4 AS cancelled, sum(retried) FILTER (WHERE full_one) / $4 AS retried,
				sum(busy_ms) FILTER (WHERE full_one) / 1000 / $4 AS busy,
				sum(busy_ms) * 1000 / nullif(sum(succeeded + failed + retried), 0) AS service_us
			FROM (SELECT *, bucket < ` + bucket + ` AS full_one FROM rollups
				WHERE queue = j.queue AND bucket >= ` + bucket + ` - $4 * interval '1 second') r
		) r ON true`

// Place tells what comes before a job that waits for its turn.
func (s *Store) Place(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (store.Place, error) {
	var p store.Place
	r := &p.Rates
	var (
		serviceMicros int64
		more          bool
	)
	err := s.do(ctx, "place", func(ctx context.Context) error {
		return found(s.pool.QueryRow(ctx, placeSQL, planned, [16]byte(id), string(tenant), store.CountLimit+1, store.RateWindow.Seconds(), store.PlaceTenants).Scan(
			&p.Queue, (*zeronull.Timestamptz)(&p.RunAt), &p.Due, &p.Paused, &p.Ahead.N, &more, &p.Running,
			&r.Succeeded, &r.Failed, &r.Cancelled, &r.Retried, &r.BusySeconds, &serviceMicros))
	})
	p.Ahead = bounded(p.Ahead.N, more)
	p.Service = time.Duration(serviceMicros) * time.Microsecond
	return p, err
}

// feedScan bounds how many events of other tenants are passed over for one page.
const feedScan = 5000

// tenantEventsSQL reads a part of the feed as EventsAfter does, of which only tenant $4's rows are told;
// the last row's place is told whosever it is.
const tenantEventsSQL = `
	WITH part AS MATERIALIZED (
		SELECT e.xid, e.job_id, e.seq, e.tenant, e.type, e.at, e.data FROM events e
		WHERE e.xid >= $1 AND e.xid < pg_snapshot_xmin(pg_current_snapshot()) AND (e.xid, e.job_id, e.seq) > ($1, $2, $3)
		ORDER BY e.xid, e.job_id, e.seq LIMIT $5
	), mine AS (
		SELECT * FROM part WHERE tenant = $4 ORDER BY xid, job_id, seq LIMIT $6
	), last AS (
		SELECT * FROM part WHERE (SELECT count(*) FROM mine) < $6 ORDER BY xid DESC, job_id DESC, seq DESC LIMIT 1
	)
	SELECT xid, job_id, seq, true, type, at, data FROM mine
	UNION ALL
	SELECT xid, job_id, seq, false, '', at, NULL FROM last
	ORDER BY 1, 2, 3, 4 DESC`

// TenantEvents returns events of all the tenant's jobs.
func (s *Store) TenantEvents(ctx context.Context, tenant jobs.Tenant, position string, limit int) ([]store.Event, string, error) {
	if position == "" {
		var at place
		err := s.do(ctx, "end of the feed", func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, `SELECT pg_snapshot_xmin(pg_current_snapshot())`).Scan(&at.xid)
		})
		return nil, at.String(), err
	}
	at, err := parsePlace(position)
	if err != nil {
		return nil, "", errors.Join(store.ErrBadPosition, err)
	}
	from := at
	var list []store.Event
	_, err = read(ctx, s, "events of a tenant", func(row pgx.CollectableRow) (struct{}, error) {
		var (
			e    store.Event
			mine bool
			data []byte
		)
		err := row.Scan(&at.xid, (*[16]byte)(&e.JobID), &e.Seq, &mine, (*string)(&e.Type), &e.At, &data)
		at.job, at.seq = e.JobID, e.Seq
		if mine {
			e.Data = json.RawMessage(data)
			list = append(list, e)
		}
		return struct{}{}, err
	}, tenantEventsSQL, from.xid, [16]byte(from.job), from.seq, string(tenant), feedScan, max(limit, 1))
	if err != nil {
		return nil, "", err
	}
	return list, at.String(), nil
}
