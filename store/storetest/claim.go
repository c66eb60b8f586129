package storetest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func claimTests() []test {
	return []test{
		{"Granted", testClaimGranted},
		{"HundredForTheSameJobs", testClaimHundred},
		{"MixedGroup", testClaimMixedGroup},
		{"Repeated", testClaimRepeated},
		{"RepeatedAtOnce", testClaimRepeatedAtOnce},
		{"Refusals", testClaimRefusals},
		{"OrderOfVerdicts", testClaimOrderOfVerdicts},
		{"ForgetsThePreviousRun", testClaimForgets},
		{"AgainstCancel", testClaimAgainstCancel},
		{"EndedContext", testClaimEndedContext},
	}
}

func testClaimGranted(f *fixture) {
	u := upload()
	_, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{u})
	f.ok(err)
	req := f.request(u.Job.ID)
	req.Kinds = []string{"other", "inspect"}
	claimed := f.grant(req)
	job := f.job(u.Job.ID)
	f.equal("claimed job", job, claimed.Job)
	if job.State != jobs.Running || job.Generation != 1 || job.StartedAt.IsZero() || job.ProgressKnown {
		f.Errorf("the job is %+v", job)
	}
	f.equal("attempts", []jobs.Attempt{{
		Run: 1, Worker: f.worker, Label: status(f.worker).Label, Claim: req.Claim, StartedAt: job.StartedAt,
	}}, f.attempts(u.Job.ID))
	f.equal("events", []store.EventType{store.EventAccepted, store.EventStarted}, f.eventTypes(u.Job.ID))
	if claimed.File.Name != u.File.Name || claimed.File.SHA256 != u.File.SHA256 || claimed.File.Tenant != f.tenant {
		f.Errorf("claimed file %+v", claimed.File)
	}
}

// testClaimHundred has 100 goroutines claim the same jobs: each job is claimed once.
func testClaimHundred(f *fixture) {
	const goroutines, n = 100, 20
	ids := f.acceptMany(n)
	workers := []uuid.UUID{f.worker, f.register(), f.register()}
	var granted [n]atomic.Int64
	var winner [n]atomic.Value
	together(goroutines, func(g int) {
		for k := range n {
			i := (k + g) % n
			req := store.ClaimRequest{
				JobID: ids[i], Generation: 1, Claim: uuid.New(), Worker: workers[g%len(workers)], Kinds: []string{"inspect"},
			}
			claimed, err := f.s.Claim(f.ctx(), req)
			switch {
			case err != nil:
				f.Errorf("claim: %v", err)
			case claimed.Refused == "":
				granted[i].Add(1)
				winner[i].Store(req.Claim)
				if claimed.Job.ID != req.JobID || len(claimed.Content.Inline) == 0 {
					f.Errorf("granted %+v for %v", claimed, req.JobID)
				}
			case claimed.Refused != store.RefusedTaken:
				f.Errorf("refused for %q", claimed.Refused)
			}
		}
	})
	for i, id := range ids {
		attempts := f.attempts(id)
		if granted[i].Load() != 1 || len(attempts) != 1 || attempts[0].Claim != winner[i].Load() {
			f.Errorf("job %d was granted %d times, to %v; its runs: %+v", i, granted[i].Load(), winner[i].Load(), attempts)
		}
	}
}

