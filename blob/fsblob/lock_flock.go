//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package fsblob

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockedFile is a file that is locked. The lock is the open file's: it ends with the last descriptor of
// it, and so with the process.
type lockedFile struct{ diskFile }

// lock locks an open file.
func lock(f *os.File) (File, error) {
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return nil, err
	}
	return lockedFile{diskFile{f}}, nil
}

// Close unlocks the file first: a program that the process starts has the descriptor for a moment, too.
func (f lockedFile) Close() error { return errors.Join(flock(f.f, unix.LOCK_UN), f.f.Close()) }

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}
