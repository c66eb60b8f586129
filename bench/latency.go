package main

import (
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/integration/system"
)

const (
	idleUploads = 1000
	idleEvery   = 20 * time.Millisecond // 50 a second
)

// latency measures the time from an upload's answer to the start of its handler, with an idle
// fleet.
func (b *bench) latency() {
	s := b.install()
	api := b.api(s)
	s.Worker()
	client := system.Client()
	answered := make(map[uuid.UUID]time.Time, idleUploads)
	ticker := time.NewTicker(idleEvery)
	defer ticker.Stop()
	for range idleUploads {
		<-ticker.C
		up, err := s.Upload(b.Context(), client, api.URL, "work", "", []byte("a small file"))
		if err != nil {
			b.Fatalf("upload: %v", err)
		}
		answered[up.JobID] = time.Now()
	}
	system.Poll(b.Context(), b, "all is done", time.Minute, 100*time.Millisecond, func() bool {
		states, err := s.States(b.Context())
		return err == nil && states["succeeded"] == idleUploads
	})
	rows, err := s.DB().Query(b.Context(), `SELECT id, (result->>'started_us')::bigint FROM jobs`)
	if err != nil {
		b.Fatalf("read the starts: %v", err)
	}
	defer rows.Close()
	var waits []time.Duration
	for rows.Next() {
		var id uuid.UUID
		var started int64
		if err := rows.Scan(&id, &started); err != nil {
			b.Fatalf("read the starts: %v", err)
		}
		// A handler can be quicker than the answer.
		waits = append(waits, max(time.UnixMicro(started).Sub(answered[id]), 0))
	}
	if err := rows.Err(); err != nil || len(waits) != idleUploads {
		b.Fatalf("%d of %d starts were read: %v", len(waits), idleUploads, err)
	}
	b.target("upload answered → handler started, p50", percentile(waits, 50), "ms", true, 60)
	b.target("… p99", percentile(waits, 99), "ms", true, 250)
}
