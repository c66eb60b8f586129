package workerrole

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/document"
)

// scratch is where runs have files for a while.
type scratch struct {
	shared string // by all workers of this user on this machine
	own    string // of this process
}

// ownPrefix begins the names of processes' folders, before their numbers.
const ownPrefix = "worker-"

// openScratch makes the folders, and removes what processes have left that were killed.
func openScratch(res *app.Resources) (scratch, error) {
	base := res.Options.Scratch
	if base == "" {
		base = filepath.Join(os.TempDir(), "leat-"+strconv.Itoa(os.Getuid()))
	}
	s := scratch{shared: base, own: filepath.Join(base, ownPrefix+strconv.Itoa(os.Getpid()))}
	if err := errors.Join(os.MkdirAll(base, 0o700), sweepScratch(base), os.RemoveAll(s.own), os.Mkdir(s.own, 0o700)); err != nil {
		return s, fmt.Errorf("scratch folder: %w", err)
	}
	info, err := os.Stat(base)
	if err != nil {
		return s, fmt.Errorf("scratch folder: %w", err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return s, &app.ExitError{Code: 2, Err: fmt.Errorf("scratch folder %s: others may write to it", base)}
	}
	res.OnClose("the scratch folder", func() error { return os.RemoveAll(s.own) })
	return s, nil
}

// sweepScratch removes the folders of processes that are no more.
func sweepScratch(base string) error {
	entries, err := os.ReadDir(base)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), ownPrefix)
		pid, err := strconv.Atoi(number)
		if !ok || err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		errs = append(errs, os.RemoveAll(filepath.Join(base, e.Name())))
	}
	return errors.Join(errs...)
}

// compiledIn is where PDFium's code lies once it has been compiled.
func compiledIn(shared string) string { return filepath.Join(shared, "pdfium") }

// prepare is a process that compiles what decoders share, before any of them sees a file. It writes
// beside the place, and moves what is complete there.
func prepare(ctx context.Context, env app.Env) error {
	if len(env.Args) != 1 {
		return fmt.Errorf("%s: no folder", prepareChild)
	}
	ready := compiledIn(env.Args[0])
	work, err := os.MkdirTemp(env.Args[0], "pdfium-")
	if err != nil {
		return err
	}
	if err := document.Prepare(ctx, work); err != nil {
		return errors.Join(err, os.RemoveAll(work))
	}
	if err := os.Rename(work, ready); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return errors.Join(err, os.RemoveAll(work))
	}
	return os.RemoveAll(work) // another process was quicker, or there is nothing
}

// prepared is a handler whose first run waits until there is what decoders share.
type prepared struct {
	jobs.Handler
	scratch string

	mu    sync.Mutex
	ready bool
}

// Handle implements jobs.Handler.
func (p *prepared) Handle(ctx context.Context, run *jobs.Run) (any, error) {
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	return p.Handler.Handle(ctx, run)
}

func (p *prepared) prepare(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready {
		return nil
	}
	if _, err := os.Stat(compiledIn(p.scratch)); errors.Is(err, fs.ErrNotExist) {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
		cmd := exec.CommandContext(ctx, self, app.ChildArg, prepareChild, p.scratch) //nolint:gosec // the program itself
		cmd.Env = []string{}
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("prepare: %w: %s", err, text)
		}
	}
	p.ready = true
	return nil
}
