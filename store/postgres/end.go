package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/group"
)

// How many groups of ends are under way at once, and of how many ends at most. Those that bring
// artifacts or children have groups of their own: a thousand children take their time, for which the
// others do not wait.
const (
	endParallel  = 1
	endLimit     = 128
	richParallel = 2
	richLimit    = 16
)

// End records how a run ended.
func (s *Store) End(ctx context.Context, end store.RunEnd) (jobs.State, error) {
	if staleEnd(&end) {
		return "", store.ErrStale
	}
	end, err := end.Checked()
	if err != nil {
		return "", err
	}
	ends := s.ends
	if bringsMore(end) {
		ends = s.richEnds
	}
	state, err := ends.Do(ctx, end)
	return state, grouped(ctx, "end", err)
}

func (s *Store) endGroup(ctx context.Context, ends []store.RunEnd) []group.Verdict[jobs.State] {
	key := func(e store.RunEnd) uuid.UUID { return e.JobID }
	return together(ends, key, weighEnd, func(part []store.RunEnd) ([]group.Verdict[jobs.State], error) {
		return s.endTogether(ctx, part)
	})
}

func weighEnd(e store.RunEnd) int {
	sum := len(e.Result) + weigh(e.Children)
	for i := range e.Artifacts {
		sum += len(e.Artifacts[i].Content)
	}
	return sum
}

// endTogether ends runs in one statement, finds out of those that hold no claim whether they had
// ended in the same way before, and settles the parents of the jobs that ended.
func (s *Store) endTogether(ctx context.Context, ends []store.RunEnd) ([]group.Verdict[jobs.State], error) {
	done, err := s.recordEnds(ctx, ends)
	if isData(err) && len(ends) == 1 && !isInvalid(ends[0].Error) {
		return s.endTogether(ctx, []store.RunEnd{ends[0].Invalid(refusal(err))})
	}
	if err != nil {
		return nil, err
	}
	verdicts := make([]group.Verdict[jobs.State], len(ends))
	var parents []uuid.UUID
	for _, d := range done {
		verdicts[d.place].Value = d.state
		if d.parent != uuid.Nil && d.state.Ended() {
			parents = append(parents, d.parent)
		}
		if len(ends[d.place].Children) > 0 {
			parents = append(parents, ends[d.place].JobID) // they may all have taken results over
		}
	}
	if len(done) < len(ends) {
		s.judgeRest(ctx, ends, verdicts)
	}
	s.settleAfter(ctx, parents)
	return verdicts, nil
}

func isInvalid(err *jobs.Error) bool { return err != nil && err.Code == jobs.CodeInvalidResult }

// refusal says to people why the database does not take a result.
func refusal(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return "the database cannot hold what the run made"
	}
	return fmt.Sprintf("the database cannot hold what the run made (SQLSTATE %s)", pg.Code)
}

