package storetest

import (
	"bytes"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func reaperTests() []test {
	return []test{
		{"WorkerTakenBack", testReapWorker},
		{"OnlyWithTheSeenBeats", testReapOnlySeenBeats},
		{"SeveralWorkers", testReapSeveralWorkers},
		{"AgainstBeat", testReapAgainstBeat},
		{"Runs", testReapRuns},
		{"RunsAgainstEnd", testReapAgainstEnd},
		{"LossesLeadToRunningAlone", testLossesLeadToRunningAlone},
		{"AFirstLossIsNobodysFault", testFirstLossIsNobodysFault},
		{"SuspectAskedToStop", testSuspectAskedToStop},
		{"Running", testRunning},
		{"AgainstClaim", testReapAgainstClaim},
	}
}

func (f *fixture) reapWorkers(lease store.Lease, beats map[uuid.UUID]int64) store.Reaped {
	f.Helper()
	reaped, err := f.s.ReapWorkers(f.ctx(), lease, beats)
	f.ok(err)
	return reaped
}

func testReapWorker(f *fixture) {
	lease := f.lead()
	worker := f.register()
	one, two, spared := f.claimBy(worker, f.accept()), f.claimBy(worker, f.accept()), f.claim(f.accept())
	done := f.claimBy(worker, f.accept())
	f.end(done, jobs.RunSucceeded)
	others := []trace{f.trace(spared.JobID), f.trace(done.JobID)}

	f.equal("reaped", store.Reaped{Workers: 1, Runs: 2}, f.reapWorkers(lease, map[uuid.UUID]int64{worker: f.seen(worker).Beats}))
	for _, run := range []store.RunRef{one, two} {
		job := f.job(run.JobID)
		if job.State != jobs.Pending || job.Losses != 1 || job.Failures != 0 || job.Attempt() != 1 || job.Generation != 2 {
			f.Errorf("taken back, the job is %+v", job)
		}
		a := f.only(run.JobID)
		if a.Outcome != jobs.RunLost || a.Claim != run.Claim || a.Worker != worker || a.Error == nil ||
			a.Error.Code != jobs.CodeWorkerLost || a.FinishedAt.IsZero() {
			f.Errorf("the record of the run is %+v, %v", a, a.Error)
		}
		f.equal("events", []store.EventType{store.EventAccepted, store.EventStarted, store.EventEnded}, f.eventTypes(run.JobID))
		f.claim(run.JobID)
	}
	for _, o := range others {
		f.unchanged("reaping a worker", o)
	}
	if _, err := f.s.Beat(f.ctx(), status(worker)); !errors.Is(err, store.ErrWorkerGone) {
		f.Errorf("a beat of a worker that was reaped: %v", err)
	}
	req := f.request(f.accept())
	req.Worker = worker
	f.refuse(req, store.RefusedWorker)
	f.equal("reaped again", store.Reaped{}, f.reapWorkers(lease, map[uuid.UUID]int64{worker: 1}))
	f.equal("nobody to reap", store.Reaped{}, f.reapWorkers(lease, nil))
}

func testReapOnlySeenBeats(f *fixture) {
	lease := f.lead()
	worker := f.register()
	run := f.claimBy(worker, f.accept())
	beats := f.seen(worker).Beats
	f.beat(status(worker))
	before := f.trace(run.JobID)
	for _, n := range []int64{beats, beats + 2, 0, -1} {
		f.equal("reaped", store.Reaped{}, f.reapWorkers(lease, map[uuid.UUID]int64{worker: n, uuid.New(): n}))
	}
	f.unchanged("reaping a worker that lives", before)
	f.beat(status(worker))
	f.equal("reaped", store.Reaped{Workers: 1, Runs: 1}, f.reapWorkers(lease, map[uuid.UUID]int64{worker: beats + 2}))
}

func testReapSeveralWorkers(f *fixture) {
	lease := f.lead()
	beats := map[uuid.UUID]int64{}
	var runs []store.RunRef
	for i := range 5 {
		w := f.register()
		beats[w] = f.seen(w).Beats
		for range i {
			runs = append(runs, f.claimBy(w, f.accept()))
		}
	}
	f.equal("reaped", store.Reaped{Workers: 5, Runs: 10}, f.reapWorkers(lease, beats))
	for _, run := range runs {
		f.state(run.JobID, jobs.Pending)
	}
	workers, err := f.s.Workers(f.ctx())
	f.ok(err)
	if len(workers) != 1 {
		f.Errorf("%d workers are left, want 1", len(workers))
	}
}

// testReapAgainstBeat: either the beat was first and the worker lives on with its runs, or it is
// told that it is gone and has lost them.
func testReapAgainstBeat(f *fixture) {
	lease := f.lead()
	for range 30 {
		worker := f.register()
		run := f.claimBy(worker, f.accept())
		beats := f.seen(worker).Beats
		var reaped store.Reaped
		var beatErr, reapErr error
		together(2, func(i int) {
			if i == 0 {
				_, beatErr = f.s.Beat(f.ctx(), status(worker))
			} else {
				reaped, reapErr = f.s.ReapWorkers(f.ctx(), lease, map[uuid.UUID]int64{worker: beats})
			}
		})
		f.ok(reapErr)
		state := f.job(run.JobID).State
		alive := beatErr == nil && reaped == store.Reaped{} && state == jobs.Running
		dead := errors.Is(beatErr, store.ErrWorkerGone) && reaped == store.Reaped{Workers: 1, Runs: 1} && state == jobs.Pending
		if !alive && !dead {
			f.Errorf("beat: %v; reaped %+v; the job is %s", beatErr, reaped, state)
		}
	}
}

func testReapRuns(f *fixture) {
	lease := f.lead()
	lost, kept, ended := f.claim(f.accept()), f.claim(f.accept()), f.claim(f.accept())
	f.end(ended, jobs.RunRetry)
	pending := f.accept()
	before := []trace{f.trace(kept.JobID), f.trace(ended.JobID), f.trace(pending)}
	reaped, err := f.s.ReapRuns(f.ctx(), lease, []store.RunRef{
		lost, lost,
		{JobID: kept.JobID, Claim: uuid.New()},
		ended,
		{JobID: pending},
		{JobID: pending, Claim: uuid.New()},
		{JobID: uuid.New(), Claim: lost.Claim},
	})
	f.ok(err)
	f.equal("reaped", store.Reaped{Runs: 1}, reaped)
	if job := f.job(lost.JobID); job.State != jobs.Pending || job.Losses != 1 || job.Generation != 2 {
		f.Errorf("taken back, the job is %+v", job)
	}
	for _, b := range before {
		f.unchanged("reaping other runs", b)
	}
	f.seen(f.worker) // a run that was forgotten is not its worker's death
	reaped, err = f.s.ReapRuns(f.ctx(), lease, nil)
	if err != nil || reaped != (store.Reaped{}) {
		f.Errorf("no runs: %+v, %v", reaped, err)
	}
}

// testReapAgainstEnd: the first commit wins, and the other hears of it.
func testReapAgainstEnd(f *fixture) {
	lease := f.lead()
	for range 30 {
		run := f.claim(f.accept())
		var reaped store.Reaped
		var endErr, reapErr error
		together(2, func(i int) {
			if i == 0 {
				_, endErr = f.s.End(f.ctx(), finish(run, jobs.RunSucceeded))
			} else {
				reaped, reapErr = f.s.ReapRuns(f.ctx(), lease, []store.RunRef{run})
			}
		})
		f.ok(reapErr)
		job := f.job(run.JobID)
		done := endErr == nil && reaped.Runs == 0 && job.State == jobs.Succeeded && job.Losses == 0
		lost := errors.Is(endErr, store.ErrClaimLost) && reaped.Runs == 1 && job.State == jobs.Pending && job.Losses == 1
		if !done && !lost {
			f.Errorf("end: %v; reaped %+v; the job is %s, %d losses", endErr, reaped, job.State, job.Losses)
		}
		f.only(run.JobID)
	}
}

func testLossesLeadToRunningAlone(f *fixture) {
	lease := f.lead()
	id := f.accept()
	for n := range jobs.AloneAfter {
		f.lose(lease, f.claim(id)) // in a crowd
		if job := f.job(id); job.State != jobs.Pending || job.Losses != n+1 {
			f.Errorf("lost %d times, the job is %s with %d losses", n+1, job.State, job.Losses)
		}
	}
	f.refuse(f.request(id), store.RefusedCrowd)
	worker := f.register()
	g := *f
	g.worker = worker
	run := g.claimAlone(id)
	f.equal("reaped", store.Reaped{Workers: 1, Runs: 1}, f.reapWorkers(lease, map[uuid.UUID]int64{worker: 1}))

	job := f.job(id)
	if job.State != jobs.Failed || job.Losses != jobs.AloneAfter+1 || job.FinishedAt.IsZero() || job.Failures != 0 ||
		job.Error == nil || job.Error.Code != jobs.CodeWorkerLost || job.Error.Message == "" {
		f.Errorf("lost alone, the job is %+v, %v", job, job.Error)
	}
	attempts := f.attempts(id)
	if last := attempts[len(attempts)-1]; last.Outcome != jobs.RunLost || last.Claim != run.Claim {
		f.Errorf("the record of the last run is %+v", last)
	}

	// One that does not kill its worker ends as any other.
	id = f.suspect(lease)
	if state := f.end(f.claimAlone(id), jobs.RunRetry); state != jobs.Retrying {
		f.Errorf("a suspect that failed is %s", state)
	}
	f.refuse(f.request(id), store.RefusedCrowd)
	if state := f.end(f.claimAlone(id), jobs.RunSucceeded); state != jobs.Succeeded {
		f.Errorf("a suspect that succeeded is %s", state)
	}
}

// testFirstLossIsNobodysFault: a worker that holds nothing else says so with every claim; a job that
// did not have to run alone is not blamed for being lost with it.
func testFirstLossIsNobodysFault(f *fixture) {
	lease := f.lead()
	id := f.accept()
	for range jobs.AloneAfter {
		f.lose(lease, f.claimAlone(id))
		f.state(id, jobs.Pending)
	}
	f.refuse(f.request(id), store.RefusedCrowd)
	f.lose(lease, f.claimAlone(id))
	f.state(id, jobs.Failed)
}

func testSuspectAskedToStop(f *fixture) {
	lease := f.lead()
	id := f.suspect(lease)
	run := f.claimAlone(id)
	_, err := f.s.Cancel(f.ctx(), f.tenant, id)
	f.ok(err)
	f.lose(lease, run)
	f.state(id, jobs.Cancelled)
}

func testRunning(f *fixture) {
	gone := f.register()
	want := map[uuid.UUID]store.RunningJob{}
	for i := range 10 {
		g, worker := f, f.worker
		if i%3 == 0 {
			g = f.as("other")
		}
		if i%4 == 0 {
			worker = gone
		}
		run := g.claimBy(worker, g.accept())
		want[run.JobID] = store.RunningJob{RunRef: run, Worker: worker, Registered: worker != gone}
	}
	f.accept()
	f.run(f.accept(), jobs.RunSucceeded)
	f.ok(f.s.Leave(f.ctx(), gone))

	for _, limit := range []int{1, 3, 10, 100} {
		got := map[uuid.UUID]store.RunningJob{}
		var order []uuid.UUID
		after := uuid.Nil
		for {
			page, err := f.s.Running(f.ctx(), after, limit)
			f.ok(err)
			if len(page) > limit {
				f.Fatalf("%d running jobs, at most %d were asked for", len(page), limit)
			}
			for _, r := range page {
				got[r.JobID] = r
				order = append(order, r.JobID)
				after = r.JobID
			}
			if len(page) < limit {
				break
			}
		}
		f.equal("running jobs", want, got)
		if len(order) != len(want) || !slices.IsSortedFunc(order, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
			f.Errorf("running jobs in pages of %d: %v, want each once, by ID", limit, order)
		}
	}
}

// testReapAgainstClaim: a claim that is granted while its worker is reaped is taken back by that
// very reap, or else is found by Running as a run of nobody's. It never stays unseen.
func testReapAgainstClaim(f *fixture) {
	lease := f.lead()
	for range 50 {
		worker := f.register()
		const n = 4
		list := f.acceptMany(n)
		claims := make([]store.ClaimRequest, n)
		for i, id := range list {
			claims[i] = store.ClaimRequest{JobID: id, Generation: 1, Claim: uuid.New(), Worker: worker, Kinds: []string{"inspect"}}
		}
		beats := f.seen(worker).Beats
		answers, errs := make([]store.Claimed, n), make([]error, n)
		var reapErr error
		together(n+1, func(i int) {
			if i < n {
				answers[i], errs[i] = f.s.Claim(f.ctx(), claims[i])
			} else {
				_, reapErr = f.s.ReapWorkers(f.ctx(), lease, map[uuid.UUID]int64{worker: beats})
			}
		})
		f.ok(errors.Join(append(errs, reapErr)...))

		unowned := map[uuid.UUID]bool{}
		running, err := f.s.Running(f.ctx(), uuid.Nil, 1000)
		f.ok(err)
		var left []store.RunRef
		for _, r := range running {
			unowned[r.JobID] = !r.Registered
			if !r.Registered {
				left = append(left, r.RunRef)
			}
		}
		for i, id := range list {
			job := f.job(id)
			refused := answers[i].Refused == store.RefusedWorker && job.State == jobs.Pending && job.Generation == 1
			reaped := answers[i].Refused == "" && job.State == jobs.Pending && job.Generation == 2 && job.Losses == 1
			found := answers[i].Refused == "" && job.State == jobs.Running && unowned[id]
			if !refused && !reaped && !found {
				f.Errorf("claim refused for %q, the job is %s at %d with %d losses, found: %v",
					answers[i].Refused, job.State, job.Generation, job.Losses, unowned[id])
			}
		}
		reaped, err := f.s.ReapRuns(f.ctx(), lease, left)
		f.ok(err)
		if reaped.Runs != len(left) {
			f.Errorf("%d of %d runs of nobody's were taken back", reaped.Runs, len(left))
		}
	}
}
