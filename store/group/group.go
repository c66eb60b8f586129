// Package group lets calls that arrive together share one piece of work, such as one statement
// and one commit: while some groups are under way, those who come gather in the next one. Nobody
// waits for a timer, so a lone caller is as quick as without a group.
//
// It imports nothing of Leat.
package group

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
)

// ErrClosed is what callers get after Close.
var ErrClosed = errors.New("group: closed")

// ErrNoVerdict is wrapped by what the callers of a group get whose run panicked, or gave too few or
// too many verdicts. Their requests may have been served.
var ErrNoVerdict = errors.New("group: no verdict")

// Verdict is one caller's answer.
type Verdict[Res any] struct {
	Value Res
	Err   error
}

// Group runs calls together. Make it with New.
type Group[Req, Res any] struct {
	run      func(ctx context.Context, reqs []Req) []Verdict[Res]
	parallel int
	limit    int

	mu      sync.Mutex
	waiting []call[Req, Res]
	active  int
	closed  bool
	idle    sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

type call[Req, Res any] struct {
	req  Req
	done chan Verdict[Res]
}

// New makes a group. run is given 1 to limit requests, in the order of their arrival, and must
// return a verdict for each, in that order; at most parallel runs are under way at once. The
// context that run gets ends only with Close's grace, never with a caller's. A run that fails to
// answer, or panics, gives its own callers ErrNoVerdict and harms nobody else.
func New[Req, Res any](parallel, limit int, run func(ctx context.Context, reqs []Req) []Verdict[Res]) *Group[Req, Res] {
	g := &Group[Req, Res]{run: run, parallel: max(parallel, 1), limit: max(limit, 1)}
	g.ctx, g.cancel = context.WithCancel(context.Background()) //nolint:gosec // Close cancels it
	return g
}

// Do adds a request to the next group and waits for its verdict, or until ctx ends; the request
// may then still be served.
func (g *Group[Req, Res]) Do(ctx context.Context, req Req) (Res, error) {
	var none Res
	if err := ctx.Err(); err != nil {
		return none, err
	}
	c := call[Req, Res]{req: req, done: make(chan Verdict[Res], 1)}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return none, ErrClosed
	}
	g.waiting = append(g.waiting, c)
	if g.active < g.parallel {
		g.active++
		g.idle.Add(1)
		go g.serve()
	}
	g.mu.Unlock()

	select {
	case v := <-c.done:
		return v.Value, v.Err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// serve runs groups until nobody waits.
func (g *Group[Req, Res]) serve() {
	defer g.idle.Done()
	for {
		g.mu.Lock()
		n := min(len(g.waiting), g.limit)
		if n == 0 {
			g.active--
			g.mu.Unlock()
			return
		}
		calls := slices.Clone(g.waiting[:n])
		clear(g.waiting[:n]) // or the requests of a burst would stay in memory
		g.waiting = g.waiting[n:]
		g.mu.Unlock()

		reqs := make([]Req, n)
		for i := range calls {
			reqs[i] = calls[i].req
		}
		for i, v := range g.verdicts(reqs) {
			calls[i].done <- v
		}
	}
}

// verdicts runs one group, and makes sure that each request gets an answer.
func (g *Group[Req, Res]) verdicts(reqs []Req) (verdicts []Verdict[Res]) {
	n := len(reqs)
	defer func() {
		if p := recover(); p != nil {
			verdicts = All[Res](n, fmt.Errorf("%w: panic: %v\n%s", ErrNoVerdict, p, debug.Stack()))
		}
	}()
	verdicts = g.run(g.ctx, reqs)
	if len(verdicts) != n {
		return All[Res](n, fmt.Errorf("%w: %d verdicts for %d requests", ErrNoVerdict, len(verdicts), n))
	}
	return verdicts
}

// Close refuses further calls and waits for those under way; when ctx ends first, their context
// ends too, and Close still waits for them to return.
func (g *Group[Req, Res]) Close(ctx context.Context) {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	stop := context.AfterFunc(ctx, g.cancel)
	g.idle.Wait()
	stop()
	g.cancel()
}

// All gives every one of n callers the same error.
func All[Res any](n int, err error) []Verdict[Res] {
	verdicts := make([]Verdict[Res], n)
	for i := range verdicts {
		verdicts[i].Err = err
	}
	return verdicts
}
