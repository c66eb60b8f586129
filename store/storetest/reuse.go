package storetest

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func reuseTests() []test {
	return []test{
		{"TakesOver", testReuse},
		{"OnlyOfTheSame", testReuseOnlyOfTheSame},
		{"OnlyOfSuccess", testReuseOnlyOfSuccess},
		{"Fresh", testReuseFresh},
		{"NotWhenPutOff", testReuseNotWhenPutOff},
		{"AmongOthers", testReuseAmongOthers},
		{"OutlivesItsOrigin", testReuseOutlivesItsOrigin},
		{"Children", testReuseByChildren},
		{"NotOfParents", testReuseNotOfParents},
		{"AgainstPrune", testReuseAgainstPrune},
	}
}

func reusable(u *store.Upload) { u.Job.Reusable = true }
func fresh(u *store.Upload)    { u.Job.Fresh = true }

// same makes an upload of one and the same content.
func same(u *store.Upload) {
	withContent([]byte("the same bytes"))(u)
	reusable(u)
}

// offer accepts one upload and returns the answer.
func (f *fixture) offer(options ...option) store.Accepted {
	f.Helper()
	accepted, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{upload(options...)})
	f.ok(err)
	return accepted[0]
}

// gave checks whose result a job was given: uuid.Nil for nobody's.
func (f *fixture) gave(what string, a store.Accepted, want uuid.UUID) {
	f.Helper()
	job := f.job(a.JobID)
	if a.ResultOf != want || job.ResultOf != want || a.Due != (want == uuid.Nil) || (job.State == jobs.Succeeded) != (want != uuid.Nil) {
		f.Errorf("%s: answered %+v, the job is %s with the result of %v; want that of %v", what, a, job.State, job.ResultOf, want)
	}
}

// done runs a job to its success, with an artifact in the row and one in a blob, whose key it
// returns.
func (f *fixture) done(id uuid.UUID) uuid.UUID {
	f.Helper()
	run := f.claim(id)
	key := uuid.New()
	f.ok(f.s.HoldBlob(f.ctx(), id, run.Claim, key))
	end := finish(run, jobs.RunSucceeded)
	end.Result = json.RawMessage(`{"of":"` + id.String() + `"}`)
	end.Artifacts = []store.NewArtifact{artifact("inline.txt"), blobArtifact("blob.bin", key, time.Now())}
	_, err := f.s.End(f.ctx(), end)
	f.ok(err)
	return key
}

func testReuse(f *fixture) {
	origin := f.accept(same, inQueue("first"))
	key := f.done(origin)

	a := f.offer(same, inQueue("second"))
	f.gave("the same bytes", a, origin)
	got, want := f.job(a.JobID), f.job(origin)
	f.sameJSON("result", want.Result, got.Result)
	f.equal("artifacts", want.Artifacts, got.Artifacts)
	f.equal("job", jobs.Job{
		ID: a.JobID, Tenant: f.tenant, FileID: got.FileID, Kind: "inspect", KindVersion: 1, Queue: "second",
		Params: got.Params, ParamsHash: want.ParamsHash, ResultOf: origin, State: jobs.Succeeded, Generation: 1, MaxAttempts: 5,
		RunAt: a.RunAt, CreatedAt: got.CreatedAt, FinishedAt: got.FinishedAt, Result: got.Result, Artifacts: got.Artifacts,
	}, got)
	if got.FinishedAt.Before(got.CreatedAt) {
		f.Errorf("created at %v, finished at %v", got.CreatedAt, got.FinishedAt)
	}
	_, content, err := f.s.Artifact(f.ctx(), f.tenant, a.JobID, "blob.bin")
	f.ok(err)
	f.equal("the blob is shared", store.Content{BlobKey: key}, content)
	_, content, err = f.s.Artifact(f.ctx(), f.tenant, a.JobID, "inline.txt")
	f.ok(err)
	f.equal("content in the row", store.Content{Inline: []byte("artifact inline.txt")}, content)

	f.equal("attempts", []jobs.Attempt(nil), f.attempts(a.JobID))
	events := f.events(a.JobID)
	f.equal("events", []store.EventType{store.EventAccepted, store.EventReused}, f.eventTypes(a.JobID))
	f.sameJSON("what the event tells", json.RawMessage(`{"result_of":"`+origin.String()+`"}`), events[1].Data)
	for _, d := range f.heads() {
		if d.JobID == a.JobID {
			f.Error("a job that has succeeded is to be delivered")
		}
	}
	req := f.request(a.JobID)
	f.refuse(req, store.RefusedTaken)
	next := f.offer(same)
	f.gave("once more", next, a.JobID)
}

