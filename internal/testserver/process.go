package testserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a machine made of one program of this computer and its children.
type process struct {
	dir  string              // holds log, pid and the folder data; owned by as
	argv []string            // the program and its arguments
	as   *syscall.Credential // nil: the user of the tests
	quit syscall.Signal      // ends the program and its children at once
	term syscall.Signal      // ends it in good order

	guard *guard
	cmd   *exec.Cmd // nil while nothing runs
	// life reads the end of a pipe whose other end the program and all its
	// children hold: it is at its end when the last of them is gone.
	life *os.File
}

// runner is the shell that becomes the program. It notes its process ID first, so
// that no program runs which the guard does not know.
const runner = `echo $$ >"$0" && exec "$@"`

func (p *process) data() string    { return filepath.Join(p.dir, "data") }
func (p *process) logFile() string { return filepath.Join(p.dir, "log") }
func (p *process) pidFile() string { return filepath.Join(p.dir, "pid") }

func (p *process) start(context.Context) error {
	out, err := os.OpenFile(p.logFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	life, held, err := os.Pipe()
	if err != nil {
		return err
	}
	defer held.Close()

	cmd := exec.Command("/bin/sh", append([]string{"-c", runner, p.pidFile()}, p.argv...)...)
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{held}
	// A session of its own keeps a Ctrl-C in the terminal from the server, which
	// is to end after its clients, by the guard.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: p.as}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, life.Close())
	}
	p.cmd, p.life = cmd, life
	return nil
}

func (p *process) stop(ctx context.Context) error { return p.end(ctx, p.term) }

func (p *process) kill(ctx context.Context) error {
	if p.cmd == nil {
		return nil
	}
	children, err := p.freeze(ctx)
	if err != nil {
		return err
	}
	return p.end(ctx, syscall.SIGKILL, children...)
}

// end signals the program, and the children if any, and waits until all of the
// program's processes are gone.
func (p *process) end(ctx context.Context, sig syscall.Signal, children ...int) error {
	if p.cmd == nil {
		return nil
	}
	if err := p.signal(sig, append([]int{p.cmd.Process.Pid}, children...)...); err != nil {
		return err
	}
	if err := p.wait(ctx); err != nil {
		return fmt.Errorf("after signal %v: %w", sig, err)
	}
	return p.reap()
}

// wait returns when every process of the program has ended.
func (p *process) wait(ctx context.Context) error {
	life := p.life
	if err := life.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		_ = life.SetReadDeadline(time.Unix(1, 0)) // fails only when the wait is over
	})
	defer stop()
	if _, err := life.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("its processes do not end: %w", errors.Join(err, ctx.Err()))
	}
	return nil
}

// reap collects the ended program. How it ended is of no interest.
func (p *process) reap() error {
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	err := os.Remove(p.pidFile())
	if errors.Is(err, os.ErrNotExist) {
		err = nil // it ended before it noted its process ID
	}
	err = errors.Join(err, p.life.Close())
	p.cmd, p.life = nil, nil
	return err
}

func (p *process) pause(ctx context.Context) error {
	children, err := p.freeze(ctx)
	if err != nil {
		return err
	}
	return p.signal(syscall.SIGSTOP, children...)
}

// freeze stops the program alone, and returns all of its children: it makes no more.
// One that was missed when the others are killed could wait for ever for a lock that
// one of them holds in shared memory.
func (p *process) freeze(ctx context.Context) ([]int, error) {
	pid := p.cmd.Process.Pid
	if err := p.signal(syscall.SIGSTOP, pid); err != nil {
		return nil, err
	}
	// The signal is sent, and the program may be at a fork still.
	if err := poll(ctx, time.Millisecond, func() (bool, error) { return standsStill(pid) }); err != nil {
		return nil, fmt.Errorf("process %d does not stop: %w", pid, err)
	}
	return childrenOf(pid)
}

func (p *process) resume(context.Context) error {
	children, err := childrenOf(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	return p.signal(syscall.SIGCONT, append(children, p.cmd.Process.Pid)...)
}

func (p *process) signal(sig syscall.Signal, pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal %v to process %d: %w", sig, pid, err)
		}
	}
	return nil
}

func (p *process) alive(context.Context) error {
	if err := p.life.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return err
	}
	if _, err := p.life.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		return errEnded
	}
	return nil
}

// errEnded says that a server has ended by itself.
var errEnded = errors.New("the server has ended")

func (p *process) readFile(_ context.Context, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(p.data(), name))
}

func (p *process) writeFiles(_ context.Context, files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(p.data(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
		if err := errors.Join(chown(path, p.as), chown(filepath.Dir(path), p.as)); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) log(context.Context) string {
	b, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	return lastLines(b)
}

// lastLines returns the end of a log.
func lastLines(log []byte) string {
	const count = 40
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-count):], []byte("\n")))
}

func (p *process) close(ctx context.Context) error {
	var errs []error
	if p.cmd != nil {
		children, err := childrenOf(p.cmd.Process.Pid)
		errs = append(errs, err,
			p.signal(p.quit, p.cmd.Process.Pid),
			p.signal(syscall.SIGCONT, append(children, p.cmd.Process.Pid)...),
			p.wait(ctx), p.reap())
	}
	return errors.Join(append(errs, p.guard.release())...)
}

// newDir makes the folder of a server, and the guard that removes it.
func newDir(as *syscall.Credential, quit syscall.Signal, on medium) (string, *guard, error) {
	root := tempRoot(as)
	if on == inMemory && hasRoom(memoryRoot) {
		root = memoryRoot
	}
	dir, err := os.MkdirTemp(root, "leat-testserver-")
	if err != nil {
		return "", nil, err
	}
	if err := chown(dir, as); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	g, err := newGuard(dir, as, quit)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, g, nil
}

// tempRoot returns a folder for temporary ones that the user can reach: the usual
// one, unless a folder above it is closed to others.
func tempRoot(as *syscall.Credential) string {
	if as == nil {
		return os.TempDir()
	}
	for dir := os.TempDir(); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return "/tmp"
		}
		if dir == filepath.Dir(dir) {
			return os.TempDir()
		}
	}
}

func chown(path string, as *syscall.Credential) error {
	if as == nil {
		return nil
	}
	return os.Chown(path, int(as.Uid), int(as.Gid))
}

// run runs a program to its end as the given user.
func run(ctx context.Context, dir string, as *syscall.Credential, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}
