package queue_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/queue"
)

// driverLogs holds what go-redis says in all tests.
var driverLogs logBuffer

func TestMain(m *testing.M) {
	queue.RouteDriverLogs(driverLogs.logger())
	testserver.VerifyTestMain(m)
}

// patience bounds the waits for what must happen; nothing waits that long when
// all is well.
const patience = 30 * time.Second

// open opens a connection for the length of a test.
func open(t *testing.T, url string, opts ...queue.Option) *queue.Conn {
	t.Helper()
	conn, err := queue.Open(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return conn
}

// newServer makes a server that is shut down with its test. Without other options it
// serves the queue "q" with ten slots.
func newServer(t *testing.T, conn *queue.Conn, o queue.ServerOptions) *queue.Server {
	t.Helper()
	if o.Queues == nil {
		o.Queues = map[string]int{"q": 1}
	}
	if o.Slots == 0 {
		o.Slots = 10
	}
	s, err := queue.NewServer(conn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func start(t *testing.T, s *queue.Server) {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}

// collect is a handler that passes on what it is given.
func collect() (queue.Handler, <-chan queue.Delivery) {
	got := make(chan queue.Delivery, 10_000)
	return func(_ context.Context, d queue.Delivery) { got <- d }, got
}

// deliveries makes n of them for the queue "q".
func deliveries(n int) []queue.Delivery {
	ds := make([]queue.Delivery, n)
	for i := range ds {
		ds[i] = queue.Delivery{JobID: uuid.New(), Generation: i % 3, Queue: "q"}
	}
	return ds
}

// enqueue enqueues some at a time: each call has three seconds, also on a machine that does much else.
func enqueue(t *testing.T, conn *queue.Conn, ds ...queue.Delivery) {
	t.Helper()
	for some := range slices.Chunk(ds, 200) {
		if err := conn.Enqueue(t.Context(), some); err != nil {
			t.Fatal(err)
		}
	}
}

// depths returns the lengths of the queue "q".
func depths(t *testing.T, conn *queue.Conn) queue.Lengths {
	t.Helper()
	lengths, err := conn.Depths(t.Context(), []string{"q"})
	if err != nil {
		t.Fatal(err)
	}
	return lengths["q"]
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// always watches that a condition holds for a while.
func always(t *testing.T, d time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(d); time.Now().Before(deadline); <-tick.C {
		if !holds() {
			t.Fatalf("did not stay so: %s", what)
		}
	}
}

// inspector shows what asynq itself thinks of its tasks.
func inspector(t *testing.T, conn *queue.Conn) *asynq.Inspector {
	t.Helper()
	return asynq.NewInspectorFromRedisClient(conn.Redis())
}

// taskInfo returns asynq's view of a task, or nil if there is none.
func taskInfo(t *testing.T, conn *queue.Conn, d queue.Delivery) *asynq.TaskInfo {
	t.Helper()
	info, err := inspector(t, conn).GetTaskInfo(d.Queue, queue.TaskID(d))
	if err != nil && !strings.Contains(err.Error(), asynq.ErrTaskNotFound.Error()) &&
		!strings.Contains(err.Error(), asynq.ErrQueueNotFound.Error()) {
		t.Fatal(err)
	}
	return info
}

// crash leaves a waiting task as a worker does that dies with it: popped, with a
// lease that ran out long ago.
func crash(t *testing.T, conn *queue.Conn, d queue.Delivery) {
	t.Helper()
	ctx, key := t.Context(), "asynq:{"+d.Queue+"}:"
	removed, err := conn.Redis().LRem(ctx, key+"pending", 1, queue.TaskID(d)).Result()
	if err != nil || removed != 1 {
		t.Fatalf("take the task out: %d, %v", removed, err)
	}
	for _, err := range []error{
		conn.Redis().LPush(ctx, key+"active", queue.TaskID(d)).Err(),
		conn.Redis().HSet(ctx, key+"t:"+queue.TaskID(d), "state", "active").Err(),
		conn.Redis().HDel(ctx, key+"t:"+queue.TaskID(d), "pending_since").Err(),
		conn.Redis().Do(ctx, "ZADD", key+"lease", time.Now().Add(-time.Hour).Unix(), queue.TaskID(d)).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.String()
}

func (b *logBuffer) count(text string) int { return strings.Count(b.String(), text) }

func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// gauge counts what goes on at the same time.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) enter() {
	now := g.now.Add(1)
	for {
		most := g.most.Load()
		if now <= most || g.most.CompareAndSwap(most, now) {
			return
		}
	}
}

func (g *gauge) leave() { g.now.Add(-1) }

func redisURL(t *testing.T) string {
	t.Helper()
	return testserver.Redis(t)
}
