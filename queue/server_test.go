package queue_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/queue"
)

// Without sharing out the slots several servers would pop several times as many
// tasks, and keep from other workers what they cannot run.
func TestServersShareTheSlots(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	var running gauge
	release := make(chan struct{})
	start(t, newServer(t, conn, queue.ServerOptions{
		Slots:   50,
		Servers: 4,
		Handler: func(context.Context, queue.Delivery) {
			running.enter()
			defer running.leave()
			<-release
		},
	}))
	enqueue(t, conn, deliveries(300)...)
	eventually(t, "all slots are taken", func() bool { return running.now.Load() == 50 })
	always(t, 500*time.Millisecond, "50 tasks are popped", func() bool {
		return depths(t, conn) == queue.Lengths{Pending: 250, Active: 50}
	})
	servers, err := inspector(t, conn).Servers()
	if err != nil {
		t.Fatal(err)
	}
	slots := 0
	for _, s := range servers {
		slots += s.Concurrency
	}
	if len(servers) != 4 || slots != 50 {
		t.Errorf("%d servers with %d slots, want 4 with 50", len(servers), slots)
	}

	close(release)
	eventually(t, "all is done", func() bool { return depths(t, conn) == queue.Lengths{} })
	if most := running.most.Load(); most != 50 {
		t.Errorf("%d handlers ran at a time, want 50", most)
	}
}

func TestSharesAddUp(t *testing.T) {
	t.Parallel()
	for slots := 1; slots < 20; slots++ {
		for n := 1; n <= min(slots, queue.MaxServers); n++ {
			sum, least, most := 0, slots, 0
			for i := range n {
				share := queue.Share(slots, n, i)
				sum, least, most = sum+share, min(least, share), max(most, share)
			}
			if sum != slots || least < 1 || most-least > 1 {
				t.Errorf("%d slots for %d servers: sum %d, from %d to %d", slots, n, sum, least, most)
			}
		}
	}
}

// Without the check interval asynq asks an empty queue once a second, and so a job
// waits for that long.
func TestIdleServerAsksOften(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	handler, got := collect()
	start(t, newServer(t, conn, queue.ServerOptions{Handler: handler}))
	began := time.Now()
	for _, d := range deliveries(10) {
		enqueue(t, conn, d)
		receive(t, got, "a delivery")
	}
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("ten deliveries, one after the other, took %v", took)
	}
}

// Without the gate asynq pops on while the worker is cordoned; with asynq's own
// Stop, which cannot be undone, popped tasks reach their handlers after it returned.
func TestCordonUnderLoad(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	var empty atomic.Bool // the server is cordoned and runs nothing
	var begun, late atomic.Int64
	s := newServer(t, conn, queue.ServerOptions{
		Slots:         40,
		Servers:       4,
		CheckInterval: time.Millisecond,
		Handler: func(context.Context, queue.Delivery) {
			begun.Add(1)
			if empty.Load() {
				late.Add(1)
			}
		},
	})
	start(t, s)

	const rounds, perRound = 30, 200
	for i := range rounds {
		enqueue(t, conn, deliveries(perRound-10)...)
		s.Cordon(t.Context())
		eventually(t, "nothing runs", func() bool { return s.Running() == 0 })
		empty.Store(true)
		s.Cordon(t.Context())
		before := begun.Load()
		enqueue(t, conn, deliveries(10)...)
		always(t, 20*time.Millisecond, "nothing is popped", func() bool {
			l := depths(t, conn)
			return l.Pending+before == int64(i+1)*perRound && l.Retry+l.Archived == 0
		})
		empty.Store(false)
		s.Uncordon()
		s.Uncordon()
	}
	eventually(t, "all is done", func() bool { return depths(t, conn) == queue.Lengths{} })
	if late.Load() > 0 {
		t.Errorf("%d handlers began after Cordon had returned", late.Load())
	}
	if begun.Load() != rounds*perRound {
		t.Errorf("%d handlers began for %d deliveries", begun.Load(), rounds*perRound)
	}
}

