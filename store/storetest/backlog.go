package storetest

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func backlogTests() []test {
	return []test{
		{"HeadsOldestFirst", testHeadsOldestFirst},
		{"HeadsWindows", testHeadsWindows},
		{"HeadsHoldWhatIsReady", testHeadsHoldWhatIsReady},
		{"Redeliver", testRedeliver},
		{"RedeliverAgainstClaim", testRedeliverAgainstClaim},
		{"Room", testRoom},
		{"RoomEndsWithTheLease", testRoomEndsWithTheLease},
	}
}

// heads returns the first thousand of each queue.
func (f *fixture) heads() []store.Delivery {
	f.Helper()
	heads, err := f.s.Heads(f.ctx(), nil, 1000)
	f.ok(err)
	return heads
}

// headsByQueue reads the heads as IDs by queue.
func (f *fixture) headsByQueue(windows map[string]int, window int) map[string][]uuid.UUID {
	f.Helper()
	heads, err := f.s.Heads(f.ctx(), windows, window)
	f.ok(err)
	byQueue := map[string][]uuid.UUID{}
	for _, d := range heads {
		byQueue[d.Queue] = append(byQueue[d.Queue], d.JobID)
	}
	return byQueue
}

func testHeadsOldestFirst(f *fixture) {
	now := time.Now().Truncate(time.Microsecond)
	at := func(ago time.Duration) option { return runAt(now.Add(-ago)) }
	third := f.accept(at(10 * time.Minute))
	first := f.as("other").accept(at(30 * time.Minute))
	second := f.accept(at(20 * time.Minute))
	ties := f.acceptMany(5, at(5*time.Minute))
	last := f.accept()
	f.equal("heads", map[string][]uuid.UUID{
		jobs.DefaultQueue: append([]uuid.UUID{first, second, third}, append(ties, last)...),
	}, f.headsByQueue(nil, 100))

	f.ok(f.s.HandBack(f.ctx(), first, 1, 0)) // goes to the end, as the latest
	heads := f.headsByQueue(nil, 100)[jobs.DefaultQueue]
	if len(heads) != 9 || heads[0] != second || heads[8] != first {
		f.Errorf("after a hand-back the heads are %v", heads)
	}
}

func testHeadsWindows(f *fixture) {
	byQueue := map[string][]uuid.UUID{}
	for _, q := range []string{"a", "b", "c", "d"} {
		byQueue[q] = f.acceptMany(10, inQueue(q))
	}
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, "d"))
	f.equal("heads", map[string][]uuid.UUID{"a": byQueue["a"][:2], "b": byQueue["b"][:7], "c": byQueue["c"][:4]},
		f.headsByQueue(map[string]int{"a": 2, "b": 7, "d": 5, "unknown": 3}, 4))
	f.equal("heads with a window of none", map[string][]uuid.UUID{"b": byQueue["b"]},
		f.headsByQueue(map[string]int{"a": 0, "b": 100}, 0))
}

func testHeadsHoldWhatIsReady(f *fixture) {
	lease := f.lead()
	ready := map[uuid.UUID]int{f.accept(): 1}
	retried, drained, lost, byHand := f.accept(), f.accept(), f.accept(), f.accept()
	f.run(retried, jobs.RunRetry)
	f.run(drained, jobs.RunDrained)
	f.lose(lease, f.claim(lost))
	f.run(byHand, jobs.RunFailed)
	_, err := f.s.Retry(f.ctx(), f.tenant, byHand)
	f.ok(err)
	for _, id := range []uuid.UUID{retried, drained, lost, byHand} {
		ready[id] = 2
	}
	_, children := f.parent(1) // the parent waits
	ready[children[0]] = 1
	f.claim(f.accept())
	for _, outcome := range []jobs.Outcome{jobs.RunSucceeded, jobs.RunFailed, jobs.RunCancelled} {
		f.run(f.accept(), outcome)
	}
	soon := f.accept()
	end := finish(f.claim(soon), jobs.RunRetry)
	end.Delay = 400 * time.Millisecond
	_, err = f.s.End(f.ctx(), end)
	f.ok(err)

	got := map[uuid.UUID]int{}
	for _, d := range f.heads() {
		if d.JobID != soon {
			got[d.JobID] = d.Generation
		}
	}
	f.equal("heads", ready, got)
	f.eventually("the delay of the retrying job passes", func() bool { return len(f.heads()) == len(ready)+1 })
}

