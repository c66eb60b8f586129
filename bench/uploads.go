package main

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leat-dev/leat/integration/system"
)

const (
	smallFile   = 4 << 10
	connections = 16
	uploadTime  = 10 * time.Second
)

// uploads measures how many small uploads are accepted, durable, with dispatch and a worker
// running, beside what Postgres does with one plain insert of the same bytes for each commit, and
// beside the same with a file in the folder for each.
func (b *bench) uploads() {
	var plain, inRow, p99, inFile float64
	b.scope("inserts", func(b *bench) { plain = b.plainInserts() })
	b.scope("uploads-in-row", func(b *bench) { inRow, p99 = b.accept("16KiB") })
	b.scope("uploads-in-files", func(b *bench) { inFile, _ = b.accept("0B") })
	b.target("uploads of 4 KiB accepted", inRow, "/s", false, 3300)
	b.target("… p99", p99, "ms", true, 20)
	b.compare("… content in the row", inRow, "/s", "a file each", inFile, false, 0)
	b.compare("… whole system", inRow, "/s", "bare INSERT, a commit each", plain, false, 0)
}

// accept measures accepted uploads a second and their 99th percentile in ms, after a warm-up.
func (b *bench) accept(inlineLimit string) (perSecond, p99 float64) {
	s := b.install()
	api := b.api(s, system.With("LEAT_INLINE_LIMIT", inlineLimit))
	b.worker(s)
	p, err := form(host(api.URL), s.Queue, "work", bytes.Repeat([]byte{0xA5}, smallFile))
	if err != nil {
		b.Fatalf("make the request: %v", err)
	}
	warm, err := hammer(b.Context(), p, connections, 2*time.Second)
	if err != nil {
		b.Fatalf("warm up: %v", err)
	}
	began := time.Now()
	answers, err := hammer(b.Context(), p, connections, uploadTime)
	if err != nil {
		b.Fatalf("upload: %v", err)
	}
	took := time.Since(began)
	b.checkRows(s, len(warm)+len(answers))
	times := make([]time.Duration, len(answers))
	for i, a := range answers {
		times[i] = a.took
	}
	return float64(len(answers)) / took.Seconds(), percentile(times, 99)
}

// checkRows compares the answers with what is in the database.
func (b *bench) checkRows(s *system.System, want int) {
	var files, jobs int
	err := s.DB().QueryRow(b.Context(), `SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM jobs)`).Scan(&files, &jobs)
	if err != nil {
		b.Fatalf("count the rows: %v", err)
	}
	if files != want || jobs != want {
		b.Errorf("%d uploads were answered with 202, and there are %d files and %d jobs", want, files, jobs)
	}
}

// plainInserts measures single-row inserts of the same bytes, a commit each, over as many
// connections.
func (b *bench) plainInserts() float64 {
	s := b.install()
	ctx := b.Context()
	config := s.DB().Config()
	config.MaxConns = connections
	db, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		b.Fatalf("open the database: %v", err)
	}
	defer db.Close()
	if _, err := db.Exec(ctx, `CREATE TABLE plain (id uuid PRIMARY KEY, content bytea NOT NULL)`); err != nil {
		b.Fatalf("make a table: %v", err)
	}
	content := bytes.Repeat([]byte{0xA5}, smallFile)
	limit, cancel := context.WithTimeout(ctx, uploadTime/2)
	defer cancel()
	var mu sync.Mutex
	var inserters sync.WaitGroup
	total := 0
	began := time.Now()
	for range connections {
		inserters.Go(func() {
			n := 0
			for limit.Err() == nil {
				if _, err := db.Exec(ctx, `INSERT INTO plain VALUES ($1, $2)`, uuid.New(), content); err != nil {
					b.Errorf("insert: %v", err)
					break
				}
				n++
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	inserters.Wait()
	return float64(total) / time.Since(began).Seconds()
}
