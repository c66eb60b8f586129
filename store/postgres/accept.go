package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/group"
)

// acceptance is what one call of Accept asks for: all of it or nothing.
type acceptance struct {
	tenant  jobs.Tenant
	uploads []store.Upload
}

// How many groups are accepted at once, and of how many calls at most. One at a time makes the
// largest groups, which take the fewest statements and flushes: on two cores that all share, two at
// once take 1.2 times as much of the processors for each upload and three 1.5 times, and are no
// faster. It is the same with claims and ends.
const (
	acceptParallel = 1
	acceptLimit    = 64
)

// Accept commits the files and their jobs.
func (s *Store) Accept(ctx context.Context, tenant jobs.Tenant, uploads []store.Upload) ([]store.Accepted, error) {
	switch {
	case len(uploads) == 0:
		return nil, nil
	case stale(uploads):
		return nil, store.ErrStale
	}
	accepted, err := s.accepts.Do(ctx, acceptance{tenant, uploads})
	return accepted, grouped(ctx, "accept", err)
}

func (s *Store) acceptGroup(ctx context.Context, calls []acceptance) []group.Verdict[[]store.Accepted] {
	key := func(a acceptance) uuid.UUID { return a.uploads[0].Job.ID }
	weight := func(a acceptance) int { return weigh(a.uploads) }
	return together(calls, key, weight, func(part []acceptance) ([]group.Verdict[[]store.Accepted], error) {
		return s.acceptTogether(ctx, part)
	})
}

// acceptSQL inserts files and jobs with their blobs, their first events, and what the queues'
// roll-ups gain. A blob that a run held is held no more.
//
// The arrays are those of uploadRows, $18 tenants, $19 parents, $20 and $21 arrivals by queue, $22
// their writer, $23 budgets, $24 and $25 what is fresh and keys of reuse. It answers with the time.
const acceptSQL = `
WITH blob AS (
	INSERT INTO blobs (key) SELECT key FROM unnest($8::uuid[]) b (key) WHERE key <> ` + nilUUID + `
	ON CONFLICT (key) DO UPDATE SET held_job = NULL, held_claim = NULL
), file AS (
	INSERT INTO files (id, tenant, name, size, sha256, media_type, claimed_type, content, blob_key)
	SELECT id, tenant, name, size, sha256, media_type, claimed_type, content, nullif(blob_key, ` + nilUUID + `)
	FROM unnest($1::uuid[], $18::text[], ` + newFileArrays + `) f (id, tenant, ` + newFile + `)
), job AS (
	INSERT INTO jobs (file_id, tenant, parent_id, run_at, id, kind, kind_version, queue, params, params_hash, max_attempts, fail_with_children, budget, fresh, reuse_key)
	SELECT file_id, tenant, nullif(parent_id, ` + nilUUID + `), coalesce(run_at, now()), id, kind, kind_version, queue,
		params, params_hash, max_attempts, fail_with_children, budget, fresh, reuse_key
	FROM unnest($1::uuid[], $18::text[], $19::uuid[], ` + newJobArrays + `) j (file_id, tenant, parent_id, ` + newJob + `)
), event AS (
	INSERT INTO events (job_id, seq, tenant, type)
	SELECT id, 1, tenant, 'accepted' FROM unnest($9::uuid[], $18::text[]) j (id, tenant)
), counted AS (
	INSERT INTO rollups (queue, bucket, writer, arrived)
	SELECT queue, ` + bucket + `, $22, arrived FROM unnest($20::text[], $21::bigint[]) c (queue, arrived)
	ON CONFLICT (bucket, queue, writer) DO UPDATE SET arrived = rollups.arrived + EXCLUDED.arrived
)
SELECT now()`

func (s *Store) acceptTogether(ctx context.Context, calls []acceptance) ([]group.Verdict[[]store.Accepted], error) {
	var rows uploadRows
	for _, call := range calls {
		rows.add(call.uploads, string(call.tenant), uuid.Nil)
	}
	if err := s.knowQueues(ctx, rows.queues); err != nil {
		return nil, err
	}
	writer := <-s.acceptWriters
	defer func() { s.acceptWriters <- writer }()

	now, taken, err := s.insert(ctx, &rows, writer)
	if err != nil {
		return nil, err
	}
	verdicts := make([]group.Verdict[[]store.Accepted], len(calls))
	for i, call := range calls {
		verdicts[i].Value = accepted(call.uploads, now, taken)
	}
	return verdicts, nil
}