// endSQL ends the runs that hold their claims: it moves their jobs as jobs.Settle says, and records
// what happened. (A job has a claim just as long as it runs, as a CHECK makes sure. To ask for the
// state as well would let the planner read all running jobs instead of these.)
//
// $1 writer, $2 places, $3 jobs, $4 claims, $5 outcomes, $6 delays in µs, $7 and $8 errors, $9
// results, $10 which of them bring children. It answers with a row for each run that it ended: the
// place, the job's new state, its parent and its tenant.
const endSQL = `
WITH run AS MATERIALIZED (
	SELECT r.*, j.id, j.tenant, j.parent_id, j.queue, j.runs, j.events, j.worker_id, j.worker_label, j.started_at,
		CASE r.outcome
			WHEN 'failed' THEN 'failed'
			WHEN 'cancelled' THEN 'cancelled'
			WHEN 'succeeded' THEN CASE WHEN r.spawns OR EXISTS (
				SELECT FROM jobs c WHERE ` + open + ` AND c.parent_id = j.id
			) THEN 'waiting' ELSE 'succeeded' END
			ELSE CASE WHEN j.cancel_requested THEN 'cancelled' WHEN r.outcome = 'retry' THEN 'retrying' ELSE 'pending' END
		END AS state
	FROM unnest($2::int[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::json[], $10::bool[])
			r (ord, job_id, claim, outcome, delay, error_code, error_message, result, spawns)
		JOIN jobs j ON j.id = r.job_id AND j.claim = r.claim
	ORDER BY j.id
	FOR UPDATE OF j
), ended AS (
	UPDATE jobs j SET
		state = r.state, events = j.events + 1, result = r.result, ` + released + `,
		reuse_key = CASE WHEN r.spawns THEN NULL ELSE j.reuse_key END,
		generation = CASE WHEN r.state IN ('pending', 'retrying') THEN j.generation + 1 ELSE j.generation END,
		run_at = CASE WHEN r.state IN ('pending', 'retrying') THEN now() + r.delay * interval '1 microsecond' ELSE j.run_at END,
		finished_at = CASE WHEN r.state IN ('succeeded', 'failed', 'cancelled') THEN now() END,
		failures = CASE WHEN r.outcome IN ('failed', 'retry') THEN j.failures + 1 ELSE j.failures END,
		drains = CASE WHEN r.outcome = 'drained' THEN j.drains + 1 ELSE j.drains END,
		error_code = CASE WHEN r.outcome IN ('cancelled', 'drained') THEN j.error_code ELSE r.error_code END,
		error_message = CASE WHEN r.outcome IN ('cancelled', 'drained') THEN j.error_message ELSE r.error_message END
	FROM run r WHERE j.id = r.id
), ` + recordRuns + `
SELECT ord, state, parent_id, tenant FROM run`

// released takes the run off a job. Every UPDATE that moves a job sets this, and finished_at, even
// where they are NULL already: before the server finds out that a row has changed since the statement
// began, and takes the row as it is now, it holds the constraints against what it would make of the
// row as it was then.
const released = `claim = NULL, worker_id = NULL, worker_label = NULL, alone = false`

// recordRuns is the part of a statement that records runs which have ended: as attempts, in the
// events of their jobs, and in the roll-ups. It reads them from run, and the writer from $1.
const recordRuns = `attempt AS (
	INSERT INTO attempts (job_id, run, claim, worker_id, worker_label, started_at, outcome, error_code, error_message)
	SELECT id, runs, claim, worker_id, worker_label, started_at, outcome, error_code, error_message FROM run
), event AS (
	INSERT INTO events (job_id, seq, tenant, type, data)
	SELECT id, events + 1, tenant, 'ended', ('{"outcome":"' || outcome || '","state":"' || state || '"' ||
		coalesce(',"code":' || to_json(error_code), '') ||
		CASE WHEN state = 'retrying' THEN ',"delay_ms":' || delay / 1000 ELSE '' END || '}')::json
	FROM run
), counted AS (
	INSERT INTO rollups (queue, bucket, writer, succeeded, failed, cancelled, retried, lost, busy_ms)
	SELECT queue, ` + bucket + `, $1, count(*) FILTER (WHERE state = 'succeeded'), count(*) FILTER (WHERE state = 'failed'),
		count(*) FILTER (WHERE state = 'cancelled'), count(*) FILTER (WHERE state = 'retrying'),
		count(*) FILTER (WHERE outcome = 'lost'), sum(greatest(extract(epoch FROM now() - started_at) * 1000, 0))
	FROM run GROUP BY queue ORDER BY queue
	ON CONFLICT (bucket, queue, writer) DO UPDATE SET
		succeeded = rollups.succeeded + EXCLUDED.succeeded, failed = rollups.failed + EXCLUDED.failed,
		cancelled = rollups.cancelled + EXCLUDED.cancelled, retried = rollups.retried + EXCLUDED.retried,
		lost = rollups.lost + EXCLUDED.lost, busy_ms = rollups.busy_ms + EXCLUDED.busy_ms
)`

// ended is a run that endSQL has ended.
type ended struct {
	place  int
	state  jobs.State
	parent uuid.UUID
	tenant string
}

func scanEnded(row pgx.CollectableRow) (ended, error) {
	var e ended
	err := row.Scan(&e.place, (*string)(&e.state), (*zeronull.UUID)(&e.parent), &e.tenant)
	return e, err
}

