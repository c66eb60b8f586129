package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// judge turns what a handler returned into how its run ended. A success stands, whatever was asked
// for meanwhile; a failure is put down to what ended the run's context, if something did.
func judge(ctx context.Context, spec jobs.Spec, job *jobs.Job, a answer, draining bool) store.RunEnd {
	if a.err == nil {
		result, err := encode(a.result)
		if err == nil {
			return store.RunEnd{Outcome: jobs.RunSucceeded, Result: result}
		}
		a.err = jobs.Fail(jobs.CodeInvalidResult, "the handler's result is not JSON: %v", err)
	}
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errCancelled):
		return store.RunEnd{Outcome: jobs.RunCancelled}
	case errors.Is(cause, errDrained), draining && errors.Is(a.err, jobs.ErrDrain):
		return store.RunEnd{Outcome: jobs.RunDrained}
	case errors.Is(cause, errTimeout):
		a.err = &jobs.Error{Code: jobs.CodeTimeout, Message: fmt.Sprintf("the run took longer than the %v that its kind allows", spec.Timeout)}
	}
	outcome, delay := spec.Retry.AfterFailure(job.Failures+1, job.MaxAttempts, a.err, rand.Float64())
	return store.RunEnd{Outcome: outcome, Delay: delay, Error: jobs.AsError(a.err)}
}

// encode gives a result's JSON; a result that is JSON already stays as it is.
func encode(result any) (json.RawMessage, error) {
	switch r := result.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		return r, nil
	}
	return json.Marshal(result)
}

// record writes how the run ended, again and again until the store has it, says that the claim is
// lost, or the drain's time is up. Only then may the delivery be forgotten.
func (w *Worker) record(end store.RunEnd, took time.Duration, log *slog.Logger, job *jobs.Job) {
	var state jobs.State
	err := w.untilAnswered(w.recording, "record a run", func(ctx context.Context) (err error) {
		state, err = w.store.End(ctx, end)
		return err
	})
	switch {
	case errors.Is(err, store.ErrStale):
		// The artifacts' bytes are so old that the sweep might take them: make them anew.
		end = store.RunEnd{
			JobID: end.JobID, Claim: end.Claim, Outcome: jobs.RunRetry,
			Error: &jobs.Error{Code: jobs.CodeHandlerError, Message: "the run's artifacts were stored too long before its end"},
		}
		w.record(end, took, log, job)
		return
	case errors.Is(err, store.ErrClaimLost):
		w.meter.unrecorded.Inc()
		log.Warn("run had lost its claim: nothing of it is kept", "outcome", end.Outcome)
		return
	case err != nil:
		w.meter.unrecorded.Inc()
		log.Error("run could not be recorded: the job will run again", "outcome", end.Outcome, "error", err)
		return
	}
	w.meter.ended(job, end.Outcome, took)
	attrs := []any{"state", state, "took", took}
	if end.Error != nil {
		attrs = append(attrs, "code", end.Error.Code, "error", end.Error.Message)
	}
	switch state {
	case jobs.Succeeded:
		log.Info("job succeeded", attrs...)
	case jobs.Failed:
		log.Warn("job failed", attrs...)
	case jobs.Retrying:
		log.Warn("attempt failed, the job will be tried again", append(attrs, "in", end.Delay)...)
	case jobs.Pending:
		log.Info("job handed back, this worker is stopping", attrs...)
	case jobs.Waiting:
		log.Info("job waits for its children", attrs...)
	case jobs.Cancelled:
		log.Info("job cancelled", attrs...)
	case jobs.Running:
		log.Error("job still runs although its run has ended", attrs...)
	}
}
