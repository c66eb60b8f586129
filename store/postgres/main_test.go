package postgres_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
)

func TestMain(m *testing.M) { testserver.VerifyTestMain(m) }

// fresh gives the URL of a new, empty, migrated database.
func fresh(tb testing.TB) string {
	tb.Helper()
	return testserver.PostgresTemplate(tb, "leat", postgres.Migrate)
}

// opened opens a store that ends with the test.
func opened(tb testing.TB, options postgres.Options) *postgres.Store {
	tb.Helper()
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

// direct connects to a database beside the store.
func direct(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// It may have been cut off by the test itself.
		if err := conn.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Logf("close: %v", err)
		}
	})
	return conn
}

// execute runs a statement beside the store.
func execute(tb testing.TB, url, sql string) {
	tb.Helper()
	if _, err := direct(tb, url).Exec(tb.Context(), sql); err != nil {
		tb.Fatal(err)
	}
}

// eventually waits until cond holds.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("not in time: %s", what)
		}
	}
}

// upload makes an upload of the given size, in the row.
func upload(size int) store.Upload {
	content := make([]byte, size)
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

// accept commits n uploads and returns their jobs.
func accept(tb testing.TB, s store.Store, n int) []uuid.UUID {
	tb.Helper()
	uploads, ids := make([]store.Upload, n), make([]uuid.UUID, n)
	for i := range uploads {
		uploads[i] = upload(64)
		ids[i] = uploads[i].Job.ID
	}
	if _, err := s.Accept(tb.Context(), jobs.DefaultTenant, uploads); err != nil {
		tb.Fatal(err)
	}
	return ids
}

// register makes a worker known.
func register(tb testing.TB, s store.Store) uuid.UUID {
	tb.Helper()
	id := uuid.New()
	if err := s.Register(tb.Context(), store.WorkerStatus{ID: id, Label: "pod", Slots: 8, Free: 8}); err != nil {
		tb.Fatal(err)
	}
	return id
}

// request asks for a job at its first generation.
func request(worker, id uuid.UUID) store.ClaimRequest {
	return store.ClaimRequest{JobID: id, Generation: 1, Claim: uuid.New(), Worker: worker, Kinds: []string{"inspect"}}
}

// success is the end of a run that went well.
func success(run store.RunRef) store.RunEnd {
	return store.RunEnd{JobID: run.JobID, Claim: run.Claim, Outcome: jobs.RunSucceeded, Result: json.RawMessage(`{"size":64}`)}
}
