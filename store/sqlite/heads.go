package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Lanes returns the tenants that have jobs waiting, from one to the next along the index: each step
// looks at one entry, the first of the next tenant.
func (s *Store) Lanes(ctx context.Context, after map[string]jobs.Tenant, limit int) ([]store.LaneState, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.LaneState, error) {
		queues, err := q.openQueues(ctx)
		if err != nil {
			return nil, err
		}
		var lanes []store.LaneState
		for _, queue := range queues {
			if lanes, err = q.appendLanes(ctx, lanes, store.Lane{Queue: queue, Tenant: after[queue]}, limit); err != nil {
				return nil, err
			}
		}
		return lanes, nil
	})
}

// openQueues are those that are not paused.
func (t *tx) openQueues(ctx context.Context) ([]string, error) {
	queues, err := t.names(ctx, `SELECT name FROM queues WHERE paused_at IS NULL ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read queues: %w", err)
	}
	return queues, nil
}

// appendLanes adds the lanes of a queue that come after one, up to limit.
func (t *tx) appendLanes(ctx context.Context, lanes []store.LaneState, after store.Lane, limit int) ([]store.LaneState, error) {
	lane := store.LaneState{Lane: after}
	for range limit {
		found, err := t.nextLane(ctx, &lane)
		if err != nil {
			return nil, fmt.Errorf("read lanes of queue %s: %w", after.Queue, err)
		}
		if !found {
			break
		}
		lanes = append(lanes, lane)
	}
	return lanes, nil
}

// nextLane goes on to the next tenant of the lane's queue, if there is one.
func (t *tx) nextLane(ctx context.Context, lane *store.LaneState) (bool, error) {
	var runAt time.Time
	err := t.row(ctx, `
		SELECT tenant, run_at, coalesce((SELECT weight FROM tenants WHERE tenants.tenant = jobs.tenant), 1)
		FROM jobs INDEXED BY jobs_lanes WHERE queue = ? AND tenant > ? AND state IN ('pending', 'retrying')
		ORDER BY tenant, run_at LIMIT 1`, lane.Queue, string(lane.Tenant)).Scan(&lane.Tenant, intoTime{&runAt}, &lane.Weight)
	lane.Ready = !runAt.After(t.now)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Heads returns the first ready jobs of lanes, of each oldest first.
func (s *Store) Heads(ctx context.Context, limits map[store.Lane]int) ([]store.Head, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.Head, error) {
		paused, err := q.names(ctx, `SELECT name FROM queues WHERE paused_at IS NOT NULL`)
		if err != nil {
			return nil, fmt.Errorf("read paused queues: %w", err)
		}
		var heads []store.Head
		for lane, limit := range limits {
			if slices.Contains(paused, lane.Queue) {
				continue
			}
			if heads, err = q.appendHead(ctx, heads, lane, limit); err != nil {
				return nil, fmt.Errorf("read head of queue %s, tenant %s: %w", lane.Queue, lane.Tenant, err)
			}
		}
		return heads, nil
	})
}

func (t *tx) appendHead(ctx context.Context, heads []store.Head, lane store.Lane, limit int) ([]store.Head, error) {
	err := t.each(ctx, func(row scanner) error {
		h := store.Head{Delivery: store.Delivery{Queue: lane.Queue}, Tenant: lane.Tenant}
		if err := row.Scan(intoID{&h.JobID}, &h.Generation, &h.Kind); err != nil {
			return err
		}
		heads = append(heads, h)
		return nil
	}, `
		SELECT id, generation, kind FROM jobs INDEXED BY jobs_lanes
		WHERE queue = ? AND tenant = ? AND run_at <= ? AND state IN ('pending', 'retrying')
		ORDER BY run_at, id LIMIT ?`, lane.Queue, string(lane.Tenant), micros(t.now), max(limit, 0))
	return heads, err
}

// Costs tells how long runs take on average, by kind.
func (s *Store) Costs(ctx context.Context, sample int) (map[string]time.Duration, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) (map[string]time.Duration, error) {
		costs := map[string]time.Duration{}
		err := q.each(ctx, func(row scanner) error {
			var kind string
			var mean float64
			if err := row.Scan(&kind, &mean); err != nil {
				return err
			}
			costs[kind] = time.Duration(mean * float64(time.Microsecond))
			return nil
		}, `
			SELECT kind, avg(took) FROM (
				SELECT kind, (SELECT avg(finished_at - started_at) FROM attempts WHERE job_id = jobs.id) AS took
				FROM jobs INDEXED BY jobs_ended WHERE finished_at IS NOT NULL ORDER BY finished_at DESC, id DESC LIMIT ?
			) WHERE took IS NOT NULL GROUP BY kind`, max(sample, 0))
		if err != nil {
			return nil, fmt.Errorf("read how long runs take: %w", err)
		}
		return costs, nil
	})
}

// names runs a query for one column of text.
func (t *tx) names(ctx context.Context, text string, args ...any) ([]string, error) {
	var names []string
	err := t.each(ctx, func(row scanner) error {
		var name string
		if err := row.Scan(&name); err != nil {
			return err
		}
		names = append(names, name)
		return nil
	}, text, args...)
	return names, err
}

// Redeliver gives those of the deliveries that still wait at that generation the next one.
func (s *Store) Redeliver(ctx context.Context, fence store.Lease, stuck []store.Delivery) ([]store.Delivery, error) {
	return write(ctx, s, func(ctx context.Context, t *tx) ([]store.Delivery, error) {
		if err := t.fenced(ctx, fence); err != nil {
			return nil, err
		}
		var anew []store.Delivery
		for _, d := range stuck {
			n, err := t.exec(ctx, `
				UPDATE jobs SET generation = generation + 1
				WHERE id = ? AND generation = ? AND state IN ('pending', 'retrying')`, key(d.JobID), d.Generation)
			if err != nil {
				return nil, fmt.Errorf("deliver job %s anew: %w", d.JobID, err)
			}
			if n == 1 {
				d.Generation++
				anew = append(anew, d)
			}
		}
		return anew, nil
	})
}

// PublishRoom tells everybody how many more jobs each queue's window would take. What has not
// changed is not written again.
func (s *Store) PublishRoom(ctx context.Context, fence store.Lease, rooms map[string]int) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		if err := t.fenced(ctx, fence); err != nil {
			return err
		}
		published, err := t.rooms(ctx, fence.Epoch)
		if err != nil {
			return err
		}
		for queue := range published {
			if rooms[queue] <= 0 {
				if err := t.setRoom(ctx, queue, 0, fence.Epoch); err != nil {
					return err
				}
			}
		}
		for queue, room := range rooms {
			if room > 0 && published[queue] != room {
				if err := t.setRoom(ctx, queue, room, fence.Epoch); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (t *tx) setRoom(ctx context.Context, queue string, room int, epoch int64) error {
	_, err := t.exec(ctx, `UPDATE queues SET room = ?, room_epoch = ? WHERE name = ?`, room, epoch, queue)
	if err != nil {
		return fmt.Errorf("publish room of queue %s: %w", queue, err)
	}
	return nil
}

// rooms reads what the leader of an epoch has published.
func (t *tx) rooms(ctx context.Context, epoch int64) (map[string]int, error) {
	rooms := map[string]int{}
	err := t.each(ctx, func(row scanner) error {
		var queue string
		var room int
		if err := row.Scan(&queue, &room); err != nil {
			return err
		}
		rooms[queue] = room
		return nil
	}, `SELECT name, room FROM queues WHERE room > 0 AND room_epoch = ?`, epoch)
	if err != nil {
		return nil, fmt.Errorf("read rooms: %w", err)
	}
	return rooms, nil
}

// Room returns what the present holder of the lease has published last; nothing while nobody holds
// it.
func (s *Store) Room(ctx context.Context, lease string) (map[string]int, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) (map[string]int, error) {
		var epoch int64
		err := q.row(ctx, `SELECT epoch FROM leases WHERE name = ? AND expires_at > ?`, lease, micros(q.now)).Scan(&epoch)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read lease %s: %w", lease, err)
		}
		return q.rooms(ctx, epoch)
	})
}