// With fresh asynq servers in place of stopped ones an uncordoned worker takes a
// full set of tasks beside those that still run.
func TestUncordonKeepsToTheSlots(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	var running gauge
	release := make(chan struct{})
	s := newServer(t, conn, queue.ServerOptions{Slots: 5, Servers: 2, Handler: func(context.Context, queue.Delivery) {
		running.enter()
		defer running.leave()
		<-release
	}})
	start(t, s)
	enqueue(t, conn, deliveries(20)...)
	eventually(t, "all slots are taken", func() bool { return running.now.Load() == 5 })
	s.Cordon(t.Context())
	s.Uncordon()
	always(t, 300*time.Millisecond, "five tasks are popped", func() bool { return depths(t, conn).Active == 5 })
	close(release)
	eventually(t, "all is done", func() bool { return depths(t, conn) == queue.Lengths{} })
	if most := running.most.Load(); most != 5 {
		t.Errorf("%d handlers ran at a time, want 5", most)
	}
}

// Without sealing the gate a task that Redis gave out before Cordon, and whose
// answer was slow, reaches its handler after Cordon has returned.
func TestCordonLetsGoOfLateTasks(t *testing.T) {
	t.Parallel()
	url := redisURL(t)
	link := testserver.Proxy(t, url)
	direct := open(t, url)
	handler, got := collect()
	s := newServer(t, open(t, link.URL()), queue.ServerOptions{Slots: 1, Handler: handler})
	start(t, s)
	first := deliveries(2)
	enqueue(t, direct, first[0])
	receive(t, got, "the first delivery")
	eventually(t, "its task leaves Redis", func() bool { return depths(t, direct) == queue.Lengths{} })

	link.Latency(2*time.Second, 0)
	enqueue(t, direct, first[1])
	eventually(t, "the task is popped", func() bool { return depths(t, direct).Active == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.Cordon(ctx)
	if depths(t, direct).Active != 1 {
		t.Fatal("the answer was not late")
	}
	eventually(t, "the task leaves Redis", func() bool { return depths(t, direct) == queue.Lengths{} })
	if len(got) > 0 {
		t.Error("a handler began after Cordon had returned")
	}

	link.Restore()
	s.Uncordon()
	enqueue(t, direct, first[1]) // as dispatch does
	receive(t, got, "the second delivery")
}

func TestShutdownWaitsForHandlers(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	begun, release := make(chan struct{}, 1), make(chan struct{})
	var ended atomic.Bool
	s := newServer(t, conn, queue.ServerOptions{Slots: 1, Handler: func(context.Context, queue.Delivery) {
		begun <- struct{}{}
		<-release
		ended.Store(true)
	}})
	start(t, s)
	enqueue(t, conn, deliveries(2)...)
	receive(t, begun, "the first handler")

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown while a handler runs: %v", err)
	}
	// asynq's servers panic when their connection is closed under them.
	if err := conn.Close(); !errors.Is(err, queue.ErrServing) {
		t.Errorf("close while a handler runs: %v", err)
	}
	s.Uncordon()
	close(release)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !ended.Load() {
		t.Error("the handler had not ended")
	}
	if got, want := depths(t, conn), (queue.Lengths{Pending: 1}); got != want {
		t.Errorf("lengths are %+v, want %+v", got, want)
	}
	if err := s.Start(); err == nil {
		t.Error("started after its shutdown")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("second shutdown: %v", err)
	}
}

// Without the margin asynq gives a task back to Redis while its handler is ending.
func TestShutdownOutlastsTheDrain(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	begun := make(chan struct{})
	s := newServer(t, conn, queue.ServerOptions{
		DrainTimeout: 300 * time.Millisecond,
		Handler: func(context.Context, queue.Delivery) {
			close(begun)
			<-time.After(time.Second) // the drain, and then the end is recorded
		},
	})
	start(t, s)
	enqueue(t, conn, deliveries(1)...)
	receive(t, begun, "the handler")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := depths(t, conn); got != (queue.Lengths{}) {
		t.Errorf("after the shutdown Redis has %+v", got)
	}
}

func TestServerThatWasNotStarted(t *testing.T) {
	t.Parallel()
	conn := open(t, "redis://127.0.0.1:1")
	s := newServer(t, conn, queue.ServerOptions{Handler: func(context.Context, queue.Delivery) {}})
	s.Cordon(t.Context())
	s.Uncordon()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Without catching it first asynq retries a panicked task, with a stack of its own
// in the log.
func TestPanicIsTheHandlersEnd(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	var logs logBuffer
	start(t, newServer(t, conn, queue.ServerOptions{
		Logger:  logs.logger(),
		Handler: func(context.Context, queue.Delivery) { panic("at the disco") },
	}))
	d := deliveries(1)[0]
	enqueue(t, conn, d)
	eventually(t, "the panic is logged", func() bool { return logs.count("at the disco") > 0 })
	eventually(t, "the task leaves Redis", func() bool { return depths(t, conn) == queue.Lengths{} })
	if !strings.Contains(logs.String(), d.JobID.String()) {
		t.Error("the log does not name the job")
	}
}

// Without dropping what is no delivery, it comes back for ever, or ends the process.
func TestForeignTasksAreDropped(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	var logs logBuffer
	handler, got := collect()
	start(t, newServer(t, conn, queue.ServerOptions{Logger: logs.logger(), Handler: handler}))

	client := asynq.NewClientFromRedisClient(conn.Redis())
	for _, task := range []*asynq.Task{
		asynq.NewTask("mail:send", []byte(`{"to":"all"}`)),
		asynq.NewTask("leat:job", []byte("not a delivery")),
		asynq.NewTask("leat:job", nil),
	} {
		if _, err := client.EnqueueContext(t.Context(), task, asynq.Queue("q")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "they leave Redis", func() bool { return depths(t, conn) == queue.Lengths{} })
	if n := logs.count("malformed task dropped"); n != 2 {
		t.Errorf("%d malformed tasks logged, want 2", n)
	}
	if n := logs.count("mail:send"); n != 1 {
		t.Errorf("%d tasks of unknown type logged, want 1", n)
	}
	enqueue(t, conn, deliveries(1)...)
	receive(t, got, "a delivery after them")
	if len(got) > 0 {
		t.Error("the handler was given more")
	}
}

func TestServerOptionsAreChecked(t *testing.T) {
	t.Parallel()
	conn := open(t, "redis://127.0.0.1:1")
	valid := func() queue.ServerOptions {
		return queue.ServerOptions{
			Queues:  map[string]int{"q": 1},
			Slots:   1,
			Handler: func(context.Context, queue.Delivery) {},
		}
	}
	if _, err := queue.NewServer(conn, valid()); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*queue.ServerOptions){
		"no queues":              func(o *queue.ServerOptions) { o.Queues = nil },
		`name "Über alles"`:      func(o *queue.ServerOptions) { o.Queues = map[string]int{"Über alles": 1} },
		"weight 0":               func(o *queue.ServerOptions) { o.Queues = map[string]int{"q": 0} },
		"weight 101":             func(o *queue.ServerOptions) { o.Queues = map[string]int{"q": 101} },
		"0 slots":                func(o *queue.ServerOptions) { o.Slots = 0 },
		"5 servers":              func(o *queue.ServerOptions) { o.Servers = 5 },
		"check interval -1s":     func(o *queue.ServerOptions) { o.CheckInterval = -time.Second },
		"check interval 1h":      func(o *queue.ServerOptions) { o.CheckInterval = time.Hour },
		"drain timeout -1s":      func(o *queue.ServerOptions) { o.DrainTimeout = -time.Second },
		"queue: server: no hand": func(o *queue.ServerOptions) { o.Handler = nil },
	} {
		o := valid()
		spoil(&o)
		if _, err := queue.NewServer(conn, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
