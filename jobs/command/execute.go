package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

const (
	// grace is how long a program has to end after it was asked to, before it is killed.
	grace = 2 * time.Second
	// drain is how long its outputs are read after its end, should something still hold them open.
	drain = time.Second
	// lookEvery is the time between two looks at what the program has written.
	lookEvery = 250 * time.Millisecond
)

// execute runs the program to its end and gives what it wrote to its standard output. When ctx ends
// the error is its cause.
func (h *handler) execute(ctx context.Context, run *jobs.Run, f *folder, params map[string]string) (*stdout, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out, err := newStdout(f, h.declared)
	if err != nil {
		return nil, err
	}
	if err := h.supervise(ctx, stop, run, f, params, out); err != nil {
		out.close()
		return nil, err
	}
	return out, nil
}

func (h *handler) supervise(ctx context.Context, stop context.CancelCauseFunc, run *jobs.Run, f *folder, params map[string]string, out *stdout) error {
	// The program is killed with the thread that started it, so that it does not outlive a worker
	// that is killed. The thread must then stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	argv, env := h.commandLine(f, params)
	p, err := h.start(f, argv, env)
	if err != nil {
		return err
	}
	errs, status := &tail{limit: maxTail}, &tail{limit: maxTail}
	progress := h.newProgress(run.Progress)
	fromStdout, fromStderr := progress.reader(declare.FromStdout), progress.reader(declare.FromStderr)

	var reading, watching sync.WaitGroup
	reading.Go(func() { stopOn(stop, copyAll(p.stdout, out, fromStdout)) })
	reading.Go(func() { stopOn(stop, copyAll(p.stderr, errs, fromStderr)) })
	reading.Go(func() { stopOn(stop, copyAll(p.status, status)) })
	ended := make(chan struct{})
	watching.Go(func() { watch(ended, stop, func() error { return f.checkUsage(h.declared.Limits) }) })

	end, err := p.wait(ctx)
	close(ended)
	watching.Wait()
	slow := time.AfterFunc(drain, p.closeOutputs)
	reading.Wait()
	slow.Stop()
	p.closeOutputs()

	switch cause := context.Cause(ctx); {
	case cause != nil:
		return errors.Join(cause, err)
	case err != nil:
		return err
	case status.String() != launched:
		return fmt.Errorf("start %s: the launcher: %s%s", h.program, strings.TrimPrefix(status.String(), launched), errs.lastLine(f.path))
	}
	return h.judge(end, errs.lastLine(f.path))
}

func stopOn(stop context.CancelCauseFunc, err error) {
	if err != nil {
		stop(err)
	}
}

// watch looks at a run again and again until it has ended, and stops it at the first fault.
func watch(ended <-chan struct{}, stop context.CancelCauseFunc, look func() error) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
			if err := look(); err != nil {
				stop(err)
				return
			}
		}
	}
}

// maxTail is how much of the end of standard error is kept, in bytes.
const maxTail = 4 << 10

// tail keeps the last bytes that are written to it.
type tail struct {
	kept  []byte
	limit int
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-t.limit):]...)
	if over := len(t.kept) - t.limit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }

// maxLine bounds the line that is quoted in a job's error, in bytes.
const maxLine = 500

// lastLine is the last line that says something, without the path of the run's folder, which is
// nobody's concern.
func (t *tail) lastLine(path string) string {
	text := bytes.TrimSpace(t.kept)
	if i := bytes.LastIndexAny(text, "\r\n"); i >= 0 {
		text = text[i+1:]
	}
	line := strings.ReplaceAll(string(text), path, "")
	return line[:min(len(line), maxLine)]
}
