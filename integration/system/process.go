package system

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/leat-dev/leat/internal/testserver"
)

// Line is one line of a process's log.
type Line map[string]any

// Message is what the line says.
func (l Line) Message() string { m, _ := l["msg"].(string); return m }

// Process is a running api or worker.
type Process struct {
	Name string

	tb    testserver.TB
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when it has ended
	state *os.ProcessState

	mu      sync.Mutex
	lines   []Line
	waiting map[chan Line]func(Line) bool
}

// Build compiles a package of this module, named by its path from the top, once for each call, and
// returns the program. race adds the race detector, whose reports make a process fail.
func Build(tb testserver.TB, pkg string, race bool) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "leat-program-")
	if err != nil {
		tb.Fatalf("make a folder for the program: %v", err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("remove the program: %v", err)
		}
	})
	bin := filepath.Join(dir, filepath.Base(pkg))
	args := []string{"build", "-o", bin}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(tb.Context(), "go", append(args, "github.com/leat-dev/leat/"+pkg)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return bin
}

// Start runs a program with nothing of this process's environment but PATH and HOME, and follows
// its log on standard error.
func Start(tb testserver.TB, name, bin string, args []string, env map[string]string) *Process {
	tb.Helper()
	p := &Process{Name: name, tb: tb, done: make(chan struct{}), waiting: map[chan Line]func(Line) bool{}}
	p.cmd = exec.Command(bin, args...)
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "GORACE=halt_on_error=1 atexit_sleep_ms=20"}
	for key, value := range env {
		p.cmd.Env = append(p.cmd.Env, key+"="+value)
	}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	p.stdin = stdin
	out, err := p.cmd.StderrPipe()
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("start %s: %v", name, err)
	}
	go p.follow(out)
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("--- end of the log of %s\n%s", name, p.tail(20))
		}
	})
	return p
}

// follow reads the log to its end, then waits for the process.
func (p *Process) follow(out io.Reader) {
	defer close(p.done)
	scanner := bufio.NewScanner(out)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line := Line{}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			line = Line{"msg": scanner.Text()}
		}
		p.mu.Lock()
		p.lines = append(p.lines, line)
		for ch, fits := range p.waiting {
			if fits(line) {
				ch <- line
				delete(p.waiting, ch)
			}
		}
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // its state tells how it ended
	p.state = p.cmd.ProcessState
}

// WaitLine waits until the log has a line that fits, in what is there already or comes.
func (p *Process) WaitLine(what string, limit time.Duration, fits func(Line) bool) Line {
	p.tb.Helper()
	found := make(chan Line, 1)
	p.mu.Lock()
	for _, line := range p.lines {
		if fits(line) {
			p.mu.Unlock()
			return line
		}
	}
	p.waiting[found] = fits
	p.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case line := <-found:
		return line
	case <-p.done:
		p.tb.Fatalf("%s ended (%v) before it logged %s\n%s", p.Name, p.state, what, p.tail(30))
	case <-timer.C:
		p.tb.Fatalf("%s did not log %s within %v\n%s", p.Name, what, limit, p.tail(30))
	}
	return nil
}

// WaitMessage waits for a line by its message.
func (p *Process) WaitMessage(msg string, limit time.Duration) Line {
	p.tb.Helper()
	return p.WaitLine(msg, limit, func(l Line) bool { return l.Message() == msg })
}

// Lines are the log's lines up to now that fit.
func (p *Process) Lines(fits func(Line) bool) []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Line
	for _, line := range p.lines {
		if fits(line) {
			list = append(list, line)
		}
	}
	return list
}

func (p *Process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, line := range p.lines[max(0, len(p.lines)-n):] {
		text, _ := json.Marshal(line) // a decoded line encodes
		b.Write(text)
		b.WriteByte('\n')
	}
	return b.String()
}

func (p *Process) signal(s syscall.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && p.Running() {
		p.tb.Errorf("%s: send %v: %v", p.Name, s, err)
	}
}

// Kill ends the process as kill -9 does, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // it may have ended
	_ = p.cmd.Process.Kill()                  // it may have ended
	<-p.done
	_ = p.stdin.Close() // its other end is gone
}

// Pause stops the process where it is, as SIGSTOP does.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume wakes a paused process.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

// Terminate asks the process to stop.
func (p *Process) Terminate() { p.signal(syscall.SIGTERM) }

// Running tells whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits until the process has ended and returns its exit code, -1 after a signal.
func (p *Process) Wait(limit time.Duration) int {
	p.tb.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.state.ExitCode()
	case <-timer.C:
		p.tb.Fatalf("%s did not end within %v\n%s", p.Name, limit, p.tail(30))
		return -1
	}
}

// PeakRSS is the most memory that the process had resident up to now, in bytes. Linux only.
func (p *Process) PeakRSS() int64 { return procStatus(p.tb, p.cmd.Process.Pid, "VmHWM:") }

// RSS is the memory that the process has resident now, in bytes. Linux only.
func (p *Process) RSS() int64 { return procStatus(p.tb, p.cmd.Process.Pid, "VmRSS:") }

// CPU is the processor time that the process has taken up to now. Linux only.
func (p *Process) CPU() time.Duration { return procCPU(p.tb, p.cmd.Process.Pid) }

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

func procStatus(tb testserver.TB, pid int, field string) int64 {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Fatalf("a process's memory is read on Linux only")
	}
	return statusKiB(tb, pid, field) << 10
}

// Poll calls check again and again until it reports true, or fails the test after limit.
func Poll(ctx context.Context, tb testserver.TB, what string, limit, every time.Duration, check func() bool) {
	tb.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for !check() {
		select {
		case <-ctx.Done():
			tb.Fatalf("%s: %v", what, ctx.Err())
		case <-deadline.C:
			tb.Fatalf("%s: not so after %v", what, limit)
		case <-ticker.C:
		}
	}
}

// Says reports whether a text stands anywhere in the log so far.
func (p *Process) Says(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		for _, value := range line {
			if said, ok := value.(string); ok && strings.Contains(said, text) {
				return true
			}
		}
	}
	return false
}
