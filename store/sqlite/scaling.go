package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/leat-dev/leat/store"
)

// Load tells how every queue stands, of all tenants together.
func (s *Store) Load(ctx context.Context, horizons, spans []time.Duration) ([]store.QueueLoad, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.QueueLoad, error) {
		var loads []store.QueueLoad
		place := map[string]*store.QueueLoad{}
		err := q.each(ctx, func(row scanner) error {
			one := store.QueueLoad{Past: make([]store.Happened, len(spans))}
			err := row.Scan(&one.Name, &one.Paused)
			loads = append(loads, one)
			return err
		}, `SELECT name, paused_at IS NOT NULL FROM queues ORDER BY name`)
		if err != nil {
			return nil, fmt.Errorf("read queues: %w", err)
		}
		for i := range loads {
			place[loads[i].Name] = &loads[i]
			if err := q.ahead(ctx, &loads[i], horizons); err != nil {
				return nil, fmt.Errorf("count queue %s: %w", loads[i].Name, err)
			}
		}
		if err := q.held(ctx, place); err != nil {
			return nil, fmt.Errorf("count running jobs: %w", err)
		}
		for i, span := range spans {
			if err := q.past(ctx, place, i, span); err != nil {
				return nil, fmt.Errorf("read roll-ups: %w", err)
			}
		}
		return loads, nil
	})
}

// ahead counts a queue's jobs that could run, and those whose time comes within each of the
// horizons, which are in rising order: each in one walk along the index, up to its bound.
func (t *tx) ahead(ctx context.Context, load *store.QueueLoad, horizons []time.Duration) error {
	now := micros(t.now)
	var oldest time.Time
	err := t.row(ctx, `
		SELECT count(*), min(run_at) FROM (
			SELECT run_at FROM jobs INDEXED BY jobs_ready
			WHERE queue = ? AND run_at <= ? AND state IN ('pending', 'retrying') ORDER BY run_at, id LIMIT ?)`,
		load.Name, now, store.CountLimit+1).Scan(&load.Ready.N, intoTime{&oldest})
	if err != nil {
		return err
	}
	load.Ready = bounded(load.Ready.N)
	if load.Ready.N > 0 {
		load.Age = t.now.Sub(oldest)
	}
	load.Due = make([]int, len(horizons))
	if len(horizons) == 0 {
		return nil
	}
	args, into := make([]any, len(horizons)), make([]any, len(horizons))
	for i, horizon := range horizons {
		args[i], into[i] = micros(t.now.Add(horizon)), &load.Due[i]
	}
	args = append(args, load.Name, now, args[len(args)-1], store.CountLimit)
	return t.row(ctx, `
		SELECT `+strings.Repeat(`count(*) FILTER (WHERE run_at <= ?), `, len(horizons)-1)+`count(*) FILTER (WHERE run_at <= ?) FROM (
			SELECT run_at FROM jobs INDEXED BY jobs_ready
			WHERE queue = ? AND run_at > ? AND run_at <= ? AND state IN ('pending', 'retrying') ORDER BY run_at, id LIMIT ?)`,
		args...).Scan(into...)
}

// bounded makes a count that was stopped one above store.CountLimit.
func bounded(n int) store.Count {
	return store.Count{N: min(n, store.CountLimit), AtLeast: n > store.CountLimit}
}

// held counts running jobs, of which there are no more than slots, and for how long they have run.
func (t *tx) held(ctx context.Context, place map[string]*store.QueueLoad) error {
	return t.each(ctx, func(row scanner) error {
		var queue string
		var n int
		var sum float64
		if err := row.Scan(&queue, &n, &sum); err != nil {
			return err
		}
		if load := place[queue]; load != nil {
			load.Running = bounded(n)
			load.Held = max(time.Duration(sum/float64(n)*float64(time.Microsecond)), 0)
		}
		return nil
	}, `
		SELECT queue, count(*), total(? - started_at) FROM (
			SELECT queue, started_at FROM jobs INDEXED BY jobs_running WHERE state = 'running' LIMIT ?)
		GROUP BY queue`, micros(t.now), store.CountLimit+1)
}

// past sums up the roll-ups of a span, the present one included.
func (t *tx) past(ctx context.Context, place map[string]*store.QueueLoad, i int, span time.Duration) error {
	since := store.FirstRollup(t.now, span)
	for _, load := range place {
		load.Past[i].Over = t.now.Sub(since)
	}
	return t.each(ctx, func(row scanner) error {
		var queue string
		var h store.Happened
		var busy int64
		if err := row.Scan(&queue, &h.Arrived, &h.Succeeded, &h.Failed, &h.Cancelled, &h.Retried, &h.Lost, &busy); err != nil {
			return err
		}
		if load := place[queue]; load != nil {
			h.Over, h.Busy = load.Past[i].Over, time.Duration(busy)*time.Millisecond
			load.Past[i] = h
		}
		return nil
	}, sums, micros(since), micros(t.now.Truncate(bucket).Add(bucket)))
}

// Arrivals counts what arrived in each full hour, reading a day at a time, so that none takes long.
func (s *Store) Arrivals(ctx context.Context, since time.Time) ([]store.HourlyArrivals, error) {
	type bounds struct{ first, end time.Time }
	kept, err := read(ctx, s, func(ctx context.Context, q *tx) (bounds, error) {
		b := bounds{end: q.now.Truncate(time.Hour)}
		var first sql.NullInt64
		if err := q.row(ctx, `SELECT min(bucket) FROM rollups`).Scan(&first); err != nil {
			return b, fmt.Errorf("find the first roll-up: %w", err)
		}
		b.first = b.end
		if first.Valid {
			b.first = time.UnixMicro(first.Int64).UTC().Truncate(time.Hour)
		}
		return b, nil
	})
	if err != nil {
		return nil, err
	}
	return store.GatherArrivals(since, kept.first, kept.end, func(from, to time.Time) ([]store.HourlyArrivals, error) {
		return read(ctx, s, func(ctx context.Context, q *tx) ([]store.HourlyArrivals, error) { return q.arrivals(ctx, from, to) })
	})
}

func (t *tx) arrivals(ctx context.Context, from, to time.Time) ([]store.HourlyArrivals, error) {
	var list []store.HourlyArrivals
	err := t.each(ctx, func(row scanner) error {
		var a store.HourlyArrivals
		err := row.Scan(&a.Queue, intoTime{&a.Hour}, &a.Jobs)
		list = append(list, a)
		return err
	}, `
		SELECT queue, bucket - bucket % 3600000000 AS hour, sum(arrived)
		FROM rollups WHERE bucket >= ? AND bucket < ?
		GROUP BY queue, hour HAVING sum(arrived) > 0`, micros(from), micros(to))
	if err != nil {
		return nil, fmt.Errorf("read arrivals: %w", err)
	}
	return list, nil
}
