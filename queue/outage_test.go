package queue_test

import (
	"context"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/queue"
)

// Without pauses after errors an idle worker asks a dead Redis hundreds of times a
// second; without a limit each of asynq's loops logs every failure.
func TestServerOutlivesRedis(t *testing.T) {
	t.Parallel()
	srv := testserver.NewRedis(t)
	conn := open(t, srv.URL())
	var polls dequeues
	conn.Redis().AddHook(&polls)
	var logs logBuffer
	handler, got := collect()
	start(t, newServer(t, conn, queue.ServerOptions{Servers: 4, Logger: logs.logger(), Handler: handler}))
	enqueue(t, conn, deliveries(1)...)
	receive(t, got, "a delivery before")

	srv.Stop()
	eventually(t, "the outage is logged", func() bool { return logs.count("Redis does not answer") > 0 })
	before := polls.n.Load()
	always(t, 2*time.Second, "redis is away", func() bool { return conn.Enqueue(t.Context(), deliveries(1)) != nil })
	if n := polls.n.Load() - before; n > 40 {
		t.Errorf("%d polls in two seconds, want about 16", n)
	}

	srv.Start()
	d := deliveries(1)[0]
	eventually(t, "enqueuing works again", func() bool { return conn.Enqueue(t.Context(), []queue.Delivery{d}) == nil })
	for receive(t, got, "the delivery after") != d {
		// One of those that seemed to fail, or the one before, out of the append-only file.
	}
	if a, b := logs.count("Redis does not answer"), logs.count("Redis answers again"); a != 1 || b != 1 {
		t.Errorf("the outage was logged %d times and its end %d times", a, b)
	}
	if n := logs.count("level=ERROR") + logs.count("level=WARN"); n > 6 {
		t.Errorf("%d lines of trouble:\n%s", n, logs.String())
	}
	if n := strings.Count(driverLogs.String(), "failed to dial"); n > 5*(1+int(time.Since(processStart)/time.Minute)) {
		t.Errorf("go-redis logged %d failures to dial", n)
	}
}

var processStart = time.Now()

// dequeues watches asynq's dequeues.
type dequeues struct {
	n      atomic.Int64
	popped chan struct{} // if not nil, is sent something for the first tasks
}

func (*dequeues) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *dequeues) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if args := cmd.Args(); len(args) > 4 && args[4] == "asynq:{q}:paused" {
			d.n.Add(1)
			if err == nil {
				select {
				case d.popped <- struct{}{}:
				default:
				}
			}
		}
		return err
	}
}

func (*dequeues) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestServerStartsBeforeRedis(t *testing.T) {
	t.Parallel()
	link := testserver.Proxy(t, redisURL(t))
	link.Cut()
	conn := open(t, link.URL())
	handler, got := collect()
	start(t, newServer(t, conn, queue.ServerOptions{Handler: handler}))
	link.Restore()
	eventually(t, "enqueuing works", func() bool { return conn.Enqueue(t.Context(), deliveries(1)) == nil })
	receive(t, got, "a delivery")
}

// asynq's clients register each queue once, so that after Redis was emptied its own
// statistics know no queue. Nothing here may depend on that.
func TestEmptiedRedisFillsAgain(t *testing.T) {
	t.Parallel()
	srv := testserver.NewRedis(t, testserver.NoPersistence())
	conn := open(t, srv.URL())
	handler, got := collect()
	s := newServer(t, conn, queue.ServerOptions{Handler: handler})
	start(t, s)
	s.Cordon(t.Context())
	ds := deliveries(10)
	enqueue(t, conn, ds...)
	if err := conn.Redis().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if got := depths(t, conn); got != (queue.Lengths{}) {
		t.Fatalf("lengths are %+v after FLUSHALL", got)
	}
	enqueue(t, conn, ds...)
	if _, err := inspector(t, conn).GetQueueInfo("q"); err == nil {
		t.Error("asynq's statistics know the queue: the remark in the package comment is out of date")
	}
	if got := depths(t, conn).Pending; got != 10 {
		t.Errorf("%d pending, want 10", got)
	}
	s.Uncordon()
	for range ds {
		receive(t, got, "a delivery")
	}

	// And a restart, which forgets asynq's scripts too.
	srv.Stop()
	srv.Start()
	eventually(t, "enqueuing works again", func() bool { return conn.Enqueue(t.Context(), ds) == nil })
	for range ds {
		receive(t, got, "a delivery after the restart")
	}
}

// Without reading lengths only, one task that lost its data takes away the
// statistics of its queue.
func TestDepthsOfDamagedQueue(t *testing.T) {
	t.Parallel()
	conn := open(t, redisURL(t))
	ds := deliveries(3)
	enqueue(t, conn, ds...)
	crash(t, conn, ds[0])
	client := asynq.NewClientFromRedisClient(conn.Redis())
	task := asynq.NewTask("leat:job", nil)
	if _, err := client.EnqueueContext(t.Context(), task, asynq.Queue("q"), asynq.ProcessIn(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := conn.Redis().Del(t.Context(), "asynq:{q}:t:"+queue.TaskID(ds[1])).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := inspector(t, conn).GetQueueInfo("q"); err == nil {
		t.Error("asynq's statistics do not mind: the remark in the package comment is out of date")
	}
	lengths, err := conn.Depths(t.Context(), []string{"q", "none"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lengths["q"], (queue.Lengths{Pending: 2, Active: 1, Scheduled: 1}); got != want {
		t.Errorf("lengths are %+v, want %+v", got, want)
	}
	if got := lengths["none"]; len(lengths) != 2 || got != (queue.Lengths{}) {
		t.Errorf("lengths of an unknown queue are %+v", got)
	}
}

func TestPasswordsStaySecret(t *testing.T) {
	t.Parallel()
	const password, wrong = "p@ss:w/o?rd#%41", "wr0ng-p@ss:w/o?rd"
	srv := testserver.NewRedis(t)
	admin := open(t, srv.URL())
	if err := admin.Redis().ConfigSet(t.Context(), "requirepass", password).Err(); err != nil {
		t.Fatal(err)
	}
	withPassword := func(password string) string {
		u, err := url.Parse(srv.URL())
		if err != nil {
			t.Fatal(err)
		}
		return "redis://:" + url.QueryEscape(password) + "@" + u.Host
	}
	var logs logBuffer
	handler, got := collect()
	options := queue.ServerOptions{Logger: logs.logger(), Handler: handler}

	refused := open(t, withPassword(wrong))
	start(t, newServer(t, refused, options))
	eventually(t, "the refusal is logged", func() bool { return logs.count("WRONGPASS") > 0 })
	said := logs.String()
	for _, err := range []error{refused.Ping(t.Context()), refused.Enqueue(t.Context(), deliveries(1))} {
		if err == nil {
			t.Fatal("the wrong password was accepted")
		}
		said += err.Error()
	}

	accepted := open(t, withPassword(password))
	start(t, newServer(t, accepted, options))
	enqueue(t, accepted, deliveries(1)...)
	receive(t, got, "a delivery")
	srv.Stop()
	said += accepted.Ping(t.Context()).Error() + logs.String() + driverLogs.String()
	for _, secret := range []string{password, wrong, url.QueryEscape(password), url.QueryEscape(wrong)} {
		if strings.Contains(said, secret) {
			t.Errorf("%q was told", secret)
		}
	}
}
