package fsblob

import (
	"errors"
	"io/fs"

	"github.com/leat-dev/leat/blob"
)

// FS is the calls that a Store makes on its folder. Paths are relative to it, with slashes. Its
// methods may be called from many goroutines at once; errors are those of package fs and of
// package syscall, wrapped or not.
//
// Nothing is durable unless it has been synced: a file's content by its Sync, and a name, whether
// it was made or removed, by SyncDir of the folder that it is in. A sync that fails is never
// repeated: the system may have dropped what it could not write, and would then call the second
// one a success.
type FS interface {
	// Create makes a new file for writing, or fails with fs.ErrExist.
	Create(name string) (File, error)
	// Edit opens a file for writing at any place, made if fresh says so and there is none, and locks it:
	// until it is closed, or the process ends, another Edit fails with ErrLocked.
	Edit(name string, fresh bool) (File, error)
	// Open opens a file for reading.
	Open(name string) (blob.Object, error)
	// Stat tells of a file or folder.
	Stat(name string) (fs.FileInfo, error)
	// Mkdir makes a folder, or fails with fs.ErrExist.
	Mkdir(name string) error
	// Move gives the file oldname the name newname, in one step. It fails with fs.ErrExist, and
	// changes nothing, when there is a newname already. After a success oldname may, seldom, be
	// there as well.
	Move(oldname, newname string) error
	// Remove removes a file.
	Remove(name string) error
	// Names gives the names in a folder to visit, in no order and some at a time, and stops at
	// the first error of visit, which it returns.
	Names(dir string, visit func(names []string) error) error
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
	// Close ends the use of the FS.
	Close() error
}

// ErrLocked is the error of an Edit of a file that is being edited elsewhere.
var ErrLocked = errors.New("the file is locked")

// File is a file that is being written. One goroutine uses it, but Sync may run beside the others.
type File interface {
	// WriteAt writes p at the offset off, as io.WriterAt says.
	WriteAt(p []byte, off int64) (int, error)
	// StartWriteback asks the system to begin writing n bytes from off to the disk, and does not
	// wait for it. It is only advice: what goes wrong is told by Sync.
	StartWriteback(off, n int64)
	// Truncate cuts the file off at size, in bytes.
	Truncate(size int64) error
	// Sync makes the content and the length durable.
	Sync() error
	// Close ends the writing; an error means that the content may not be there.
	Close() error
}
