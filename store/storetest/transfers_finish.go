package storetest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// finished checks that a transfer has become a file with one job.
func (f *fixture) finished(begun store.Transfer, u store.Upload, a store.Accepted) {
	f.Helper()
	want := begun
	want.BlobKey, want.JobID = uuid.Nil, u.Job.ID
	want.TransferProgress = store.TransferProgress{Length: u.File.Size, Offset: u.File.Size}
	got := f.transfer(begun.ID)
	want.Epoch, want.TouchedAt = got.Epoch, got.TouchedAt
	f.equal("transfer", want, got)
	if a.JobID != u.Job.ID || a.Generation != 1 {
		f.Errorf("accepted %+v", a)
	}
	file, content, err := f.s.File(f.ctx(), f.tenant, begun.ID)
	f.ok(err)
	f.equal("file", jobs.File{
		ID: begun.ID, Tenant: f.tenant, Name: u.File.Name, Size: u.File.Size, SHA256: u.File.SHA256, MediaType: u.File.MediaType, CreatedAt: file.CreatedAt,
	}, file)
	f.equal("content", store.Content{Inline: u.File.Content, BlobKey: u.File.BlobKey}, content)
	if made := f.list(store.JobFilter{FileID: begun.ID}); len(made) != 1 || made[0].ID != u.Job.ID {
		f.Errorf("jobs on the file: %+v", made)
	}
}

func testTransferFinish(f *fixture) {
	begun := f.begin(transfer())
	f.ok(f.advance(begun, 60))
	mine := f.take(begun.ID)
	u := whole(begun)
	a, err := f.endTransfer(mine, u)
	f.ok(err)
	f.finished(begun, u, a)
	if !a.Due || !f.transfer(begun.ID).TouchedAt.After(begun.TouchedAt) {
		f.Errorf("due: %t, begun at %v, touched at %v", a.Due, begun.TouchedAt, f.transfer(begun.ID).TouchedAt)
	}
	f.owned("finished", begun.BlobKey, true)
	f.equal("events", []store.EventType{store.EventAccepted}, f.eventTypes(a.JobID))
	f.equal("heads", []store.Delivery{{JobID: a.JobID, Generation: 1, Queue: jobs.DefaultQueue}}, f.heads())

	before := f.transfer(begun.ID)
	_, err = f.endTransfer(mine, whole(begun))
	f.lost("finish again", err)
	f.lost("advance", f.advance(mine, size))
	f.equal("finished", before, f.transfer(begun.ID))
	f.run(a.JobID, jobs.RunSucceeded)
}

// A small file's content is kept in the row, and its blob is left to the caller.
func testTransferFinishInline(f *fixture) {
	t := transfer()
	t.Length = 4
	begun, kept := f.begin(t), f.begin(transfer())
	u := upload(withContent([]byte("four")))
	u.File.ID = t.ID
	a, err := f.endTransfer(begun, u)
	f.ok(err)
	f.finished(begun, u, a)
	f.owned("inline", t.BlobKey, false)
	f.owned("another's", kept.BlobKey, true)

	empty := transfer()
	empty.Length = 0
	u = upload(withContent(nil))
	u.File.ID = empty.ID
	begun = f.begin(empty)
	a, err = f.endTransfer(begun, u)
	f.ok(err)
	f.finished(begun, u, a)
}

func testTransferFinishOfParts(f *fixture) {
	part := transfer()
	part.Partial = true
	f.ok(f.advance(f.begin(part), size))
	for _, change := range []option{inBlob(uuid.New()), withContent([]byte("put together"))} {
		final := transfer()
		final.BlobKey, final.Parts = uuid.Nil, []uuid.UUID{part.ID}
		u := upload(change)
		u.File.ID, final.Length = final.ID, u.File.Size
		begun := f.begin(final)
		a, err := f.endTransfer(begun, u)
		f.ok(err)
		f.finished(begun, u, a)
		if u.File.BlobKey != uuid.Nil {
			f.owned("put together", u.File.BlobKey, true)
		}
	}
	f.owned("the part", part.BlobKey, true)
}

func testTransferFinishOfUnknownLength(f *fixture) {
	t := transfer()
	t.Length = store.UnknownLength
	begun := f.begin(t)
	f.ok(f.advance(begun, 60))
	u := whole(begun)
	a, err := f.endTransfer(begun, u)
	f.ok(err)
	f.finished(begun, u, a)
}

// Of calls at the same time, in the same epoch, one has its effect.
func testTransferFinishAtOnce(f *fixture) {
	const rounds, calls = 5, 20
	for range rounds {
		begun := f.begin(transfer())
		uploads, answers, errs := make([]store.Upload, calls), make([]store.Accepted, calls), make([]error, calls)
		for i := range uploads {
			uploads[i] = whole(begun)
		}
		together(calls, func(i int) { answers[i], errs[i] = f.endTransfer(begun, uploads[i]) })
		done := 0
		for i, err := range errs {
			if err != nil {
				f.lost("finish beside others", err)
				continue
			}
			done++
			f.finished(begun, uploads[i], answers[i])
			f.equal("events", []store.EventType{store.EventAccepted}, f.eventTypes(uploads[i].Job.ID))
		}
		if done != 1 {
			f.Errorf("%d calls have finished, want one", done)
		}
	}
	if n, ready := len(f.list(store.JobFilter{})), f.queue(jobs.DefaultQueue).Ready.N; n != rounds || ready != rounds {
		f.Errorf("there are %d jobs and %d are ready, want one of each of %d transfers", n, ready, rounds)
	}
	page, _, err := f.s.EventsAfter(f.ctx(), "", 100)
	f.ok(err)
	if len(page) > rounds { // those of the latest transactions may be yet to come
		f.Errorf("%d events, want one of each of %d transfers", len(page), rounds)
	}
}