// insert commits the rows: in one statement, unless some of the jobs take over results, for which it
// returns whose.
func (s *Store) insert(ctx context.Context, rows *uploadRows, writer int32) (now time.Time, taken map[uuid.UUID]uuid.UUID, err error) {
	var pairs []pair
	if len(rows.takers) > 0 {
		err := s.do(ctx, "find results", func(ctx context.Context) (err error) {
			pairs, err = rows.findTwins(ctx, s.pool)
			return err
		})
		if err != nil {
			return now, nil, err
		}
	}
	if len(pairs) == 0 {
		err := s.do(ctx, "accept", func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, acceptSQL, rows.args(writer)...).Scan(&now)
		})
		return now, nil, err
	}
	err = s.tx(ctx, "accept", func(ctx context.Context, tx pgx.Tx) error {
		now, taken, err = rows.insert(ctx, tx, pairs, writer)
		return err
	})
	return now, taken, err
}

// insert inserts the rows, and gives jobs the results of their twins.
func (r *uploadRows) insert(ctx context.Context, tx pgx.Tx, pairs []pair, writer int32) (now time.Time, taken map[uuid.UUID]uuid.UUID, err error) {
	if err := tx.QueryRow(ctx, acceptSQL, r.args(writer)...).Scan(&now); err != nil || len(pairs) == 0 {
		return now, nil, err
	}
	taken, err = takeOver(ctx, tx, pairs, writer)
	return now, taken, err
}

// soloParallel is how many uploads are accepted at once that share no statement with others. Each may wait
// for another that has to do with the same, in a connection of the pool.
const soloParallel = 4

// acceptSolo runs fn in a transaction of its own, and gives it what accepts the uploads there.
func (s *Store) acceptSolo(
	ctx context.Context, what string, tenant jobs.Tenant, uploads []store.Upload,
	fn func(ctx context.Context, tx pgx.Tx, accept func() ([]store.Accepted, error)) error,
) error {
	if stale(uploads) {
		return store.ErrStale
	}
	var rows uploadRows
	rows.add(uploads, string(tenant), uuid.Nil)
	if err := s.knowQueues(ctx, rows.queues); err != nil {
		return err
	}
	var writer int32
	select {
	case writer = <-s.soloWriters:
		defer func() { s.soloWriters <- writer }()
	case <-ctx.Done():
		return translate(ctx, what, context.Cause(ctx))
	}
	return s.tx(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		return fn(ctx, tx, func() ([]store.Accepted, error) {
			var pairs []pair
			if len(rows.takers) > 0 {
				var err error
				if pairs, err = rows.findTwins(ctx, tx); err != nil {
					return nil, err
				}
			}
			now, taken, err := rows.insert(ctx, tx, pairs, writer)
			if err != nil {
				return nil, err
			}
			return accepted(uploads, now, taken), nil
		})
	})
}

func accepted(uploads []store.Upload, now time.Time, taken map[uuid.UUID]uuid.UUID) []store.Accepted {
	all := make([]store.Accepted, len(uploads))
	for i := range uploads {
		job := &uploads[i].Job
		runAt := now
		if !job.RunAt.IsZero() {
			runAt = job.RunAt.UTC().Truncate(time.Microsecond)
		}
		origin, isTaken := taken[job.ID]
		all[i] = store.Accepted{JobID: job.ID, Generation: 1, RunAt: runAt, Due: !isTaken && !runAt.After(now), ResultOf: origin}
	}
	return all
}

// knowQueues makes sure that queues have their rows, before the first of their jobs does.
func (s *Store) knowQueues(ctx context.Context, names []string) error {
	var fresh []string
	for _, name := range names {
		if _, known := s.queues.Load(name); !known {
			fresh = append(fresh, name)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	const sql = `INSERT INTO queues (name) SELECT DISTINCT name FROM unnest($1::text[]) q (name) ORDER BY name
		ON CONFLICT (name) DO NOTHING`
	if _, err := s.exec(ctx, "make queues known", sql, fresh); err != nil {
		return err
	}
	for _, name := range fresh {
		s.queues.Store(name, struct{}{})
	}
	return nil
}
