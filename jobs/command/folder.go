package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leat-dev/leat/jobs/spec/declare"
)

// The names in a run's folder.
const (
	inputDir, outputDir, tempDir = "in", "out", "tmp"
	inputFile                    = "in/input" // not the sender's name, which is not to be trusted
)

// chunk is how much of the file is copied at once, in bytes.
const chunk = 128 << 10

// folder is a run's own, for its user alone. All access goes through root, which stays on the
// folder that was made, whatever the program puts in its place.
type folder struct {
	path  string
	root  *os.Root
	self  *os.File // the folder, to unlock it
	input int64    // bytes of the file
}

func newFolder(scratch string) (*folder, error) {
	path, err := os.MkdirTemp(scratch, "run-")
	if err != nil {
		return nil, fmt.Errorf("make the run's folder: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the run's folder: %w", err), os.Remove(path))
	}
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the run's folder: %w", err), root.Close(), os.Remove(path))
	}
	f := &folder{path: path, root: root, self: self}
	for _, name := range []string{inputDir, outputDir, tempDir} {
		if err := root.Mkdir(name, 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("fill the run's folder: %w", err), f.remove())
		}
	}
	return f, nil
}

// paths are what the program is told of.
func (f *folder) paths() declare.Paths {
	return declare.Paths{
		Input:  filepath.Join(f.path, inputFile),
		Output: filepath.Join(f.path, outputDir),
		Temp:   filepath.Join(f.path, tempDir),
	}
}

// putInput copies the file into the folder, for reading only.
func (f *folder) putInput(ctx context.Context, input *io.SectionReader) error {
	to, err := f.root.OpenFile(inputFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return fmt.Errorf("copy the file: %w", err)
	}
	from := reader(func(p []byte) (int, error) {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		return input.Read(p)
	})
	f.input, err = io.CopyBuffer(struct{ io.Writer }{to}, from, make([]byte, chunk))
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("copy the file: %w", err)
	}
	return nil
}

// reader makes a function an io.Reader.
type reader func(p []byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// remove removes the folder with all that is in it, also in folders that may not be written to.
func (f *folder) remove() error {
	err := f.empty()
	if errors.Is(err, fs.ErrPermission) {
		unlocked := f.self.Chmod(0o700) // root itself cannot reach it
		if unlocked == nil {
			unlocked = walk(f.root, ".", func(string, fs.FileInfo) error { return nil })
		}
		err = errors.Join(unlocked, f.empty())
	}
	if err = errors.Join(err, f.self.Close(), f.root.Close(), os.Remove(f.path)); err != nil {
		return fmt.Errorf("remove the run's folder: %w", err)
	}
	return nil
}

func (f *folder) empty() error {
	dir, err := f.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		err = errors.Join(err, f.root.RemoveAll(name))
	}
	return err
}
