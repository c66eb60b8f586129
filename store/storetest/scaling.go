package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func scalingTests() []test {
	return []test{
		{"Load", testLoad},
		{"LoadOfUpcoming", testLoadOfUpcoming},
		{"LoadOfPast", testLoadOfPast},
		{"LoadAskedForNothing", testLoadAskedForNothing},
		{"Arrivals", testArrivals},
		{"UnusedTarget", testUnusedTarget},
		{"Decisions", testDecisions},
		{"DecisionsOfTargets", testDecisionsOfTargets},
		{"SameDecision", testSameDecision},
		{"SameDecisionAtOnce", testSameDecisionAtOnce},
		{"Usage", testUsage},
		{"RecordersAtOnce", testRecordersAtOnce},
		{"DecisionInput", testDecisionInput},
		{"PruneDecisions", testPruneDecisions},
		{"Pin", testPin},
		{"PinEnds", testPinEnds},
		{"PauseScaling", testPauseScaling},
		{"SteeringInput", testSteeringInput},
		{"Targets", testTargets},
	}
}

// loads returns how the queues stand, which must be in the order of their names.
func (f *fixture) loads(horizons, spans []time.Duration) []store.QueueLoad {
	f.Helper()
	loads, err := f.s.Load(f.ctx(), horizons, spans)
	f.ok(err)
	for i, q := range loads {
		if len(q.Due) != len(horizons) || len(q.Past) != len(spans) || i > 0 && loads[i-1].Name >= q.Name {
			f.Errorf("for %d horizons and %d spans: %+v", len(horizons), len(spans), loads)
		}
	}
	return loads
}

// load returns how one queue stands; a zero one when it is not known.
func (f *fixture) load(queue string, horizons, spans []time.Duration) store.QueueLoad {
	f.Helper()
	for _, q := range f.loads(horizons, spans) {
		if q.Name == queue {
			return q
		}
	}
	return store.QueueLoad{}
}

func testLoad(f *fixture) {
	f.equal("loads of an empty store", []store.QueueLoad(nil), f.loads(nil, nil))
	f.acceptMany(3, inQueue("b"))
	f.as("other").acceptMany(2, inQueue("b"))
	f.run(f.accept(inQueue("b")), jobs.RunRetry)
	f.accept(inQueue("b"), later)
	f.claim(f.accept(inQueue("b")))
	f.as("other").claim(f.as("other").accept(inQueue("c")))
	f.spawn(f.claim(f.accept(inQueue("b"))), upload(inQueue("a"))) // waits for its child
	f.run(f.accept(inQueue("c")), jobs.RunSucceeded)
	f.accept(inQueue("a"), runAt(time.Now().Add(-time.Hour)))
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, "d"))
	f.within(patience, 50*time.Millisecond, "the running jobs run for a while", ticks(2))

	type counts struct {
		Name           string
		Paused         bool
		Ready, Running int
		Old, Held      bool
	}
	var got []counts
	for _, q := range f.loads(nil, nil) {
		if q.Ready.AtLeast || q.Running.AtLeast {
			f.Errorf("counts of %s are not exact", q.Name)
		}
		if q.Held < 0 || q.Held > time.Minute || q.Age < 0 || q.Ready.N == 0 && q.Age != 0 {
			f.Errorf("%s: held for %v, oldest of %v", q.Name, q.Held, q.Age)
		}
		got = append(got, counts{q.Name, q.Paused, q.Ready.N, q.Running.N, (q.Age - time.Hour).Abs() < time.Minute, q.Held >= 50*time.Millisecond})
	}
	f.equal("loads", []counts{
		{"a", false, 2, 0, true, false}, {"b", false, 6, 1, false, true}, {"c", false, 0, 1, false, true}, {"d", true, 0, 0, false, false},
	}, got)
}

func testLoadOfUpcoming(f *fixture) {
	in := func(d time.Duration) option { return runAt(time.Now().Add(d).Truncate(time.Microsecond)) }
	f.acceptMany(2, inQueue("q")) // ready, hence not upcoming
	f.acceptMany(3, inQueue("q"), in(10*time.Minute))
	f.as("other").acceptMany(4, inQueue("q"), in(30*time.Minute))
	f.acceptMany(5, inQueue("q"), in(2*time.Hour))
	f.accept(inQueue("q"), in(48*time.Hour))
	f.accept(inQueue("r"), in(time.Minute))
	end := finish(f.claim(f.accept(inQueue("q"))), jobs.RunRetry)
	end.Delay = 20 * time.Minute
	_, err := f.s.End(f.ctx(), end)
	f.ok(err)

	horizons := []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, time.Hour, 24 * time.Hour}
	f.equal("upcoming jobs", []int{0, 3, 8, 8, 13}, f.load("q", horizons, nil).Due)
	f.equal("upcoming jobs of another queue", []int{1, 1, 1, 1, 1}, f.load("r", horizons, nil).Due)
	f.equal("up to one horizon", []int{8}, f.load("q", horizons[2:3], nil).Due)
}

