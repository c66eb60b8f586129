package postgres_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
)

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

// BenchmarkAccept: 16 callers, each with one upload of 4 KiB after the other.
func BenchmarkAccept(b *testing.B) {
	s := opened(b, postgres.Options{URL: fresh(b)})
	uploads := make([]store.Upload, b.N)
	for i := range uploads {
		uploads[i] = upload(4 << 10)
	}
	crowd(b, 16, func(ctx context.Context, i int) error {
		_, err := s.Accept(ctx, jobs.DefaultTenant, uploads[i:i+1])
		return err
	})
}

// BenchmarkCycle: 64 callers, each claiming a job and ending it, one after the other.
func BenchmarkCycle(b *testing.B) {
	s := opened(b, postgres.Options{URL: fresh(b)})
	worker := register(b, s)
	ids := accept(b, s, min(b.N, 500))
	for len(ids) < b.N {
		ids = append(ids, accept(b, s, min(b.N-len(ids), 500))...)
	}
	crowd(b, 64, func(ctx context.Context, i int) error {
		req := request(worker, ids[i])
		claimed, err := s.Claim(ctx, req)
		if err != nil {
			return err
		}
		if claimed.Refused != "" {
			b.Errorf("refused: %s", claimed.Refused)
		}
		_, err = s.End(ctx, success(store.RunRef{JobID: req.JobID, Claim: req.Claim}))
		return err
	})
}
