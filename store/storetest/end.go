package storetest

import (
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func endTests() []test {
	return []test{
		{"Success", testEndSuccess},
		{"Retry", testEndRetry},
		{"Failure", testEndFailure},
		{"Cancelled", testEndCancelled},
		{"Drained", testEndDrained},
		{"Counters", testEndCounters},
		{"Repeated", testEndRepeated},
		{"RepeatedAtOnce", testEndRepeatedAtOnce},
		{"DifferentEnd", testEndDifferent},
		{"ALostClaimWritesNothing", testLostClaimWritesNothing},
		{"Artifacts", testEndArtifacts},
		{"StaleArtifact", testEndStaleArtifact},
		{"ManyAtOnce", testEndManyAtOnce},
		{"CancelAskedFirst", testEndAfterCancel},
		{"CancelAgainstSuccess", testCancelAgainstSuccess},
		{"Progress", testProgress},
		{"HandBack", testHandBack},
	}
}

// only returns the one attempt of a job.
func (f *fixture) only(id uuid.UUID) jobs.Attempt {
	f.Helper()
	attempts := f.attempts(id)
	if len(attempts) != 1 {
		f.Fatalf("%d attempts, want 1", len(attempts))
	}
	return attempts[0]
}

// ended checks the record of a job's only run.
func (f *fixture) ended(run store.RunRef, outcome jobs.Outcome, reason *jobs.Error) {
	f.Helper()
	a := f.only(run.JobID)
	if a.StartedAt.IsZero() || a.FinishedAt.Before(a.StartedAt) {
		f.Errorf("the run lasted from %v to %v", a.StartedAt, a.FinishedAt)
	}
	f.equal("attempt", jobs.Attempt{
		Run: 1, Worker: f.worker, Label: status(f.worker).Label, Claim: run.Claim,
		StartedAt: a.StartedAt, FinishedAt: a.FinishedAt, Outcome: outcome, Error: reason,
	}, a)
}

func testEndSuccess(f *fixture) {
	id := f.accept()
	run := f.claim(id)
	end := finish(run, jobs.RunSucceeded)
	end.Result = json.RawMessage(`{"a":{"b":[1,2.5,null,true,"\\u0000 ü 🚲"]},"big":12345678901234567890}`)
	state, err := f.s.End(f.ctx(), end)
	f.ok(err)
	job := f.job(id)
	f.sameJSON("result", end.Result, job.Result)
	if state != jobs.Succeeded || job.State != state || job.FinishedAt.Before(job.StartedAt) || job.Failures != 0 {
		f.Errorf("End says %s, the job is %+v", state, job)
	}
	f.equal("error", (*jobs.Error)(nil), job.Error)
	f.ended(run, jobs.RunSucceeded, nil)

	bare := f.accept()
	run = f.claim(bare)
	end = finish(run, jobs.RunSucceeded)
	end.Result = nil
	_, err = f.s.End(f.ctx(), end)
	f.ok(err)
	f.equal("no result", json.RawMessage(nil), f.job(bare).Result)
}

func testEndRetry(f *fixture) {
	id := f.accept()
	run := f.claim(id)
	end := finish(run, jobs.RunRetry)
	end.Delay = time.Hour
	state, err := f.s.End(f.ctx(), end)
	f.ok(err)
	job := f.job(id)
	if state != jobs.Retrying || job.State != state || job.Failures != 1 || job.Generation != 2 || !job.FinishedAt.IsZero() {
		f.Errorf("End says %s, the job is %+v", state, job)
	}
	f.equal("error", end.Error, job.Error)
	f.ended(run, jobs.RunRetry, end.Error)
	if wait := job.RunAt.Sub(f.only(id).FinishedAt); (wait - time.Hour).Abs() > time.Second {
		f.Errorf("it is to run %v after the failure, want an hour", wait)
	}
	f.refuse(f.request(id), store.RefusedStale)
}

func testEndFailure(f *fixture) {
	id := f.accept()
	run := f.claim(id)
	end := finish(run, jobs.RunFailed)
	end.Error = &jobs.Error{Code: jobs.CodeMalformed, Message: "Grüße: \"it\" broke\n🚲"}
	state, err := f.s.End(f.ctx(), end)
	f.ok(err)
	job := f.job(id)
	if state != jobs.Failed || job.State != state || job.Failures != 1 || job.FinishedAt.IsZero() {
		f.Errorf("End says %s, the job is %+v", state, job)
	}
	f.equal("error", end.Error, job.Error)
	f.ended(run, jobs.RunFailed, end.Error)
}

func testEndCancelled(f *fixture) {
	id := f.accept()
	run := f.claim(id)
	state := f.end(run, jobs.RunCancelled)
	job := f.job(id)
	if state != jobs.Cancelled || job.State != state || job.Failures != 0 || job.FinishedAt.IsZero() {
		f.Errorf("End says %s, the job is %+v", state, job)
	}
	f.ended(run, jobs.RunCancelled, nil)
}

func testEndDrained(f *fixture) {
	id := f.accept()
	run := f.claim(id)
	state := f.end(run, jobs.RunDrained)
	job := f.job(id)
	if state != jobs.Pending || job.State != state || job.Drains != 1 || job.Failures != 0 || job.Losses != 0 ||
		job.Attempt() != 1 || job.Generation != 2 || !job.FinishedAt.IsZero() {
		f.Errorf("End says %s, the job is %+v", state, job)
	}
	f.ended(run, jobs.RunDrained, nil)
	f.equal("heads", []store.Delivery{{JobID: id, Generation: 2, Queue: jobs.DefaultQueue}}, f.heads())
	f.claim(id)
}

// testEndCounters follows one job through every way to come back, and checks that each is counted
// apart.
func testEndCounters(f *fixture) {
	lease := f.lead()
	id := f.accept()
	var want struct{ failures, losses, drains, generation int }
	want.generation = 1
	for _, step := range []jobs.Outcome{
		jobs.RunRetry, jobs.RunDrained, jobs.RunLost, jobs.RunRetry, jobs.RunDrained, jobs.RunDrained, jobs.RunRetry,
	} {
		run := f.claim(id)
		switch step {
		case jobs.RunRetry:
			want.failures++
			f.end(run, step)
		case jobs.RunDrained:
			want.drains++
			f.end(run, step)
		default:
			want.losses++
			f.lose(lease, run)
		}
		want.generation++
		job := f.job(id)
		got := want
		got.failures, got.losses, got.drains, got.generation = job.Failures, job.Losses, job.Drains, job.Generation
		if got != want || job.Attempt() != 1+want.failures {
			f.Errorf("after %s: %+v, attempt %d; want %+v", step, got, job.Attempt(), want)
		}
	}
	attempts := f.attempts(id)
	for i, a := range attempts {
		if a.Run != i+1 {
			f.Errorf("run %d has number %d", i+1, a.Run)
		}
	}
	if len(attempts) != 7 || attempts[2].Outcome != jobs.RunLost || attempts[6].Outcome != jobs.RunRetry {
		f.Errorf("runs: %+v", attempts)
	}
	f.end(f.claim(id), jobs.RunFailed)

	_, err := f.s.Retry(f.ctx(), f.tenant, id)
	f.ok(err)
	if job := f.job(id); job.Failures != 0 || job.Losses != 0 {
		f.Errorf("retried by hand, it starts with %d failures and %d losses", job.Failures, job.Losses)
	}
	f.claim(id)
	if attempts := f.attempts(id); len(attempts) != 9 || attempts[8].Run != 9 {
		f.Errorf("retried by hand, its runs are %+v", attempts)
	}
}

// testEndManyAtOnce mixes ends of every sort in groups: each gets its own verdict.
func testEndManyAtOnce(f *fixture) {
	outcomes := []jobs.Outcome{jobs.RunSucceeded, jobs.RunRetry, jobs.RunFailed, jobs.RunCancelled, jobs.RunDrained}
	want := []jobs.State{jobs.Succeeded, jobs.Retrying, jobs.Failed, jobs.Cancelled, jobs.Pending}
	const n = 120
	ends := make([]store.RunEnd, n)
	foreign := func(i int) bool { return i%7 == 3 }
	for i, id := range f.acceptMany(n) {
		ends[i] = finish(f.claim(id), outcomes[i%5])
		if i%20 == 5 {
			ends[i].Artifacts = []store.NewArtifact{artifact("a"), artifact("b")}
		}
		if foreign(i) {
			ends[i].Claim = uuid.New()
		}
	}
	states, errs := make([]jobs.State, n), make([]error, n)
	together(n, func(i int) { states[i], errs[i] = f.s.End(f.ctx(), ends[i]) })
	for i, end := range ends {
		job := f.job(end.JobID)
		if foreign(i) {
			if !errors.Is(errs[i], store.ErrClaimLost) || job.State != jobs.Running {
				f.Errorf("end %d with a claim that never was: %s, %v; the job is %s", i, states[i], errs[i], job.State)
			}
			continue
		}
		if errs[i] != nil || states[i] != want[i%5] || job.State != want[i%5] || len(job.Artifacts) != len(end.Artifacts) {
			f.Errorf("end %d (%s): %s, %v; the job is %+v", i, end.Outcome, states[i], errs[i], job)
		}
	}
}

func testEndAfterCancel(f *fixture) {
	for outcome, want := range map[jobs.Outcome]jobs.State{
		jobs.RunSucceeded: jobs.Succeeded, jobs.RunFailed: jobs.Failed, jobs.RunRetry: jobs.Cancelled,
		jobs.RunCancelled: jobs.Cancelled, jobs.RunDrained: jobs.Cancelled,
	} {
		id := f.accept()
		run := f.claim(id)
		_, err := f.s.Cancel(f.ctx(), f.tenant, id)
		f.ok(err)
		state := f.end(run, outcome)
		job := f.job(id)
		if state != want || job.State != want || job.FinishedAt.IsZero() {
			f.Errorf("%s of a job asked to stop: %s, the job is %+v", outcome, state, job)
		}
		f.ended(run, outcome, finish(run, outcome).Error)
	}
}

// testCancelAgainstSuccess: whichever commits first, a success stands, and both tell the truth.
func testCancelAgainstSuccess(f *fixture) {
	for range 40 {
		id := f.accept()
		run := f.claim(id)
		var endErr, cancelErr error
		together(2, func(i int) {
			if i == 0 {
				_, endErr = f.s.End(f.ctx(), finish(run, jobs.RunSucceeded))
			} else {
				_, cancelErr = f.s.Cancel(f.ctx(), f.tenant, id)
			}
		})
		f.ok(endErr)
		job := f.job(id)
		var forbidden *store.StateError
		switch {
		case job.State != jobs.Succeeded:
			f.Errorf("the job is %s", job.State)
		case cancelErr == nil && (!job.CancelRequested || len(f.events(id)) != 4):
			f.Errorf("Cancel was first, yet the job is %+v, events %v", job, f.eventTypes(id))
		case cancelErr != nil && (!errors.As(cancelErr, &forbidden) || job.CancelRequested):
			f.Errorf("Cancel was last: %v, the job is %+v", cancelErr, job)
		}
	}
}

func testProgress(f *fixture) {
	one, two := f.accept(), f.accept()
	runs := []store.RunRef{f.claim(one), f.claim(two)}
	strange := uuid.New()
	for _, p := range []float64{0, 0.25, 0.125, 1} {
		lost, err := f.s.Progress(f.ctx(), []store.RunProgress{
			{JobID: one, Claim: runs[0].Claim, Progress: p},
			{JobID: two, Claim: strange, Progress: p},
			{JobID: two, Claim: runs[1].Claim, Progress: p / 2},
		})
		f.ok(err)
		f.equal("lost claims", []uuid.UUID{strange}, lost)
		for id, want := range map[uuid.UUID]float64{one: p, two: p / 2} {
			if job := f.job(id); !job.ProgressKnown || math.Abs(job.Progress-want) > 1e-6 {
				f.Errorf("progress %v (known: %v), want %v", job.Progress, job.ProgressKnown, want)
			}
		}
	}
	lost, err := f.s.Progress(f.ctx(), nil)
	if err != nil || len(lost) != 0 {
		f.Errorf("no progress gave %v, %v", lost, err)
	}
}

func testHandBack(f *fixture) {
	id := f.accept()
	f.ok(f.s.HandBack(f.ctx(), id, 1, time.Hour))
	job := f.job(id)
	if job.Generation != 2 || job.State != jobs.Pending || time.Until(job.RunAt) < 50*time.Minute ||
		job.Failures+job.Losses+job.Drains != 0 {
		f.Errorf("handed back, the job is %+v", job)
	}
	f.refuse(f.request(id), store.RefusedStale)
	before := f.trace(id)
	f.ok(f.s.HandBack(f.ctx(), id, 1, 0))
	f.ok(f.s.HandBack(f.ctx(), uuid.New(), 1, 0))
	f.unchanged("handing back an older generation", before)

	f.ok(f.s.HandBack(f.ctx(), id, 2, 200*time.Millisecond))
	f.eventually("the delay passes", func() bool { return len(f.heads()) == 1 })
	f.claim(id)
}