// testLoadOfPast: what has happened counts at once.
func testLoadOfPast(f *fixture) {
	lease := f.lead()
	const queue = "q"
	f.acceptMany(2, inQueue(queue))
	f.as("other").accept(inQueue(queue))
	f.run(f.accept(inQueue(queue)), jobs.RunSucceeded)
	f.run(f.accept(inQueue(queue)), jobs.RunRetry)
	failed := f.accept(inQueue(queue))
	f.run(failed, jobs.RunFailed)
	_, err := f.s.Retry(f.ctx(), f.tenant, failed)
	f.ok(err)
	f.run(f.accept(inQueue(queue)), jobs.RunCancelled)
	f.lose(lease, f.claim(f.accept(inQueue(queue))))
	parent := f.claim(f.accept(inQueue(queue)))
	f.within(patience, 100*time.Millisecond, "the parent runs for a while", ticks(2))
	f.spawn(parent, upload(inQueue(queue)), upload(inQueue("children")))

	spans := []time.Duration{time.Second, time.Minute, time.Minute, time.Hour}
	q := f.load(queue, nil, spans)
	for i, past := range q.Past {
		if past.Over < spans[i] || past.Over > spans[i]+store.RollupEvery {
			f.Errorf("what happened in %v is over %v", spans[i], past.Over)
		}
		if i == 0 {
			continue // the test may take longer than a second
		}
		if past.Busy < 100*time.Millisecond || past.Busy > time.Minute {
			f.Errorf("busy for %v", past.Busy)
		}
		f.equal("what happened", store.Happened{
			Over: past.Over, Arrived: 11, Succeeded: 1, Failed: 1, Cancelled: 1, Retried: 1, Lost: 1, Busy: past.Busy,
		}, past)
	}
	if child := f.load("children", nil, spans).Past[1]; child.Arrived != 1 {
		f.Errorf("what happened in the queue of the child: %+v", child)
	}
}

func testLoadAskedForNothing(f *fixture) {
	f.accept(inQueue("q"))
	q := f.load("q", nil, nil)
	if q.Ready.N != 1 || len(q.Due) != 0 || len(q.Past) != 0 {
		f.Errorf("without horizons and spans: %+v", q)
	}
	far := f.load("q", []time.Duration{0}, []time.Duration{0})
	if far.Due[0] != 0 || far.Past[0].Over < 0 || far.Past[0].Over > store.RollupEvery {
		f.Errorf("for no time: %+v", far)
	}
}

// testArrivals: the present hour is not told of. What was before it takes a clock that can be set.
func testArrivals(f *fixture) {
	for _, since := range []time.Time{{}, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)} {
		arrivals, err := f.s.Arrivals(f.ctx(), since)
		f.ok(err)
		f.equal("arrivals at an empty store", []store.HourlyArrivals(nil), arrivals)
	}
	f.acceptMany(3)
	arrivals, err := f.s.Arrivals(f.ctx(), time.Now().Add(-3*time.Hour))
	f.ok(err)
	now := f.scaling("clock").Now
	if late := slices.IndexFunc(arrivals, func(a store.HourlyArrivals) bool { return a.Hour.Add(time.Hour).After(now) }); late >= 0 {
		f.Errorf("at %v: %+v", now, arrivals[late])
	}
}

func (f *fixture) scaling(target string) store.ScalingState {
	f.Helper()
	state, err := f.s.ScalingState(f.ctx(), target)
	f.ok(err)
	return state
}

func (f *fixture) targets() []store.Target {
	f.Helper()
	targets, err := f.s.Targets(f.ctx(), f.tenant)
	f.ok(err)
	return targets
}

func (f *fixture) decisions(target string) []store.Decision {
	f.Helper()
	list, err := f.s.Decisions(f.ctx(), f.tenant, target, uuid.Nil, 1000)
	f.ok(err)
	return list
}

func testUnusedTarget(f *fixture) {
	state := f.scaling("never")
	if time.Until(state.Now).Abs() > time.Minute || state.Now.Location() != time.UTC {
		f.Errorf("it is %v", state.Now)
	}
	f.equal("state", store.ScalingState{Now: state.Now}, state)
	f.equal("decisions", []store.Decision(nil), f.decisions("never"))
	f.ok(f.s.PinScaling(f.ctx(), f.tenant, "never", -1, 0))
	f.ok(f.s.PauseScaling(f.ctx(), f.tenant, "never", false))
	f.equal("targets", []store.Target(nil), f.targets())
	n, err := f.s.PruneDecisions(f.ctx(), 0, 100)
	if n != 0 || err != nil {
		f.Errorf("pruned %d, %v", n, err)
	}
}
