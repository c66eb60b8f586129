// Package local is a fleet inside of this process: each replica is a worker of its own, begun and
// ended by the same loop that sizes a Deployment.
//
// It may import scale.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/leat-dev/leat/scale"
)

// Start makes the worker of that name. What it returns runs until its context ends, and has given
// back everything when it returns.
type Start func(ctx context.Context, name string) (func(ctx context.Context) error, error)

// Fleet is workers of this process. Its methods may be called from several goroutines.
type Fleet struct {
	name  string
	label string // what its workers' names begin with
	start Start
	now   func() time.Time
	log   *slog.Logger

	ctx    context.Context // of the workers; ends with Run
	mu     sync.Mutex
	next   int
	wanted int
	alive  []*replica
	gone   sync.WaitGroup
	failed chan error
}

type replica struct {
	scale.Member
	stop    context.CancelFunc
	leaving bool
}

// New makes a fleet without workers. The names of these will begin with the label.
func New(name, label string, start Start, now func() time.Time, log *slog.Logger) *Fleet {
	return &Fleet{name: name, label: label, start: start, now: now, log: log, failed: make(chan error, 1)}
}

// Run owns the workers: it begins with the given number and has size change it. When ctx ends, or a
// worker fails, size is stopped first; then the workers drain, and Run waits for them.
func (f *Fleet) Run(ctx context.Context, replicas int, size func(ctx context.Context) error) (err error) {
	workers, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer f.gone.Wait()
	defer stop()
	f.mu.Lock()
	f.ctx = workers
	f.mu.Unlock()
	if err := f.Grow(ctx, replicas); err != nil {
		return err
	}
	sizing, stopSizing := context.WithCancel(ctx)
	sized := make(chan error, 1)
	go func() { sized <- size(sizing) }()
	select {
	case err = <-f.failed:
	case <-ctx.Done():
	}
	stopSizing()
	return errors.Join(err, <-sized)
}

// Name is that of the fleet.
func (f *Fleet) Name() string { return f.name }

// ErrNotRunning is wrapped by errors of a fleet that does not run.
var ErrNotRunning = errors.New("the fleet does not run")

// Size tells how many workers there are.
func (f *Fleet) Size(context.Context) (scale.Size, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx == nil || f.ctx.Err() != nil {
		return scale.Size{}, ErrNotRunning
	}
	size := scale.Size{Replicas: f.wanted}
	for _, r := range f.alive {
		if !r.leaving {
			size.Members = append(size.Members, r.Member)
		}
	}
	return size, nil
}

// Grow begins workers until there are so many.
func (f *Fleet) Grow(ctx context.Context, replicas int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx == nil || f.ctx.Err() != nil {
		return ErrNotRunning
	}
	for f.wanted < replicas {
		if err := f.begin(ctx); err != nil {
			return fmt.Errorf("begin a worker: %w", err)
		}
		f.wanted++
	}
	return nil
}

// begin is called with the lock held.
func (f *Fleet) begin(ctx context.Context) error { //nolint:contextcheck // workers outlive the call that begins them
	f.next++
	name := fmt.Sprintf("%s-%d", f.label, f.next)
	run, err := f.start(ctx, name)
	if err != nil {
		return err
	}
	own, stop := context.WithCancel(f.ctx)
	r := &replica{Member: scale.Member{Name: name, Made: f.now()}, stop: stop}
	f.alive = append(f.alive, r)
	f.gone.Go(func() {
		defer stop()
		err := run(own)
		f.mu.Lock()
		f.alive = slices.DeleteFunc(f.alive, func(other *replica) bool { return other == r })
		f.mu.Unlock()
		if err == nil && own.Err() == nil {
			err = errors.New("it ended by itself")
		}
		if err != nil {
			select {
			case f.failed <- fmt.Errorf("worker %s: %w", name, err):
			default: // another has failed before
			}
		}
	})
	return nil
}

// Shrink ends the victims, and then those that are still beginning. They drain.
func (f *Fleet) Shrink(_ context.Context, replicas int, victims []string, left map[string]time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(replicas, func(name string) bool { return slices.Contains(victims, name) })
	f.end(replicas, func(name string) bool { _, working := left[name]; return !working })
	return nil
}

// end ends such workers until so many are left. It is called with the lock held.
func (f *Fleet) end(replicas int, such func(name string) bool) {
	for _, r := range f.alive {
		if f.wanted > replicas && !r.leaving && such(r.Name) {
			r.leaving = true
			r.stop()
			f.wanted--
		}
	}
}

// Leading returns nil: nobody else sizes this process.
func (f *Fleet) Leading() error { return nil }

// Tell logs, as there is nowhere else to look.
func (f *Fleet) Tell(ctx context.Context, news scale.News) {
	f.log.DebugContext(ctx, "fleet", "reason", news.Reason, "message", news.Message)
}
