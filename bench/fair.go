package main

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/integration/system"
)

const (
	heavyJobs   = 100_000
	heavyMillis = 200
	lightJobs   = 20
	fairSlots   = 10
)

// fair measures how long a tenant's single job waits for its start while another tenant has 100,000
// waiting, beside the same with an idle fleet.
func (b *bench) fair() {
	s := b.install()
	api := b.api(s)
	b.worker(s, system.With("LEAT_CONCURRENCY", fmt.Sprint(fairSlots)))
	idle := b.waits(s, api)
	b.fill(s, "heavy", heavyJobs, fmt.Sprintf(`{"millis":%d}`, heavyMillis))
	b.busy(s, fairSlots)
	busy := b.waits(s, api)
	median := percentile(idle, 50)
	b.target("behind another tenant's 100,000: answered → started, p50", percentile(busy, 50), "ms", true, 2*median+heavyMillis)
	b.target("… worst", percentile(busy, 100), "ms", true, 2*median+heavyMillis)
	b.compare("… p50, all slots busy with jobs of 200 ms", percentile(busy, 50), "ms", "idle", median, true, 0)
}

// busy waits until all slots are.
func (b *bench) busy(s *system.System, slots int) {
	system.Poll(b.Context(), b, "all slots are busy", time.Minute, 100*time.Millisecond, func() bool {
		states, err := s.States(b.Context())
		return err == nil && states["running"] == slots
	})
}

// waits uploads one small file after the other, and tells how long each waited for its handler.
func (b *bench) waits(s *system.System, api *system.API) []time.Duration {
	client := system.Client()
	var waits []time.Duration
	for range lightJobs {
		up, err := s.Upload(b.Context(), client, api.URL, "work", "", []byte("a small file"))
		if err != nil {
			b.Fatalf("upload: %v", err)
		}
		answered := time.Now()
		waits = append(waits, max(b.started(s, up.JobID).Sub(answered), 0)) // a handler can be quicker than the answer
	}
	return waits
}

// started waits until a job has succeeded, and tells when its handler started.
func (b *bench) started(s *system.System, id uuid.UUID) time.Time {
	var started *int64
	system.Poll(b.Context(), b, "the job has run", time.Minute, 20*time.Millisecond, func() bool {
		err := s.DB().QueryRow(b.Context(), `SELECT (result->>'started_us')::bigint FROM jobs WHERE id = $1`, id.String()).Scan(&started)
		if err != nil {
			b.Fatalf("read the start: %v", err)
		}
		return started != nil
	})
	return time.UnixMicro(*started)
}
