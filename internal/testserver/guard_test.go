package testserver_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Without the guard, servers and folders of a killed test binary stay for good.
func TestServersDieWithAKilledTestBinary(t *testing.T) {
	t.Parallel()
	// The children's servers need a folder that they can reach as another user.
	tmp, err := os.MkdirTemp("/tmp", "leat-guard-test-") //nolint:usetesting // the test's own folder is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(tmp); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}

	c := startChild(t, "servers", "TMPDIR="+tmp)
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err == nil {
		t.Fatal("the child ended well; want it killed")
	}
	for _, u := range c.urls {
		eventually(t, "a server of a killed test binary still listens: "+u, func() bool { return !listens(t, u) })
	}
	eventually(t, "a killed test binary left folders behind", func() bool {
		left, err := filepath.Glob(filepath.Join(tmp, "*"))
		return err == nil && len(left) == 0
	})
}

func TestServersDieWithAnEndedTestBinary(t *testing.T) {
	t.Parallel()
	c := startChild(t, "servers")
	c.end(t)
	for _, u := range c.urls {
		eventually(t, "a server of an ended test binary still listens: "+u, func() bool { return !listens(t, u) })
	}
}

// A failure ends the process once the cleanups have run, which want the server that has failed.
func TestAFailureOutsideOfATestCleansUp(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=refused")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit status 1\n%s", err, out)
	}
}

func listens(t *testing.T, rawURL string) bool {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		return false
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	return true
}

// eventually fails the test if what does not become true within half a minute.
func eventually(t *testing.T, otherwise string, what func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !what() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(otherwise)
		}
	}
}
