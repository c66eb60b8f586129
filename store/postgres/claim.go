package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/group"
)

// How many groups of claims are under way at once, and of how many claims at most.
const (
	claimParallel = 1
	claimLimit    = 128
)

// Claim gives a job to a run.
func (s *Store) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	claimed, err := s.claims.Do(ctx, req)
	return claimed, grouped(ctx, "claim", err)
}

func (s *Store) claimGroup(ctx context.Context, reqs []store.ClaimRequest) []group.Verdict[store.Claimed] {
	key := func(r store.ClaimRequest) uuid.UUID { return r.JobID }
	weight := func(store.ClaimRequest) int { return 0 }
	return together(reqs, key, weight, func(part []store.ClaimRequest) ([]group.Verdict[store.Claimed], error) {
		return s.claimTogether(ctx, part)
	})
}

// again is the verdict on a claim that holds already.
const again store.Refusal = "again"

// claimSQL judges each request, under the lock of its job, and grants those that nothing speaks
// against. A job stands for at most one of the requests.
//
// The commit is not waited for to be on disk (docs/adr/0004): should Postgres die within the blink
// until it is, the claim is undone, and so the run is refused and the job delivered again. (As to
// finished_at, which is NULL in any job that can be granted, see released.)
//
// $1 places, $2 jobs, $3 generations, $4 claims, $5 workers, $6 kinds (joined by commas), $7 alone, $8
// the losses after which a job must run alone. It answers with a row for each request whose job
// there is: its place, the refusal (empty: granted; again: granted before), the time, and the job as
// it was, with its file where it is granted.
const claimSQL = `
WITH verdict AS MATERIALIZED (
	SELECT r.ord, r.claim AS new_claim, r.worker, w.label, r.alone AND j.losses >= $8 AS new_alone, j.*,
		CASE
			WHEN j.generation <> r.generation THEN 'stale'
			WHEN j.state = 'running' AND j.claim = r.claim THEN 'again'
			WHEN j.state NOT IN ('pending', 'retrying') THEN 'taken'
			WHEN j.run_at > now() THEN 'stale'
			WHEN q.paused_at IS NOT NULL THEN 'paused'
			WHEN w.id IS NULL OR w.cordon_until > now() THEN 'worker'
			WHEN j.kind <> ALL (string_to_array(r.kinds, ',')) THEN 'kind'
			WHEN j.losses >= $8 AND NOT r.alone THEN 'crowd'
			ELSE ''
		END AS refusal
	FROM unnest($1::int[], $2::uuid[], $3::int[], $4::uuid[], $5::uuid[], $6::text[], $7::bool[])
			r (ord, job_id, generation, claim, worker, kinds, alone)
		JOIN jobs j ON j.id = r.job_id
		LEFT JOIN queues q ON q.name = j.queue
		LEFT JOIN workers w ON w.id = r.worker
	ORDER BY j.id
	FOR UPDATE OF j
), granted AS (
	UPDATE jobs j SET
		state = 'running', runs = j.runs + 1, events = j.events + 1, progress = NULL, started_at = now(), finished_at = NULL,
		worker_id = v.worker, worker_label = v.label, claim = v.new_claim, alone = v.new_alone
	FROM verdict v WHERE j.id = v.id AND v.refusal = ''
), event AS (
	INSERT INTO events (job_id, seq, tenant, type, data)
	SELECT id, events + 1, tenant, 'started', ('{"run":' || runs + 1 || ',"worker":"' || worker || '","attempt":' ||
		least(failures + 1, max_attempts) || '}')::json
	FROM verdict WHERE refusal = ''
)
SELECT j.ord, j.refusal, now(), set_config('synchronous_commit', 'off', true), ` + jobColumns + `, ` + fileColumns + `
FROM verdict j LEFT JOIN files f ON f.id = j.file_id AND j.refusal IN ('', 'again')`

func (s *Store) claimTogether(ctx context.Context, reqs []store.ClaimRequest) ([]group.Verdict[store.Claimed], error) {
	n := len(reqs)
	var (
		jobIDs, claims, workers = make(uuidArray, n), make(uuidArray, n), make(uuidArray, n)
		generations             = make([]int, n)
		kinds                   = make([]string, n)
		alone                   = make([]bool, n)
	)
	verdicts := make([]group.Verdict[store.Claimed], n)
	for i, r := range reqs {
		jobIDs[i], claims[i], workers[i] = r.JobID, r.Claim, r.Worker
		generations[i], kinds[i], alone[i] = r.Generation, strings.Join(r.Kinds, ","), r.Alone
		verdicts[i].Value.Refused = store.RefusedUnknown
	}
	err := s.do(ctx, "claim", func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, claimSQL, indexes(n), jobIDs, generations, claims, workers, kinds, alone, jobs.AloneAfter)
		if err != nil {
			return err
		}
		for rows.Next() {
			place, claimed, err := scanClaimed(rows)
			if err != nil {
				rows.Close()
				return err
			}
			verdicts[place].Value = claimed
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// scanClaimed reads one row of what claimSQL answers.
func scanClaimed(rows pgx.Rows) (int, store.Claimed, error) {
	var (
		place   int
		claimed store.Claimed
		now     time.Time
		job     jobScan
		file    fileScan
	)
	targets := append([]any{&place, (*string)(&claimed.Refused), &now, nil}, job.targets()...)
	if err := rows.Scan(append(targets, file.targets()...)...); err != nil {
		return 0, store.Claimed{}, err
	}
	switch claimed.Refused {
	case "":
		claimed.Job = job.get()
		claimed.Job.State, claimed.Job.StartedAt = jobs.Running, now
		claimed.Job.Progress, claimed.Job.ProgressKnown = 0, false
	case again:
		claimed.Refused = ""
		claimed.Job = job.get()
	case store.RefusedKind:
		claimed.Job.Kind = job.job.Kind
		return place, claimed, nil
	default:
		return place, claimed, nil
	}
	claimed.File, claimed.Content = file.get()
	return place, claimed, nil
}
