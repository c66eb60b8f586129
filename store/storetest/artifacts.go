package storetest

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// artifact makes a small artifact, in the row.
func artifact(name string) store.NewArtifact {
	content := []byte("artifact " + name)
	u := upload(withContent(content))
	return store.NewArtifact{
		Artifact: jobs.Artifact{Name: name, MediaType: "text/plain", Size: u.File.Size, SHA256: u.File.SHA256},
		Content:  content,
	}
}

// blobArtifact makes an artifact whose bytes are a blob.
func blobArtifact(name string, key uuid.UUID, stored time.Time) store.NewArtifact {
	a := artifact(name)
	a.Content, a.BlobKey, a.StoredAt = nil, key, stored
	return a
}

func testEndArtifacts(f *fixture) {
	id := f.accept()
	run := f.claim(id)
	held, fresh := uuid.New(), uuid.New()
	f.ok(f.s.HoldBlob(f.ctx(), id, run.Claim, held))
	f.ok(f.s.HoldBlob(f.ctx(), id, run.Claim, held)) // a lost reply
	if _, _, err := f.s.Artifact(f.ctx(), f.tenant, id, "held.bin"); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("an artifact before the end: %v", err)
	}
	empty := artifact("empty")
	empty.Content, empty.Size = nil, 0
	end := finish(run, jobs.RunSucceeded)
	end.Artifacts = []store.NewArtifact{
		artifact("z inline.txt"), blobArtifact("held.bin", held, time.Now()), blobArtifact("fresh.bin", fresh, time.Now()), empty,
	}
	_, err := f.s.End(f.ctx(), end)
	f.ok(err)

	job := f.job(id)
	if len(job.Artifacts) != 4 {
		f.Fatalf("artifacts: %+v", job.Artifacts)
	}
	byName := map[string]jobs.Artifact{}
	for _, a := range job.Artifacts {
		byName[a.Name] = a
	}
	for _, want := range end.Artifacts {
		f.equal("artifact of the job", want.Artifact, byName[want.Name])
		got, content, err := f.s.Artifact(f.ctx(), f.tenant, id, want.Name)
		f.ok(err)
		f.equal("artifact", want.Artifact, got)
		f.equal("content of "+want.Name, store.Content{Inline: want.Content, BlobKey: want.BlobKey}, content)
	}
	if _, _, err := f.s.Artifact(f.ctx(), f.tenant, id, "held"); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("an artifact that is not there: %v", err)
	}
	unowned, err := f.s.Unowned(f.ctx(), []uuid.UUID{held, fresh})
	f.ok(err)
	f.equal("blobs without a row", []uuid.UUID(nil), unowned)
}

// testEndStaleArtifact: bytes that are too old are refused with all that came with them, and the run
// goes on.
func testEndStaleArtifact(f *fixture) {
	old := time.Now().Add(-store.MaxBlobAge - time.Minute)
	for name, add := range map[string]func(*store.RunEnd){
		"artifact": func(e *store.RunEnd) {
			e.Artifacts = []store.NewArtifact{artifact("good"), blobArtifact("old", uuid.New(), old)}
		},
		"child": func(e *store.RunEnd) { e.Children = []store.Upload{upload(), upload(inBlobSince(uuid.New(), old))} },
	} {
		id := f.accept()
		run := f.claim(id)
		end := finish(run, jobs.RunSucceeded)
		add(&end)
		before := f.trace(id)
		if state, err := f.s.End(f.ctx(), end); !errors.Is(err, store.ErrStale) {
			f.Errorf("an old %s: %s, %v", name, state, err)
		}
		f.unchanged("an old "+name, before)
		f.absent(end.Children...)
		if state := f.end(run, jobs.RunFailed); state != jobs.Failed {
			f.Errorf("after an old %s the run ended %s", name, state)
		}
	}
}