// A claim beside a finish comes before it, which is lost then, or after it, and has no effect.
func testTransferFinishAgainstClaim(f *fixture) {
	var claims atomic.Int64
	for range 30 {
		begun := f.begin(transfer())
		u := whole(begun)
		var (
			finishErr, claimErr error
			accepted            store.Accepted
			claimed             bool
		)
		together(2, func(i int) {
			if i == 0 {
				accepted, finishErr = f.endTransfer(begun, u)
			} else {
				_, claimed, claimErr = f.s.ClaimTransfer(f.ctx(), f.tenant, begun.ID, 0)
			}
		})
		f.ok(claimErr)
		if !claimed {
			f.ok(finishErr)
			f.finished(begun, u, accepted)
			continue
		}
		claims.Add(1)
		f.lost("finish after a claim", finishErr)
		if t := f.transfer(begun.ID); t.JobID != uuid.Nil || t.Epoch != 2 || t.BlobKey != begun.BlobKey {
			f.Errorf("claimed, yet %+v", t)
		}
	}
	f.Logf("%d of 30 were claimed first", claims.Load())
}

func testTransferFinishTakesOver(f *fixture) {
	origin := f.accept(same)
	f.done(origin)
	given := f.job(origin)
	begun := f.begin(transfer())
	u := whole(begun, reusable)
	file, _, err := f.s.File(f.ctx(), f.tenant, given.FileID)
	f.ok(err)
	u.File.SHA256 = file.SHA256
	a, err := f.endTransfer(begun, u)
	f.ok(err)
	f.gave("the same bytes", a, origin)
	f.finished(begun, u, a)
	f.equal("events", []store.EventType{store.EventAccepted, store.EventReused}, f.eventTypes(a.JobID))
}

func testTransferFinishKeepsAnswer(f *fixture) {
	begun := f.begin(transfer())
	mine := once("k", "a")
	_, err := f.s.BeginOnce(f.ctx(), f.tenant, mine, time.Minute)
	f.ok(err)
	given := store.Answer{Status: 202, Location: "/v1/jobs/x", Body: []byte("accepted")}
	stale := whole(begun, inBlobSince(begun.BlobKey, time.Now().Add(-store.MaxBlobAge-time.Minute)))
	if _, err := f.s.FinishTransfer(f.ctx(), f.tenant, begun.ID, begun.Epoch, stale, &store.OnceAnswer{Once: mine, Answer: given}); !errors.Is(err, store.ErrStale) {
		f.Errorf("old bytes: %v", err)
	}
	if _, err := f.s.BeginOnce(f.ctx(), f.tenant, once("k", "a"), time.Minute); !errors.Is(err, store.ErrOnceBusy) {
		f.Errorf("after what failed: %v", err)
	}
	_, err = f.s.FinishTransfer(f.ctx(), f.tenant, begun.ID, begun.Epoch, whole(begun), &store.OnceAnswer{Once: mine, Answer: given})
	f.ok(err)
	answer, err := f.s.BeginOnce(f.ctx(), f.tenant, once("k", "a"), time.Minute)
	f.ok(err)
	f.equal("answer", &given, answer)
}

// What was refused has left the transfer as it was, to be finished all the same.
func testTransferFinishFails(f *fixture) {
	begun := f.begin(transfer())
	f.ok(f.advance(begun, 60))
	before := f.transfer(begun.ID)
	taken := f.accept()
	if _, err := f.endTransfer(begun, whole(begun, inBlobSince(begun.BlobKey, time.Now().Add(-store.MaxBlobAge-time.Minute)))); !errors.Is(err, store.ErrStale) {
		f.Errorf("old bytes: %v", err)
	}
	if _, err := f.endTransfer(begun, whole(begun, func(u *store.Upload) { u.Job.ID = taken })); err == nil {
		f.Error("a job was accepted a second time")
	}
	f.equal("transfer", before, f.transfer(begun.ID))
	f.owned("refused", begun.BlobKey, true)
	if _, _, err := f.s.File(f.ctx(), f.tenant, begun.ID); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("the file: %v", err)
	}
	u := whole(begun)
	a, err := f.endTransfer(begun, u)
	f.ok(err)
	f.finished(begun, u, a)
}

// A file that the transfer is not is refused, whatever its caller has mixed up.
func testTransferFinishAsAnother(f *fixture) {
	begun, other := f.begin(transfer()), f.begin(transfer())
	partial := transfer()
	partial.Partial = true
	for what, change := range map[string]option{
		"another ID":   func(u *store.Upload) { u.File.ID = other.ID },
		"another blob": func(u *store.Upload) { u.File.BlobKey = other.BlobKey },
		"another size": func(u *store.Upload) { u.File.Size-- },
	} {
		u := whole(begun)
		change(&u)
		if _, err := f.endTransfer(begun, u); err == nil || errors.Is(err, store.ErrTransferLost) {
			f.Errorf("%s: %v", what, err)
		}
	}
	part := f.begin(partial)
	if _, err := f.endTransfer(part, whole(part)); err == nil {
		f.Error("a part has become a file")
	}
	f.equal("transfer", begun, f.transfer(begun.ID))
	f.equal("jobs", []jobs.Job(nil), f.list(store.JobFilter{}))
	missing := transfer()
	_, err := f.endTransfer(missing, whole(missing))
	f.lost("one that is not there", err)
	f.owned("one that is not there", missing.BlobKey, false)
}
