package isolate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/leat-dev/leat/jobs"
)

// Handler runs each job in a process of its own. It is safe for concurrent use.
type Handler struct {
	argv   []string
	limits Limits
	log    *slog.Logger
	room   chan struct{} // a place for each child with a run; nil without a bound

	mu    sync.Mutex
	spare *process // started ahead, waiting for a run
	ended bool
}

// New makes the handler of a kind that Main's handlers know. command is what starts the program as a
// child, up to the arguments of Main; the program's own path comes from os.Executable.
func New(kind string, command []string, limits Limits, log *slog.Logger) *Handler {
	argv := append(append([]string{}, command...), kind, stageNew)
	h := &Handler{argv: append(argv, limits.args()...), limits: limits, log: log.With("kind", kind)}
	if limits.AtOnce > 0 {
		h.room = make(chan struct{}, limits.AtOnce)
	}
	return h
}

// Close ends the child that is kept ready.
func (h *Handler) Close() {
	h.mu.Lock()
	spare := h.spare
	h.spare, h.ended = nil, true
	h.mu.Unlock()
	if spare != nil {
		spare.kill()
	}
}

// Handle implements jobs.Handler.
func (h *Handler) Handle(ctx context.Context, run *jobs.Run) (any, error) {
	if h.room != nil {
		select {
		case h.room <- struct{}{}:
			defer func() { <-h.room }()
		case <-run.Draining:
			return nil, jobs.ErrDrain
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	p, err := h.take()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { p.kill() })
	s := &session{wire: p.wire, run: run, streams: make(map[uint32]*incoming)}
	o, err := s.serve(ctx)
	if err != nil {
		p.await(lastMoment) // how it ends by itself says more than that it was killed
	}
	stop()
	state := p.kill()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, h.post(p, state, err)
	}
	if err := o.Failed.error(); err != nil {
		return nil, err
	}
	return o.Result, nil
}

// take gives a child, and starts the next one.
func (h *Handler) take() (*process, error) {
	h.mu.Lock()
	p := h.spare
	h.spare = nil
	h.mu.Unlock()
	var err error
	if p == nil {
		if p, err = start(h.argv); err != nil {
			return nil, err
		}
	}
	next, err := start(h.argv)
	if err != nil {
		h.log.Warn("no child could be started ahead; the next job starts its own", "error", err)
		return p, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.spare != nil || h.ended {
		next.kill()
		return p, nil
	}
	h.spare = next
	return p, nil
}

// post says why a child ended without an outcome.
func (h *Handler) post(p *process, state *os.ProcessState, err error) error {
	h.log.Warn("a job's process ended by itself", "state", state.String(), "said", p.said.String())
	used := state.UserTime() + state.SystemTime()
	switch {
	case state.ExitCode() == exitSpent, used >= h.limits.CPU:
		return jobs.Fail(jobs.CodeLimitTime, "work on the file took more than %v of processor time", h.limits.CPU)
	case p.said.outOfMemory():
		return jobs.Fail(jobs.CodeLimitMemory, "work on the file would take more than %d MiB of memory", h.limits.Memory>>20)
	case state.ExitCode() == exitCrash:
		return jobs.Fail(jobs.CodeMalformed, "the file crashed its handler")
	}
	return fmt.Errorf("isolate: the job's process ended without an outcome (%v): %w", state, err)
}

// exitCrash is how Go's runtime ends a program that it cannot go on with.
const exitCrash = 2

// lastMoment is how long a child that broke off may take to end.
const lastMoment = 2 * time.Second

// process is a child.
type process struct {
	cmd  *exec.Cmd
	wire *wire
	said *lastWords
	ours []*os.File    // the worker's ends of the pipes
	done chan struct{} // closed when it has ended
}

func start(argv []string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("isolate: %w", err)
	}
	in, toChild, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("isolate: %w", err)
	}
	fromChild, out, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("isolate: %w", errors.Join(err, closeAll(in, toChild)))
	}
	cmd := exec.Command(self, argv...) //nolint:gosec,noctx // the program itself, which may be started ahead of its run, whose context kills it
	cmd.Env = []string{"GOTRACEBACK=none"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{cmd: cmd, said: &lastWords{}, done: make(chan struct{})}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, p.said
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("isolate: start a process: %w", errors.Join(err, closeAll(in, toChild, fromChild, out)))
	}
	_ = closeAll(in, out) // the child's by now
	p.ours = []*os.File{toChild, fromChild}
	p.wire = newWire(fromChild, toChild)
	go func() { // until it is killed, at the latest
		defer close(p.done)
		_ = cmd.Wait() // the state tells
	}()
	return p, nil
}

func closeAll(files ...*os.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// await waits until the process has ended by itself, for a time.
func (p *process) await(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
}

// kill ends the process and all that it has started, and returns how it ended: perhaps by itself,
// before.
func (p *process) kill() *os.ProcessState {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended just now
		<-p.done
	}
	_ = closeAll(p.ours...) // they may be closed already
	return p.cmd.ProcessState
}

// lastWords keeps the beginning of what a child writes to its standard error.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (w *lastWords) Write(p []byte) (int, error) {
	const most = 2 << 10
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p[:min(len(p), most-len(w.text))]...)
	return len(p), nil
}

// String is what was written.
func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}

// outOfMemory tells whether Go's runtime ended the child for want of memory: its last words are all
// that there is of that.
func (w *lastWords) outOfMemory() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, words := range []string{"out of memory", "cannot allocate memory"} {
		if bytes.Contains(w.text, []byte(words)) {
			return true
		}
	}
	return false
}
