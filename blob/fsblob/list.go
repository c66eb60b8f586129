package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/leat-dev/leat/blob"
)

// List gives the objects after the given key. Names that no Put has made are passed over.
func (s *Store) List(ctx context.Context, after blob.Key, limit int) ([]blob.Entry, error) {
	if limit < 1 {
		return nil, fmt.Errorf("list blobs: limit %d is less than 1", limit)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	var entries []blob.Entry
	err := s.walk(after, func(leaf string) error {
		for len(entries) < limit {
			keys, err := s.smallest(ctx, leaf, after, limit-len(entries))
			if err != nil || len(keys) == 0 {
				return err
			}
			if entries, err = s.appendEntries(ctx, entries, keys); err != nil {
				return err
			}
			after = keys[len(keys)-1]
		}
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	return entries, nil
}

// errStop ends a walk early.
var errStop = errors.New("enough")

// walk visits the folders that can hold keys after the given one, in the order of keys.
func (s *Store) walk(after blob.Key, visit func(leaf string) error) error {
	tops, err := s.subfolders(objectsDir, 4, topOf(after))
	if err != nil {
		return err
	}
	for _, top := range tops {
		leaves, err := s.subfolders(top, 3, folderOf(after))
		if err != nil {
			return err
		}
		for _, leaf := range leaves {
			if err := visit(leaf); err != nil {
				return err
			}
		}
	}
	return nil
}

// subfolders gives the paths of the folders in dir whose names are as many hexadecimal digits, from
// the path first on, in order. There are few: at most 16 to the power of digits.
func (s *Store) subfolders(dir string, digits int, first string) ([]string, error) {
	var paths []string
	err := s.fs.Names(dir, func(names []string) error {
		for _, name := range names {
			if path := dir + "/" + name; isHex(name, digits) && path >= first {
				paths = append(paths, path)
			}
		}
		return nil
	})
	slices.Sort(paths)
	return paths, ignoreGone(dir, err)
}

func isHex(name string, digits int) bool {
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(name) == digits
}

// smallest gives the first keys after the given one in a folder, at most limit, in order. It reads
// the whole folder, but holds no more than twice as many names as it was asked for.
func (s *Store) smallest(ctx context.Context, leaf string, after blob.Key, limit int) ([]blob.Key, error) {
	var keys []blob.Key
	cut := func() {
		slices.SortFunc(keys, blob.Key.Compare)
		keys = keys[:min(len(keys), limit)]
	}
	err := s.fs.Names(leaf, func(names []string) error {
		for _, name := range names {
			key, err := blob.ParseKey(name)
			if err != nil || folderOf(key) != leaf || key.Compare(after) <= 0 {
				continue
			}
			if keys = append(keys, key); len(keys) >= 2*limit {
				cut()
			}
		}
		return context.Cause(ctx)
	})
	cut()
	return keys, ignoreGone(leaf, err)
}

// ignoreGone makes a folder that someone has tidied up an empty one, unless it is the one of all
// objects: that this is missing says that the disk is.
func ignoreGone(dir string, err error) error {
	if dir != objectsDir && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// appendEntries appends what there is to know of keys, without those that are gone by now.
func (s *Store) appendEntries(ctx context.Context, entries []blob.Entry, keys []blob.Key) ([]blob.Entry, error) {
	for _, key := range keys {
		entry, err := s.Stat(ctx, key)
		if errors.Is(err, blob.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// SweepTemp removes the temporary files that were last written before olderThan.
func (s *Store) SweepTemp(ctx context.Context, olderThan time.Time) (int, error) {
	var removed int
	var failed error // the first of those that were passed over
	sweep := func(name string) error {
		path := tempDir + "/" + name
		info, err := s.fs.Stat(path)
		if err != nil || !info.ModTime().Before(olderThan) {
			return err
		}
		if err := s.fs.Remove(path); err != nil {
			return err
		}
		removed++
		return nil
	}
	err := s.fs.Names(tempDir, func(names []string) error {
		for _, name := range names {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			// A file that is gone was finished, or swept by someone else.
			if err := sweep(name); err != nil && !errors.Is(err, fs.ErrNotExist) && failed == nil {
				failed = err
			}
		}
		return nil
	})
	if err := errors.Join(err, failed); err != nil {
		return removed, fmt.Errorf("sweep temporary files: %w", err)
	}
	return removed, nil
}
