package queue_test

import (
	"context"
	"errors"
	"math"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/queue"
)

func TestEnqueuedIsDelivered(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	handler, got := collect()
	start(t, newServer(t, conn, queue.ServerOptions{Handler: handler}))

	want := queue.Delivery{JobID: uuid.New(), Generation: 7, Queue: "q"}
	enqueue(t, conn, want)
	if diff := cmp.Diff(want, receive(t, got, "the delivery")); diff != "" {
		t.Error(diff)
	}
	eventually(t, "the task leaves Redis", func() bool { return depths(t, conn) == queue.Lengths{} })
	if err := conn.Enqueue(t.Context(), nil); err != nil {
		t.Errorf("enqueue nothing: %v", err)
	}
}

// Without the rule that a conflict of task IDs is success, dispatch takes all that
// still waits for failed whenever it enqueues a window again.
func TestEnqueueConflictIsSuccess(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	ds := deliveries(100)
	enqueue(t, conn, ds...)
	enqueue(t, conn, ds...)
	if got, want := depths(t, conn), (queue.Lengths{Pending: 100}); got != want {
		t.Errorf("lengths are %+v, want %+v", got, want)
	}

	next := ds[0]
	next.Generation++
	enqueue(t, conn, next)
	if got := depths(t, conn).Pending; got != 101 {
		t.Errorf("%d pending after the next generation, want 101", got)
	}
}

// Without MaxRetry at MaxInt32 (MaxInt wraps to -1) asynq archives a task that
// comes back once; without the long timeout it ends runs after half an hour; with
// Unique a lock can outlive its task; with Retention ended tasks block their IDs.
func TestTasksHaveNoLimits(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	d := deliveries(1)[0]
	enqueue(t, conn, d)
	info := taskInfo(t, conn, d)
	if info == nil {
		t.Fatal("there is no such task")
	}
	if info.MaxRetry != math.MaxInt32 || info.Timeout < 300*24*time.Hour || !info.Deadline.IsZero() || info.Retention != 0 {
		t.Errorf("max retry %d, timeout %v, deadline %v, retention %v", info.MaxRetry, info.Timeout, info.Deadline, info.Retention)
	}
	if locks := conn.Redis().Keys(t.Context(), "*unique*").Val(); len(locks) > 0 {
		t.Errorf("locks: %v", locks)
	}
	if len(info.Payload) > 64 {
		t.Errorf("payload of %d bytes: %s", len(info.Payload), info.Payload)
	}
}

// Without many senders at a time the rate of dispatch is one per round trip.
func TestEnqueueSendsManyAtATime(t *testing.T) {
	t.Parallel()
	link := testserver.Proxy(t, redisURL(t))
	conn := open(t, link.URL())
	enqueue(t, conn, deliveries(100)...) // connects
	link.Latency(30*time.Millisecond, 0)
	var sending commandGauge
	conn.Redis().AddHook(&sending)
	enqueue(t, conn, deliveries(200)...)
	if most := sending.most.Load(); most != 32 {
		t.Errorf("at most %d were sent at a time, want 32", most)
	}
}

// commandGauge counts the commands under way.
type commandGauge struct{ gauge }

func (g *commandGauge) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g *commandGauge) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		g.enter()
		defer g.leave()
		return next(ctx, cmd)
	}
}

func (g *commandGauge) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A broken delivery must not keep others back, or it would keep a queue for ever.
func TestEnqueueTellsWhichFailed(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	ds := deliveries(100)
	ds[3].Generation = -1
	ds[50].Queue = "No such name!"

	var failed *queue.EnqueueError
	if err := conn.Enqueue(t.Context(), ds); !errors.As(err, &failed) {
		t.Fatalf("got %v, want an EnqueueError", err)
	}
	if diff := cmp.Diff([]queue.Delivery{ds[3], ds[50]}, failed.Failed); diff != "" {
		t.Error(diff)
	}
	if got := depths(t, conn).Pending; got != 98 {
		t.Errorf("%d pending, want 98", got)
	}
}

func TestEnqueueHonoursContext(t *testing.T) {
	t.Parallel()
	link := testserver.Proxy(t, redisURL(t))
	conn := open(t, link.URL())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := conn.Enqueue(ctx, deliveries(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}

	enqueue(t, conn, deliveries(1)...)
	link.Silence()
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := conn.Enqueue(ctx, deliveries(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("took %v after a deadline of 100ms", took)
	}
}

// Without its own time limit a tick of dispatch hangs as long as Redis: ten seconds
// for each answer, over and over.
func TestEnqueueFailsFast(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*testserver.Link){
		"refused":  func(l *testserver.Link) { l.Cut() },
		"silenced": func(l *testserver.Link) { l.Silence() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := testserver.Proxy(t, redisURL(t))
			conn := open(t, link.URL())
			enqueue(t, conn, deliveries(100)...)
			fault(link)

			ds := deliveries(1000)
			began := time.Now()
			var failed *queue.EnqueueError
			if err := conn.Enqueue(t.Context(), ds); !errors.As(err, &failed) {
				t.Fatalf("got %v, want an EnqueueError", err)
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("took %v", took)
			}
			if diff := cmp.Diff(ds, failed.Failed); diff != "" {
				t.Errorf("failed: %s", diff)
			}
			if err := conn.Ping(t.Context()); err == nil {
				t.Error("ping: no error")
			}

			link.Restore()
			eventually(t, "enqueuing works again", func() bool { return conn.Enqueue(t.Context(), ds) == nil })
		})
	}
}

// A program starts while Redis is away.
func TestOpenDoesNotConnect(t *testing.T) {
	t.Parallel()
	dialled := false
	conn := open(t, "redis://127.0.0.1:1", queue.WithDialer(func(context.Context, string, string) (net.Conn, error) {
		dialled = true
		return nil, errors.New("no network here")
	}))
	if dialled {
		t.Error("open has dialled")
	}
	if err := conn.Ping(t.Context()); err == nil || !dialled {
		t.Errorf("ping: %v, dialled %v", err, dialled)
	}
}
