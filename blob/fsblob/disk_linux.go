package fsblob

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Sync is fdatasync: the content and the length, without waiting for the times.
func (f diskFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.f.Fd()))
		if errors.Is(err, unix.EINTR) {
			continue // a signal came before anything was done
		}
		return os.NewSyscallError("fdatasync", err)
	}
}

// StartWriteback is sync_file_range without a wait. Its error is left to Sync, which is told of
// every failed write, while this call is told of none.
func (f diskFile) StartWriteback(off, n int64) {
	_ = unix.SyncFileRange(int(f.f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}

// Move is one change of the folders instead of linkMove's two, and works where files cannot have
// two names.
func (d *disk) Move(oldname, newname string) error {
	from, err := d.root.Open(path.Dir(oldname))
	if err != nil {
		return err
	}
	defer from.Close() // nothing is written through it
	to, err := d.root.Open(path.Dir(newname))
	if err != nil {
		return err
	}
	defer to.Close()
	err = unix.Renameat2(int(from.Fd()), path.Base(oldname), int(to.Fd()), path.Base(newname),
		unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return d.linkMove(oldname, newname) // a file system without RENAME_NOREPLACE
	}
	if err != nil {
		return &os.LinkError{Op: "renameat2", Old: oldname, New: newname, Err: err}
	}
	return nil
}
