package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/sqlite"
)

// BenchmarkCycle measures whole lives of jobs with 4 KiB in the row: accepted, claimed and ended, each
// step durable before the next, by as many callers at once as its name says.
func BenchmarkCycle(b *testing.B) {
	for _, callers := range []struct {
		name string
		n    int
	}{{"1", 1}, {"16", 16}, {"64", 64}} {
		b.Run(callers.name, func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "leat.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			worker := jobs.NewID()
			if err := s.Register(b.Context(), store.WorkerStatus{ID: worker}); err != nil {
				b.Fatal(err)
			}
			content := make([]byte, 4096)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			start := time.Now()
			for range callers.n {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := cycle(b.Context(), s, worker, content); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "cycles/s")
		})
	}
}

func cycle(ctx context.Context, s store.Store, worker uuid.UUID, content []byte) error {
	up := store.Upload{
		File: store.NewFile{ID: jobs.NewID(), Name: "a", Size: int64(len(content)), MediaType: "text/plain", Content: content},
		Job:  store.NewJob{ID: jobs.NewID(), Kind: "inspect", KindVersion: 1, Queue: "default", MaxAttempts: 5},
	}
	if _, err := s.Accept(ctx, jobs.DefaultTenant, []store.Upload{up}); err != nil {
		return err
	}
	claim := uuid.New()
	got, err := s.Claim(ctx, store.ClaimRequest{
		JobID: up.Job.ID, Generation: 1, Claim: claim, Worker: worker, Kinds: []string{"inspect"},
	})
	if err != nil {
		return err
	}
	if got.Refused != "" {
		return fmt.Errorf("claim refused: %s", got.Refused)
	}
	_, err = s.End(ctx, store.RunEnd{JobID: up.Job.ID, Claim: claim, Outcome: jobs.RunSucceeded, Result: []byte(`{"size":4096}`)})
	return err
}
