package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"github.com/leat-dev/leat/jobs"
)

const (
	// enqueueParallel is how many deliveries are sent at a time.
	enqueueParallel = 32
	// enqueueFailures is after how many failures the rest of a queue is not tried:
	// Redis, or that queue's shard of it, is away. A few may be broken by themselves.
	enqueueFailures = 32
	// enqueueTimeout bounds Enqueue, so that dispatch does not hang with Redis.
	enqueueTimeout = 3 * time.Second
	// taskTimeout is when asynq takes a running task for failed. The worker keeps
	// the time of its runs itself.
	taskTimeout = 365 * 24 * time.Hour
)

var errTimeout = fmt.Errorf("not taken by Redis within %v", enqueueTimeout)

// EnqueueError tells which deliveries may not be in Redis.
type EnqueueError struct {
	// Failed are those, in the order in which they were given. Some may have
	// arrived all the same; enqueuing them again does no harm.
	Failed []Delivery
	// Err is why the first that was tried failed.
	Err error
}

func (e *EnqueueError) Error() string {
	return fmt.Sprintf("queue: %d deliveries not enqueued: %v", len(e.Failed), e.Err)
}

func (e *EnqueueError) Unwrap() error { return e.Err }

// Enqueue puts deliveries into Redis. One that is there already, waiting or
// running, is left as it is; that is success.
//
// The error is an *EnqueueError. After 32 failures the other deliveries of that
// queue are not tried. Enqueue takes three seconds at most; when ctx ends, what
// has been sent is waited for within that time.
func (c *Conn) Enqueue(ctx context.Context, deliveries []Delivery) error {
	ctx, cancel := context.WithTimeoutCause(ctx, enqueueTimeout, errTimeout)
	defer cancel()
	b := batch{conn: c, deliveries: deliveries, failed: make([]bool, len(deliveries)), failures: map[string]int{}}
	var senders sync.WaitGroup
	for range min(len(deliveries), enqueueParallel) {
		senders.Go(func() { b.send(ctx) })
	}
	senders.Wait()
	return b.result()
}

// batch is one call of Enqueue.
type batch struct {
	conn       *Conn
	deliveries []Delivery
	next       atomic.Int64 // index of the first delivery that no sender has taken

	mu       sync.Mutex
	failed   []bool
	err      error          // the first failure
	failures map[string]int // by queue, of those that were tried
}

func (b *batch) send(ctx context.Context) {
	for {
		i := int(b.next.Add(1) - 1)
		if i >= len(b.deliveries) {
			return
		}
		d := b.deliveries[i]
		if b.skip(i) {
			continue
		}
		err := check(d)
		if err == nil {
			err = b.conn.enqueue(ctx, d)
		}
		if err != nil {
			b.fail(i, err)
		}
	}
}

// skip marks a delivery as failed when too many of its queue were.
func (b *batch) skip(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed[i] = b.failures[b.deliveries[i].Queue] >= enqueueFailures
	return b.failed[i]
}

func (b *batch) fail(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed[i] = true
	b.failures[b.deliveries[i].Queue]++
	if b.err == nil {
		b.err = err
	}
}

// result is called when all senders have ended.
func (b *batch) result() error {
	if b.err == nil {
		return nil
	}
	e := &EnqueueError{Err: b.err}
	for i, failed := range b.failed {
		if failed {
			e.Failed = append(e.Failed, b.deliveries[i])
		}
	}
	return e
}

// check finds deliveries that no worker could read.
func check(d Delivery) error {
	if err := jobs.CheckName(d.Queue); err != nil {
		return fmt.Errorf("queue of job %s: %w", d.JobID, err)
	}
	if d.Generation < 0 {
		return fmt.Errorf("job %s: generation %d is negative", d.JobID, d.Generation)
	}
	return nil
}

// enqueue sends one delivery. A conflict of task IDs says that it is there.
func (c *Conn) enqueue(ctx context.Context, d Delivery) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	id := taskID(d)
	_, err := c.tasks.EnqueueContext(ctx, asynq.NewTask(taskType, []byte(id)),
		asynq.TaskID(id),
		asynq.Queue(d.Queue),
		asynq.Timeout(taskTimeout),
		asynq.MaxRetry(math.MaxInt32), // math.MaxInt wraps to -1, which archives
	)
	switch {
	case err == nil, errors.Is(err, asynq.ErrTaskIDConflict):
		return nil
	case ctx.Err() != nil: // asynq's error does not say so
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	default:
		return err
	}
}
