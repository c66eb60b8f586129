package fsblob

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leat-dev/leat/blob"
)

// disk is the FS on a real folder. An os.Root keeps every access below it, whatever links the
// folder may hold. What it makes is for the user of the process alone.
type disk struct {
	root *os.Root
}

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// openDisk opens the folder dir, made durably if there is none.
func openDisk(dir string) (*disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := makeDurably(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &disk{root: root}, nil
}

// makeDurably makes the folder dir and those above it that are missing, each durable before the
// next.
func makeDurably(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("is not a folder")}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDurably(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *disk) Close() error { return d.root.Close() }

func (d *disk) Create(name string) (File, error) {
	// Not os.O_APPEND: writes say where they go.
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (d *disk) Edit(name string, fresh bool) (File, error) {
	flags := os.O_WRONLY
	if fresh {
		flags |= os.O_CREATE
	}
	f, err := d.root.OpenFile(name, flags, fileMode)
	if err != nil {
		return nil, err
	}
	file, err := lock(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return file, nil
}

func (d *disk) Open(name string) (blob.Object, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return diskObject{File: f, size: info.Size()}, nil
}

func (d *disk) Stat(name string) (fs.FileInfo, error) { return d.root.Stat(name) }

func (d *disk) Mkdir(name string) error { return d.root.Mkdir(name, dirMode) }

func (d *disk) Remove(name string) error { return d.root.Remove(name) }

func (d *disk) Names(dir string, visit func(names []string) error) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	for {
		names, err := f.Readdirnames(1024)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(names); err != nil {
			return err
		}
	}
}

func (d *disk) SyncDir(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// linkMove is Move by a second name for the file, which no system replaces a file by, and the
// removal of the first.
func (d *disk) linkMove(oldname, newname string) error {
	if err := d.root.Link(oldname, newname); err != nil {
		return err
	}
	// The file has its name, and to fail now would be to take it back. An old name that cannot be
	// removed is a leftover like any other.
	_ = d.root.Remove(oldname)
	return nil
}

// diskFile is a file that is being written; see disk_linux.go and disk_other.go for the rest.
type diskFile struct{ f *os.File }

func (f diskFile) WriteAt(p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }

func (f diskFile) Truncate(size int64) error { return f.f.Truncate(size) }

func (f diskFile) Close() error { return f.f.Close() }

// diskObject is an os.File for all that copies to it or from it, so that it can be sent to a
// socket without passing through the process.
type diskObject struct {
	*os.File
	size int64
}

func (o diskObject) Size() int64 { return o.size }
