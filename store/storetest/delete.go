package storetest

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func deleteTests() []test {
	return []test{
		{"Whole", testDeleteWhole},
		{"InUse", testDeleteInUse},
		{"InParts", testDeleteInParts},
		{"KeepsWhatOthersShare", testDeleteKeepsShared},
	}
}

// family makes a file with a job that has spawned three others, all ended: the file's blob, an artifact's
// and those of the three are in the blob store.
func (f *fixture) family() (file uuid.UUID, blobs []uuid.UUID) {
	f.Helper()
	parent := upload(inBlob(uuid.New()))
	_, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{parent})
	f.ok(err)
	run, made := f.claim(parent.Job.ID), uuid.New()
	f.ok(f.s.HoldBlob(f.ctx(), run.JobID, run.Claim, made))
	end := finish(run, jobs.RunSucceeded)
	end.Artifacts = []store.NewArtifact{blobArtifact("a", made, time.Now())}
	blobs = []uuid.UUID{parent.File.BlobKey, made}
	for range 3 {
		child := upload(inBlob(uuid.New()))
		f.ok(f.s.HoldBlob(f.ctx(), run.JobID, run.Claim, child.File.BlobKey))
		end.Children = append(end.Children, child)
		blobs = append(blobs, child.File.BlobKey)
	}
	_, err = f.s.End(f.ctx(), end)
	f.ok(err)
	for _, child := range end.Children {
		f.run(child.Job.ID, jobs.RunSucceeded)
	}
	f.equal("parent", jobs.Succeeded, f.job(parent.Job.ID).State)
	return parent.File.ID, blobs
}

func (f *fixture) gone(file uuid.UUID) {
	f.Helper()
	if _, _, err := f.s.File(f.ctx(), f.tenant, file); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("the file is still there: %v", err)
	}
}

// sameIDs compares without order.
func (f *fixture) sameIDs(what string, want, got []uuid.UUID) {
	f.Helper()
	set := func(ids []uuid.UUID) map[uuid.UUID]int {
		n := map[uuid.UUID]int{}
		for _, id := range ids {
			n[id]++
		}
		return n
	}
	f.equal(what, set(want), set(got))
}

func testDeleteWhole(f *fixture) {
	file, blobs := f.family()
	other := f.accept()
	by := store.Actor{Name: "leat_abcdefgh", Client: "192.0.2.7", RequestID: "r"}
	deleted, err := f.s.DeleteFile(f.ctx(), f.tenant, file, by, 100)
	f.ok(err)
	if !deleted.Done || deleted.Jobs != 4 {
		f.Errorf("deleted %+v, want all four jobs", deleted)
	}
	f.sameIDs("freed", blobs, deleted.Freed)
	f.gone(file)
	left := f.list(store.JobFilter{})
	if len(left) != 1 || left[0].ID != other {
		f.Errorf("left are %+v", left)
	}
	entry := f.audit()[0]
	if entry.Action != store.AuditFileDeleted || entry.Actor != by || entry.Subject != file.String() || entry.Tenant != f.tenant {
		f.Errorf("audit %+v", entry)
	}
	if _, err := f.s.DeleteFile(f.ctx(), f.tenant, file, by, 100); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("again: %v", err)
	}
	if unowned, err := f.s.Unowned(f.ctx(), blobs); err != nil || len(unowned) != len(blobs) {
		f.Errorf("%d of %d blobs have no row, %v", len(unowned), len(blobs), err)
	}
}

func testDeleteInUse(f *fixture) {
	parent := upload()
	_, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{parent})
	f.ok(err)
	inUse := func(what string, file uuid.UUID) {
		f.Helper()
		if _, err := f.s.DeleteFile(f.ctx(), f.tenant, file, operator, 100); !errors.Is(err, store.ErrInUse) {
			f.Errorf("%s: %v, want in use", what, err)
		}
	}
	inUse("pending", parent.File.ID)
	claim := f.claim(parent.Job.ID)
	inUse("running", parent.File.ID)
	child, ended := upload(), upload()
	end := finish(claim, jobs.RunSucceeded)
	end.Children = []store.Upload{child, ended}
	_, err = f.s.End(f.ctx(), end)
	f.ok(err)
	f.run(ended.Job.ID, jobs.RunSucceeded)
	inUse("waiting", parent.File.ID)
	inUse("of a parent that waits", ended.File.ID)
	f.run(child.Job.ID, jobs.RunFailed)
	_, err = f.s.Retry(f.ctx(), f.tenant, child.Job.ID)
	f.ok(err)
	inUse("a child is run again", parent.File.ID)
	f.equal("jobs", 3, len(f.list(store.JobFilter{})))
	f.equal("the audit", []store.AuditEntry{}, f.audit())
}

// A large family is deleted in parts, from its leaves, and may be left in between.
func testDeleteInParts(f *fixture) {
	file, blobs := f.family()
	var freed []uuid.UUID
	total := 0
	for i := 0; ; i++ {
		deleted, err := f.s.DeleteFile(f.ctx(), f.tenant, file, operator, 2)
		f.ok(err)
		if deleted.Jobs > 2 || i > 5 {
			f.Fatalf("%+v in call %d", deleted, i)
		}
		total += deleted.Jobs
		freed = append(freed, deleted.Freed...)
		if deleted.Done {
			break
		}
		if _, _, err := f.s.File(f.ctx(), f.tenant, file); err != nil {
			f.Errorf("the file is gone before what was made of it: %v", err)
		}
	}
	f.equal("jobs", 4, total)
	f.sameIDs("freed", blobs, freed)
	f.gone(file)
	f.equal("entries of the audit", 1, len(f.audit()))
}

// An entry of an archive can be deleted alone; what a later job has taken over stays.
func testDeleteKeepsShared(f *fixture) {
	giver := f.job(f.accept(same))
	made := f.done(giver.ID)
	taken := f.offer(same)
	f.gave("the same bytes", taken, giver.ID)
	taker := f.job(taken.JobID)
	deleted, err := f.s.DeleteFile(f.ctx(), f.tenant, giver.FileID, operator, 10)
	f.ok(err)
	f.sameIDs("freed", nil, deleted.Freed) // the inline one was in the row
	if _, content, err := f.s.Artifact(f.ctx(), f.tenant, taker.ID, "blob.bin"); err != nil || content.BlobKey != made {
		f.Errorf("the taker's artifact: %v, %v", content, err)
	}
	deleted, err = f.s.DeleteFile(f.ctx(), f.tenant, taker.FileID, operator, 10)
	f.ok(err)
	f.sameIDs("freed then", []uuid.UUID{made}, deleted.Freed)
}
