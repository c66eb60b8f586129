package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Why a run's context ended; context.Cause gives these to the handler.
var (
	errCancelled = errors.New("the job was cancelled")
	errTimeout   = errors.New("the run took longer than its kind allows")
	errDrained   = errors.New("the worker's grace period is over")
	errLost      = errors.New("the run has lost its claim")
)

// running is one run that the process holds.
type running struct {
	job      uuid.UUID
	cancel   context.CancelCauseFunc
	recorder *recorder
}

// answer is what a handler returned.
type answer struct {
	result any
	err    error
}

// run runs the claimed job's handler and records how it ended. A handler that does not return once
// its context has ended is recorded without it, but its slot stays taken until it does return. Only
// the end of a drain's grace period leaves such a handler behind.
func (t *taking) run(c store.Claimed, claim uuid.UUID) {
	spec, handler, ok := t.kinds.Get(c.Job.Kind)
	if !ok {
		panic("worker: the store granted a kind that was not asked for: " + c.Job.Kind)
	}
	ctx, cancel := context.WithCancelCause(t.working)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, spec.Timeout, errTimeout)
	defer stop()
	log := t.log.With("job", c.Job.ID, "kind", c.Job.Kind, "attempt", c.Job.Attempt())
	rec := newRecorder(t.Worker, &c.Job, claim, cancel)
	t.tally(func() { t.runs[claim] = &running{c.Job.ID, cancel, rec} })
	log.DebugContext(ctx, "job started", "claim", claim, "size", c.File.Size)

	began := time.Now()
	answers := make(chan answer, 1)
	go func() { answers <- t.call(ctx, handler, c, rec, log) }()
	a, returned := await(ctx, answers)
	took := time.Since(began)
	if !errors.Is(context.Cause(ctx), errLost) {
		end := judge(ctx, spec, &c.Job, a, t.intake.Err() != nil)
		end.JobID, end.Claim = c.Job.ID, claim
		end.Artifacts, end.Children = rec.close()
		t.record(end, took, log, &c.Job)
	}
	t.tally(func() { delete(t.runs, claim) })
	if !returned {
		log.WarnContext(ctx, "handler goes on although its context has ended; its slot stays taken until it returns")
		select {
		case <-answers:
		case <-t.working.Done(): // the process is about to end, and the handler with it
		}
	}
}

// await waits for the handler and, once ctx has ended, for stopGrace more. When the handler has not
// returned by then, the answer is why ctx ended.
func await(ctx context.Context, answers <-chan answer) (a answer, returned bool) {
	select {
	case a := <-answers:
		return a, true
	case <-ctx.Done():
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case a := <-answers:
		return a, true
	case <-grace.C:
		return answer{err: context.Cause(ctx)}, false
	}
}

// call opens the input and calls the handler, whose panic is an error like another.
func (w *Worker) call(ctx context.Context, handler jobs.Handler, c store.Claimed, rec *recorder, log *slog.Logger) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			a = answer{err: &jobs.Error{Code: jobs.CodePanic, Message: fmt.Sprintf("the handler panicked: %v", p)}}
		}
	}()
	input, closeInput, err := w.openInput(ctx, c)
	if err != nil {
		return answer{err: err}
	}
	defer func() {
		if err := closeInput(); err != nil {
			log.WarnContext(ctx, "could not close the job's input", "error", err)
		}
	}()
	result, err := handler.Handle(ctx, &jobs.Run{
		JobID: c.Job.ID, Attempt: c.Job.Attempt(), File: c.File, Params: c.Job.Params,
		Input: input, Recorder: rec, Draining: w.intake.Done(),
	})
	return answer{result, err}
}

// openInput gives the job's input: from the claim itself when it is small, else from the blob
// store.
func (w *Worker) openInput(ctx context.Context, c store.Claimed) (*io.SectionReader, func() error, error) {
	if c.Content.BlobKey == uuid.Nil {
		return io.NewSectionReader(bytes.NewReader(c.Content.Inline), 0, c.File.Size), func() error { return nil }, nil
	}
	object, err := w.blobs.Open(ctx, blob.Key(c.Content.BlobKey))
	switch {
	case errors.Is(err, blob.ErrNotExist):
		return nil, nil, &jobs.Error{Code: jobs.CodeInputMissing, Message: "the file's bytes are not in the blob store"}
	case err != nil:
		return nil, nil, fmt.Errorf("open the file's bytes: %w", err)
	}
	return io.NewSectionReader(object, 0, c.File.Size), object.Close, nil
}
