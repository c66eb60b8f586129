package storetest

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// option changes an upload before it is accepted.
type option func(*store.Upload)

func inQueue(queue string) option       { return func(u *store.Upload) { u.Job.Queue = queue } }
func ofKind(kind string) option         { return func(u *store.Upload) { u.Job.Kind = kind } }
func runAt(at time.Time) option         { return func(u *store.Upload) { u.Job.RunAt = at } }
func failsWithChildren(u *store.Upload) { u.Job.FailWithChildren = true }
func withBudget(u *store.Upload) {
	u.Job.Budget = &jobs.Budget{Depth: 3, Jobs: 4, Bytes: 5 << 40, Until: time.Date(2030, 1, 1, 0, 0, 0, 1000, time.UTC)}
}

func later(u *store.Upload)       { u.Job.RunAt = time.Now().Add(time.Hour).Truncate(time.Microsecond) }
func inBlob(key uuid.UUID) option { return inBlobSince(key, time.Now()) }

func withContent(content []byte) option {
	return func(u *store.Upload) {
		u.File.Content, u.File.Size, u.File.SHA256 = content, int64(len(content)), sha256.Sum256(content)
	}
}

func inBlobSince(key uuid.UUID, stored time.Time) option {
	return func(u *store.Upload) {
		u.File.Content, u.File.BlobKey, u.File.StoredAt = nil, key, stored
	}
}

// broken makes an upload that no database takes: its size is not its content's.
func broken(u *store.Upload) { u.File.Size++ }

// upload makes an upload with content of its own, in the row.
func upload(options ...option) store.Upload {
	id := jobs.NewID()
	params := json.RawMessage(`{}`)
	u := store.Upload{
		File: store.NewFile{ID: jobs.NewID(), Name: "plan.txt", MediaType: "text/plain"},
		Job: store.NewJob{
			ID: id, Kind: "inspect", KindVersion: 1, Queue: jobs.DefaultQueue,
			Params: params, ParamsHash: sha256.Sum256(params), MaxAttempts: 5,
		},
	}
	withContent([]byte("content of " + id.String()))(&u)
	for _, change := range options {
		change(&u)
	}
	return u
}

// accept commits one upload and returns its job's ID.
func (f *fixture) accept(options ...option) uuid.UUID {
	f.Helper()
	u := upload(options...)
	accepted, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{u})
	f.ok(err)
	if len(accepted) != 1 || accepted[0].JobID != u.Job.ID {
		f.Fatalf("accepted %+v, want job %v", accepted, u.Job.ID)
	}
	return u.Job.ID
}

// acceptMany commits n uploads in one call and returns their jobs' IDs, in order.
func (f *fixture) acceptMany(n int, options ...option) []uuid.UUID {
	f.Helper()
	uploads, ids := make([]store.Upload, n), make([]uuid.UUID, n)
	for i := range uploads {
		uploads[i] = upload(options...)
		ids[i] = uploads[i].Job.ID
	}
	_, err := f.s.Accept(f.ctx(), f.tenant, uploads)
	f.ok(err)
	return ids
}
