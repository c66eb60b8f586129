package sqlite_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// TestLeaseByTheStoresClock: a lease lasts to its end and not longer, and each tenure has a higher
// epoch, also when the same holder comes back.
func TestLeaseByTheStoresClock(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	one, two := uuid.New(), uuid.New()
	acquire := func(holder uuid.UUID) (store.Lease, time.Duration, error) {
		return s.Acquire(t.Context(), "leader", holder, time.Minute)
	}
	first, _, err := acquire(one)
	if err != nil {
		t.Fatal(err)
	}
	c.pass(40 * time.Second)
	if _, wait, err := acquire(two); !errors.Is(err, store.ErrLeaseLost) || wait != 20*time.Second {
		t.Errorf("a stranger waits %v, %v; want 20s", wait, err)
	}
	if renewed, _, err := acquire(one); err != nil || renewed != first {
		t.Errorf("renewed as %+v, %v; want %+v", renewed, err, first)
	}
	c.pass(time.Minute - time.Microsecond)
	if err := s.PublishRoom(t.Context(), first, nil); err != nil {
		t.Errorf("in its last moment: %v", err)
	}
	c.pass(time.Microsecond)
	if err := s.PublishRoom(t.Context(), first, nil); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("past its end: %v, want ErrLeaseLost", err)
	}
	second, _, err := acquire(one)
	if err != nil || second.Epoch <= first.Epoch {
		t.Errorf("taken again as %+v, %v", second, err)
	}
	if err := s.Release(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	third, _, err := acquire(two)
	if err != nil || third.Epoch <= second.Epoch {
		t.Errorf("taken over as %+v, %v", third, err)
	}
}

// TestRoomOfTheFormerLeader: what a leader published goes with it; the next one starts with nothing.
func TestRoomOfTheFormerLeader(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	accept(t, s, upload("a"))
	lead := func() store.Lease {
		lease, _, err := s.Acquire(t.Context(), "leader", uuid.New(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	room := func(want map[string]int) {
		t.Helper()
		got, err := s.Room(t.Context(), "leader")
		if err != nil || len(got) != len(want) || got[jobs.DefaultQueue] != want[jobs.DefaultQueue] {
			t.Errorf("room %v, %v; want %v", got, err, want)
		}
	}
	publish := func(lease store.Lease, room int) {
		t.Helper()
		if err := s.PublishRoom(t.Context(), lease, map[string]int{jobs.DefaultQueue: room}); err != nil {
			t.Fatal(err)
		}
	}
	lease := lead()
	publish(lease, 7)
	room(map[string]int{jobs.DefaultQueue: 7})
	c.pass(time.Hour)
	room(nil)
	lease = lead()
	room(nil)
	publish(lease, 7) // the same number, but another leader's
	room(map[string]int{jobs.DefaultQueue: 7})
	publish(lease, 0)
	room(nil)
}

// TestRates: what happened is averaged over the latest six full buckets, the present one left out.
func TestRates(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	worker := register(t, s)
	run := func(outcome jobs.Outcome) {
		r := claim(t, s, worker, accept(t, s, upload("a")))
		c.pass(250 * time.Millisecond)
		end(t, s, r, outcome)
	}
	run(jobs.RunFailed)
	c.pass(time.Minute) // out of sight
	for range 3 {
		run(jobs.RunSucceeded)
	}
	run(jobs.RunFailed)
	run(jobs.RunRetry)
	run(jobs.RunCancelled)
	c.pass(20 * time.Second)
	run(jobs.RunSucceeded)
	rates := func() store.Rates {
		queues, err := s.Queues(t.Context(), jobs.DefaultTenant)
		if err != nil || len(queues) != 1 {
			t.Fatalf("queues %+v, %v", queues, err)
		}
		return queues[0].Rates
	}
	want := store.Rates{Arrived: 6. / 60, Succeeded: 3. / 60, Failed: 1. / 60, Cancelled: 1. / 60, Retried: 1. / 60, BusySeconds: 1.5 / 60}
	if diff := cmp.Diff(want, rates()); diff != "" {
		t.Errorf("while the latest bucket is not full (-want +got):\n%s", diff)
	}
	c.pass(10 * time.Second)
	want.Arrived, want.Succeeded, want.BusySeconds = 7./60, 4./60, 1.75/60
	if diff := cmp.Diff(want, rates()); diff != "" {
		t.Errorf("once it is (-want +got):\n%s", diff)
	}
	c.pass(time.Hour)
	if diff := cmp.Diff(store.Rates{}, rates()); diff != "" {
		t.Errorf("an hour later (-want +got):\n%s", diff)
	}
}

// TestStaleBytes: bytes that were stored too long ago are refused, in the last moment they are not.
func TestStaleBytes(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	up := upload("")
	up.File.Content, up.File.BlobKey, up.File.StoredAt = nil, uuid.New(), c.now()
	c.pass(store.MaxBlobAge + time.Microsecond)
	if _, err := s.Accept(t.Context(), jobs.DefaultTenant, []store.Upload{up}); !errors.Is(err, store.ErrStale) {
		t.Errorf("%v, want ErrStale", err)
	}
	c.pass(-time.Microsecond)
	accept(t, s, up)
}

// TestClockThatGoesBack: times of a machine whose clock was set back do no harm.
func TestClockThatGoesBack(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	worker := register(t, s)
	id := accept(t, s, upload("a"))
	run := claim(t, s, worker, id)
	c.pass(-time.Hour)
	if state := end(t, s, run, jobs.RunRetry); state != jobs.Retrying {
		t.Errorf("the job is %s", state)
	}
	end(t, s, claim(t, s, worker, id), jobs.RunSucceeded)

	strict, child := upload("b"), upload("c")
	strict.Job.FailWithChildren = true
	run = claim(t, s, worker, accept(t, s, strict))
	c.pass(-time.Hour)
	_, err := s.End(t.Context(), store.RunEnd{
		JobID: run.JobID, Claim: run.Claim, Outcome: jobs.RunSucceeded, Children: []store.Upload{child},
	})
	if err != nil {
		t.Fatal(err)
	}
	end(t, s, claim(t, s, worker, child.Job.ID), jobs.RunFailed)
	if job := load(t, s, run.JobID); job.State != jobs.Failed {
		t.Errorf("the parent of a failed child is %s", job.State)
	}
	c.pass(time.Minute)
	queues, err := s.Queues(t.Context(), jobs.DefaultTenant)
	if err != nil || queues[0].Rates.BusySeconds < 0 {
		t.Errorf("rates %+v, %v", queues[0].Rates, err)
	}
}

// TestFeedPositionsAreNotReused: when the newest events are pruned, those that come after them are
// still found after a position that was read before.
func TestFeedPositionsAreNotReused(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	worker := register(t, s)
	id := accept(t, s, upload("a"))
	end(t, s, claim(t, s, worker, id), jobs.RunSucceeded)
	events, position, err := s.EventsAfter(t.Context(), "", 100)
	if err != nil || len(events) != 3 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	c.pass(time.Hour)
	if n, _, err := s.PruneJobs(t.Context(), time.Minute, 10); n != 1 || err != nil {
		t.Fatalf("pruned %d, %v", n, err)
	}
	next := accept(t, s, upload("b"))
	events, _, err = s.EventsAfter(t.Context(), position, 100)
	if err != nil || len(events) != 1 || events[0].JobID != next {
		t.Errorf("events %+v, %v; want the one of job %v", events, err, next)
	}
	if _, _, err := s.EventsAfter(t.Context(), "elsewhere", 1); err == nil {
		t.Error("a position that was never given out is taken")
	}
}
