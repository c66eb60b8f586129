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
		{"HeadsLimits", testHeadsLimits},
		{"HeadsHoldWhatIsReady", testHeadsHoldWhatIsReady},
		{"Lanes", testLanes},
		{"Costs", testCosts},
		{"Redeliver", testRedeliver},
		{"RedeliverAgainstClaim", testRedeliverAgainstClaim},
		{"Room", testRoom},
		{"RoomEndsWithTheLease", testRoomEndsWithTheLease},
	}
}

// heads returns what is ready, of each lane oldest first, up to ten thousand of each.
func (f *fixture) heads() []store.Delivery {
	f.Helper()
	var list []store.Delivery
	for _, h := range f.allHeads() {
		list = append(list, h.Delivery)
	}
	return list
}

func (f *fixture) allHeads() []store.Head {
	f.Helper()
	limits := map[store.Lane]int{}
	for _, l := range f.lanes(nil, 1000) {
		limits[l.Lane] = 10_000
	}
	return f.headsOf(limits)
}

func (f *fixture) headsOf(limits map[store.Lane]int) []store.Head {
	f.Helper()
	heads, err := f.s.Heads(f.ctx(), limits)
	f.ok(err)
	return heads
}

// byLane gives the IDs of heads by their lanes.
func byLane(heads []store.Head) map[store.Lane][]uuid.UUID {
	lanes := map[store.Lane][]uuid.UUID{}
	for _, h := range heads {
		lane := store.Lane{Queue: h.Queue, Tenant: h.Tenant}
		lanes[lane] = append(lanes[lane], h.JobID)
	}
	return lanes
}

func (f *fixture) lanes(after map[string]jobs.Tenant, limit int) []store.LaneState {
	f.Helper()
	lanes, err := f.s.Lanes(f.ctx(), after, limit)
	f.ok(err)
	return lanes
}

func testHeadsOldestFirst(f *fixture) {
	now := time.Now().Truncate(time.Microsecond)
	at := func(ago time.Duration) option { return runAt(now.Add(-ago)) }
	second := f.accept(at(10 * time.Minute))
	others := f.as("other").accept(at(30 * time.Minute))
	first := f.accept(at(20 * time.Minute))
	ties := f.acceptMany(5, at(5*time.Minute))
	last := f.accept()
	mine, theirs := store.Lane{Queue: jobs.DefaultQueue, Tenant: f.tenant}, store.Lane{Queue: jobs.DefaultQueue, Tenant: "other"}
	f.equal("heads", map[store.Lane][]uuid.UUID{
		mine:   append([]uuid.UUID{first, second}, append(ties, last)...),
		theirs: {others},
	}, byLane(f.allHeads()))
	for _, h := range f.allHeads() {
		if h.Kind != "inspect" || h.Generation != 1 {
			f.Errorf("head %+v", h)
		}
	}

	f.ok(f.s.HandBack(f.ctx(), first, 1, 0)) // goes to the end, as the latest
	heads := byLane(f.allHeads())[mine]
	if len(heads) != 8 || heads[0] != second || heads[7] != first {
		f.Errorf("after a hand-back the heads are %v", heads)
	}
}

func testHeadsLimits(f *fixture) {
	lane := func(queue string) store.Lane { return store.Lane{Queue: queue, Tenant: f.tenant} }
	byQueue := map[string][]uuid.UUID{}
	for _, q := range []string{"a", "b", "c", "d"} {
		byQueue[q] = f.acceptMany(10, inQueue(q))
	}
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, "d"))
	f.equal("heads", map[store.Lane][]uuid.UUID{lane("a"): byQueue["a"][:2], lane("b"): byQueue["b"]},
		byLane(f.headsOf(map[store.Lane]int{
			lane("a"): 2, lane("b"): 100, lane("c"): 0, lane("d"): 5, lane("unknown"): 3, {Queue: "a", Tenant: "unknown"}: 3,
		})))
	f.equal("heads of no lanes", []store.Head{}, f.headsOf(nil))
}

func testLanes(f *fixture) {
	state := func(queue string, tenant jobs.Tenant, weight int, ready bool) store.LaneState {
		return store.LaneState{Lane: store.Lane{Queue: queue, Tenant: tenant}, Weight: weight, Ready: ready}
	}
	for _, tenant := range []jobs.Tenant{"a", "b", "c", "d", "e"} {
		f.as(tenant).acceptMany(3, inQueue("q"))
	}
	f.as("b").accept(inQueue("p"))
	f.as("c").accept(inQueue("p"), runAt(time.Now().Add(time.Hour)))
	f.as("a").accept(inQueue("paused"))
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, "paused"))
	for _, id := range byLane(f.allHeads())[store.Lane{Queue: "q", Tenant: "d"}] {
		f.as("d").claim(id)
	}
	f.setTenant(store.TenantSettings{Tenant: "b", Weight: 3})

	p := []store.LaneState{state("p", "b", 3, true), state("p", "c", 1, false)}
	q := []store.LaneState{state("q", "a", 1, true), state("q", "b", 3, true), state("q", "c", 1, true), state("q", "e", 1, true)}
	f.equal("all", append(p, q...), f.lanes(nil, 10))
	f.equal("the first of each", []store.LaneState{p[0], q[0]}, f.lanes(nil, 1))
	f.equal("from where another left off", []store.LaneState{p[0], p[1], q[2], q[3]}, f.lanes(map[string]jobs.Tenant{"q": "b", "unknown": "a"}, 2))
	f.equal("from one that is not there", []store.LaneState{q[3]}, f.lanes(map[string]jobs.Tenant{"p": "c", "q": "d"}, 2))
}

func testCosts(f *fixture) {
	costs := func(sample int) map[string]time.Duration {
		costs, err := f.s.Costs(f.ctx(), sample)
		f.ok(err)
		return costs
	}
	f.equal("before anything ran", map[string]time.Duration{}, costs(100))
	f.run(f.accept(ofKind("table")), jobs.RunSucceeded)
	f.claim(f.accept(ofKind("document"))) // still runs
	for range 3 {
		f.run(f.accept(), jobs.RunFailed)
	}
	all := costs(100)
	for _, kind := range []string{"inspect", "table"} {
		if cost, ok := all[kind]; !ok || cost < 0 || cost > time.Minute {
			f.Errorf("runs of %s took %v, %v", kind, cost, ok)
		}
	}
	if len(all) != 2 {
		f.Errorf("costs are %v, want those of two kinds", all)
	}
	if latest := costs(3); len(latest) != 1 {
		f.Errorf("of the latest three, costs are %v", latest)
	}
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
