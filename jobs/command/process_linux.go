package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supported tells whether programs can be run here.
func supported() error { return nil }

// process is a program that runs, with the ends of its pipes.
type process struct {
	cmd                    *exec.Cmd
	stdout, stderr, status *os.File
}

// start starts the program by way of the launcher, as the leader of a session and group of its own.
func (h *handler) start(f *folder, argv, env []string) (*process, error) {
	limits, err := json.Marshal(rlimits{
		Memory: uint64(h.declared.Limits.Memory), CPU: uint64(h.declared.Limits.CPU / time.Second),
		OpenFiles: uint64(h.declared.Limits.OpenFiles), FileSize: uint64(h.declared.Limits.OutputBytes),
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", h.program, err)
	}
	args := slices.Concat(h.launcher[1:], []string{string(limits)}, argv)
	// It is killed by wait, as a group: a context would kill it alone.
	cmd := exec.Command(h.launcher[0], args...) //nolint:gosec,noctx // the operator declares what is run
	cmd.Env, cmd.Dir = env, f.paths().Temp
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd}
	if err := p.open(); err != nil {
		return nil, fmt.Errorf("start %s: %w", h.program, err)
	}
	return p, nil
}

// open makes the pipes and starts the process.
func (p *process) open() error {
	var theirs []*os.File
	defer func() {
		for _, file := range theirs {
			_ = file.Close() // nothing was written to it here, and the descriptor is gone in any case
		}
	}()
	for _, end := range []**os.File{&p.stdout, &p.stderr, &p.status} {
		r, w, err := os.Pipe()
		if err != nil {
			p.closeOutputs()
			return err
		}
		*end, theirs = r, append(theirs, w)
	}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = theirs[0], theirs[1], theirs[2:]
	if err := p.cmd.Start(); err != nil {
		p.closeOutputs()
		return err
	}
	return nil
}

// wait waits for the program's end, or ends it when ctx does. Then all of its group is killed:
// before the program is reaped, since until then its number is nobody else's.
func (p *process) wait(ctx context.Context) (ending, error) {
	var waiting error
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		waiting = waitExit(p.cmd.Process.Pid)
	}()
	var errs []error
	select {
	case <-exited:
	case <-ctx.Done():
		errs = append(errs, p.signal(syscall.SIGTERM))
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-exited:
		case <-timer.C:
		}
	}
	errs = append(errs, p.signal(syscall.SIGKILL))
	<-exited
	errs = append(errs, waiting)
	err := p.cmd.Wait()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return ending{}, fmt.Errorf("wait for the program: %w", err)
	}
	return endingOf(p.cmd.ProcessState)
}

// signal sends a signal to the program's group. That there is nobody left is well.
func (p *process) signal(s syscall.Signal) error {
	err := syscall.Kill(-p.cmd.Process.Pid, s)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// waitExit waits until a process has ended, and leaves it to be reaped.
func waitExit(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func endingOf(state *os.ProcessState) (ending, error) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok {
		return ending{}, fmt.Errorf("wait for the program: its state is a %T", state.Sys())
	}
	end := ending{code: status.ExitStatus(), cpu: state.UserTime() + state.SystemTime()}
	if status.Signaled() {
		end.code = afterSignal + int(status.Signal())
	}
	return end, nil
}

// closeOutputs ends all reading from the program. It may be called twice.
func (p *process) closeOutputs() {
	for _, file := range []*os.File{p.stdout, p.stderr, p.status} {
		_ = file.Close() // it was only read, and may be closed or never opened (nil)
	}
}
