package postgres_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
)

func open(tb testing.TB, url string, change ...func(*postgres.Options)) *postgres.Store {
	tb.Helper()
	options := postgres.Options{URL: url}
	for _, c := range change {
		c(&options)
	}
	s, err := postgres.Open(tb.Context(), options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func fresh(tb testing.TB) string {
	tb.Helper()
	return testserver.PostgresTemplate(tb, "leat", func(ctx context.Context, url string) error {
		if err := postgres.Migrate(ctx, url); err != nil {
			return err
		}
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer c.Close(ctx)
		_, err = c.Exec(ctx, os.Getenv("BENCH_SQL"))
		return err
	})
}

// crowd lets n callers share b.N calls.
func crowd(b *testing.B, n int, call func(ctx context.Context, i int) error) {
	b.Helper()
	var (
		next atomic.Int64
		done sync.WaitGroup
	)
	b.ResetTimer()
	for range n {
		done.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				if err := call(b.Context(), i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

func upload(size int) store.Upload {
	content := make([]byte, size)
	_, _ = rand.Read(content) // never fails
	params := json.RawMessage(`{}`)
	return store.Upload{
		File: store.NewFile{
			ID: jobs.NewID(), Name: "photo.jpg", Size: int64(size), SHA256: sha256.Sum256(content),
			MediaType: "image/jpeg", Content: content,
		},
		Job: store.NewJob{
			ID: jobs.NewID(), Kind: "inspect", KindVersion: 1, Queue: jobs.DefaultQueue,
			Params: params, ParamsHash: sha256.Sum256(params), MaxAttempts: 5,
		},
	}
}

// BenchmarkAccept: 16 callers, one upload of 4 KiB each.
func BenchmarkAccept(b *testing.B) {
	s := open(b, fresh(b))
	uploads := make([]store.Upload, b.N)
	for i := range uploads {
		uploads[i] = upload(4 << 10)
	}
	crowd(b, 16, func(ctx context.Context, i int) error {
		_, err := s.Accept(ctx, jobs.DefaultTenant, uploads[i:i+1])
		return err
	})
}

// BenchmarkCycle: 64 callers, each claiming a job and ending it.
func BenchmarkCycle(b *testing.B) {
	s := open(b, fresh(b))
	ids := make([]uuid.UUID, b.N)
	for from := 0; from < b.N; from += 500 {
		uploads := make([]store.Upload, min(500, b.N-from))
		for i := range uploads {
			uploads[i] = upload(64)
			ids[from+i] = uploads[i].Job.ID
		}
		if _, err := s.Accept(b.Context(), jobs.DefaultTenant, uploads); err != nil {
			b.Fatal(err)
		}
	}
	worker := uuid.New()
	if err := s.Register(b.Context(), store.WorkerStatus{ID: worker, Label: "bench"}); err != nil {
		b.Fatal(err)
	}
	result := json.RawMessage(`{"size":64}`)
	crowd(b, 64, func(ctx context.Context, i int) error {
		claim := uuid.New()
		claimed, err := s.Claim(ctx, store.ClaimRequest{JobID: ids[i], Generation: 1, Claim: claim, Worker: worker, Kinds: []string{"inspect"}})
		if err != nil {
			return err
		}
		if claimed.Refused != "" {
			b.Errorf("refused: %s", claimed.Refused)
		}
		_, err = s.End(ctx, store.RunEnd{JobID: ids[i], Claim: claim, Outcome: jobs.RunSucceeded, Result: result})
		return err
	})
}
