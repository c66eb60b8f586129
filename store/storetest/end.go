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

// testEndRepeated is about a lost reply: the same end again succeeds, changes nothing, and tells
// where the job is now.
func testEndRepeated(f *fixture) {
	for _, outcome := range []jobs.Outcome{
		jobs.RunSucceeded, jobs.RunRetry, jobs.RunFailed, jobs.RunCancelled, jobs.RunDrained,
	} {
		id := f.accept()
		run := f.claim(id)
		first := f.end(run, outcome)
		before := f.trace(id)
		if again := f.end(run, outcome); again != first {
			f.Errorf("%s again: %s, first it was %s", outcome, again, first)
		}
		f.unchanged(string(outcome)+" again", before)
		if !first.Ready() {
			continue
		}
		f.claim(id)
		before = f.trace(id)
		if again := f.end(run, outcome); again != jobs.Running {
			f.Errorf("%s again while the next run lasts: %s", outcome, again)
		}
		f.unchanged(string(outcome)+" again, late", before)
	}

	id := f.accept()
	end := finish(f.claim(id), jobs.RunSucceeded)
	end.Children, end.Artifacts = []store.Upload{upload()}, []store.NewArtifact{artifact("a.txt")}
	for range 2 {
		state, err := f.s.End(f.ctx(), end)
		f.ok(err)
		if job := f.job(id); state != jobs.Waiting || job.Children.Total() != 1 || len(job.Artifacts) != 1 {
			f.Errorf("End says %s, the job is %+v", state, job)
		}
	}
}

func testEndRepeatedAtOnce(f *fixture) {
	for range 10 {
		id := f.accept()
		run := f.claim(id)
		together(8, func(int) {
			if state, err := f.s.End(f.ctx(), finish(run, jobs.RunRetry)); err != nil || state != jobs.Retrying {
				f.Errorf("the same end got %s, %v", state, err)
			}
		})
		if job := f.job(id); job.Failures != 1 || job.Generation != 2 || len(f.events(id)) != 3 || len(f.attempts(id)) != 1 {
			f.Errorf("the job is %+v", job)
		}
	}
}

func testEndDifferent(f *fixture) {
	for first, then := range map[jobs.Outcome]jobs.Outcome{
		jobs.RunSucceeded: jobs.RunFailed, jobs.RunFailed: jobs.RunSucceeded, jobs.RunRetry: jobs.RunSucceeded,
		jobs.RunDrained: jobs.RunRetry, jobs.RunCancelled: jobs.RunSucceeded,
	} {
		id := f.accept()
		run := f.claim(id)
		f.end(run, first)
		before := f.trace(id)
		if state, err := f.s.End(f.ctx(), finish(run, then)); !errors.Is(err, store.ErrClaimLost) {
			f.Errorf("%s after %s: %s, %v", then, first, state, err)
		}
		f.unchanged(string(then)+" after "+string(first), before)
	}
}

// testLostClaimWritesNothing: a run whose job was taken from it can write nothing, also while
// another run holds the job.
func testLostClaimWritesNothing(f *fixture) {
	lease := f.lead()
	for name, lost := range map[string]func(id uuid.UUID) store.RunRef{
		"reaped": func(id uuid.UUID) store.RunRef {
			run := f.claim(id)
			f.lose(lease, run)
			return run
		},
		"reaped with its worker": func(id uuid.UUID) store.RunRef {
			w := f.register()
			run := f.claimBy(w, id)
			_, err := f.s.ReapWorkers(f.ctx(), lease, map[uuid.UUID]int64{w: 1})
			f.ok(err)
			return run
		},
		"given away": func(id uuid.UUID) store.RunRef {
			run := f.claim(id)
			f.lose(lease, run)
			f.claim(id)
			return run
		},
		"done elsewhere": func(id uuid.UUID) store.RunRef {
			run := f.claim(id)
			f.lose(lease, run)
			f.run(id, jobs.RunSucceeded)
			return run
		},
		"never there": func(id uuid.UUID) store.RunRef { return store.RunRef{JobID: id, Claim: uuid.New()} },
		"unknown job": func(uuid.UUID) store.RunRef { return store.RunRef{JobID: uuid.New(), Claim: uuid.New()} },
	} {
		id := f.accept()
		run := lost(id)
		before := f.trace(id)
		end := finish(run, jobs.RunSucceeded)
		child := upload()
		end.Children, end.Artifacts = []store.Upload{child}, []store.NewArtifact{artifact("a.txt")}
		for _, e := range []store.RunEnd{
			end, finish(run, jobs.RunRetry), finish(run, jobs.RunFailed), finish(run, jobs.RunCancelled), finish(run, jobs.RunDrained),
		} {
			if state, err := f.s.End(f.ctx(), e); !errors.Is(err, store.ErrClaimLost) {
				f.Errorf("%s: end %s gave %s, %v", name, e.Outcome, state, err)
			}
		}
		gone, err := f.s.Progress(f.ctx(), []store.RunProgress{{JobID: run.JobID, Claim: run.Claim, Progress: 0.9}})
		f.ok(err)
		f.equal(name+": lost claims", []uuid.UUID{run.Claim}, gone)
		key := uuid.New()
		if err := f.s.HoldBlob(f.ctx(), run.JobID, run.Claim, key); !errors.Is(err, store.ErrClaimLost) {
			f.Errorf("%s: hold gave %v", name, err)
		}
		unowned, err := f.s.Unowned(f.ctx(), []uuid.UUID{key})
		f.ok(err)
		f.equal(name+": blobs without a row", []uuid.UUID{key}, unowned)
		f.absent(child)
		f.unchanged(name, before)
	}
}

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
