package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/leat-dev/leat/store"
)

// Heads returns the first ready jobs of every queue that is not paused, oldest first.
func (s *Store) Heads(ctx context.Context, windows map[string]int, window int) ([]store.Delivery, error) {
	return read(ctx, s, func(ctx context.Context, q *tx) ([]store.Delivery, error) {
		queues, err := q.names(ctx, `SELECT name FROM queues WHERE paused_at IS NULL ORDER BY name`)
		if err != nil {
			return nil, fmt.Errorf("read queues: %w", err)
		}
		var heads []store.Delivery
		for _, queue := range queues {
			limit, own := windows[queue]
			if !own {
				limit = window
			}
			if heads, err = q.appendHead(ctx, heads, queue, limit); err != nil {
				return nil, fmt.Errorf("read head of queue %s: %w", queue, err)
			}
		}
		return heads, nil
	})
}

func (t *tx) appendHead(ctx context.Context, heads []store.Delivery, queue string, limit int) ([]store.Delivery, error) {
	if limit <= 0 {
		return heads, nil
	}
	err := t.each(ctx, func(row scanner) error {
		d := store.Delivery{Queue: queue}
		if err := row.Scan(intoID{&d.JobID}, &d.Generation); err != nil {
			return err
		}
		heads = append(heads, d)
		return nil
	}, `
		SELECT id, generation FROM jobs INDEXED BY jobs_ready
		WHERE queue = ? AND run_at <= ? AND state IN ('pending', 'retrying')
		ORDER BY run_at, id LIMIT ?`, queue, micros(t.now), limit)
	return heads, err
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
