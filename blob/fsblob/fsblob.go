// Package fsblob keeps blobs as files in a folder: on a disk of this machine, or on a volume that
// several processes share.
//
// An object is written to a temporary file, which is synced and then moved to its place, and the
// folders that changed are synced, before Put returns. So an object is either wholly there or not
// there at all, whatever dies and whenever. One that comes in pieces grows at its place, locked while
// it does, and what its maker is told of has been synced.
//
// The package is written over FS, the few file calls that it makes, so that tests can replace the
// disk by one that fails (see package faultfs). It imports package blob and nothing else of Leat.
package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/leat-dev/leat/blob"
)

// Store is a blob.Appender and a blob.TempSweeper in a folder. Several Stores, of one process or of
// many, may use the same folder.
type Store struct {
	fs      FS
	folders *folders
	buffers *buffers
}

var (
	_ blob.Store       = (*Store)(nil)
	_ blob.TempSweeper = (*Store)(nil)
	_ blob.Appender    = (*Store)(nil)
)

// Open opens the blob store in the folder dir, which it makes if there is none. The caller closes
// it.
func Open(dir string) (*Store, error) {
	disk, err := openDisk(dir)
	if err != nil {
		return nil, fmt.Errorf("open the blob folder: %w", writeError(err))
	}
	store, err := New(disk)
	if err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	return store, nil
}

// New opens the blob store in a folder that is given as an FS. Closing the Store closes the FS.
func New(disk FS) (*Store, error) {
	s := &Store{fs: disk, folders: newFolders(disk), buffers: newBuffers()}
	for _, dir := range []string{objectsDir, tempDir} {
		if err := disk.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make the blob folder %s: %w", dir, writeError(err))
		}
	}
	if err := disk.SyncDir("."); err != nil {
		return nil, fmt.Errorf("sync the blob folder: %w", writeError(err))
	}
	return s, nil
}

// Close gives the folder back. No other method may be called after it or run beside it; objects
// that are open stay usable.
func (s *Store) Close() error { return s.fs.Close() }

// Open gives the object under key for reading.
func (s *Store) Open(ctx context.Context, key blob.Key) (blob.Object, error) {
	path, err := objectPath(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open blob %v: %w", key, err)
	}
	object, err := s.fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open blob %v: %w", key, readError(err))
	}
	return object, nil
}

// Stat tells of the object under key.
func (s *Store) Stat(ctx context.Context, key blob.Key) (blob.Entry, error) {
	path, err := objectPath(ctx, key)
	if err != nil {
		return blob.Entry{}, fmt.Errorf("stat blob %v: %w", key, err)
	}
	info, err := s.fs.Stat(path)
	if err != nil {
		return blob.Entry{}, fmt.Errorf("stat blob %v: %w", key, readError(err))
	}
	return blob.Entry{Key: key, Size: info.Size(), ModTime: info.ModTime()}, nil
}

// Delete removes the object under key. It syncs no folder: a crash can bring back no more than an
// object that no row owns, and those are swept, while a sync for each would make deleting many as
// slow as writing them. Folders stay when they are empty: there is at most one for each 17 minutes,
// and a Put need not fear that one goes under it.
func (s *Store) Delete(ctx context.Context, key blob.Key) error {
	path, err := objectPath(ctx, key)
	if err != nil {
		return fmt.Errorf("delete blob %v: %w", key, err)
	}
	if err := s.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob %v: %w", key, err)
	}
	return nil
}

// objectPath is the path of the object under key, for a caller whose context goes on.
func objectPath(ctx context.Context, key blob.Key) (string, error) {
	if err := key.Check(); err != nil {
		return "", err
	}
	return pathOf(key), context.Cause(ctx)
}

// writeError adds to an error of a change the one of package blob that it stands for. That a
// folder is missing stays the file system's error: it does not tell of an object.
func writeError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", blob.ErrNoSpace, err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %w", blob.ErrExist, err)
	case errors.Is(err, ErrLocked):
		return fmt.Errorf("%w: %w", blob.ErrBusy, err)
	default:
		return err
	}
}

// readError is writeError for those who look for one file.
func readError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", blob.ErrNotExist, err)
	}
	return err
}
