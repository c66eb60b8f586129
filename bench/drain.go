package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
)

const (
	drainJobs = 30_000
	slots     = 50
)

// drain measures how fast a backlog of jobs that do nothing is worked off, with everything that
// makes each of them durable, beside bare asynq with one server of as many slots.
func (b *bench) drain() {
	bare := b.bareAsynq()
	s := b.install()
	b.fill(s, jobs.DefaultTenant, drainJobs, "{}")
	b.worker(s, system.With("LEAT_CONCURRENCY", fmt.Sprint(slots)), system.With("LEAT_FETCHERS", "4"))
	system.Poll(b.Context(), b, "the backlog is worked off", 5*time.Minute, 200*time.Millisecond, func() bool {
		busy, err := s.Busy(b.Context())
		return err == nil && !busy
	})
	var seconds float64
	var attempts int
	err := s.DB().QueryRow(b.Context(), `
		SELECT extract(epoch FROM max(finished_at) - min(started_at)), (SELECT count(*) FROM attempts WHERE outcome = 'succeeded') FROM jobs`).Scan(&seconds, &attempts)
	if err != nil {
		b.Fatalf("read the times: %v", err)
	}
	if attempts != drainJobs {
		b.Errorf("%d successes are recorded for %d jobs", attempts, drainJobs)
	}
	b.compare("no-op jobs drained, durable", drainJobs/seconds, "/s", "bare asynq", bare, false, 0.45)
}

// fill commits a tenant's n jobs through the store.
func (b *bench) fill(s *system.System, tenant jobs.Tenant, n int, params string) {
	ctx := b.Context()
	db, err := postgres.Open(ctx, postgres.Options{URL: s.DatabaseURL, SkipMigrate: true})
	if err != nil {
		b.Fatalf("open the store: %v", err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			b.Errorf("close the store: %v", err)
		}
	}()
	content := []byte("x")
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for range n / 100 {
		group.Go(func() error {
			uploads := make([]store.Upload, 100)
			for i := range uploads {
				uploads[i] = store.Upload{
					File: store.NewFile{ID: jobs.NewID(), Name: "x", Size: 1, SHA256: sha256.Sum256(content), MediaType: "text/plain", Content: content},
					Job: store.NewJob{
						ID: jobs.NewID(), Kind: "work", KindVersion: 1, Queue: s.Queue,
						Params: []byte(params), ParamsHash: sha256.Sum256([]byte(params)), MaxAttempts: 5,
					},
				}
			}
			_, err := db.Accept(ctx, tenant, uploads)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatalf("fill the backlog: %v", err)
	}
	if _, err := s.DB().Exec(b.Context(), "VACUUM ANALYZE"); err != nil {
		b.Fatalf("analyze: %v", err)
	}
}

// bareAsynq drains as many tasks with one asynq server, its handler doing nothing.
func (b *bench) bareAsynq() float64 {
	opts, err := redis.ParseURL(testserver.NewRedis(b, testserver.AOF("everysec")).URL())
	if err != nil {
		b.Fatalf("redis: %v", err)
	}
	conn := asynq.RedisClientOpt{Addr: opts.Addr, Password: opts.Password, DB: opts.DB}
	client := asynq.NewClient(conn)
	defer client.Close()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(32)
	for range drainJobs {
		group.Go(func() error {
			_, err := client.EnqueueContext(ctx, asynq.NewTask("noop", []byte("0198f000-0000-7000-8000-000000000000.1")))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatalf("enqueue: %v", err)
	}
	var done atomic.Int64
	var first, last atomic.Int64
	all := make(chan struct{})
	server := asynq.NewServer(conn, asynq.Config{Concurrency: slots, LogLevel: asynq.FatalLevel})
	err = server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		first.CompareAndSwap(0, time.Now().UnixNano())
		if done.Add(1) == drainJobs {
			last.Store(time.Now().UnixNano())
			close(all)
		}
		return nil
	}))
	if err != nil {
		b.Fatalf("asynq: %v", err)
	}
	<-all
	server.Shutdown()
	return drainJobs / time.Duration(last.Load()-first.Load()).Seconds()
}
