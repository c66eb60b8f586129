package testserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// install installs a Debian package, which takes root and apt-get. Test binaries
// that run at the same time take turns; who comes second finds it done.
func install(ctx context.Context, pkg string, find func() string) error {
	if !canInstall() {
		return errors.New("it can be installed only by root with apt-get")
	}
	unlock, err := lock(ctx, "install")
	if err != nil {
		return err
	}
	if find() == "" {
		err = aptInstall(ctx, pkg)
	}
	return errors.Join(err, unlock())
}

func aptInstall(ctx context.Context, pkg string) (err error) {
	fmt.Fprintf(os.Stderr, "testserver: installing the Debian package %s for the tests\n", pkg)
	allow, err := forbidServices()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, allow()) }()
	for _, args := range [][]string{
		{"update", "-qq"},
		{"install", "-qq", "-y", "--no-install-recommends", pkg},
	} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// policy is Debian's switch for package scripts: what it answers 101 to is not
// started. The tests start servers of their own and leave the system's alone.
const policy = "/usr/sbin/policy-rc.d"

// forbidServices keeps packages from starting services until allow is called.
func forbidServices() (allow func() error, err error) {
	f, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil // the machine has its own
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(policy))
	}
	return func() error { return os.Remove(policy) }, nil
}

// lock waits for a lock that one process of this user and machine can hold.
func lock(ctx context.Context, name string) (unlock func() error, err error) {
	err = poll(ctx, 200*time.Millisecond, func() (bool, error) {
		unlock, err = tryLock(name)
		return unlock != nil, err
	})
	return unlock, err
}

// tryLock is lock without waiting: unlock is nil when another holds it.
func tryLock(name string) (unlock func() error, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "leat-testserver")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, filepath.Base(name)+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