// testClaimMixedGroup sends claims of all sorts at once: each gets its own verdict.
func testClaimMixedGroup(f *fixture) {
	const each = 30
	good, twice, stale := f.acceptMany(each), f.acceptMany(each), f.acceptMany(each)
	var reqs []store.ClaimRequest
	var want []store.Refusal
	add := func(id uuid.UUID, generation int, kind string, refusal store.Refusal) {
		reqs = append(reqs, store.ClaimRequest{
			JobID: id, Generation: generation, Claim: uuid.New(), Worker: f.worker, Kinds: []string{kind},
		})
		want = append(want, refusal)
	}
	for i := range each {
		add(good[i], 1, "inspect", "")
		add(stale[i], 2, "inspect", store.RefusedStale)
		add(stale[i], 0, "inspect", store.RefusedStale)
		add(stale[i], 1, "image", store.RefusedKind)
		add(uuid.New(), 1, "inspect", store.RefusedUnknown)
		add(twice[i], 1, "inspect", "either")
		add(twice[i], 1, "inspect", "either")
	}
	answers, errs := make([]store.Claimed, len(reqs)), make([]error, len(reqs))
	together(len(reqs), func(i int) { answers[i], errs[i] = f.s.Claim(f.ctx(), reqs[i]) })

	wins := map[uuid.UUID]int{}
	for i, a := range answers {
		f.ok(errs[i])
		if want[i] != "either" {
			if a.Refused != want[i] {
				f.Errorf("claim %d: refused for %q, want %q", i, a.Refused, want[i])
			}
			continue
		}
		if a.Refused == "" {
			wins[reqs[i].JobID]++
		} else if a.Refused != store.RefusedTaken {
			f.Errorf("claim %d: refused for %q", i, a.Refused)
		}
	}
	for _, id := range twice {
		if wins[id] != 1 {
			f.Errorf("%d of two claims to one job were granted", wins[id])
		}
	}
	for _, id := range good {
		f.state(id, jobs.Running)
	}
	for _, id := range stale {
		f.state(id, jobs.Pending)
	}
}

// testClaimRepeated is about a lost reply: the same claim is granted again for as long as the run
// lasts, and changes nothing.
func testClaimRepeated(f *fixture) {
	id := f.accept()
	req := f.request(id)
	first := f.grant(req)
	before := f.trace(id)
	f.equal("the second answer", first, f.grant(req))
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, jobs.DefaultQueue))
	f.equal("the answer while the queue is paused", first, f.grant(req))
	f.ok(f.s.ResumeQueue(f.ctx(), f.tenant, jobs.DefaultQueue))
	f.ok(f.s.Cordon(f.ctx(), f.worker, time.Hour))
	f.equal("the answer while the worker is cordoned", first, f.grant(req))
	f.ok(f.s.Cordon(f.ctx(), f.worker, 0))
	f.unchanged("repeating a claim", before)

	f.end(store.RunRef{JobID: id, Claim: req.Claim}, jobs.RunRetry)
	f.refuse(req, store.RefusedStale)
	req = f.request(id)
	f.grant(req)
	f.end(store.RunRef{JobID: id, Claim: req.Claim}, jobs.RunSucceeded)
	f.refuse(req, store.RefusedTaken)
}

func testClaimRepeatedAtOnce(f *fixture) {
	for range 10 {
		req := f.request(f.accept())
		together(8, func(int) {
			if claimed, err := f.s.Claim(f.ctx(), req); err != nil || claimed.Refused != "" {
				f.Errorf("the same claim got %q, %v", claimed.Refused, err)
			}
		})
		f.equal("events", []store.EventType{store.EventAccepted, store.EventStarted}, f.eventTypes(req.JobID))
		if n := len(f.attempts(req.JobID)); n != 1 {
			f.Errorf("%d runs", n)
		}
	}
}

func testClaimRefusals(f *fixture) {
	id := f.accept(ofKind("image"))
	req := f.request(id)
	before := f.trace(id)
	with := func(change func(*store.ClaimRequest)) store.ClaimRequest {
		r := req
		change(&r)
		return r
	}
	f.refuse(with(func(r *store.ClaimRequest) { r.JobID = uuid.New() }), store.RefusedUnknown)
	f.refuse(with(func(r *store.ClaimRequest) { r.Generation = 2 }), store.RefusedStale)
	f.refuse(with(func(r *store.ClaimRequest) { r.Worker = uuid.New() }), store.RefusedWorker)
	f.refuse(with(func(r *store.ClaimRequest) { r.Kinds = nil }), store.RefusedKind)

	other, err := f.s.Claim(f.ctx(), with(func(r *store.ClaimRequest) { r.Kinds = []string{"inspect", "imag"} }))
	f.ok(err)
	if other.Refused != store.RefusedKind || other.Job.Kind != "image" {
		f.Errorf("a kind that is not served: %q, kind %q", other.Refused, other.Job.Kind)
	}

	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, jobs.DefaultQueue))
	f.refuse(req, store.RefusedPaused)
	f.ok(f.s.ResumeQueue(f.ctx(), f.tenant, jobs.DefaultQueue))

	f.ok(f.s.Cordon(f.ctx(), f.worker, time.Hour))
	f.refuse(req, store.RefusedWorker)
	f.ok(f.s.Cordon(f.ctx(), f.worker, 0))

	gone := f.register()
	f.ok(f.s.Leave(f.ctx(), gone))
	f.refuse(with(func(r *store.ClaimRequest) { r.Worker = gone }), store.RefusedWorker)
	f.unchanged("refusing a claim", before)

	f.refuse(f.request(f.suspect(f.lead())), store.RefusedCrowd)
	f.grant(req)
	f.refuse(with(func(r *store.ClaimRequest) { r.Claim = uuid.New() }), store.RefusedTaken)
}

