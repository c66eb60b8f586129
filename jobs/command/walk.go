package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

// batch is how many names of a folder are read at once.
const batch = 256

// walk visits all that is in a folder of root, without following links, each folder after what it
// stands beside. Folders that may not be read or written to are made so. What is gone by the time
// that it is looked at is left out: the program may still be at work.
func walk(root *os.Root, dir string, visit func(name string, info fs.FileInfo) error) error {
	info, err := root.Lstat(dir)
	if err == nil {
		err = unlock(root, dir, info)
	}
	if isGone(err) || err == nil && !info.IsDir() {
		return nil
	} else if err != nil {
		return err
	}
	for left := []string{dir}; len(left) > 0; {
		dir, left = left[len(left)-1], left[:len(left)-1]
		err := list(root, dir, func(name string, info fs.FileInfo) error {
			if info.IsDir() {
				left = append(left, name)
			}
			return visit(name, info)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// list visits what is directly in a folder.
func list(root *os.Root, dir string, visit func(string, fs.FileInfo) error) error {
	f, err := root.OpenFile(dir, os.O_RDONLY|syscall.O_NONBLOCK, 0) // no waiting at a pipe that was put there since
	if isGone(err) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(batch)
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			info, err := root.Lstat(name)
			if err == nil {
				err = unlock(root, name, info)
			}
			if err == nil {
				err = visit(name, info)
			}
			if err != nil && !isGone(err) {
				return err
			}
		}
		if errors.Is(err, io.EOF) || isGone(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// unlock lets its owner look into a folder, and remove what is there.
func unlock(root *os.Root, name string, info fs.FileInfo) error {
	if !info.IsDir() || info.Mode().Perm()&0o700 == 0o700 {
		return nil
	}
	return root.Chmod(name, 0o700)
}

// isGone tells whether what was a file or folder is none any more.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// maxDepth bounds how deep folders lie in each other.
const maxDepth = 32

// checkUsage fails when there is more in the folder than the limits allow beside the file itself.
func (f *folder) checkUsage(limits declare.Limits) error {
	const own = 4 // in, in/input, out and tmp
	bytes, entries := -f.input, -own
	err := walk(f.root, ".", func(name string, info fs.FileInfo) error {
		entries++
		if info.Mode().IsRegular() {
			bytes += info.Size()
		}
		switch {
		case entries > limits.OutputFiles:
			return jobs.Fail(jobs.CodeLimitOutput, "the program made more than %d files and folders", limits.OutputFiles)
		case bytes > int64(limits.OutputBytes):
			return jobs.Fail(jobs.CodeLimitOutput, "the program wrote more than %d bytes", limits.OutputBytes)
		case strings.Count(name, "/") > maxDepth:
			return jobs.Fail(jobs.CodeLimitOutput, "the program's folders lie more than %d deep", maxDepth)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look through the run's folder: %w", err)
	}
	return nil
}
