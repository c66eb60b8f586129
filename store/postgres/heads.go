package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/store"
)

// Heads returns the first ready jobs of each queue.
func (s *Store) Heads(ctx context.Context, windows map[string]int, window int) ([]store.Delivery, error) {
	const sql = `
		SELECT h.id, h.generation, q.name
		FROM (
			SELECT q.name, coalesce(w.size, $3) AS size
			FROM queues q LEFT JOIN unnest($1::text[], $2::int[]) w (name, size) ON w.name = q.name
			WHERE q.paused_at IS NULL
		) q CROSS JOIN LATERAL (
			SELECT j.id, j.generation, j.run_at FROM jobs j
			WHERE j.queue = q.name AND j.state IN ('pending', 'retrying') AND j.run_at <= now()
			ORDER BY j.run_at, j.id LIMIT q.size
		) h
		ORDER BY q.name, h.run_at, h.id`
	names := slices.Sorted(maps.Keys(windows))
	sizes := make([]int, len(names))
	for i, name := range names {
		sizes[i] = windows[name]
	}
	return read(ctx, s, "heads", scanDelivery, sql, names, sizes, window)
}

func scanDelivery(row pgx.CollectableRow) (store.Delivery, error) {
	var d store.Delivery
	err := row.Scan((*[16]byte)(&d.JobID), &d.Generation, &d.Queue)
	return d, err
}

// Redeliver gives deliveries that still wait their next generation.
func (s *Store) Redeliver(ctx context.Context, fence store.Lease, stuck []store.Delivery) ([]store.Delivery, error) {
	const sql = `
		WITH job AS MATERIALIZED (
			SELECT j.id, j.state FROM unnest($1::uuid[], $2::int[]) d (id, generation)
				JOIN jobs j ON j.id = d.id AND j.generation = d.generation
			ORDER BY j.id
			FOR UPDATE OF j
		)
		UPDATE jobs j SET generation = j.generation + 1 FROM job WHERE j.id = job.id AND job.state IN ('pending', 'retrying')
		RETURNING j.id, j.generation, j.queue`
	jobIDs, generations := make(uuidArray, len(stuck)), make([]int, len(stuck))
	for i, d := range stuck {
		jobIDs[i], generations[i] = d.JobID, d.Generation
	}
	var moved []store.Delivery
	err := s.fenced(ctx, "redeliver", fence, func(ctx context.Context, tx pgx.Tx) (err error) {
		moved, err = query(ctx, tx, scanDelivery, sql, jobIDs, generations)
		return err
	})
	return moved, err
}

// HandBack returns a delivery that was not claimed.
func (s *Store) HandBack(ctx context.Context, job uuid.UUID, generation int, delay time.Duration) error {
	const sql = `
		WITH job AS MATERIALIZED (SELECT id, state FROM jobs WHERE id = $1 AND generation = $2 FOR UPDATE)
		UPDATE jobs j SET generation = j.generation + 1, run_at = now() + $3 * interval '1 microsecond'
		FROM job WHERE j.id = job.id AND job.state IN ('pending', 'retrying')`
	_, err := s.exec(ctx, "hand back", sql, [16]byte(job), generation, max(delay, 0).Microseconds())
	return err
}

// PublishRoom tells how many more jobs each queue's window would take, as the holder of this lease
// sees it.
func (s *Store) PublishRoom(ctx context.Context, fence store.Lease, rooms map[string]int) error {
	const sql = `
		WITH changed AS MATERIALIZED (
			SELECT q.name, coalesce(r.room, 0) AS room
			FROM queues q LEFT JOIN unnest($1::text[], $2::int[]) r (name, room) ON r.name = q.name
			WHERE (q.room, q.room_epoch) IS DISTINCT FROM (coalesce(r.room, 0), $3::bigint)
			ORDER BY q.name
			FOR NO KEY UPDATE OF q
		)
		UPDATE queues q SET room = c.room, room_epoch = $3 FROM changed c WHERE q.name = c.name`
	names := slices.Sorted(maps.Keys(rooms))
	sizes := make([]int, len(names))
	for i, name := range names {
		sizes[i] = max(rooms[name], 0)
	}
	return s.fenced(ctx, "publish room", fence, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, names, sizes, fence.Epoch)
		return err
	})
}

// Room returns what was last published while the lease holds under which it was.
func (s *Store) Room(ctx context.Context, lease string) (map[string]int, error) {
	const sql = `
		SELECT q.name, q.room FROM leases l JOIN queues q ON q.room_epoch = l.epoch AND q.room > 0
		WHERE l.name = $1 AND l.expires_at > clock_timestamp()`
	rooms := make(map[string]int)
	_, err := read(ctx, s, "room", func(row pgx.CollectableRow) (none struct{}, err error) {
		var (
			name string
			room int
		)
		err = row.Scan(&name, &room)
		rooms[name] = room
		return none, err
	}, sql, lease)
	return rooms, err
}
