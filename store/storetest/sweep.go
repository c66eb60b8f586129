package storetest

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func sweeperTests() []test {
	return []test{
		{"PruneEndedJobs", testPruneEnded},
		{"PruneByAge", testPruneByAge},
		{"PruneInBatches", testPruneInBatches},
		{"PruneFreesBlobs", testPruneFreesBlobs},
		{"PruneKeepsSharedBlobs", testPruneKeepsSharedBlobs},
		{"PruneKeepsFamilies", testPruneKeepsFamilies},
		{"PruneAgainstRetry", testPruneAgainstRetry},
		{"DropHolds", testDropHolds},
		{"Unowned", testUnowned},
		{"Identity", testIdentity},
		{"Ping", testPing},
	}
}

// prune deletes everything that can go, and returns how many jobs went and which blobs are free.
func (f *fixture) prune() (int, []uuid.UUID) {
	f.Helper()
	var freed []uuid.UUID
	n := f.inBatches(100, func(limit int) (int, error) {
		n, keys, err := f.s.PruneJobs(f.ctx(), 0, limit)
		freed = append(freed, keys...)
		return n, err
	})
	return n, sorted(freed)
}

func sorted(ids []uuid.UUID) []uuid.UUID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// pruned checks that nothing is left of a job.
func (f *fixture) pruned(job jobs.Job) {
	f.Helper()
	_, jobErr := f.s.Job(f.ctx(), f.tenant, job.ID)
	_, attemptsErr := f.s.Attempts(f.ctx(), f.tenant, job.ID)
	_, eventsErr := f.s.Events(f.ctx(), f.tenant, job.ID, 0, 10)
	_, _, fileErr := f.s.File(f.ctx(), f.tenant, job.FileID)
	_, _, artifactErr := f.s.Artifact(f.ctx(), f.tenant, job.ID, "a")
	for what, err := range map[string]error{
		"job": jobErr, "attempts": attemptsErr, "events": eventsErr, "file": fileErr, "artifact": artifactErr,
	} {
		if !errors.Is(err, store.ErrNotFound) {
			f.Errorf("%s of a job that was pruned: %v", what, err)
		}
	}
}

func testPruneEnded(f *fixture) {
	var gone []jobs.Job
	for _, outcome := range []jobs.Outcome{jobs.RunSucceeded, jobs.RunFailed, jobs.RunCancelled} {
		id := f.accept()
		run := f.claim(id)
		end := finish(run, outcome)
		if outcome == jobs.RunSucceeded {
			end.Artifacts = []store.NewArtifact{artifact("a")}
		}
		_, err := f.s.End(f.ctx(), end)
		f.ok(err)
		gone = append(gone, f.job(id))
	}
	cancelled := f.accept()
	_, err := f.s.Cancel(f.ctx(), f.tenant, cancelled)
	f.ok(err)
	gone = append(gone, f.job(cancelled))

	var kept []trace
	for _, id := range []uuid.UUID{f.accept(), f.accept(later)} {
		kept = append(kept, f.trace(id))
	}
	for _, outcome := range []jobs.Outcome{jobs.RunRetry, jobs.RunDrained} {
		id := f.accept()
		f.run(id, outcome)
		kept = append(kept, f.trace(id))
	}
	kept = append(kept, f.trace(f.claim(f.accept()).JobID))
	parent, _ := f.parent(1)
	kept = append(kept, f.trace(parent))

	if n, freed := f.prune(); n != len(gone) || len(freed) != 0 {
		f.Errorf("pruned %d jobs and freed %v, want %d and nothing", n, freed, len(gone))
	}
	for _, job := range gone {
		f.pruned(job)
	}
	for _, k := range kept {
		f.unchanged("pruning others", k)
	}
	if n := len(f.list(store.JobFilter{})); n != len(kept)+1 {
		f.Errorf("%d jobs are left, want %d", n, len(kept)+1)
	}
	page, _, err := f.s.EventsAfter(f.ctx(), "", 1000)
	f.ok(err)
	for _, e := range page {
		if slices.ContainsFunc(gone, func(job jobs.Job) bool { return job.ID == e.JobID }) {
			f.Errorf("an event of a job that was pruned is still there: %+v", e)
		}
	}
}

func testPruneByAge(f *fixture) {
	id := f.accept()
	f.run(id, jobs.RunSucceeded)
	n, freed, err := f.s.PruneJobs(f.ctx(), time.Hour, 100)
	if n != 0 || len(freed) != 0 || err != nil {
		f.Errorf("pruned %d jobs that did not end an hour ago, %v, %v", n, freed, err)
	}
	const age = 300 * time.Millisecond
	ended := f.job(id).FinishedAt
	f.eventually("the job is old enough", func() bool {
		n, _, err := f.s.PruneJobs(f.ctx(), age, 100)
		f.ok(err)
		return n == 1
	})
	if now := f.job(f.accept()).CreatedAt; now.Sub(ended) < age {
		f.Errorf("pruned %v after its end, want %v", now.Sub(ended), age)
	}
}

