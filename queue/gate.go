package queue

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// errorPause is how long a server waits after a failed dequeue. asynq itself
	// asks again at once.
	errorPause = 500 * time.Millisecond
	// settleTimeout bounds the wait for popped tasks to reach their handlers. It
	// takes them microseconds, unless Redis hangs; and one that asynq cannot decode
	// never does.
	settleTimeout = 5 * time.Second
)

// gate lets tasks out of Redis and into handlers, or does not. asynq's servers
// cannot be paused, nor restarted; and fresh ones would pop more than the free
// slots while tasks of the old ones still run. So they go on behind the gate, which
// tells them that the queues are empty.
type gate struct {
	mu     sync.Mutex
	shut   bool // no dequeue may begin
	sealed bool // no handler may begin
	// popping counts the dequeues under way and the popped tasks that have not
	// reached their handler.
	popping int
	// pace is how long a queue is left alone that was found empty, since when by
	// its key.
	pace  time.Duration
	empty map[string]time.Time
	// settled, if anyone waits, is closed when popping is 0 or the gate opens.
	settled chan struct{}

	running  int            // handlers admitted and not left
	handlers sync.WaitGroup // of them; grows only while the gate is not sealed
}

func newGate() *gate { return &gate{empty: map[string]time.Time{}} }

// setPace changes how long empty queues are left alone.
func (g *gate) setPace(pace time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pace = pace
}

// beginPop asks to dequeue. If it may, endPop must follow.
func (g *gate) beginPop(queue string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if since, ok := g.empty[queue]; g.shut || ok && now.Sub(since) < g.pace {
		return false
	}
	g.popping++
	return true
}

// endPop ends a dequeue that popped a task, found none, or failed. If it popped one,
// admit must follow.
func (g *gate) endPop(queue string, now time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if errors.Is(err, redis.Nil) {
		g.empty[queue] = now
	} else {
		delete(g.empty, queue)
	}
	if err != nil {
		g.settle()
	}
}

// admit tells whether a popped task may be handled. If so, leave must follow.
func (g *gate) admit() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle()
	if g.sealed {
		return false
	}
	g.running++
	g.handlers.Add(1)
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	g.handlers.Done()
}

func (g *gate) inside() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}

func (g *gate) settle() {
	g.popping--
	if g.popping == 0 {
		g.release()
	}
}

func (g *gate) release() {
	if g.settled != nil {
		close(g.settled)
		g.settled = nil
	}
}

// close lets no further dequeue begin and waits until what has been popped is
// with its handlers; if ctx or the time for that ends before, it keeps the rest
// from them.
func (g *gate) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	if g.popping > 0 {
		if g.settled == nil {
			g.settled = make(chan struct{})
		}
		settled := g.settled
		g.mu.Unlock()
		select {
		case <-settled:
		case <-ctx.Done():
		}
		g.mu.Lock()
	}
	g.sealed = g.shut
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.sealed = false, false
	g.release()
}

// gatedClient is the Redis that asynq's servers see: dequeues pass the gate, all
// else passes.
type gatedClient struct {
	redis.UniversalClient
	gate   *gate
	outage *outage
	quit   <-chan struct{} // ends pauses
}

func (c gatedClient) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	return c.run(ctx, keys, func() *redis.Cmd { return c.UniversalClient.EvalSha(ctx, sha1, keys, args...) })
}

func (c gatedClient) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return c.run(ctx, keys, func() *redis.Cmd { return c.UniversalClient.Eval(ctx, script, keys, args...) })
}

// isDequeue knows asynq's dequeue script by its keys: pending, paused, active and
// lease. No other names paused.
func isDequeue(keys []string) bool {
	return len(keys) == 4 && strings.HasSuffix(keys[1], "}:paused")
}

func (c gatedClient) run(ctx context.Context, keys []string, eval func() *redis.Cmd) *redis.Cmd {
	if !isDequeue(keys) {
		return eval()
	}
	if !c.gate.beginPop(keys[0], time.Now()) {
		empty := redis.NewCmd(ctx)
		empty.SetErr(redis.Nil)
		return empty
	}
	cmd := eval()
	err := cmd.Err()
	c.gate.endPop(keys[0], time.Now(), err)
	if err == nil || errors.Is(err, redis.Nil) {
		c.outage.over(ctx)
		return cmd
	}
	if !redis.HasErrorPrefix(err, "NOSCRIPT") { // the script follows at once
		c.outage.on(ctx, err)
		select {
		case <-time.After(errorPause):
		case <-c.quit:
		}
	}
	return cmd
}

// outage says once that Redis is away, and once that it is back.
type outage struct {
	log *slog.Logger

	mu    sync.Mutex
	since time.Time // zero while Redis answers
}

func (o *outage) on(ctx context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = time.Now()
		o.log.WarnContext(ctx, "Redis does not answer; jobs wait in the store", "error", err)
	}
}

func (o *outage) over(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		o.log.InfoContext(ctx, "Redis answers again", "away", time.Since(o.since).Round(time.Millisecond))
		o.since = time.Time{}
	}
}
