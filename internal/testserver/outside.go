package testserver

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
)

// OutsideTB is a [TB] for where there is no test: a TestMain, or a program. Its
// Fatalf ends the process.
type OutsideTB struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	cleanups []func()
	failed   bool
}

// Outside returns a TB whose Close must be called in the end.
func Outside() *OutsideTB {
	tb := &OutsideTB{}
	tb.ctx, tb.cancel = context.WithCancel(context.Background())
	return tb
}

// Close ends its context and runs the cleanups, last first.
func (tb *OutsideTB) Close() {
	tb.cancel()
	tb.mu.Lock()
	cleanups := tb.cleanups
	tb.cleanups = nil
	tb.mu.Unlock()
	for _, cleanup := range slices.Backward(cleanups) {
		cleanup()
	}
}

// Helper does nothing.
func (tb *OutsideTB) Helper() {}

// Cleanup has f called by Close.
func (tb *OutsideTB) Cleanup(f func()) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.cleanups = append(tb.cleanups, f)
}

// Context ends with Close.
func (tb *OutsideTB) Context() context.Context { return tb.ctx }

// Failed tells whether Errorf was called.
func (tb *OutsideTB) Failed() bool {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.failed
}

// Logf writes to standard error.
func (tb *OutsideTB) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// Errorf writes to standard error and remembers the failure.
func (tb *OutsideTB) Errorf(format string, args ...any) {
	tb.mu.Lock()
	tb.failed = true
	tb.mu.Unlock()
	tb.Logf(format, args...)
}

// Fatalf writes to standard error, cleans up and ends the process.
func (tb *OutsideTB) Fatalf(format string, args ...any) {
	tb.Logf(format, args...)
	tb.Close()
	os.Exit(1) //nolint:forbidigo // there is no test to end
}