// testClaimOrderOfVerdicts makes a claim to which every refusal applies, and mends one after the
// other.
func testClaimOrderOfVerdicts(f *fixture) {
	lease := f.lead()
	held := f.suspect(lease, ofKind("image"), inQueue("shut"))
	run := f.claimAlone(held)
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, "shut"))
	req := store.ClaimRequest{
		JobID: uuid.New(), Generation: 999, Claim: uuid.New(), Worker: uuid.New(), Kinds: []string{"inspect"},
	}
	f.refuse(req, store.RefusedUnknown)
	req.JobID = held
	f.refuse(req, store.RefusedStale)
	req.Generation = f.job(held).Generation
	f.refuse(req, store.RefusedTaken)
	f.end(run, jobs.RunDrained)
	req.Generation = f.job(held).Generation
	f.refuse(req, store.RefusedPaused)
	f.ok(f.s.ResumeQueue(f.ctx(), f.tenant, "shut"))
	f.refuse(req, store.RefusedWorker)
	req.Worker = f.worker
	f.refuse(req, store.RefusedKind)
	req.Kinds = append(req.Kinds, "image")
	f.refuse(req, store.RefusedCrowd)
	req.Alone = true
	f.grant(req)
}

// testClaimForgets: a new run starts without the progress of the one before, and keeps the error of
// the latest attempt until it ends.
func testClaimForgets(f *fixture) {
	id := f.accept()
	run := f.claim(id)
	_, err := f.s.Progress(f.ctx(), []store.RunProgress{{JobID: id, Claim: run.Claim, Progress: 0.5}})
	f.ok(err)
	f.end(run, jobs.RunRetry)
	first := f.job(id)
	run = f.claim(id)
	job := f.job(id)
	if job.ProgressKnown || job.StartedAt.Before(first.StartedAt) {
		f.Errorf("the second run began with %+v", job)
	}
	f.equal("error while the next run lasts", first.Error, job.Error)
	f.end(run, jobs.RunSucceeded)
	f.equal("error after success", (*jobs.Error)(nil), f.job(id).Error)
}

// testClaimAgainstCancel: the first commit wins, and both see it the same way.
func testClaimAgainstCancel(f *fixture) {
	for range 40 {
		id := f.accept()
		req := f.request(id)
		var claimed store.Claimed
		var claimErr, cancelErr error
		together(2, func(i int) {
			if i == 0 {
				claimed, claimErr = f.s.Claim(f.ctx(), req)
			} else {
				_, cancelErr = f.s.Cancel(f.ctx(), f.tenant, id)
			}
		})
		f.ok(errors.Join(claimErr, cancelErr))
		job := f.job(id)
		types := f.eventTypes(id)
		if claimed.Refused == "" {
			if job.State != jobs.Running || !job.CancelRequested ||
				!slices.Equal(types, []store.EventType{store.EventAccepted, store.EventStarted, store.EventCancelRequested}) {
				f.Errorf("claimed first, it is %s (cancel requested %v), events %v", job.State, job.CancelRequested, types)
			}
		} else if claimed.Refused != store.RefusedTaken || job.State != jobs.Cancelled ||
			!slices.Equal(types, []store.EventType{store.EventAccepted, store.EventCancelled}) {
			f.Errorf("refused for %q, it is %s, events %v", claimed.Refused, job.State, types)
		}
	}
}

func testClaimEndedContext(f *fixture) {
	id := f.accept()
	req := f.request(id)
	ctx, cancel := context.WithCancel(f.ctx())
	cancel()
	if _, err := f.s.Claim(ctx, req); !errors.Is(err, context.Canceled) && !errors.Is(err, store.ErrUnavailable) {
		f.Errorf("with an ended context: %v", err)
	}
	f.grant(req) // whether or not the first one was taken up
}