func testPruneInBatches(f *fixture) {
	for _, id := range f.acceptMany(10) {
		f.run(id, jobs.RunSucceeded)
	}
	n, _, err := f.s.PruneJobs(f.ctx(), 0, 4)
	f.ok(err)
	if n != 4 || len(f.list(store.JobFilter{})) != 6 {
		f.Errorf("pruned %d of 10 with a limit of 4, %d are left", n, len(f.list(store.JobFilter{})))
	}
	if n := f.inBatches(4, func(limit int) (int, error) {
		n, _, err := f.s.PruneJobs(f.ctx(), 0, limit)
		return n, err
	}); n != 6 {
		f.Errorf("pruned %d more, want 6", n)
	}
}

func testPruneFreesBlobs(f *fixture) {
	file, held, fresh := uuid.New(), uuid.New(), uuid.New()
	id := f.accept(inBlob(file))
	run := f.claim(id)
	f.ok(f.s.HoldBlob(f.ctx(), id, run.Claim, held))
	end := finish(run, jobs.RunSucceeded)
	end.Artifacts = []store.NewArtifact{
		artifact("a"), blobArtifact("held", held, time.Now()), blobArtifact("fresh", fresh, time.Now()),
	}
	_, err := f.s.End(f.ctx(), end)
	f.ok(err)
	open := uuid.New()
	f.accept(inBlob(open))

	keys := []uuid.UUID{file, held, fresh}
	n, freed := f.prune()
	if n != 1 {
		f.Errorf("pruned %d jobs, want 1", n)
	}
	f.equal("freed", sorted(keys), freed)
	unowned, err := f.s.Unowned(f.ctx(), append(keys, open))
	f.ok(err)
	f.equal("blobs without a row", sorted(keys), sorted(unowned))
}

// testPruneKeepsSharedBlobs: a blob to which several refer goes with the last of them.
func testPruneKeepsSharedBlobs(f *fixture) {
	shared := uuid.New()
	first, second := f.accept(inBlob(shared)), f.accept(inBlob(shared))
	end := finish(f.claim(first), jobs.RunSucceeded)
	end.Artifacts = []store.NewArtifact{blobArtifact("copy", shared, time.Now())}
	_, err := f.s.End(f.ctx(), end)
	f.ok(err)
	n, freed := f.prune()
	if n != 1 || len(freed) != 0 {
		f.Errorf("pruned %d jobs and freed %v, want one and nothing", n, freed)
	}
	unowned, err := f.s.Unowned(f.ctx(), []uuid.UUID{shared})
	f.ok(err)
	f.equal("blobs without a row", []uuid.UUID(nil), unowned)
	claimed := f.grant(f.request(second))
	f.equal("content", store.Content{BlobKey: shared}, claimed.Content)
	f.end(store.RunRef{JobID: second, Claim: f.only(second).Claim}, jobs.RunFailed)
	if n, freed := f.prune(); n != 1 || !slices.Equal(freed, []uuid.UUID{shared}) {
		f.Errorf("pruned %d jobs and freed %v, want one and its blob", n, freed)
	}
}

// testPruneKeepsFamilies: a job stays while its parent or a child of it is open.
func testPruneKeepsFamilies(f *fixture) {
	parent, children := f.parent(2)
	f.run(children[0], jobs.RunSucceeded)
	if n, _ := f.prune(); n != 0 {
		f.Errorf("pruned %d, while the parent waits for another child", n)
	}
	run := f.claim(children[1])
	_, err := f.s.Cancel(f.ctx(), f.tenant, parent)
	f.ok(err)
	if n, _ := f.prune(); n != 1 { // the first child: neither above nor below it is anything open
		f.Errorf("pruned %d, want the child that ended", n)
	}
	f.state(parent, jobs.Cancelled)
	f.end(run, jobs.RunCancelled)
	if n, _ := f.prune(); n != 2 {
		f.Errorf("pruned %d, want the parent and its last child", n)
	}
	if n := len(f.list(store.JobFilter{})); n != 0 {
		f.Errorf("%d jobs are left", n)
	}
}

// testPruneAgainstRetry: a job that is retried by hand at the same moment is either gone or whole.
func testPruneAgainstRetry(f *fixture) {
	for range 30 {
		id := f.accept()
		f.run(id, jobs.RunFailed)
		job := f.job(id)
		var retryErr, pruneErr error
		together(2, func(i int) {
			if i == 0 {
				_, retryErr = f.s.Retry(f.ctx(), f.tenant, id)
			} else {
				_, _, pruneErr = f.s.PruneJobs(f.ctx(), 0, 10)
			}
		})
		f.ok(pruneErr)
		if errors.Is(retryErr, store.ErrNotFound) {
			f.pruned(job)
			continue
		}
		f.ok(retryErr)
		if n := len(f.events(id)); n != 4 || len(f.attempts(id)) != 1 {
			f.Errorf("retried, the job has %d events and runs %+v", n, f.attempts(id))
		}
		f.run(id, jobs.RunSucceeded)
	}
}

