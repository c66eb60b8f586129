package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// record is a job's row: the job, and what only the store knows of it.
type record struct {
	jobs.Job
	failWithChildren bool
	runs             int
	events           int
	worker           uuid.UUID
	label            string
	claim            uuid.UUID
	alone            bool

	was jobs.State // as it was read

	progress      sql.NullFloat64
	code, message sql.NullString
	labelColumn   sql.NullString
}

// columns are those that record.targets scans, of the table jobs as j.
const columns = withoutResult + `, j.result `

// listColumns are the same without the result: a page of results could be a thousand times the largest.
const listColumns = withoutResult + `, NULL `

const withoutResult = ` j.id, j.tenant, j.file_id, j.parent_id, j.kind, j.kind_version, j.queue, j.params_hash,
	j.fail_with_children, j.state, j.generation, j.cancel_requested, j.failures, j.losses, j.drains,
	j.runs, j.max_attempts, j.events, j.progress, j.run_at, j.created_at, j.started_at, j.finished_at,
	j.worker_id, j.worker_label, j.claim, j.alone, j.error_code, j.error_message, j.params, j.budget, j.fresh, j.result_of`

// scan reads columns, and more behind them.
func (r *record) scan(row scanner, more ...any) error {
	var budget json.RawMessage
	targets := []any{
		intoID{&r.ID},
		&r.Tenant,
		intoID{&r.FileID},
		intoID{&r.ParentID},
		&r.Kind, &r.KindVersion, &r.Queue,
		intoHash{&r.ParamsHash},
		&r.failWithChildren, &r.State, &r.Generation, &r.CancelRequested,
		&r.Failures, &r.Losses, &r.Drains, &r.runs, &r.MaxAttempts, &r.events, &r.progress,
		intoTime{&r.RunAt},
		intoTime{&r.CreatedAt},
		intoTime{&r.StartedAt},
		intoTime{&r.FinishedAt},
		intoID{&r.worker},
		&r.labelColumn,
		intoID{&r.claim},
		&r.alone, &r.code, &r.message,
		intoRaw(&r.Params), intoRaw(&budget), &r.Fresh,
		intoID{&r.ResultOf},
		intoRaw(&r.Result),
	}
	if err := row.Scan(append(targets, more...)...); err != nil {
		return err
	}
	if len(budget) > 0 {
		if err := json.Unmarshal(budget, &r.Budget); err != nil {
			return fmt.Errorf("read the budget of job %s: %w", r.ID, err)
		}
	}
	r.Progress, r.ProgressKnown = r.progress.Float64, r.progress.Valid
	r.Error = toError(r.code, r.message)
	r.label = r.labelColumn.String
	r.was = r.State
	return nil
}

// load reads a job, or nil when there is none.
func (t *tx) load(ctx context.Context, id uuid.UUID) (*record, error) {
	r := &record{}
	err := r.scan(t.row(ctx, `SELECT`+columns+`FROM jobs j WHERE j.id = ?`, key(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read job %s: %w", id, err)
	}
	return r, nil
}

// save writes back what can change in a job. It refuses a move that is no edge of the state
// machine.
func (t *tx) save(ctx context.Context, r *record) error {
	if r.State != r.was && !jobs.CanMove(r.was, r.State) {
		return fmt.Errorf("job %s cannot move from %s to %s", r.ID, r.was, r.State)
	}
	var progress any
	if r.ProgressKnown {
		progress = r.Progress
	}
	code, message := errorParts(r.Error)
	n, err := t.exec(ctx, `
		UPDATE jobs SET
			state = ?, generation = ?, cancel_requested = ?, failures = ?, losses = ?, drains = ?, runs = ?,
			events = ?, progress = ?, run_at = ?, started_at = ?, finished_at = ?, worker_id = ?,
			worker_label = ?, claim = ?, alone = ?, error_code = ?, error_message = ?, result = ?
		WHERE id = ? AND state = ?`,
		string(r.State), r.Generation, r.CancelRequested, r.Failures, r.Losses, r.Drains, r.runs,
		r.events, progress, micros(r.RunAt), microsOrNull(r.StartedAt), microsOrNull(r.FinishedAt), keyOrNull(r.worker),
		textOrNull(r.label), keyOrNull(r.claim), r.alone, code, message, jsonOrNull(r.Result),
		key(r.ID), string(r.was))
	if err != nil {
		return fmt.Errorf("write job %s: %w", r.ID, err)
	}
	if n != 1 {
		return fmt.Errorf("job %s is not %s any more", r.ID, r.was)
	}
	r.was = r.State
	return nil
}

// deliverAnew gives the job its next generation, due after delay.
func (r *record) deliverAnew(now time.Time, delay time.Duration) {
	r.Generation++
	r.RunAt = now.Add(max(delay, 0)).Truncate(time.Microsecond)
}

// release takes the run's claim off the job.
func (r *record) release() {
	r.worker, r.label, r.claim, r.alone = uuid.Nil, "", uuid.Nil, false
}

// heldBy reports whether the job runs under the claim.
func (r *record) heldBy(claim uuid.UUID) bool {
	return r.State == jobs.Running && r.claim == claim
}
