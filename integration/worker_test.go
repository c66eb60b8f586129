package integration

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/integration/system"
)

// recoveryLimit is the promise: a job whose worker died is running elsewhere within 20 s. With -short
// other packages take the machine at the same time, and there is more time.
func recoveryLimit() time.Duration { return 20*time.Second + atLength(0, 10*time.Second) }

// P4, P3: a worker that is killed in mid-job, between dequeue and claim, and between claim and run.
func TestP4JobOfAKilledWorkerRunsElsewhereWithin20Seconds(t *testing.T) { //nolint:paralleltest,tparallel // of its 20 s, 15 are Leat's own waits
	moments := []struct {
		name   string
		fault  string
		losses int
	}{
		{"in mid-job", "", 1},
		{"between dequeue and claim", "claim.before", 0},
		{"between claim and run", "claim.after", 1},
		{"between the work and its record", "end.before", 1},
	}
	for _, c := range moments[:atLength(len(moments), 2)] {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			api := r.API()
			params, opts := `{"millis":300000}`, []system.Option(nil)
			if c.fault != "" {
				params, opts = `{}`, append(opts, system.Fault(c.fault, "hang"))
			}
			victim := r.Worker(opts...)
			id := r.upload(api, params)
			if c.fault == "" {
				r.waitState(api, id, wire.Running, patience)
			} else {
				victim.WaitMessage("fault", patience)
			}
			r.Worker() // idle, to take over
			victim.Kill()
			killed := time.Now()
			var job *wire.Job
			system.Poll(t.Context(), t, "the job runs elsewhere", recoveryLimit(), 50*time.Millisecond, func() bool {
				job = r.job(api, id)
				return job.State == wire.Succeeded || (job.State == wire.Running && job.StartedAt.After(killed))
			})
			t.Logf("running elsewhere after %.1f s", time.Since(killed).Seconds())
			if job.Attempt != 1 || job.Losses != c.losses {
				t.Errorf("attempt %d, losses %d; want no attempt burned and %d loss counted", job.Attempt, job.Losses, c.losses)
			}
		})
	}
}

// P3: killed between the record of a success and its acknowledgement. The delivery layer has the
// task still; the store knows better.
func TestP3RecordedJobDoesNotRunAgainWhenItsWorkerDiesBeforeAcknowledging(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	api := r.API()
	victim := r.Worker(system.Fault("end.after", "hang"))
	id := r.upload(api, `{}`)
	victim.WaitMessage("fault", patience)
	r.waitState(api, id, wire.Succeeded, patience)
	victim.Kill()
	r.ageLeases(t)
	second := r.Worker(system.With("LEAT_LOG_LEVEL", "debug"))
	second.WaitLine("the void delivery", 90*time.Second, func(l system.Line) bool {
		return l.Message() == "delivery is void" && l["job"] == id.String()
	})
	account := r.waitAllEnded([]uuid.UUID{id}, nil, patience)
	if !account.Balanced() || account.Succeeded != 1 || account.LostRuns != 0 {
		t.Errorf("account: %s", account)
	}
}

// P5: a worker that is told to stop lets short jobs finish, hands back the long ones at once and
// burns no attempt; not even a handler that ignores its context keeps it.
func TestP5DrainFinishesWhatItCanAndHandsBackTheRest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	api := r.API()
	first := r.Worker(system.With("LEAT_SHUTDOWN_TIMEOUT", "3s"))
	var short, long []uuid.UUID
	for _, params := range []string{`{"millis":20000}`, `{"millis":20000}`, `{"millis":20000}`, `{"millis":20000,"stubborn":true}`} {
		long = append(long, r.upload(api, params))
	}
	for _, id := range long {
		r.waitState(api, id, wire.Running, patience)
	}
	for range 3 {
		short = append(short, r.upload(api, `{"millis":2000}`))
	}
	for _, id := range short {
		r.waitState(api, id, wire.Running, patience)
	}
	first.Terminate()
	told := time.Now()
	if code := first.Wait(patience); code != 0 {
		t.Errorf("the drained worker ended with code %d", code)
	}
	if took := time.Since(told); took > 15*time.Second {
		t.Errorf("the drain took %v with a grace period of 3 s", took)
	}
	for _, id := range short {
		if job := r.job(api, id); job.State != wire.Succeeded {
			t.Errorf("short job is %s, want it finished within the grace period", job.State)
		}
	}
	for _, id := range long {
		if job := r.job(api, id); job.State != wire.Pending || job.Attempt != 1 || job.Losses != 0 {
			t.Errorf("long job is %s at attempt %d with %d losses, want it handed back at once and nothing burned", job.State, job.Attempt, job.Losses)
		}
	}
	r.Worker()
	for _, id := range long {
		r.waitState(api, id, wire.Running, patience)
	}
}

// P3: a worker that was stopped until its jobs were given away wakes and tries to record: refused.
func TestP3WokenWorkerCannotRecordWhatWasGivenAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	api := r.API()
	sleeper := r.Worker()
	id := r.upload(api, `{"millis":2000}`)
	r.waitState(api, id, wire.Running, patience)
	sleeper.Pause()
	second := r.Worker()
	job := r.waitState(api, id, wire.Succeeded, 40*time.Second)
	if job.Losses != 1 {
		t.Errorf("%d losses, want 1", job.Losses)
	}
	sleeper.Resume()
	sleeper.WaitLine("that its claim is lost, or that it was given up", patience, func(l system.Line) bool {
		return l.Message() == "run had lost its claim: nothing of it is kept" ||
			l.Message() == "this worker was given up as dead: ending its runs, which others have now, and registering anew"
	})
	account := r.waitAllEnded([]uuid.UUID{id}, nil, patience)
	if !account.Balanced() {
		t.Errorf("account: %s", account)
	}
	// The woken worker works again, under a new identity.
	second.Kill()
	again := r.upload(api, `{}`)
	r.waitState(api, again, wire.Succeeded, patience)
}

// After two losses a job runs alone in its process; lost again, alone, it ends failed. Its
// neighbours are not blamed.
func TestP3JobThatKillsItsWorkersEndsFailedAndItsNeighboursDoNot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	api := r.API()
	killer := r.upload(api, `{"millis":600000}`)
	neighbour := r.upload(api, `{"millis":600000}`)
	for loss := 1; loss <= 2; loss++ {
		victim := r.Worker(system.With("LEAT_CONCURRENCY", "2"))
		r.waitState(api, killer, wire.Running, patience)
		r.waitState(api, neighbour, wire.Running, patience)
		victim.Kill()
		system.Poll(t.Context(), t, "both are taken back", patience, 50*time.Millisecond, func() bool {
			return r.job(api, killer).Losses == loss && r.job(api, neighbour).Losses == loss
		})
	}
	// From here on each would run alone, in any order; let the neighbour go.
	if err := system.Post(t.Context(), r.client, api.URL+"/v1/jobs/"+neighbour.String()+"/cancel"); err != nil {
		t.Fatalf("cancel: %v", err)
	}
	last := r.Worker(system.With("LEAT_CONCURRENCY", "2"))
	r.waitState(api, killer, wire.Running, patience)
	last.Kill()
	job := r.waitState(api, killer, wire.Failed, patience)
	if job.Error == nil || job.Error.Code != "worker_lost" || job.Losses != 3 {
		t.Errorf("error %v after %d losses, want worker_lost after 3", job.Error, job.Losses)
	}
}
