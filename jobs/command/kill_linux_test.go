package command_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

// isAlive tells whether a process is there and not only waits to be reaped.
func isAlive(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return len(state) > 0 && state[0] != 'Z' && state[0] != 'X'
}

// pidIn reads a process's number once it is in a file.
func pidIn(t *testing.T, file string) int {
	t.Helper()
	pid := 0
	within(t, "a number in "+file, 30*time.Second, func() bool {
		text, err := os.ReadFile(file)
		if err == nil && bytes.HasSuffix(text, []byte("\n")) {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil && pid > 0
	})
	return pid
}

func dies(t *testing.T, what string, pid int) {
	t.Helper()
	within(t, what+" dies", 10*time.Second, func() bool { return !isAlive(t, pid) })
}

// cancelled runs a script until its first line of progress, then ends its context.
func cancelled(t *testing.T, text string) time.Duration {
	t.Helper()
	d := script(text)
	d.Progress = declare.Progress{Pattern: `ready (1)`, From: declare.FromStdout}
	r := newRig(t, d)
	cause := errors.New("the claim is lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var asked time.Time
	run := &jobs.Run{
		Input:    io.NewSectionReader(strings.NewReader(""), 0, 0),
		Recorder: &recorder{progress: func() { asked = time.Now(); cancel(cause) }},
	}
	if _, err := r.handler.Handle(ctx, run); !errors.Is(err, cause) || jobs.IsPermanent(err) {
		t.Errorf("error %v, want the context's cause", err)
	}
	return time.Since(asked)
}

// At the end of its context a program is killed with what it has started, even if none of them
// heeds a signal that can be heeded.
func TestGroupIsKilled(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	took := cancelled(t, `trap '' TERM; sh -c 'trap "" TERM; sleep 1000 & echo $! >`+file+`; echo ready 1; wait'; wait`)
	dies(t, "the grandchild", pidIn(t, file))
	if took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A program that heeds the first signal is given the time to.
func TestProgramMayTidyUp(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	cancelled(t, `trap 'echo $$ >`+file+`; exit' TERM; echo ready 1; while :; do sleep 0.01; done`)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// What a program leaves running dies with it, though it holds the outputs open.
func TestLeftoversAreKilled(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	made := newRig(t, script(`trap "" HUP; sleep 1000 & echo $! >`+file)).run(t, "a", "", "")
	if made.Err != nil {
		t.Error(made.Err)
	}
	dies(t, "the child", pidIn(t, file))
}

// A process that has left the group is out of reach, but keeps no run waiting.
func TestOutputHeldOpen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	d := script(`setsid sh -c 'echo $$ >` + file + `; exec sleep 1000' & while ! [ -s ` + file + ` ]; do :; done; echo done`)
	d.Stdout = declare.Artifact
	made := newRig(t, d).run(t, "a", "", "")
	if err := syscall.Kill(pidIn(t, file), syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if got := string(made.Artifacts["stdout"].Content); made.Err != nil || got != "done\n" {
		t.Errorf("output %q, %v", got, made.Err)
	}
}

// A worker that is killed takes its programs along.
func TestProgramDiesWithTheWorker(t *testing.T) {
	t.Parallel()
	file, scratch := filepath.Join(t.TempDir(), "pid"), t.TempDir()
	worker := exec.Command("/proc/self/exe", workArg, scratch, `echo $$ >`+file+`; exec sleep 1000`)
	var said bytes.Buffer
	worker.Stderr = &said
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceValue(func() error { return errors.Join(worker.Process.Kill(), worker.Wait()) })
	t.Cleanup(func() {
		if err := kill(); t.Failed() {
			t.Logf("the worker ended with %v and said %q", err, said.String())
		}
	})
	pid := pidIn(t, file)
	if _, killed := errors.AsType[*exec.ExitError](kill()); !killed {
		t.Errorf("the worker was not killed: %v", kill())
	}
	t.Cleanup(func() {
		if isAlive(t, pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	dies(t, "the program", pid)
}