func testDropHolds(f *fixture) {
	lease := f.lead()
	over := map[string]func(run store.RunRef){
		"failed":    func(run store.RunRef) { f.end(run, jobs.RunFailed) },
		"retried":   func(run store.RunRef) { f.end(run, jobs.RunRetry) },
		"drained":   func(run store.RunRef) { f.end(run, jobs.RunDrained) },
		"succeeded": func(run store.RunRef) { f.end(run, jobs.RunSucceeded) },
		"reaped":    func(run store.RunRef) { f.lose(lease, run) },
		"another runs": func(run store.RunRef) {
			f.lose(lease, run)
			f.claim(run.JobID)
		},
		"pruned": func(run store.RunRef) {
			f.end(run, jobs.RunSucceeded)
			f.prune()
		},
	}
	live, used := uuid.New(), uuid.New()
	liveRun, usedRun := f.claim(f.accept()), f.claim(f.accept())
	f.ok(f.s.HoldBlob(f.ctx(), liveRun.JobID, liveRun.Claim, live))
	f.ok(f.s.HoldBlob(f.ctx(), usedRun.JobID, usedRun.Claim, used))
	end := finish(usedRun, jobs.RunSucceeded)
	end.Artifacts = []store.NewArtifact{blobArtifact("used", used, time.Now())}
	end.Children = []store.Upload{upload()} // for which it waits, so that it is not pruned
	_, err := f.s.End(f.ctx(), end)
	f.ok(err)
	unheld := f.job(f.accept(inBlob(uuid.New())))

	var want []uuid.UUID
	for _, finish := range over {
		run, key := f.claim(f.accept()), uuid.New()
		f.ok(f.s.HoldBlob(f.ctx(), run.JobID, run.Claim, key))
		finish(run)
		want = append(want, key)
	}
	young, err := f.s.DropHolds(f.ctx(), time.Hour, 100)
	f.ok(err)
	f.equal("dropped that are not an hour old", []uuid.UUID(nil), young)
	var got []uuid.UUID
	f.inBatches(3, func(limit int) (int, error) {
		keys, err := f.s.DropHolds(f.ctx(), 0, limit)
		got = append(got, keys...)
		return len(keys), err
	})
	f.equal("dropped", sorted(want), sorted(got))
	unowned, err := f.s.Unowned(f.ctx(), append(want, live, used))
	f.ok(err)
	f.equal("blobs without a row", sorted(want), sorted(unowned))

	end = finish(liveRun, jobs.RunSucceeded)
	end.Artifacts = []store.NewArtifact{blobArtifact("live", live, time.Now())}
	_, err = f.s.End(f.ctx(), end)
	f.ok(err)
	if _, _, err := f.s.File(f.ctx(), f.tenant, unheld.FileID); err != nil {
		f.Errorf("a file whose blob nobody held: %v", err)
	}
}

func testUnowned(f *fixture) {
	owned := uuid.New()
	f.accept(inBlob(owned))
	strange := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	unowned, err := f.s.Unowned(f.ctx(), append(strange, owned))
	f.ok(err)
	f.equal("blobs without a row", sorted(strange), sorted(unowned))
	unowned, err = f.s.Unowned(f.ctx(), nil)
	if err != nil || len(unowned) != 0 {
		f.Errorf("of no keys: %v, %v", unowned, err)
	}
	many := make([]uuid.UUID, 2000)
	for i := range many {
		many[i] = uuid.New()
	}
	unowned, err = f.s.Unowned(f.ctx(), append(many, owned))
	f.ok(err)
	if len(unowned) != len(many) {
		f.Errorf("%d of %d keys have no row", len(unowned), len(many))
	}
}

func testIdentity(f *fixture) {
	first, err := f.s.Identity(f.ctx())
	f.ok(err)
	if first == uuid.Nil {
		f.Error("the store has no identity")
	}
	together(5, func(int) {
		if id, err := f.s.Identity(f.ctx()); err != nil || id != first {
			f.Errorf("identity %v, then %v, %v", first, id, err)
		}
	})
}

func testPing(f *fixture) {
	f.ok(f.s.Ping(f.ctx()))
	if stats := f.s.Stats(); stats.Max < 1 || stats.Open > stats.Max || stats.InUse > stats.Open {
		f.Errorf("the pool stands at %+v", stats)
	}
}