func testReuseOnlyOfTheSame(f *fixture) {
	origin := f.accept(same)
	f.done(origin)
	for what, change := range map[string]option{
		"other bytes":        withContent([]byte("other bytes")),
		"another kind":       ofKind("image"),
		"another version":    func(u *store.Upload) { u.Job.KindVersion++ },
		"other parameters":   func(u *store.Upload) { u.Job.ParamsHash = sha256.Sum256([]byte("others")) },
		"another media type": func(u *store.Upload) { u.File.MediaType = "text/csv" },
		"another claim":      func(u *store.Upload) { u.File.ClaimedType = "text/csv" },
		"not reusable":       func(u *store.Upload) { u.Job.Reusable = false },
	} {
		f.gave(what, f.offer(same, change), uuid.Nil)
	}
	f.gave("another name and queue", f.offer(same, inQueue("q"), func(u *store.Upload) { u.File.Name = "other.txt" }), origin)
	other := f.as("other")
	other.gave("another tenant", other.offer(same), uuid.Nil)
}

func testReuseOnlyOfSuccess(f *fixture) {
	pending := f.accept(same)
	f.gave("while it waits", f.offer(same), uuid.Nil)
	run := f.claim(pending)
	f.gave("while it runs", f.offer(same), uuid.Nil)
	f.end(run, jobs.RunFailed)
	f.gave("when it has failed", f.offer(same), uuid.Nil)
	_, err := f.s.Retry(f.ctx(), f.tenant, pending)
	f.ok(err)
	f.done(pending)
	f.gave("when it was retried and has succeeded", f.offer(same), pending)

	private := f.accept(withContent([]byte("private")))
	f.done(private)
	f.gave("when it is not to be given on", f.offer(withContent([]byte("private")), reusable), uuid.Nil)
}

func testReuseFresh(f *fixture) {
	origin := f.accept(same)
	f.done(origin)
	a := f.offer(same, fresh)
	f.gave("fresh", a, uuid.Nil)
	if !f.job(a.JobID).Fresh {
		f.Error("a fresh job does not say so")
	}
	granted := f.grant(f.request(a.JobID))
	if !granted.Job.Fresh {
		f.Error("the run of a fresh job is not told so")
	}
	again := f.offer(same, fresh)
	f.done(again.JobID)
	f.gave("the newest result", f.offer(same), again.JobID)
}

func testReuseNotWhenPutOff(f *fixture) {
	f.done(f.accept(same))
	u := upload(same, later)
	accepted, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{u})
	f.ok(err)
	if accepted[0].ResultOf != uuid.Nil {
		f.Error("a job that was put off was given a result")
	}
	f.state(u.Job.ID, jobs.Pending)
}