// recordEnds ends the runs that hold their claims: in one round trip, unless one of them brings
// artifacts or children.
func (s *Store) recordEnds(ctx context.Context, ends []store.RunEnd) (done []ended, err error) {
	writer := <-s.endWriters
	defer func() { s.endWriters <- writer }()
	args := endArgs(ends, writer)
	if !slices.ContainsFunc(ends, bringsMore) {
		err = s.do(ctx, "end", func(ctx context.Context) error {
			done, err = prepared(ctx, s.pool, scanEnded, endSQL, args...)
			return err
		})
		return done, err
	}
	if err := s.knowQueues(ctx, childQueues(ends)); err != nil {
		return nil, err
	}
	err = s.tx(ctx, "end", func(ctx context.Context, tx pgx.Tx) error {
		if done, err = prepared(ctx, tx, scanEnded, endSQL, args...); err != nil {
			return err
		}
		return addProducts(ctx, tx, ends, done, writer)
	})
	return done, err
}

func endArgs(ends []store.RunEnd, writer int32) []any {
	n := len(ends)
	var (
		jobIDs, claims = make(uuidArray, n), make(uuidArray, n)
		outcomes       = make([]string, n)
		delays         = make([]int64, n)
		codes          = make(textArray, n)
		messages       = make(textArray, n)
		results        = make(byteArray, n)
		spawns         = make([]bool, n)
	)
	for i := range ends {
		end := &ends[i]
		jobIDs[i], claims[i], outcomes[i] = end.JobID, end.Claim, string(end.Outcome)
		delays[i], results[i], spawns[i] = end.Delay.Microseconds(), raw(end.Result), len(end.Children) > 0
		if end.Error != nil {
			codes[i] = pgtype.Text{String: string(end.Error.Code), Valid: true}
			messages[i] = pgtype.Text{String: end.Error.Message, Valid: true}
		}
	}
	return []any{writer, indexes(n), jobIDs, claims, outcomes, delays, codes, messages, results, spawns}
}

// judgeRest gives the verdicts on runs that held no claim: those which had ended in the same way
// before are told where their jobs are, the others that their claim is lost.
func (s *Store) judgeRest(ctx context.Context, ends []store.RunEnd, verdicts []group.Verdict[jobs.State]) {
	const sql = `
		SELECT r.ord, a.outcome, coalesce(a.error_code, ''), j.state
		FROM unnest($1::int[], $2::uuid[], $3::uuid[]) r (ord, job_id, claim)
			JOIN attempts a ON a.job_id = r.job_id AND a.claim = r.claim
			JOIN jobs j ON j.id = a.job_id`
	var (
		places         []int
		jobIDs, claims uuidArray
	)
	for i := range ends {
		if verdicts[i].Value == "" {
			places, jobIDs, claims = append(places, i), append(jobIDs, ends[i].JobID), append(claims, ends[i].Claim)
		}
	}
	before, err := read(ctx, s, "end", scanEndedBefore, sql, places, jobIDs, claims)
	for _, i := range places {
		verdicts[i].Err = store.ErrClaimLost
		if err != nil {
			verdicts[i].Err = err
		}
	}
	for _, b := range before {
		if b.sameAs(ends[b.place].Outcome) {
			verdicts[b.place] = group.Verdict[jobs.State]{Value: b.state}
		}
	}
}

// endedBefore is what an earlier end of a run has left.
type endedBefore struct {
	place   int
	outcome jobs.Outcome
	code    jobs.Code
	state   jobs.State // of the job, now
}

func scanEndedBefore(row pgx.CollectableRow) (endedBefore, error) {
	var b endedBefore
	err := row.Scan(&b.place, (*string)(&b.outcome), (*string)(&b.code), (*string)(&b.state))
	return b, err
}

// sameAs reports whether an end with this outcome leaves what was left. A success may have turned
// out not to be storable.
func (b endedBefore) sameAs(outcome jobs.Outcome) bool {
	return b.outcome == outcome ||
		outcome == jobs.RunSucceeded && b.outcome == jobs.RunFailed && b.code == jobs.CodeInvalidResult
}
