package local_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/leat-dev/leat/scale/local"
	"github.com/leat-dev/leat/scale/loop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pool counts the workers that run.
type pool struct {
	mu    sync.Mutex
	alive []string
	fail  chan error
	drain time.Duration
}

func (p *pool) start(_ context.Context, name string) (func(context.Context) error, error) {
	return func(ctx context.Context) error {
		p.mu.Lock()
		p.alive = append(p.alive, name)
		p.mu.Unlock()
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.alive = slices.DeleteFunc(p.alive, func(n string) bool { return n == name })
		}()
		select {
		case err := <-p.fail:
			return err
		case <-ctx.Done():
			<-time.After(p.drain)
			return nil
		}
	}, nil
}

func (p *pool) names() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(slices.Values(p.alive))
}

// run runs a fleet beside something that waits for its end.
func run(ctx context.Context, f *local.Fleet, replicas int) chan error {
	done := make(chan error, 1)
	go func() {
		done <- f.Run(ctx, replicas, func(ctx context.Context) error { <-ctx.Done(); return nil })
	}()
	synctest.Wait()
	return done
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%v run, want %v", got, want)
	}
}

func TestGrowsAndShrinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pool{drain: 10 * time.Second}
		f := local.New("local", "here", p.start, time.Now, slog.New(slog.DiscardHandler))
		if _, err := f.Size(t.Context()); !errors.Is(err, local.ErrNotRunning) {
			t.Errorf("a fleet that does not run has a size: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, f, 1)
		same(t, p.names(), []string{"here-1"})
		if err := f.Grow(ctx, 3); err != nil {
			t.Fatal(err)
		}
		same(t, p.names(), []string{"here-1", "here-2", "here-3"})
		if err := f.Shrink(ctx, 2, []string{"here-2"}, nil); err != nil {
			t.Fatal(err)
		}
		size, err := f.Size(ctx)
		if err != nil || size.Replicas != 2 || len(size.Members) != 2 {
			t.Errorf("while one drains the size is %+v, %v", size, err)
		}
		same(t, p.names(), []string{"here-1", "here-2", "here-3"})
		<-time.After(p.drain)
		same(t, p.names(), []string{"here-1", "here-3"})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		same(t, p.names(), nil)
		if err := f.Grow(t.Context(), 1); !errors.Is(err, local.ErrNotRunning) {
			t.Errorf("it grows after its end: %v", err)
		}
	})
}

// Where the victims are too few, workers go that are only beginning: those of which no work is known.
func TestShrinksByThoseThatBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pool{}
		f := local.New("local", "here", p.start, time.Now, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, f, 4)
		if err := f.Shrink(ctx, 2, []string{"here-3"}, map[string]time.Duration{"here-1": time.Minute, "here-2": 0}); err != nil {
			t.Fatal(err)
		}
		same(t, p.names(), []string{"here-1", "here-2"})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// What a worker cannot go on without, the program cannot either.
func TestAWorkersFailureEndsTheFleet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pool{fail: make(chan error, 1)}
		f := local.New("local", "here", p.start, time.Now, slog.New(slog.DiscardHandler))
		done := run(t.Context(), f, 2)
		broken := errors.New("broken")
		p.fail <- broken
		if err := <-done; !errors.Is(err, broken) {
			t.Errorf("it ended with %v", err)
		}
		same(t, p.names(), nil)
	})
}

var _ loop.Target = (*local.Fleet)(nil)
