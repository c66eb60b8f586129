package storetest

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func queueTests() []test {
	return []test{
		{"Counts", testQueueCounts},
		{"Age", testQueueAge},
		{"Pause", testPause},
		{"PauseHoldsForAllTenants", testPauseOfAllTenants},
		{"Rates", testRates},
	}
}

func (f *fixture) queues() []store.QueueStats {
	f.Helper()
	queues, err := f.s.Queues(f.ctx(), f.tenant)
	f.ok(err)
	f.inOrder(queues)
	return queues
}

// inOrder checks that queues come by name.
func (f *fixture) inOrder(queues []store.QueueStats) {
	f.Helper()
	if !slices.IsSortedFunc(queues, func(a, b store.QueueStats) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	}) {
		f.Errorf("queues are not in the order of their names: %+v", queues)
	}
}

// queue returns how one queue stands; a zero one when it is not known.
func (f *fixture) queue(name string) store.QueueStats {
	f.Helper()
	for _, q := range f.queues() {
		if q.Name == name {
			return q
		}
	}
	return store.QueueStats{}
}

func testQueueCounts(f *fixture) {
	if queues := f.queues(); len(queues) != 0 {
		f.Errorf("an empty store has queues %+v", queues)
	}
	f.acceptMany(3, inQueue("b"))
	f.run(f.accept(inQueue("b")), jobs.RunRetry)
	f.accept(inQueue("b"), later)
	end := finish(f.claim(f.accept(inQueue("b"))), jobs.RunRetry)
	end.Delay = time.Hour
	_, err := f.s.End(f.ctx(), end)
	f.ok(err)
	f.claim(f.accept(inQueue("b")))
	f.spawn(f.claim(f.accept(inQueue("b"))), upload(inQueue("a")), upload(inQueue("a")))
	f.run(f.accept(inQueue("b")), jobs.RunSucceeded)
	f.run(f.accept(inQueue("b")), jobs.RunFailed)
	f.run(f.accept(inQueue("c")), jobs.RunCancelled)
	f.as("other").acceptMany(5, inQueue("b"))
	f.as("other").accept(inQueue("d"))

	type counts struct {
		Name                           string
		Ready, Later, Running, Waiting store.Count
	}
	counted := func(queues []store.QueueStats) (all []counts) {
		for _, q := range queues {
			all = append(all, counts{q.Name, q.Ready, q.Later, q.Running, q.Waiting})
		}
		return all
	}
	n := func(n int) store.Count { return store.Count{N: n} }
	f.equal("queues", []counts{
		{"a", n(2), n(0), n(0), n(0)}, {"b", n(4), n(2), n(1), n(1)}, {"c", n(0), n(0), n(0), n(0)}, {"d", n(0), n(0), n(0), n(0)},
	}, counted(f.queues()))

	all, err := f.s.AllQueues(f.ctx())
	f.ok(err)
	f.inOrder(all)
	f.equal("queues of all tenants", []counts{
		{"a", n(2), n(0), n(0), n(0)}, {"b", n(9), n(2), n(1), n(1)}, {"c", n(0), n(0), n(0), n(0)}, {"d", n(1), n(0), n(0), n(0)},
	}, counted(all))
}

func testQueueAge(f *fixture) {
	since := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	f.accept(inQueue("q"))
	oldest := f.accept(inQueue("q"), runAt(since))
	f.accept(inQueue("q"), later)
	f.accept(inQueue("future"), later)
	q := f.queue("q")
	if !q.OldestAt.Equal(since) || (q.Age-time.Hour).Abs() > time.Minute {
		f.Errorf("oldest of %v, age %v; want %v, an hour", q.OldestAt, q.Age, since)
	}
	if q := f.queue("future"); !q.OldestAt.IsZero() || q.Age != 0 {
		f.Errorf("without a ready job: oldest of %v, age %v", q.OldestAt, q.Age)
	}
	f.as("other").accept(inQueue("q"), runAt(since.Add(-time.Hour)))
	if q := f.queue("q"); !q.OldestAt.Equal(since) {
		f.Errorf("with an older job of another tenant: oldest of %v", q.OldestAt)
	}
	all, err := f.s.AllQueues(f.ctx())
	f.ok(err)
	for _, q := range all {
		if q.Name == "q" && !q.OldestAt.Equal(since.Add(-time.Hour)) {
			f.Errorf("of all tenants: oldest of %v", q.OldestAt)
		}
	}
	f.claim(oldest)
	if q := f.queue("q"); q.OldestAt.Before(since.Add(50*time.Minute)) || q.Age > time.Minute {
		f.Errorf("the oldest was claimed: oldest of %v, age %v", q.OldestAt, q.Age)
	}
}

