package storetest

import (
	"errors"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

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
