package testserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// newProcess makes the folder for a program, with an empty data folder inside.
func newProcess(quit, term syscall.Signal, on medium) (*process, error) {
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, g, err := newDir(as, quit, on)
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, as: as, quit: quit, term: term, guard: g}
	if err := errors.Join(os.Mkdir(p.data(), 0o700), chown(p.data(), as)); err != nil {
		return nil, errors.Join(err, g.release())
	}
	return p, nil
}

// unprivileged returns the user nobody if the tests run as root, whom Postgres
// refuses; otherwise nil.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, uidErr := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(nobody.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("user nobody: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func startRedisLocally(ctx context.Context, tb TB, o redisOptions) (*Server, error) {
	program, err := findRedis(ctx)
	if err != nil {
		return nil, err
	}
	return onFreePort(ctx, func(port int) (*Server, error) {
		p, err := newProcess(syscall.SIGKILL, syscall.SIGTERM, onDisk)
		if err != nil {
			return nil, err
		}
		p.argv = append([]string{program, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", p.data()}, o.args()...)
		return launch(ctx, tb, fmt.Sprintf("redis://127.0.0.1:%d/0", port), p, pingRedis)
	})
}

func startPostgresLocally(ctx context.Context, tb TB, o postgresOptions, on medium) (*Server, error) {
	bin, err := findPostgres(ctx)
	if err != nil {
		return nil, err
	}
	return onFreePort(ctx, func(port int) (*Server, error) {
		p, err := newProcess(syscall.SIGQUIT, syscall.SIGINT, on)
		if err != nil {
			return nil, err
		}
		addr, password := loopback(port), rand.Text()
		if err := initdb(ctx, p, bin, password); err != nil {
			return nil, errors.Join(err, p.guard.release())
		}
		p.argv = append([]string{
			filepath.Join(bin, "postgres"), "-D", p.data(), "-p", strconv.Itoa(port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		}, o.args()...)
		return launch(ctx, tb, postgresURL(addr, password), p, pingPostgres)
	})
}

// initdb makes the data folder of a Postgres.
func initdb(ctx context.Context, p *process, bin, password string) error {
	file := filepath.Join(p.dir, "password")
	if err := errors.Join(os.WriteFile(file, []byte(password), 0o600), chown(file, p.as)); err != nil {
		return err
	}
	return run(ctx, p.dir, p.as, filepath.Join(bin, "initdb"), "-D", p.data(), "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8",
		"--auth=scram-sha-256", "--username="+postgresUser, "--pwfile="+file)
}
