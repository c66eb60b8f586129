package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// PauseQueue stops the handing out of a queue's jobs.
func (s *Store) PauseQueue(ctx context.Context, _ jobs.Tenant, queue string) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `
			INSERT INTO queues (name, paused_at) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(paused_at, excluded.paused_at)`, queue, micros(t.now))
		if err != nil {
			return fmt.Errorf("pause queue %s: %w", queue, err)
		}
		return nil
	})
}

// ResumeQueue starts it again.
func (s *Store) ResumeQueue(ctx context.Context, _ jobs.Tenant, queue string) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `
			INSERT INTO queues (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET paused_at = NULL`, queue)
		if err != nil {
			return fmt.Errorf("resume queue %s: %w", queue, err)
		}
		return nil
	})
}

// Queues returns every queue that ever had a job or a pause, by name, as it stands for a tenant.
func (s *Store) Queues(ctx context.Context, tenant jobs.Tenant) ([]store.QueueStats, error) {
	return s.queues(ctx, " AND tenant = ?", string(tenant))
}

// AllQueues is the same for all tenants together.
func (s *Store) AllQueues(ctx context.Context) ([]store.QueueStats, error) { return s.queues(ctx, "") }

// queues counts the jobs that the condition of, with its arguments, leaves.
func (s *Store) queues(ctx context.Context, of string, whose ...any) ([]store.QueueStats, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.QueueStats, error) {
		var queues []store.QueueStats
		err := q.each(ctx, func(row scanner) error {
			var one store.QueueStats
			err := row.Scan(&one.Name, &one.Paused)
			queues = append(queues, one)
			return err
		}, `SELECT name, paused_at IS NOT NULL FROM queues ORDER BY name`)
		if err != nil {
			return nil, fmt.Errorf("read queues: %w", err)
		}
		rates, err := q.rates(ctx)
		if err != nil {
			return nil, err
		}
		for i := range queues {
			queues[i].Rates = rates[queues[i].Name]
			if err := q.depth(ctx, &queues[i], of, whose); err != nil {
				return nil, fmt.Errorf("count queue %s: %w", queues[i].Name, err)
			}
		}
		return queues, nil
	})
}

// depth counts a queue's jobs, each count within an index and up to its bound.
func (t *tx) depth(ctx context.Context, stats *store.QueueStats, of string, whose []any) error {
	now := micros(t.now)
	for _, part := range []struct {
		count *store.Count
		text  string
		args  []any
	}{
		{&stats.Ready, `SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ready
			WHERE queue = ? AND run_at <= ? AND state IN ('pending', 'retrying')` + of + ` LIMIT ?)`, []any{now}},
		{&stats.Later, `SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ready
			WHERE queue = ? AND run_at > ? AND state IN ('pending', 'retrying')` + of + ` LIMIT ?)`, []any{now}},
		{&stats.Running, `SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_running
			WHERE queue = ? AND state = 'running'` + of + ` LIMIT ?)`, nil},
		{&stats.Waiting, `SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_waiting
			WHERE queue = ? AND state = 'waiting'` + of + ` LIMIT ?)`, nil},
	} {
		args := slices.Concat([]any{stats.Name}, part.args, whose, []any{store.CountLimit + 1})
		var n int
		if err := t.row(ctx, part.text, args...).Scan(&n); err != nil {
			return err
		}
		*part.count = bounded(n)
	}
	if stats.Ready.N == 0 {
		return nil
	}
	err := t.row(ctx, `
		SELECT run_at FROM jobs INDEXED BY jobs_ready
		WHERE queue = ? AND run_at <= ? AND state IN ('pending', 'retrying')`+of+`
		ORDER BY run_at LIMIT 1`, append([]any{stats.Name, now}, whose...)...).Scan(intoTime{&stats.OldestAt})
	stats.Age = t.now.Sub(stats.OldestAt)
	return err
}

// rates averages the roll-ups of the latest full buckets.
func (t *tx) rates(ctx context.Context) (map[string]store.Rates, error) {
	end := t.now.Truncate(bucket)
	rates := map[string]store.Rates{}
	err := t.each(ctx, func(row scanner) error {
		var queue string
		var n [7]int64
		if err := row.Scan(&queue, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6]); err != nil {
			return err
		}
		per := func(n int64) float64 { return float64(n) / store.RateWindow.Seconds() }
		rates[queue] = store.Rates{
			Arrived: per(n[0]), Succeeded: per(n[1]), Failed: per(n[2]), Cancelled: per(n[3]), Retried: per(n[4]),
			Lost: per(n[5]), BusySeconds: per(n[6]) / float64(time.Second/time.Millisecond),
		}
		return nil
	}, sums, micros(end.Add(-store.RateWindow)), micros(end))
	if err != nil {
		return nil, fmt.Errorf("read roll-ups: %w", err)
	}
	return rates, nil
}
