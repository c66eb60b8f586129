package integration

import (
	"testing"
	"time"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/integration/system"
)

const leading = "leading: this process now dispatches, reaps and sweeps"

// P2, P4: the leader is killed with a worker at the same time, and another process follows.
func TestP4RecoveryHoldsWhenTheLeaderDiesWithTheWorker(t *testing.T) { //nolint:paralleltest // of its 20 s, 18.5 are Leat's own waits
	r := newRig(t)
	leader := r.API()
	leader.WaitMessage(leading, patience)
	api := r.API()
	victim := r.Worker()
	id := r.upload(api, `{"millis":300000}`)
	r.waitState(api, id, wire.Running, patience)
	r.Worker()
	leader.Kill()
	victim.Kill()
	killed := time.Now()
	system.Poll(t.Context(), t, "the job runs elsewhere", recoveryLimit(), 50*time.Millisecond, func() bool {
		job := r.job(api, id)
		return job.State == wire.Running && job.StartedAt.After(killed)
	})
	t.Logf("running elsewhere after %.1f s", time.Since(killed).Seconds())
}

// P2: the leader is stopped until another leads, and woken: it does nothing more as a leader.
func TestP2WokenLeaderFindsThatAnotherLeads(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := r.API()
	old.WaitMessage(leading, patience)
	next, worker := r.API(), r.Worker()
	l := r.startLoad(func() string { return next.URL }, 30, 4, mixed)
	pass(t, time.Second)
	old.Pause()
	system.Poll(t.Context(), t, "another process leads", patience, 50*time.Millisecond, func() bool {
		return len(next.Lines(isMessage(leading)))+len(worker.Lines(isMessage(leading))) > 0
	})
	pass(t, 2*time.Second)
	old.Resume()
	old.WaitMessage("no longer leading", patience)
	pass(t, 2*time.Second)
	accepted := l.stop()
	account := r.waitAllEnded(accepted, nil, 3*time.Minute)
	t.Log(account)
	if !account.Balanced() || account.LostRuns != 0 {
		t.Errorf("account: %s", account)
	}
	if terms := len(old.Lines(isMessage(leading))); terms != 1 {
		t.Errorf("the woken leader led %d terms, want the other to lead on", terms)
	}
}
