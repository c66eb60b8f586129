package faultfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"syscall"
	"time"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/fsblob"
)

// onPath does one operation on a path, and names both in its error.
func (f *FS) onPath(kind Kind, name string, effect func() error) error {
	if err := f.do(kind, name, anyBoot, func(bool) error { return effect() }); err != nil {
		return &fs.PathError{Op: string(kind), Path: name, Err: err}
	}
	return nil
}

// Create makes a new file.
func (f *FS) Create(name string) (fsblob.File, error) {
	opened := &file{fs: f, name: name, node: &node{modified: time.Now()}}
	err := f.onPath(Create, name, func() error {
		opened.boot = f.boots
		return f.root.add(name, opened.node)
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// Edit opens a file for writing, and locks it. A crash ends the lock.
func (f *FS) Edit(name string, fresh bool) (fsblob.File, error) {
	opened := &file{fs: f, name: name, locks: true}
	err := f.onPath(Edit, name, func() error {
		opened.boot = f.boots
		found, err := f.root.find(name)
		if errors.Is(err, syscall.ENOENT) && fresh {
			found = &node{modified: time.Now()}
			err = f.root.add(name, found)
		}
		switch {
		case err != nil:
			return err
		case found.locked:
			return fsblob.ErrLocked
		}
		found.locked, opened.node = true, found
		return nil
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// Open opens a file for reading.
func (f *FS) Open(name string) (blob.Object, error) {
	opened := &file{fs: f, name: name}
	var size int
	err := f.onPath(Open, name, func() (err error) {
		opened.boot = f.boots
		if opened.node, err = f.root.find(name); err == nil {
			size = len(opened.node.data)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return object{io.NewSectionReader(opened, 0, int64(size))}, nil
}

// Stat tells of a file or folder.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	var found info
	err := f.onPath(Stat, name, func() error {
		n, err := f.root.find(name)
		if err == nil {
			found = n.info(name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Mkdir makes a folder.
func (f *FS) Mkdir(name string) error {
	return f.onPath(Mkdir, name, func() error { return f.root.add(name, newDir()) })
}

// Move gives a file another name.
func (f *FS) Move(oldname, newname string) error {
	return f.onPath(Move, oldname, func() error {
		n, err := f.root.find(oldname)
		if err != nil {
			return err
		}
		if err := f.root.add(newname, n); err != nil {
			return err
		}
		return f.root.remove(oldname)
	})
}

// Remove removes a file.
func (f *FS) Remove(name string) error {
	return f.onPath(Remove, name, func() error {
		n, err := f.root.find(name)
		if err == nil && n.isDir() {
			err = syscall.EISDIR
		}
		if err != nil {
			return err
		}
		return f.root.remove(name)
	})
}

func (n *node) remove(name string) error {
	dir, err := n.folder(name)
	if err == nil {
		delete(dir.names, path.Base(name))
	}
	return err
}

// Names gives the names in a folder, as they are when it is called.
func (f *FS) Names(dir string, visit func(names []string) error) error {
	var names []string
	err := f.onPath(Names, dir, func() error {
		n, err := f.root.find(dir)
		if err == nil && !n.isDir() {
			err = syscall.ENOTDIR
		}
		if err == nil {
			names = sortedNames(n.names)
		}
		return err
	})
	if err != nil {
		return err
	}
	return visit(names)
}

// SyncDir makes the names in a folder safe.
func (f *FS) SyncDir(name string) error {
	return f.onPath(SyncDir, name, func() error {
		n, err := f.root.find(name)
		if err == nil && !n.isDir() {
			err = syscall.ENOTDIR
		}
		if err == nil {
			n.sync()
		}
		return err
	})
}

// Close does nothing: the disk outlives the Stores that a test opens on it.
func (f *FS) Close() error { return nil }

// file is an open file.
type file struct {
	fs   *FS
	name string
	boot int // in which it was opened
	node *node

	locks bool // it holds the node's lock
}

func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fs.do(Write, f.name, f.boot, func(half bool) error {
		n = len(p)
		if half {
			n /= 2
		}
		f.node.writeAt(p[:n], int(off))
		return nil
	})
	return n, err
}

func (f *file) Truncate(size int64) error {
	return f.fs.do(Truncate, f.name, f.boot, func(bool) error {
		if size < int64(len(f.node.data)) {
			f.node.data = f.node.data[:size:size]
		}
		return nil
	})
}

func (f *file) StartWriteback(_, _ int64) {}

func (f *file) Sync() error {
	synced := false
	err := f.fs.do(Sync, f.name, f.boot, func(half bool) error {
		if synced = !half; synced {
			f.node.sync()
		}
		return nil
	})
	if !synced {
		f.fs.mu.Lock()
		defer f.fs.mu.Unlock()
		f.node.broken = true
	}
	return err
}

func (f *file) Close() error {
	if f.locks { // which ends even if the rest fails
		f.fs.mu.Lock()
		f.node.locked = f.node.locked && f.boot != f.fs.boots
		f.fs.mu.Unlock()
	}
	return f.fs.do(Close, f.name, f.boot, func(bool) error { return nil })
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.fs.do(Read, f.name, f.boot, func(half bool) error {
		if n = copy(p, f.node.data[min(off, int64(len(f.node.data))):]); n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

// object is a file that is open for reading.
type object struct{ *io.SectionReader }

func (o object) Close() error { return nil }
