package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// nextLane finds the tenant after step.tenant that has jobs waiting in step.queue, and when its first
// is due. It looks at one entry of the index, so that a recursive query can go from tenant to tenant.
const nextLane = `LATERAL (
	SELECT j.tenant, j.run_at FROM jobs j
	WHERE j.queue = step.queue AND j.tenant > step.tenant AND j.state IN ('pending', 'retrying')
	ORDER BY j.tenant, j.run_at LIMIT 1
) j`

// Lanes returns the tenants that have jobs waiting.
func (s *Store) Lanes(ctx context.Context, after map[string]jobs.Tenant, limit int) ([]store.LaneState, error) {
	const sql = `
		WITH RECURSIVE step AS (
			SELECT q.name AS queue, coalesce(a.tenant, '') AS tenant, NULL::timestamptz AS run_at, 0 AS n
			FROM queues q LEFT JOIN unnest($1::text[], $2::text[]) a (name, tenant) ON a.name = q.name
			WHERE q.paused_at IS NULL
			UNION ALL
			SELECT step.queue, j.tenant, j.run_at, n + 1
			FROM step CROSS JOIN ` + nextLane + `
			WHERE n < $3
		)
		SELECT step.queue, step.tenant, coalesce(t.weight, 1), step.run_at <= now()
		FROM step LEFT JOIN tenants t ON t.tenant = step.tenant
		WHERE n > 0
		ORDER BY step.queue, n`
	names := slices.Sorted(maps.Keys(after))
	tenants := make([]string, len(names))
	for i, name := range names {
		tenants[i] = string(after[name])
	}
	return read(ctx, s, "lanes", scanLane, sql, names, tenants, limit)
}

func scanLane(row pgx.CollectableRow) (store.LaneState, error) {
	var l store.LaneState
	err := row.Scan(&l.Queue, (*string)(&l.Tenant), &l.Weight, &l.Ready)
	return l, err
}

// Heads returns the first ready jobs of lanes.
func (s *Store) Heads(ctx context.Context, limits map[store.Lane]int) ([]store.Head, error) {
	const sql = `
		SELECT h.id, h.generation, l.queue, l.tenant, h.kind
		FROM unnest($1::text[], $2::text[], $3::int[]) l (queue, tenant, size)
			JOIN queues q ON q.name = l.queue AND q.paused_at IS NULL
			CROSS JOIN LATERAL (
				SELECT j.id, j.generation, j.kind, j.run_at FROM jobs j
				WHERE j.queue = l.queue AND j.tenant = l.tenant AND j.state IN ('pending', 'retrying') AND j.run_at <= now()
				ORDER BY j.run_at, j.id LIMIT l.size
			) h
		ORDER BY l.queue, l.tenant, h.run_at, h.id`
	queues, tenants, sizes := make([]string, 0, len(limits)), make([]string, 0, len(limits)), make([]int, 0, len(limits))
	for lane, size := range limits {
		queues, tenants, sizes = append(queues, lane.Queue), append(tenants, string(lane.Tenant)), append(sizes, max(size, 0))
	}
	return read(ctx, s, "heads", scanHead, sql, queues, tenants, sizes)
}

func scanHead(row pgx.CollectableRow) (store.Head, error) {
	var h store.Head
	err := row.Scan((*[16]byte)(&h.JobID), &h.Generation, &h.Queue, (*string)(&h.Tenant), &h.Kind)
	return h, err
}

// Costs tells how long runs take, by kind.
func (s *Store) Costs(ctx context.Context, sample int) (map[string]time.Duration, error) {
	const sql = `
		SELECT j.kind, (extract(epoch FROM avg(a.took)) * 1000000)::bigint
		FROM (SELECT id, kind FROM jobs WHERE finished_at IS NOT NULL ORDER BY finished_at DESC, id DESC LIMIT $1) j
			CROSS JOIN LATERAL (SELECT avg(finished_at - started_at) AS took FROM attempts WHERE job_id = j.id) a
		WHERE a.took IS NOT NULL
		GROUP BY j.kind`
	costs := map[string]time.Duration{}
	_, err := read(ctx, s, "costs", func(row pgx.CollectableRow) (none struct{}, err error) {
		var (
			kind   string
			micros int64
		)
		err = row.Scan(&kind, &micros)
		costs[kind] = time.Duration(micros) * time.Microsecond
		return none, err
	}, sql, sample)
	return costs, err
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
