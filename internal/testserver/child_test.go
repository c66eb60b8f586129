package testserver_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/leat-dev/leat/internal/testserver"
)

// childEnv makes the test binary do one of the children's jobs instead of its
// tests: what ends with a process, or lasts as long as one, needs one to be seen.
const childEnv = "LEAT_TESTSERVER_CHILD"

func TestMain(m *testing.M) {
	if do, ok := children[os.Getenv(childEnv)]; ok {
		runChild(do)
		return
	}
	testserver.VerifyTestMain(m)
}

var children = map[string]func(testserver.TB) []string{
	"servers": func(tb testserver.TB) []string {
		asleep := testserver.NewRedis(tb)
		asleep.Pause()
		stopped := testserver.NewPostgres(tb)
		stopped.Stop()
		return []string{testserver.Redis(tb), testserver.Postgres(tb), asleep.URL(), testserver.NewPostgres(tb).URL(), stopped.URL()}
	},
	"refused": func(tb testserver.TB) []string {
		rd := testserver.NewRedis(tb)
		rd.Start() // it runs already
		return []string{rd.URL()}
	},
	"redis":    func(tb testserver.TB) []string { return []string{testserver.Redis(tb)} },
	"postgres": func(tb testserver.TB) []string { return []string{testserver.Postgres(tb)} },
}

// runChild prints what the job answers, and ends when its input does.
func runChild(do func(testserver.TB) []string) {
	tb := testserver.Outside()
	defer tb.Close()
	if err := json.NewEncoder(os.Stdout).Encode(do(tb)); err != nil {
		tb.Fatalf("%v", err)
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		tb.Fatalf("%v", err)
	}
}

// child is a process that does one of the jobs.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	urls  []string // what the job answered
}

// startChild returns when the job is done; the child then waits to be ended.
func startChild(t *testing.T, job string, env ...string) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"="+job), env...)
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, stdin: stdin}
	line, readErr := bufio.NewReader(stdout).ReadBytes('\n')
	if readErr != nil {
		err := cmd.Wait()
		t.Fatalf("child %s: %v, %v\n%s", job, readErr, err, stderr)
	}
	if err := json.Unmarshal(line, &c.urls); err != nil {
		t.Fatal(err)
	}
	return c
}

// end lets the child clean up and end.
func (c *child) end(t *testing.T) {
	t.Helper()
	if err := c.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}
