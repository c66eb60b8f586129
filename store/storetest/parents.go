package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func testRetriedChild(f *fixture) {
	id, children := f.parent(2, failsWithChildren)
	f.run(children[0], jobs.RunFailed)
	_, err := f.s.Retry(f.ctx(), f.tenant, children[0])
	f.ok(err)
	f.run(children[1], jobs.RunSucceeded)
	f.state(id, jobs.Waiting)
	f.run(children[0], jobs.RunSucceeded)
	f.becomes(id, jobs.Succeeded)
}

// testRetriedParent: a parent that is retried by hand runs anew. Its earlier children stay as they
// are and are not held against it, and what it made goes, so that the same names can be given again.
func testRetriedParent(f *fixture) {
	id := f.accept(failsWithChildren)
	var failed, keys []uuid.UUID
	for range 2 {
		end := finish(f.claim(id), jobs.RunSucceeded)
		key, child := uuid.New(), upload()
		end.Artifacts = []store.NewArtifact{artifact("small"), blobArtifact("large", key, time.Now())}
		end.Children = []store.Upload{child}
		_, err := f.s.End(f.ctx(), end)
		f.ok(err)
		f.run(child.Job.ID, jobs.RunFailed)
		f.becomes(id, jobs.Failed)
		failed, keys = append(failed, child.Job.ID), append(keys, key)

		_, err = f.s.Retry(f.ctx(), f.tenant, id)
		f.ok(err)
		job := f.job(id)
		if job.State != jobs.Pending || len(job.Result)+len(job.Artifacts) != 0 || job.Error != nil || !job.FinishedAt.IsZero() {
			f.Errorf("retried, the parent is %+v", job)
		}
		f.equal("children", jobs.Children{Failed: len(failed)}, job.Children)
	}
	dropped, err := f.s.DropHolds(f.ctx(), 0, 100)
	f.ok(err)
	f.equal("blobs of earlier runs", sorted(keys), sorted(dropped))

	child := f.spawn(f.claim(id), upload())[0]
	f.run(child, jobs.RunSucceeded)
	f.becomes(id, jobs.Succeeded)
	f.equal("children", jobs.Children{Failed: 2, Succeeded: 1}, f.job(id).Children)
	for _, c := range failed {
		f.state(c, jobs.Failed)
	}
}

// testRetriedParentSharesItsBlob: what a file still refers to does not go with an artifact.
func testRetriedParentSharesItsBlob(f *fixture) {
	key := uuid.New()
	id := f.accept(failsWithChildren, inBlob(key))
	end := finish(f.claim(id), jobs.RunSucceeded)
	child := upload()
	end.Artifacts, end.Children = []store.NewArtifact{blobArtifact("copy", key, time.Now())}, []store.Upload{child}
	_, err := f.s.End(f.ctx(), end)
	f.ok(err)
	f.run(child.Job.ID, jobs.RunFailed)
	f.becomes(id, jobs.Failed)
	_, err = f.s.Retry(f.ctx(), f.tenant, id)
	f.ok(err)
	dropped, err := f.s.DropHolds(f.ctx(), 0, 100)
	f.ok(err)
	f.equal("dropped", []uuid.UUID(nil), dropped)
	if state := f.run(id, jobs.RunSucceeded); state != jobs.Succeeded {
		f.Errorf("done without new children, the parent is %s", state)
	}
	_, freed := f.prune()
	dropped, err = f.s.DropHolds(f.ctx(), 0, 100)
	f.ok(err)
	f.equal("freed in the end", []uuid.UUID{key}, append(freed, dropped...))
}

// testChildrenOfStoppingParent: a run that was asked to stop and succeeded first leaves its job
// waiting; it can then be cancelled like any other.
func testChildrenOfStoppingParent(f *fixture) {
	id := f.accept()
	run := f.claim(id)
	_, err := f.s.Cancel(f.ctx(), f.tenant, id)
	f.ok(err)
	child := f.spawn(run, upload())[0]
	job, err := f.s.Cancel(f.ctx(), f.tenant, id)
	f.ok(err)
	if job.State != jobs.Cancelled {
		f.Errorf("cancelled while it waits, the parent is %s", job.State)
	}
	f.state(child, jobs.Cancelled)
}

// testSettleParentsIsASafetyNet lets callers give up in the middle of their children's ends; after
// SettleParents has nothing to do any more, no parent waits for children that have ended.
func testSettleParentsIsASafetyNet(f *fixture) {
	lease := f.lead()
	const n = 60
	parents, runs := make([]uuid.UUID, n), make([]store.RunRef, n)
	for i := range n {
		id, children := f.parent(1)
		parents[i], runs[i] = id, f.claim(children[0])
	}
	together(n, func(i int) {
		ctx, cancel := f.impatient(true, time.Duration(i)*200*time.Microsecond)
		defer cancel()
		_, err := f.s.End(ctx, finish(runs[i], jobs.RunSucceeded))
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable) {
			f.Errorf("end: %v", err)
		}
	})
	f.eventually("every parent is where its child's end puts it", func() bool {
		for range n {
			settled, err := f.s.SettleParents(f.ctx(), lease, 3)
			f.ok(err)
			if settled > 3 {
				f.Fatalf("settled %d, at most 3 were asked for", settled)
			}
			if settled == 0 {
				break
			}
		}
		for i, id := range parents {
			if done := f.job(runs[i].JobID).State == jobs.Succeeded; done != (f.job(id).State == jobs.Succeeded) {
				return false
			}
		}
		return true
	})
}

// testSettleParentsCancels: what is open below a cancelled parent is cancelled, once.
func testSettleParentsCancels(f *fixture) {
	lease := f.lead()
	id, children := f.parent(4)
	_, err := f.s.Cancel(f.ctx(), f.tenant, id)
	f.ok(err)
	for _, c := range children { // the way to an open child of a cancelled parent without a crash
		_, err := f.s.Retry(f.ctx(), f.tenant, c)
		f.ok(err)
	}
	running := f.claim(children[0])
	total := 0
	for range 10 {
		n, err := f.s.SettleParents(f.ctx(), lease, 2)
		f.ok(err)
		if total += n; n == 0 {
			break
		}
	}
	if total != 4 {
		f.Errorf("cancelled %d, want 4", total)
	}
	if job := f.job(running.JobID); !job.CancelRequested || job.State != jobs.Running {
		f.Errorf("the running child is %s, cancel requested: %v", job.State, job.CancelRequested)
	}
	for _, c := range children[1:] {
		f.state(c, jobs.Cancelled)
	}
}

func testSettleParentsFenced(f *fixture) {
	lease := f.lead()
	id, _ := f.parent(1)
	before := f.trace(id)
	n, err := f.s.SettleParents(f.ctx(), lease, 10)
	if n != 0 || err != nil {
		f.Errorf("with an open child: %d, %v", n, err)
	}
	lease.Epoch++
	if _, err := f.s.SettleParents(f.ctx(), lease, 10); !errors.Is(err, store.ErrLeaseLost) {
		f.Errorf("with another's lease: %v", err)
	}
	f.unchanged("settling with an open child", before)
}
