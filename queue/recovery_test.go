package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/queue"
)

// Without IsFailure saying no a task that comes back is counted as failed, again
// and again until asynq archives it; without a delay of zero it waits another
// quarter or half minute.
func TestCrashedWorkersTaskComesBack(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	d := deliveries(1)[0]
	enqueue(t, conn, d)
	crash(t, conn, d)

	begun, release := make(chan queue.Delivery), make(chan struct{})
	start(t, newServer(t, conn, queue.ServerOptions{Handler: func(_ context.Context, d queue.Delivery) {
		begun <- d
		<-release
	}}))
	began := time.Now()
	if got := receive(t, begun, "the task to come back"); got != d {
		t.Errorf("got %v, want %v", got, d)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("took %v", took)
	}
	info := taskInfo(t, conn, d)
	if info.Retried != 0 {
		t.Errorf("asynq counted %d failures", info.Retried)
	}
	if failed := conn.Redis().Exists(t.Context(), "asynq:{q}:failed").Val(); failed != 0 {
		t.Error("asynq counted a failure of the queue")
	}
	close(release)
	eventually(t, "the task leaves Redis", func() bool { return depths(t, conn) == queue.Lengths{} })
}

// Without context.WithoutCancel a run is interrupted by whatever makes asynq give
// up the task: a lost lease, a shutdown that takes long, or a cancel, as here.
func TestHandlersContextOutlivesAsynqs(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	begun, release := make(chan context.Context, 2), make(chan struct{}) // it may come again
	start(t, newServer(t, conn, queue.ServerOptions{Slots: 1, Handler: func(ctx context.Context, _ queue.Delivery) {
		begun <- ctx
		<-release
	}}))
	defer close(release)
	d := deliveries(1)[0]
	enqueue(t, conn, d)
	ctx := receive(t, begun, "the handler")
	if _, ok := ctx.Deadline(); ok {
		t.Error("the handler's context has a deadline")
	}
	if err := inspector(t, conn).CancelProcessing(queue.TaskID(d)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "asynq gives up the task", func() bool { return depths(t, conn).Active == 0 })
	if err := ctx.Err(); err != nil {
		t.Errorf("the handler's context has ended: %v", err)
	}
}

// Without a read timeout above the usual pauses of Redis an answer that comes late
// is given up and asked for again, which pops a second task: the first is stuck.
func TestLateAnswerIsWaitedFor(t *testing.T) {
	t.Parallel()
	url := redisURL(t)
	link := testserver.Proxy(t, url)
	direct, conn := open(t, url), open(t, link.URL())
	handler, got := collect()
	s := newServer(t, conn, queue.ServerOptions{Slots: 1, Handler: handler})
	start(t, s)
	ds := deliveries(3)
	enqueue(t, direct, ds[0])
	receive(t, got, "a delivery")
	eventually(t, "its task leaves Redis", func() bool { return depths(t, direct) == queue.Lengths{} })

	s.Cordon(t.Context())
	enqueue(t, direct, ds[1:]...)
	link.Latency(5500*time.Millisecond, 0)
	polls := dequeues{popped: make(chan struct{}, 1)}
	conn.Redis().AddHook(&polls)
	s.Uncordon()
	receive(t, polls.popped, "the answer with a task")
	if l := depths(t, direct); l.Active != 1 || l.Pending != 1 {
		t.Errorf("one task was answered, and Redis has %+v", l)
	}
	link.Restore()
}
