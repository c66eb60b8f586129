package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// End records how a run ended, with its artifacts and children, and returns the job's state.
func (s *Store) End(ctx context.Context, end store.RunEnd) (jobs.State, error) {
	end, err := end.Checked()
	if err != nil {
		return "", err
	}
	state, err := s.end(ctx, end)
	if dataFault(err) && end.Outcome == jobs.RunSucceeded {
		s.log.WarnContext(ctx, "what a run made cannot be stored", "job", end.JobID, "error", err)
		return s.end(ctx, end.Invalid("the database cannot hold what the run made"))
	}
	return state, err
}

func (s *Store) end(ctx context.Context, end store.RunEnd) (jobs.State, error) {
	return write(ctx, s, func(ctx context.Context, t *tx) (jobs.State, error) {
		r, err := t.load(ctx, end.JobID)
		if err != nil {
			return "", err
		}
		if r == nil {
			return "", store.ErrClaimLost
		}
		if !r.heldBy(end.Claim) {
			return t.endedAlready(ctx, r, end)
		}
		if err := t.addOutput(ctx, r, end); err != nil {
			return "", err
		}
		return r.State, t.endRun(ctx, r, end)
	})
}

// endedAlready answers an end that comes again: the job's state, if the run ended the same way.
func (t *tx) endedAlready(ctx context.Context, r *record, end store.RunEnd) (jobs.State, error) {
	var outcome jobs.Outcome
	var code sql.NullString
	err := t.row(ctx, `SELECT outcome, error_code FROM attempts WHERE job_id = ? AND claim = ?`,
		key(r.ID), key(end.Claim)).Scan(&outcome, &code)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", store.ErrClaimLost
	case err != nil:
		return "", fmt.Errorf("read attempt of job %s: %w", r.ID, err)
	case outcome == end.Outcome:
		return r.State, nil
	case end.Outcome == jobs.RunSucceeded && code.String == string(jobs.CodeInvalidResult):
		return r.State, nil // its success could not be stored, see End
	}
	return "", store.ErrClaimLost
}

// addOutput inserts the artifacts and children of a run.
func (t *tx) addOutput(ctx context.Context, r *record, end store.RunEnd) error {
	for i := range end.Artifacts {
		a := &end.Artifacts[i]
		if err := t.own(ctx, a.BlobKey, a.StoredAt); err != nil {
			return err
		}
		_, err := t.exec(ctx, `
			INSERT INTO artifacts (job_id, name, media_type, size, sha256, content, blob_key) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			key(r.ID), a.Name, a.MediaType, a.Size, a.SHA256[:], bytesOrNull(a.Content, a.BlobKey), keyOrNull(a.BlobKey))
		if err != nil {
			return fmt.Errorf("insert artifact %q of job %s: %w", a.Name, r.ID, err)
		}
	}
	if len(end.Children) > 0 {
		if err := t.keep(ctx, r.ID); err != nil {
			return err
		}
	}
	for i := range end.Children {
		if _, err := t.accept(ctx, r.Tenant, r, &end.Children[i]); err != nil {
			return err
		}
	}
	return nil
}

// endRun takes the claim off a running job, moves it to where the outcome leads, and settles those
// above it.
func (t *tx) endRun(ctx context.Context, r *record, end store.RunEnd) error {
	open := false
	if end.Outcome == jobs.RunSucceeded {
		var err error
		if open, err = t.hasOpenChildren(ctx, r.ID); err != nil {
			return err
		}
	}
	busy := t.now.Sub(r.StartedAt)
	r.State = jobs.Settle(end.Outcome, r.CancelRequested, open, r.alone)
	r.absorb(end)
	data := endedData{Outcome: end.Outcome, State: r.State}
	if end.Error != nil {
		data.Code = end.Error.Code
	}
	if r.State.Ready() {
		r.deliverAnew(t.now, end.Delay)
	}
	if r.State == jobs.Retrying {
		data.DelayMS = new(end.Delay.Milliseconds())
	}
	if r.State.Ended() {
		r.FinishedAt = t.now
	}
	if err := t.addAttempt(ctx, r, end); err != nil {
		return err
	}
	r.release()
	if err := t.tell(ctx, r, store.EventEnded, data); err != nil {
		return err
	}
	t.countState(r.Queue, r.State, busy)
	if err := t.save(ctx, r); err != nil {
		return err
	}
	if !r.State.Ended() {
		return nil
	}
	return t.settleUp(ctx, r.ParentID)
}

// absorb notes what an outcome leaves in the job besides its state.
func (r *record) absorb(end store.RunEnd) {
	switch end.Outcome {
	case jobs.RunSucceeded:
		r.Result, r.Error = end.Result, nil
	case jobs.RunFailed, jobs.RunRetry:
		r.Failures++
		r.Error = end.Error
	case jobs.RunDrained:
		r.Drains++
	case jobs.RunLost:
		r.Losses++
		if r.State == jobs.Failed {
			r.Error = end.Error
		}
	case jobs.RunCancelled:
	}
}

// addAttempt writes down a run that has ended.
func (t *tx) addAttempt(ctx context.Context, r *record, end store.RunEnd) error {
	code, message := errorParts(end.Error)
	_, err := t.exec(ctx, `
		INSERT INTO attempts (job_id, run, claim, worker_id, worker_label, started_at, finished_at, outcome, error_code, error_message)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		key(r.ID), r.runs, key(r.claim), key(r.worker), r.label, micros(r.StartedAt), micros(t.now),
		string(end.Outcome), code, message)
	if err != nil {
		return fmt.Errorf("insert attempt of job %s: %w", r.ID, err)
	}
	return nil
}

// lose takes a running job back whose worker died or forgot it.
func (t *tx) lose(ctx context.Context, r *record) error {
	t.count(tally{queue: r.Queue, lost: 1})
	return t.endRun(ctx, r, store.RunEnd{
		JobID: r.ID, Claim: r.claim, Outcome: jobs.RunLost,
		Error: &jobs.Error{Code: jobs.CodeWorkerLost, Message: "the worker died, or forgot the run"},
	})
}
