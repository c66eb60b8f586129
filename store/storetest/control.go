package storetest

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func controlTests() []test {
	return []test{
		{"Cancel", testCancel},
		{"CancelRunning", testCancelRunning},
		{"Retry", testRetry},
		{"RetryForgetsTheEnd", testRetryForgets},
		{"UnknownJob", testControlUnknown},
		{"CancelMany", testCancelJobs},
		{"CancelManyWithChildren", testCancelJobsWithChildren},
		{"RetryMany", testRetryJobs},
		{"ManyByFilter", testBulkByFilter},
	}
}

func testCancel(f *fixture) {
	for _, id := range []uuid.UUID{f.accept(), f.accept(later)} {
		job, err := f.s.Cancel(f.ctx(), f.tenant, id)
		f.ok(err)
		if job.State != jobs.Cancelled || job.FinishedAt.IsZero() || job.Error != nil {
			f.Errorf("cancelled, it is %+v", job)
		}
		f.equal("events", []store.EventType{store.EventAccepted, store.EventCancelled}, f.eventTypes(id))
		f.equal("runs", []jobs.Attempt(nil), f.attempts(id))
	}
	f.equal("heads", []store.Delivery(nil), f.heads())
}

func testCancelRunning(f *fixture) {
	id := f.accept()
	run := f.claim(id)
	job, err := f.s.Cancel(f.ctx(), f.tenant, id)
	f.ok(err)
	if job.State != jobs.Running || !job.CancelRequested {
		f.Errorf("asked to stop, it is %s (cancel requested: %v)", job.State, job.CancelRequested)
	}
	f.equal("events", []store.EventType{store.EventAccepted, store.EventStarted, store.EventCancelRequested}, f.eventTypes(id))
	f.end(run, jobs.RunCancelled)
	job, err = f.s.Retry(f.ctx(), f.tenant, id)
	f.ok(err)
	if job.State != jobs.Pending || job.CancelRequested {
		f.Errorf("retried, it is %s (cancel requested: %v)", job.State, job.CancelRequested)
	}
	if state := f.run(id, jobs.RunRetry); state != jobs.Retrying {
		f.Errorf("the request to stop outlived a retry by hand: %s", state)
	}
}

func testRetry(f *fixture) {
	id := f.accept()
	f.run(id, jobs.RunFailed)
	before := f.job(id)
	job, err := f.s.Retry(f.ctx(), f.tenant, id)
	f.ok(err)
	if job.State != jobs.Pending || job.Generation != before.Generation+1 || job.RunAt.Before(before.FinishedAt) {
		f.Errorf("retried, it is %+v", job)
	}
	f.equal("heads", []store.Delivery{{JobID: id, Generation: 2, Queue: jobs.DefaultQueue}}, f.heads())
	if state := f.run(id, jobs.RunSucceeded); state != jobs.Succeeded {
		f.Errorf("it ended %s", state)
	}
	f.equal("events", []store.EventType{
		store.EventAccepted, store.EventStarted, store.EventEnded, store.EventRetried, store.EventStarted, store.EventEnded,
	}, f.eventTypes(id))

	future := f.accept(later)
	_, err = f.s.Cancel(f.ctx(), f.tenant, future)
	f.ok(err)
	job, err = f.s.Retry(f.ctx(), f.tenant, future)
	f.ok(err)
	if job.RunAt.After(time.Now().Add(time.Minute)) {
		f.Errorf("retried, it is due at %v, not now", job.RunAt)
	}
	f.claim(future)
}

func testRetryForgets(f *fixture) {
	lease := f.lead()
	id := f.suspect(lease)
	run := f.claimAlone(id)
	_, err := f.s.Progress(f.ctx(), []store.RunProgress{{JobID: id, Claim: run.Claim, Progress: 0.7}})
	f.ok(err)
	f.lose(lease, run)
	f.state(id, jobs.Failed)
	job, err := f.s.Retry(f.ctx(), f.tenant, id)
	f.ok(err)
	if job.Failures != 0 || job.Losses != 0 || job.ProgressKnown || !job.FinishedAt.IsZero() || job.Error != nil || len(job.Result) != 0 {
		f.Errorf("retried, it is %+v", job)
	}
	f.claim(id) // it need not run alone any more
}

func testControlUnknown(f *fixture) {
	if _, err := f.s.Cancel(f.ctx(), f.tenant, uuid.New()); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("cancel: %v", err)
	}
	if _, err := f.s.Retry(f.ctx(), f.tenant, uuid.New()); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("retry: %v", err)
	}
}

// inBatches repeats a bulk operation until it says that no more is left, and returns the sum.
func (f *fixture) inBatches(limit int, once func(limit int) (int, error)) int {
	f.Helper()
	total := 0
	for range 100 {
		n, err := once(limit)
		f.ok(err)
		if n > limit {
			f.Fatalf("changed %d, at most %d were asked for", n, limit)
		}
		total += n
		if n < limit {
			return total
		}
	}
	f.Fatal("it never comes to an end")
	return 0
}

