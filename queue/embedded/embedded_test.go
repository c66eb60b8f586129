package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/queue/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func start(t testing.TB) *embedded.Redis {
	t.Helper()
	r := embedded.Start()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

func open(t testing.TB, r *embedded.Redis) *queue.Conn {
	t.Helper()
	conn, err := queue.Open(embedded.URL, queue.WithDialer(r.Dial))
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

func client(t *testing.T, r *embedded.Redis) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Dialer: r.Dial})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func serve(t testing.TB, conn *queue.Conn, o queue.ServerOptions) {
	t.Helper()
	s, err := queue.NewServer(conn, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}

// enqueue enqueues some at a time: each call has three seconds, also on a machine that does much else.
func enqueue(t *testing.T, conn *queue.Conn, ds []queue.Delivery) {
	t.Helper()
	for some := range slices.Chunk(ds, 100) {
		if err := conn.Enqueue(t.Context(), some); err != nil {
			t.Fatal(err)
		}
	}
}

func deliveries(n int, queues ...string) []queue.Delivery {
	ds := make([]queue.Delivery, n)
	for i := range ds {
		ds[i] = queue.Delivery{JobID: uuid.New(), Queue: queues[i%len(queues)]}
	}
	return ds
}

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

func TestDelivers(t *testing.T) {
	t.Parallel()
	conn := open(t, start(t))
	ds := deliveries(200, "a", "b")
	for range 2 { // the second time all are there already
		enqueue(t, conn, ds)
	}
	lengths, err := conn.Depths(t.Context(), []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if lengths["a"].Pending != 100 || lengths["b"].Pending != 100 {
		t.Errorf("lengths are %+v", lengths)
	}
	var mu sync.Mutex
	got := map[queue.Delivery]int{}
	serve(t, conn, queue.ServerOptions{
		Queues:  map[string]int{"a": 1, "b": 2},
		Slots:   10,
		Servers: 2,
		Handler: func(_ context.Context, d queue.Delivery) {
			mu.Lock()
			defer mu.Unlock()
			got[d]++
		},
	})
	eventually(t, "all is done", func() bool {
		lengths, err := conn.Depths(t.Context(), []string{"a", "b"})
		return err == nil && lengths["a"] == queue.Lengths{} && lengths["b"] == queue.Lengths{}
	})
	mu.Lock()
	defer mu.Unlock()
	for _, d := range ds {
		if got[d] != 1 {
			t.Errorf("%v was delivered %d times", d, got[d])
		}
	}
}

// A worker's crash cannot happen in one process, but its recovery runs here too.
func TestRecovers(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn, raw, ctx := open(t, r), client(t, r), t.Context()
	ds := deliveries(1, "q")
	enqueue(t, conn, ds)
	id, err := raw.LMove(ctx, "asynq:{q}:pending", "asynq:{q}:active", "RIGHT", "LEFT").Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.ZAdd(ctx, "asynq:{q}:lease", redis.Z{Score: 1, Member: id}).Err(); err != nil {
		t.Fatal(err)
	}
	got := make(chan queue.Delivery, 1)
	serve(t, conn, queue.ServerOptions{
		Queues:  map[string]int{"q": 1},
		Slots:   1,
		Handler: func(_ context.Context, d queue.Delivery) { got <- d },
	})
	select {
	case d := <-got:
		if d != ds[0] {
			t.Errorf("got %v, want %v", d, ds[0])
		}
	case <-time.After(patience):
		t.Fatal("it did not come back")
	}
}

// Without its clock nothing in miniredis expires, and asynq's records of servers and
// statistics stay for ever.
func TestKeysExpire(t *testing.T) {
	t.Parallel()
	c, ctx := client(t, start(t)), t.Context()
	if err := c.Set(ctx, "short", "x", 50*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(ctx, "long", "x", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key expires", func() bool { return c.Exists(ctx, "short").Val() == 0 })
	if c.Exists(ctx, "long").Val() != 1 {
		t.Error("the other key has expired too")
	}
}

// Without keeping writes a long pipeline waits for an answer that waits for it.
func TestLongPipelines(t *testing.T) {
	t.Parallel()
	c, ctx := client(t, start(t)), t.Context()
	value := string(bytes.Repeat([]byte("x"), 1000))
	for range 3 {
		answers, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range 500 {
				p.Set(ctx, fmt.Sprint(i), value, 0)
				p.Get(ctx, fmt.Sprint(i))
			}
			return nil
		})
		if err != nil || len(answers) != 1000 {
			t.Fatalf("%d answers, %v", len(answers), err)
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	r := embedded.Start()
	c := redis.NewClient(&redis.Options{Dialer: r.Dial, MaxRetries: -1, DialerRetries: 1})
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	conn, err := r.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if _, err := r.Dial(t.Context(), "", ""); !errors.Is(err, embedded.ErrClosed) {
		t.Errorf("dial after close: %v", err)
	}
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Error("ping after close: no error")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func BenchmarkEnqueue(b *testing.B) {
	conn := open(b, start(b))
	for b.Loop() {
		if err := conn.Enqueue(b.Context(), deliveries(32, "q")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*32/b.Elapsed().Seconds(), "deliveries/s")
}

func BenchmarkDrain(b *testing.B) {
	conn := open(b, start(b))
	done := make(chan struct{}, 1000)
	serve(b, conn, queue.ServerOptions{
		Queues:  map[string]int{"q": 1},
		Slots:   50,
		Handler: func(context.Context, queue.Delivery) { done <- struct{}{} },
	})
	b.ResetTimer()
	for b.Loop() {
		if err := conn.Enqueue(b.Context(), deliveries(500, "q")); err != nil {
			b.Fatal(err)
		}
		for range 500 {
			<-done
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "deliveries/s")
}
