package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

// stdoutName is the name of the artifact that the standard output becomes.
const stdoutName = "stdout"

// collect makes artifacts of what the program has left, and gives the job's result.
func (h *handler) collect(ctx context.Context, run *jobs.Run, f *folder, out *stdout) (any, error) {
	if err := f.checkUsage(h.declared.Limits); err != nil {
		return nil, err
	}
	c := &collector{run: run, root: f.root, names: map[string]bool{}}
	if h.declared.Stdout == declare.Artifact {
		if err := c.add(ctx, stdoutName, out.content()); err != nil {
			return nil, err
		}
	}
	if err := c.addFiles(ctx); err != nil {
		return nil, err
	}
	if h.declared.Stdout == declare.Result {
		return out.result()
	}
	return &c.made, nil
}

// collector makes artifacts of files.
type collector struct {
	run   *jobs.Run
	root  *os.Root
	names map[string]bool // that artifacts have
	made  Result
}

// addFiles makes an artifact of each regular file in the output folder, in the order of their paths.
func (c *collector) addFiles(ctx context.Context) error {
	var paths []string
	err := walk(c.root, outputDir, func(name string, info fs.FileInfo) error {
		switch {
		case info.Mode().IsRegular():
			paths = append(paths, name)
		case !info.IsDir():
			c.made.Skipped++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look through the output folder: %w", err)
	}
	slices.Sort(paths)
	for _, name := range paths {
		if err := c.addFile(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) addFile(ctx context.Context, name string) error {
	file, err := c.open(name)
	if err != nil {
		return fmt.Errorf("open what the program made: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("open what the program made: %w", err)
	}
	if !info.Mode().IsRegular() {
		c.made.Skipped++ // put there after the look at it
		return nil
	}
	inside := strings.TrimPrefix(name, outputDir+"/")
	return c.add(ctx, strings.ReplaceAll(inside, "/", "_"), io.NewSectionReader(file, 0, info.Size()))
}

// open opens a file that its maker may have left unreadable. It does not wait at what turns out to
// be a pipe.
func (c *collector) open(name string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	file, err := c.root.OpenFile(name, flags, 0)
	if !errors.Is(err, fs.ErrPermission) {
		return file, err
	}
	if err := c.root.Chmod(name, 0o600); err != nil {
		return nil, err
	}
	return c.root.OpenFile(name, flags, 0)
}

// add makes one artifact.
func (c *collector) add(ctx context.Context, name string, content *io.SectionReader) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	name = c.unique(name)
	head := make([]byte, min(content.Size(), sniff.Limit))
	if _, err := content.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read what the program made: %w", err)
	}
	if _, err := c.run.Artifact(ctx, name, sniff.Type(head, name), content); err != nil {
		return fmt.Errorf("store what the program made: %w", err)
	}
	c.made.Artifacts++
	c.made.Bytes += content.Size()
	return nil
}

// unique gives a name that an artifact may have and none has yet: the name itself, cleaned, or with
// a number before its extension.
func (c *collector) unique(name string) string {
	name = jobs.CleanName(name)
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	for n := 2; c.names[name]; n++ {
		number := "-" + strconv.Itoa(n)
		room := max(0, jobs.MaxFileName-len(number)-len(ext))
		name = jobs.CleanName(strings.ToValidUTF8(stem[:min(len(stem), room)], "") + number + ext)
	}
	c.names[name] = true
	return name
}
