package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// pair is a job that takes over the result of another, its twin.
type pair struct{ job, twin uuid.UUID }

// twinSQL finds, for each key of $2, the newest job with it that has succeeded. $1 are places.
const twinSQL = `
	SELECT k.ord, t.id
	FROM unnest($1::int[], $2::bytea[]) k (ord, key) CROSS JOIN LATERAL (
		SELECT j.id FROM jobs j WHERE j.reuse_key = k.key AND j.state = 'succeeded' ORDER BY j.id DESC LIMIT 1
	) t`

// findTwins finds whose results the jobs among the rows can take over.
func (r *uploadRows) findTwins(ctx context.Context, q querier) ([]pair, error) {
	keys := make(byteArray, len(r.takers))
	for i, t := range r.takers {
		keys[i] = t.key
	}
	scan := func(row pgx.CollectableRow) (pair, error) {
		var (
			place int
			p     pair
		)
		err := row.Scan(&place, (*[16]byte)(&p.twin))
		if err == nil {
			p.job = r.takers[place].job
		}
		return p, err
	}
	return prepared(ctx, q, scan, twinSQL, indexes(len(keys)), keys)
}

// takeOverSQL ends the jobs $2, which this transaction has inserted, with the results and artifacts
// of $3. Their locks keep those from being pruned until the new artifacts refer to the blobs; what is
// being pruned already is passed over, and so its job is left to be run. $1 is the writer. It answers
// with the pairs that there were.
const takeOverSQL = `
WITH pair AS MATERIALIZED (
	SELECT p.job, t.id AS twin, t.result
	FROM unnest($2::uuid[], $3::uuid[]) p (job, twin) JOIN jobs t ON t.id = p.twin
	ORDER BY t.id
	FOR KEY SHARE OF t SKIP LOCKED
), artifact AS (
	INSERT INTO artifacts (job_id, name, media_type, size, sha256, content, blob_key)
	SELECT p.job, a.name, a.media_type, a.size, a.sha256, a.content, a.blob_key
	FROM pair p JOIN artifacts a ON a.job_id = p.twin
), taken AS (
	UPDATE jobs j SET state = 'succeeded', finished_at = now(), events = j.events + 1, result = p.result, result_of = p.twin
	FROM pair p WHERE j.id = p.job
	RETURNING j.id, j.tenant, j.queue, j.events, j.result_of
), event AS (
	INSERT INTO events (job_id, seq, tenant, type, data)
	SELECT id, events, tenant, 'reused', ('{"result_of":"' || result_of || '"}')::json FROM taken
), counted AS (
	INSERT INTO rollups (queue, bucket, writer, succeeded)
	SELECT queue, ` + bucket + `, $1, count(*) FROM taken GROUP BY queue ORDER BY queue
	ON CONFLICT (bucket, queue, writer) DO UPDATE SET succeeded = rollups.succeeded + EXCLUDED.succeeded
)
SELECT job, twin FROM pair`

// takeOver gives jobs that tx has inserted the results of their twins, and returns which of them have
// whose.
func takeOver(ctx context.Context, tx pgx.Tx, pairs []pair, writer int32) (map[uuid.UUID]uuid.UUID, error) {
	takers, twins := make(uuidArray, len(pairs)), make(uuidArray, len(pairs))
	for i, p := range pairs {
		takers[i], twins[i] = p.job, p.twin
	}
	scan := func(row pgx.CollectableRow) (p pair, err error) {
		err = row.Scan((*[16]byte)(&p.job), (*[16]byte)(&p.twin))
		return p, err
	}
	done, err := query(ctx, tx, scan, takeOverSQL, writer, takers, twins)
	if err != nil {
		return nil, err
	}
	taken := make(map[uuid.UUID]uuid.UUID, len(done))
	for _, p := range done {
		taken[p.job] = p.twin
	}
	return taken, nil
}
