package sqlite

import (
	"context"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// bucket is the span that one row of the roll-ups counts.
const bucket = store.RollupEvery

// sums adds up the roll-ups from a time on and before another, by queue.
const sums = `
	SELECT queue, sum(arrived), sum(succeeded), sum(failed), sum(cancelled), sum(retried), sum(lost), sum(busy_ms)
	FROM rollups WHERE bucket >= ? AND bucket < ? GROUP BY queue`

// tally is what a transaction adds to the roll-up of a queue.
type tally struct {
	queue                                                string
	arrived, succeeded, failed, cancelled, retried, lost int64
	busy                                                 time.Duration
}

// count notes something that happened; commit adds it up.
func (t *tx) count(one tally) { t.tally = append(t.tally, one) }

// countState notes that a job came to a state in which something about it has ended.
func (t *tx) countState(queue string, state jobs.State, busy time.Duration) {
	one := tally{queue: queue, busy: max(busy, 0)}
	switch state {
	case jobs.Succeeded:
		one.succeeded = 1
	case jobs.Failed:
		one.failed = 1
	case jobs.Cancelled:
		one.cancelled = 1
	case jobs.Retrying:
		one.retried = 1
	case jobs.Pending, jobs.Running, jobs.Waiting: // it goes on
	}
	t.count(one)
}

// rollUp adds what the transaction counted to the present bucket, one row per queue, and makes
// queues known in which jobs arrived.
func (t *tx) rollUp(ctx context.Context) error {
	sums := map[string]*tally{}
	for _, one := range t.tally {
		sum := sums[one.queue]
		if sum == nil {
			sum = &tally{queue: one.queue}
			sums[one.queue] = sum
		}
		sum.arrived += one.arrived
		sum.succeeded += one.succeeded
		sum.failed += one.failed
		sum.cancelled += one.cancelled
		sum.retried += one.retried
		sum.lost += one.lost
		sum.busy += one.busy
	}
	for _, sum := range sums {
		if sum.arrived > 0 {
			if err := t.knowQueue(ctx, sum.queue); err != nil {
				return err
			}
		}
		if err := t.addRollup(ctx, sum); err != nil {
			return err
		}
	}
	t.tally = nil
	return nil
}

func (t *tx) addRollup(ctx context.Context, sum *tally) error {
	_, err := t.exec(ctx, `
		INSERT INTO rollups (bucket, queue, arrived, succeeded, failed, cancelled, retried, lost, busy_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (bucket, queue) DO UPDATE SET
			arrived = arrived + excluded.arrived,
			succeeded = succeeded + excluded.succeeded,
			failed = failed + excluded.failed,
			cancelled = cancelled + excluded.cancelled,
			retried = retried + excluded.retried,
			lost = lost + excluded.lost,
			busy_ms = busy_ms + excluded.busy_ms`,
		t.now.Truncate(bucket).UnixMicro(), sum.queue, sum.arrived, sum.succeeded, sum.failed,
		sum.cancelled, sum.retried, sum.lost, sum.busy.Milliseconds())
	return err
}

// knowQueue makes a queue known.
func (t *tx) knowQueue(ctx context.Context, name string) error {
	_, err := t.exec(ctx, `INSERT INTO queues (name) VALUES (?) ON CONFLICT (name) DO NOTHING`, name)
	return err
}