// testReuseAmongOthers: of jobs that are accepted together each gets what is its own.
func testReuseAmongOthers(f *fixture) {
	const kinds = 5
	content := func(n int) option { return withContent([]byte{'n', byte(n)}) }
	origins := make([]uuid.UUID, kinds)
	for n := range origins {
		origins[n] = f.accept(content(n), reusable)
		f.done(origins[n])
	}
	var mu sync.Mutex
	got := map[int][]store.Accepted{}
	together(4*kinds, func(i int) {
		n := i % kinds
		uploads := []store.Upload{upload(), upload(content(n), reusable), upload(content(n), reusable, fresh)}
		accepted, err := f.s.Accept(f.ctx(), f.tenant, uploads)
		if err != nil {
			f.Errorf("accept: %v", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		got[n] = append(got[n], accepted...)
	})
	givers := map[uuid.UUID]bool{}
	for n, accepted := range got {
		for i, a := range accepted {
			if i%3 != 1 {
				f.gave("one that takes nothing", a, uuid.Nil)
				continue
			}
			givers[a.JobID] = true
			f.sameJSON("result", f.job(origins[n]).Result, f.job(a.JobID).Result)
		}
	}
	if len(givers) != 4*kinds {
		f.Errorf("%d jobs took results over, want %d", len(givers), 4*kinds)
	}
}

// testReuseOutlivesItsOrigin: a blob goes with the last job that has it.
func testReuseOutlivesItsOrigin(f *fixture) {
	origin := f.accept(same)
	key := f.done(origin)
	a := f.offer(same)
	f.gave("the same bytes", a, origin)
	n, freed, err := f.s.PruneJobs(f.ctx(), 0, 1) // the oldest
	f.ok(err)
	if n != 1 || slices.Contains(freed, key) {
		f.Errorf("pruned %d jobs and freed %v, which is shared", n, freed)
	}
	f.equal("artifacts of the one that is left", 2, len(f.job(a.JobID).Artifacts))
	next := f.offer(same)
	f.gave("when the origin is gone", next, a.JobID)
	if _, freed := f.prune(); !slices.Contains(freed, key) {
		f.Errorf("freed %v, not %v, which nobody has any more", freed, key)
	}
	f.gave("when all are gone", f.offer(same), uuid.Nil)
}

func testReuseByChildren(f *fixture) {
	f.done(f.accept(same))
	for what, children := range map[string][]store.Upload{
		"all":  {upload(same), upload(same)},
		"some": {upload(same), upload()},
	} {
		id := f.accept()
		end := finish(f.claim(id), jobs.RunSucceeded)
		end.Children = children
		_, err := f.s.End(f.ctx(), end)
		f.ok(err)
		child := f.job(children[0].Job.ID)
		if child.State != jobs.Succeeded || child.ResultOf == uuid.Nil || child.ParentID != id {
			f.Errorf("%s: the child is %s with the result of %v, child of %v", what, child.State, child.ResultOf, child.ParentID)
		}
		if what == "some" {
			f.state(id, jobs.Waiting)
			f.run(children[1].Job.ID, jobs.RunSucceeded)
		}
		f.becomes(id, jobs.Succeeded)
	}
}

// testReuseNotOfParents: what a job has spawned is part of what it did, and is not there for another.
func testReuseNotOfParents(f *fixture) {
	id, children := f.parent(1, same)
	f.run(children[0], jobs.RunSucceeded)
	f.becomes(id, jobs.Succeeded)
	f.gave("of a parent", f.offer(same), uuid.Nil)
}

// testReuseAgainstPrune: whoever is given a result has all of it, while the jobs before it are pruned.
func testReuseAgainstPrune(f *fixture) {
	const rounds = 30
	for range rounds {
		key := f.done(f.accept(same))
		var a store.Accepted
		together(2, func(i int) {
			if i == 0 {
				accepted, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{upload(same)})
				if err != nil {
					f.Errorf("accept: %v", err)
					return
				}
				a = accepted[0]
				return
			}
			if _, _, err := f.s.PruneJobs(f.ctx(), 0, 1); err != nil {
				f.Errorf("prune: %v", err)
			}
		})
		if a.ResultOf == uuid.Nil {
			f.done(a.JobID)
		} else {
			_, content, err := f.s.Artifact(f.ctx(), f.tenant, a.JobID, "blob.bin")
			f.ok(err)
			f.equal("blob of the result", key, content.BlobKey)
			unowned, err := f.s.Unowned(f.ctx(), []uuid.UUID{key})
			f.ok(err)
			f.equal("blobs that were deleted under a job", []uuid.UUID(nil), unowned)
		}
		f.prune()
	}
}
