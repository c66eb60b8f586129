package postgres_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
	"github.com/leat-dev/leat/store/storetest"
)

// bouncer starts a PgBouncer in transaction mode before the server of the given URL, and returns
// its address. It knows every database by name, and tolerates no start-up parameters.
func bouncer(t *testing.T, target string) string {
	t.Helper()
	program := testserver.Program(t, "pgbouncer", "pgbouncer")
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	addr := testserver.FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	dir, as := privateDir(t)
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s password='%s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 1000
`, u.Hostname(), u.Port(), u.User.Username(), password, port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	// The shell ends it when its own input does: after the test, or with the test binary, however
	// that ends.
	cmd := exec.Command("/bin/sh", "-c", `"$0" "$1" & while read -r _; do :; done; kill -KILL $! && wait`, program, config)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setsid: true}
	life, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := life.Close(); err != nil {
			t.Error(err)
		}
		ended := cmd.Wait()
		if t.Failed() {
			said, err := os.ReadFile(log.Name())
			t.Logf("pgbouncer: %v\n%.4000s %v", ended, said, err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "pgbouncer listens", func() bool {
		conn, err := net.Dial("tcp", addr)
		return err == nil && conn.Close() == nil
	})
	return addr
}

// privateDir makes a folder for a program, and tells as whom to run it: not as root.
func privateDir(t *testing.T) (string, *syscall.Credential) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "leat-pgbouncer-") //nolint:usetesting // its sockets need a short path that another user may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if os.Geteuid() != 0 {
		return dir, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// TestConformanceThroughPgBouncer: a server connection changes with each transaction.
func TestConformanceThroughPgBouncer(t *testing.T) {
	if testing.Short() {
		t.Skip("left to make test-all: the same as TestConformance, through a pooler")
	}
	t.Parallel()
	addr := bouncer(t, testserver.Postgres(t))
	storetest.Run(t, func(tb testing.TB) store.Store {
		target := fresh(tb)
		return opened(tb, postgres.Options{URL: through(tb, addr, target), Pooler: true, MigrateURL: target})
	}, "Model", "States")
}

func TestPoolerIsAskedFor(t *testing.T) {
	t.Parallel()
	target := fresh(t)
	if got := refused(t, postgres.Options{URL: through(t, bouncer(t, target), target)}); got != "Pooler" {
		t.Errorf("option %s is named", got)
	}
}

// through gives the URL of a database by way of a pooler.
func through(tb testing.TB, addr, target string) string {
	tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		tb.Fatal(err)
	}
	u.Host = addr
	u.RawQuery = "sslmode=disable"
	return u.String()
}