func testPause(f *fixture) {
	f.ok(f.s.ResumeQueue(f.ctx(), f.tenant, "resumed"))
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, "early"))
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, "early"))
	if queues := f.queues(); len(queues) != 2 || !queues[0].Paused || queues[0].Name != "early" || queues[1].Paused {
		f.Errorf("queues %+v, want one paused and one not", queues)
	}
	id := f.accept(inQueue("early"))
	if a := f.queue("early"); !a.Paused || a.Ready.N != 1 {
		f.Errorf("with a job, the paused queue is %+v", a)
	}
	f.equal("heads while paused", []store.Delivery(nil), f.heads())
	f.refuse(f.request(id), store.RefusedPaused)
	f.ok(f.s.ResumeQueue(f.ctx(), f.tenant, "early"))
	f.ok(f.s.ResumeQueue(f.ctx(), f.tenant, "early"))
	f.equal("heads", []store.Delivery{{JobID: id, Generation: 1, Queue: "early"}}, f.heads())
	run := f.claim(id)
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, "early"))
	if state := f.end(run, jobs.RunSucceeded); state != jobs.Succeeded {
		f.Errorf("a run in a paused queue ended %s", state)
	}
}

func testPauseOfAllTenants(f *fixture) {
	id := f.accept()
	f.ok(f.s.PauseQueue(f.ctx(), "other", jobs.DefaultQueue))
	f.refuse(f.request(id), store.RefusedPaused)
	if !f.queue(jobs.DefaultQueue).Paused {
		f.Error("one tenant's pause does not hold for another")
	}
	f.ok(f.s.ResumeQueue(f.ctx(), "other", jobs.DefaultQueue))
	f.claim(id)
}

// testRates makes something of everything happen in a queue, and waits until the roll-up that it
// fell into is full.
func testRates(f *fixture) {
	lease := f.lead()
	const queue = "rated"
	for range 3 {
		f.run(f.accept(inQueue(queue)), jobs.RunSucceeded)
	}
	for range 2 {
		f.run(f.accept(inQueue(queue)), jobs.RunFailed)
	}
	again := f.accept(inQueue(queue))
	f.run(again, jobs.RunRetry)
	f.lose(lease, f.claim(again))
	worker := f.register()
	f.claimBy(worker, again)
	_, err := f.s.ReapWorkers(f.ctx(), lease, map[uuid.UUID]int64{worker: 1})
	f.ok(err)
	f.run(f.accept(inQueue(queue)), jobs.RunCancelled)
	_, err = f.s.Cancel(f.ctx(), f.tenant, f.accept(inQueue(queue)))
	f.ok(err)
	invalid := finish(f.claim(f.accept(inQueue(queue))), jobs.RunSucceeded)
	invalid.Result = json.RawMessage(`"\u0000"`)
	_, err = f.s.End(f.ctx(), invalid)
	f.ok(err)
	slow := f.claim(f.accept(inQueue(queue)))
	f.within(patience, 200*time.Millisecond, "the slow job runs for a while", ticks(2))
	child := f.spawn(slow, upload(inQueue(queue)))[0]
	f.run(child, jobs.RunSucceeded) // the parent settles: it succeeds only now
	f.becomes(slow.JobID, jobs.Succeeded)

	want := store.Rates{Arrived: 11, Succeeded: 5, Failed: 3, Cancelled: 2, Retried: 1, Lost: 2}
	var got store.Rates
	defer func() {
		if f.Failed() {
			f.Logf("in the last minute: %+v", got)
		}
	}()
	f.within(45*time.Second, 250*time.Millisecond, "the roll-ups are full and tell of everything", func() bool {
		got = f.queue(queue).Rates
		for _, n := range []*float64{
			&got.Arrived, &got.Succeeded, &got.Failed, &got.Cancelled, &got.Retried, &got.Lost, &got.BusySeconds,
		} {
			*n = math.Round(*n*store.RateWindow.Seconds()*1000) / 1000 // how many
		}
		want.BusySeconds = got.BusySeconds
		return got == want
	})
	if got.BusySeconds < 0.2 || got.BusySeconds > 60 {
		f.Errorf("slots were in use for %v s, want at least 0.2", got.BusySeconds)
	}
	f.equal("rates of another queue", store.Rates{}, f.queue("none").Rates)

	n, err := f.s.PruneRollups(f.ctx(), time.Hour, 1000)
	if n != 0 || err != nil {
		f.Errorf("pruned %d roll-ups that are not an hour old, %v", n, err)
	}
	pruned := f.inBatches(1, func(limit int) (int, error) { return f.s.PruneRollups(f.ctx(), 0, limit) })
	if pruned == 0 {
		f.Error("no roll-up was pruned")
	}
	f.equal("rates without roll-ups", store.Rates{}, f.queue(queue).Rates)
}

// ticks is a condition that holds from the n-th time on that it is asked for.
func ticks(n int) func() bool {
	return func() bool { n--; return n < 0 }
}
