package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Marks tells how jobs stand.
func (s *Store) Marks(ctx context.Context, tenant jobs.Tenant, ids []uuid.UUID) ([]store.Mark, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.Mark, error) {
		args := []any{string(tenant)}
		for _, id := range ids[:min(len(ids), store.MaxMarks)] {
			args = append(args, key(id))
		}
		var list []store.Mark
		err := q.each(ctx, func(row scanner) error {
			var m store.Mark
			var progress sql.NullFloat64
			err := row.Scan(intoID{&m.ID}, &m.State, &m.Events, &progress)
			m.Progress, m.ProgressKnown = progress.Float64, progress.Valid
			list = append(list, m)
			return err
		}, `SELECT id, state, events, progress FROM jobs WHERE +tenant = ? AND id IN (?`+strings.Repeat(`, ?`, len(args)-2)+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("read marks: %w", err)
		}
		return list, nil
	})
}

// Place tells what comes before a job that waits for its turn.
func (s *Store) Place(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (store.Place, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) (store.Place, error) {
		var p store.Place
		var weight int
		err := q.row(ctx, `
			SELECT j.queue, j.run_at, q.paused_at IS NOT NULL, (SELECT count(*) FROM (
				SELECT 1 FROM jobs b INDEXED BY jobs_lanes
				WHERE b.queue = j.queue AND b.tenant = j.tenant AND b.state IN ('pending', 'retrying') AND (b.run_at, b.id) < (j.run_at, j.id) LIMIT ?)),
				(SELECT count(*) FROM (SELECT 1 FROM jobs b INDEXED BY jobs_running WHERE b.queue = j.queue AND b.state = 'running' LIMIT ?)),
				coalesce((SELECT w.weight FROM tenants w WHERE w.tenant = j.tenant), 1)
			FROM jobs j JOIN queues q ON q.name = j.queue
			WHERE j.id = ? AND j.tenant = ? AND j.state IN ('pending', 'retrying')`,
			store.CountLimit+1, store.CountLimit, key(id), string(tenant)).Scan(&p.Queue, intoTime{&p.RunAt}, &p.Paused, &p.Ahead.N, &p.Running, &weight)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return p, store.ErrNotFound
		case err != nil:
			return p, fmt.Errorf("read place: %w", err)
		}
		if p.Ahead, err = q.among(ctx, tenant, &p, weight); err != nil {
			return p, fmt.Errorf("read places of other tenants: %w", err)
		}
		p.Due = !p.RunAt.After(q.now)
		rates, err := q.rates(ctx)
		if err != nil {
			return p, err
		}
		p.Rates = rates[p.Queue]
		var busy, ended int64
		err = q.row(ctx, `SELECT coalesce(sum(busy_ms), 0), coalesce(sum(succeeded + failed + retried), 0) FROM rollups WHERE bucket >= ? AND queue = ?`,
			micros(q.now.Truncate(bucket).Add(-store.RateWindow)), p.Queue).Scan(&busy, &ended)
		if err != nil {
			return p, fmt.Errorf("read how long runs take: %w", err)
		}
		if ended > 0 {
			p.Service = time.Duration(busy) * time.Millisecond / time.Duration(ended)
		}
		return p, nil
	})
}

// among adds to the jobs of a tenant that come before one of its own those of others.
func (t *tx) among(ctx context.Context, tenant jobs.Tenant, p *store.Place, weight int) (store.Count, error) {
	own, all := p.Ahead.N, p.Ahead.N
	lane := store.LaneState{Lane: store.Lane{Queue: p.Queue}}
	for range store.PlaceTenants {
		if own == 0 || all > store.CountLimit {
			return bounded(all), nil
		}
		found, err := t.nextLane(ctx, &lane)
		if err != nil || !found {
			return bounded(all), err
		}
		if lane.Tenant == tenant {
			continue
		}
		n, err := t.readyIn(ctx, lane.Lane, max(micros(p.RunAt), micros(t.now)), (own*lane.Weight+weight-1)/weight)
		if err != nil {
			return store.Count{}, err
		}
		all += n
	}
	return store.Count{N: min(all, store.CountLimit), AtLeast: true}, nil
}

// feedScan bounds how many events of other tenants are passed over for one page.
const feedScan = 5000

// TenantEvents returns events of all the tenant's jobs.
func (s *Store) TenantEvents(ctx context.Context, tenant jobs.Tenant, position string, limit int) ([]store.Event, string, error) {
	var after int64
	if position != "" {
		var err error
		if after, err = strconv.ParseInt(position, 10, 64); err != nil {
			return nil, "", fmt.Errorf("%w: %w", store.ErrBadPosition, err)
		}
	}
	list, err := read(ctx, s, func(ctx context.Context, q *tx) ([]store.Event, error) {
		if position == "" {
			return nil, q.row(ctx, `SELECT coalesce(max(position), 0) FROM events`).Scan(&after)
		}
		var list []store.Event
		err := q.each(ctx, func(row scanner) error {
			var e store.Event
			var at int64
			var mine bool
			if err := row.Scan(&at, &mine, intoID{&e.JobID}, &e.Seq, &e.Type, intoTime{&e.At}, intoRaw(&e.Data)); err != nil {
				return err
			}
			if len(list) < max(limit, 1) {
				after = at
				if mine {
					list = append(list, e)
				}
			}
			return nil
		}, `
			SELECT position, tenant = ?, job_id, seq, type, at, data FROM events
			WHERE position > ? ORDER BY position LIMIT ?`, string(tenant), after, feedScan)
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		return list, nil
	})
	if err != nil {
		return nil, "", err
	}
	return list, strconv.FormatInt(after, 10), nil
}