func testRedeliver(f *fixture) {
	lease := f.lead()
	list := f.acceptMany(4)
	heads := f.heads()
	f.claim(list[0])
	f.ok(f.s.HandBack(f.ctx(), list[1], 1, 0))
	before := f.job(list[2])
	stuck := append(heads, heads[2], store.Delivery{JobID: uuid.New(), Generation: 1, Queue: jobs.DefaultQueue})
	again, err := f.s.Redeliver(f.ctx(), lease, stuck)
	f.ok(err)
	got := map[store.Delivery]int{}
	for _, d := range again {
		got[d]++
	}
	f.equal("delivered again", map[store.Delivery]int{
		{JobID: list[2], Generation: 2, Queue: jobs.DefaultQueue}: 1,
		{JobID: list[3], Generation: 2, Queue: jobs.DefaultQueue}: 1,
	}, got)
	after := f.job(list[2])
	before.Generation = 2
	f.equal("a job delivered again", before, after)

	fence := lease
	fence.Holder = uuid.New()
	if _, err := f.s.Redeliver(f.ctx(), fence, heads); !errors.Is(err, store.ErrLeaseLost) {
		f.Errorf("with another's lease: %v", err)
	}
	f.equal("job", after, f.job(list[2]))
	none, err := f.s.Redeliver(f.ctx(), lease, nil)
	if err != nil || len(none) != 0 {
		f.Errorf("nothing stuck gave %v, %v", none, err)
	}
}

// testRedeliverAgainstClaim: either the claim is granted at the old generation, or the job goes out
// at the next one; never both.
func testRedeliverAgainstClaim(f *fixture) {
	lease := f.lead()
	for range 30 {
		req := f.request(f.accept())
		var claimed store.Claimed
		var again []store.Delivery
		var claimErr, againErr error
		together(2, func(i int) {
			if i == 0 {
				claimed, claimErr = f.s.Claim(f.ctx(), req)
			} else {
				again, againErr = f.s.Redeliver(f.ctx(), lease, []store.Delivery{{JobID: req.JobID, Generation: 1, Queue: jobs.DefaultQueue}})
			}
		})
		f.ok(errors.Join(claimErr, againErr))
		job := f.job(req.JobID)
		switch {
		case claimed.Refused == "" && len(again) == 0 && job.State == jobs.Running && job.Generation == 1:
		case claimed.Refused == store.RefusedStale && len(again) == 1 && job.State == jobs.Pending && job.Generation == 2:
		default:
			f.Errorf("claim refused for %q, delivered again %v, the job is %s at %d", claimed.Refused, again, job.State, job.Generation)
		}
	}
}

func testRoom(f *fixture) {
	f.accept(inQueue("a"))
	f.accept(inQueue("b"))
	lease := f.lead()
	f.rooms("before anything was published", lease.Name, nil)
	f.ok(f.s.PublishRoom(f.ctx(), lease, map[string]int{"a": 500, "b": 3}))
	f.rooms("published", lease.Name, map[string]int{"a": 500, "b": 3})
	f.ok(f.s.PublishRoom(f.ctx(), lease, map[string]int{"b": 7}))
	f.rooms("published again", lease.Name, map[string]int{"b": 7})
	f.rooms("of another lease", "other", nil)

	stale := lease
	stale.Epoch--
	if err := f.s.PublishRoom(f.ctx(), stale, map[string]int{"b": 9}); !errors.Is(err, store.ErrLeaseLost) {
		f.Errorf("published with an older epoch: %v", err)
	}
	f.rooms("after a refused publication", lease.Name, map[string]int{"b": 7})
}

// rooms checks which queues have room; one with none may be there or not.
func (f *fixture) rooms(what, lease string, want map[string]int) {
	f.Helper()
	got, err := f.s.Room(f.ctx(), lease)
	f.ok(err)
	for queue, n := range got {
		if n == 0 {
			delete(got, queue)
		}
	}
	f.equal("room "+what, want, got)
}

func testRoomEndsWithTheLease(f *fixture) {
	f.accept(inQueue("a"))
	lease := f.lead()
	f.ok(f.s.PublishRoom(f.ctx(), lease, map[string]int{"a": 5}))
	f.ok(f.s.Release(f.ctx(), lease))
	f.rooms("after the release", lease.Name, nil)

	lease, _, err := f.s.Acquire(f.ctx(), lease.Name, uuid.New(), 2*time.Second)
	f.ok(err)
	f.ok(f.s.PublishRoom(f.ctx(), lease, map[string]int{"a": 6}))
	f.eventually("the room ends with its lease", func() bool {
		got, err := f.s.Room(f.ctx(), lease.Name)
		f.ok(err)
		return got["a"] == 0
	})
}