func testCancelJobs(f *fixture) {
	waiting := f.acceptMany(7)
	retrying, running, stopping, done := f.accept(), f.accept(), f.accept(), f.accept()
	f.run(retrying, jobs.RunRetry)
	f.claim(running)
	f.claim(stopping)
	_, err := f.s.Cancel(f.ctx(), f.tenant, stopping)
	f.ok(err)
	f.run(done, jobs.RunSucceeded)

	n, err := f.s.CancelJobs(f.ctx(), f.tenant, store.JobFilter{}, 3)
	f.ok(err)
	if n != 3 {
		f.Errorf("cancelled %d, want 3", n)
	}
	for i, id := range waiting { // oldest first
		want := jobs.Pending
		if i < 3 {
			want = jobs.Cancelled
		}
		f.state(id, want)
	}
	total := f.inBatches(2, func(limit int) (int, error) {
		return f.s.CancelJobs(f.ctx(), f.tenant, store.JobFilter{}, limit)
	})
	if total != 6 { // four pending ones, the retrying one, the running one
		f.Errorf("cancelled %d more, want 6", total)
	}
	for _, id := range append(waiting, retrying) {
		f.state(id, jobs.Cancelled)
		f.equal("last event", store.EventCancelled, f.eventTypes(id)[len(f.events(id))-1])
	}
	if job := f.job(running); job.State != jobs.Running || !job.CancelRequested {
		f.Errorf("the running job is %s, cancel requested: %v", job.State, job.CancelRequested)
	}
	f.state(done, jobs.Succeeded)
}

func testCancelJobsWithChildren(f *fixture) {
	parent, children := f.parent(3)
	grandchildren := f.spawn(f.claim(children[0]), upload(), upload())
	run := f.claim(children[1])
	f.inBatches(2, func(limit int) (int, error) {
		return f.s.CancelJobs(f.ctx(), f.tenant, store.JobFilter{State: jobs.Waiting}, limit)
	})
	for _, id := range append(grandchildren, parent, children[0], children[2]) {
		f.becomes(id, jobs.Cancelled)
	}
	if job := f.job(run.JobID); !job.CancelRequested {
		f.Errorf("the running child was not asked to stop")
	}
}

func testRetryJobs(f *fixture) {
	var failed, cancelled []uuid.UUID
	for range 4 {
		id := f.accept()
		f.run(id, jobs.RunFailed)
		failed = append(failed, id)
	}
	for range 3 {
		id := f.accept()
		_, err := f.s.Cancel(f.ctx(), f.tenant, id)
		f.ok(err)
		cancelled = append(cancelled, id)
	}
	pending := f.accept()
	done := f.accept()
	f.run(done, jobs.RunSucceeded)

	n, err := f.s.RetryJobs(f.ctx(), f.tenant, store.JobFilter{State: jobs.Failed}, 2)
	f.ok(err)
	if n != 2 || f.job(failed[1]).State != jobs.Pending || f.job(failed[2]).State != jobs.Failed {
		f.Errorf("retried %d, not the two oldest", n)
	}
	total := f.inBatches(2, func(limit int) (int, error) {
		return f.s.RetryJobs(f.ctx(), f.tenant, store.JobFilter{}, limit)
	})
	if total != 5 {
		f.Errorf("retried %d more, want 5", total)
	}
	for _, id := range append(failed, cancelled...) {
		job := f.job(id)
		if job.State != jobs.Pending || job.Generation != 2 || job.Failures != 0 || job.Error != nil {
			f.Errorf("retried, it is %+v", job)
		}
		f.equal("last event", store.EventRetried, f.eventTypes(id)[len(f.events(id))-1])
	}
	if job := f.job(pending); job.Generation != 1 {
		f.Errorf("a pending job was retried: %+v", job)
	}
	f.state(done, jobs.Succeeded)
	for _, state := range []jobs.State{jobs.Succeeded, jobs.Pending, jobs.Running, jobs.Waiting, jobs.Retrying} {
		if n, err := f.s.RetryJobs(f.ctx(), f.tenant, store.JobFilter{State: state}, 10); n != 0 || err != nil {
			f.Errorf("retried %d %s jobs, %v", n, state, err)
		}
	}
}

func testBulkByFilter(f *fixture) {
	image, other := f.accept(ofKind("image"), inQueue("a")), f.accept(inQueue("a"))
	elsewhere := f.accept(ofKind("image"), inQueue("b"))
	n, err := f.s.CancelJobs(f.ctx(), f.tenant, store.JobFilter{Kind: "image", Queue: "a"}, 10)
	f.ok(err)
	if n != 1 || f.job(image).State != jobs.Cancelled || f.job(other).State.Ended() || f.job(elsewhere).State.Ended() {
		f.Errorf("cancelled %d jobs, not just those of the filter", n)
	}
	n, err = f.s.CancelJobs(f.ctx(), f.tenant, store.JobFilter{FileID: f.job(other).FileID}, 10)
	f.ok(err)
	if n != 1 || f.job(other).State != jobs.Cancelled {
		f.Errorf("cancelled %d jobs by file", n)
	}
	n, err = f.s.RetryJobs(f.ctx(), f.tenant, store.JobFilter{Kind: "image"}, 10)
	f.ok(err)
	if n != 1 || f.job(image).State != jobs.Pending {
		f.Errorf("retried %d jobs by kind", n)
	}
	for _, state := range []jobs.State{jobs.Succeeded, jobs.Failed, jobs.Cancelled} {
		if n, err := f.s.CancelJobs(f.ctx(), f.tenant, store.JobFilter{State: state}, 10); n != 0 || err != nil {
			f.Errorf("cancelled %d %s jobs, %v", n, state, err)
		}
	}
}
