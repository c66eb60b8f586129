package scale_test

import (
	"testing"
	"time"

	"github.com/leat-dev/leat/scale"
)

// steadily is what happens to a queue of so many jobs a second that each take a while.
func steadily(perSecond float64, took time.Duration, spans ...time.Duration) (list []scale.Window) {
	for _, span := range spans {
		n := int(perSecond * span.Seconds())
		list = append(list, scale.Window{Span: span, Arrived: n, Succeeded: n, Busy: time.Duration(n) * took})
	}
	return list
}

func drainOnly() scale.Policy {
	return scale.Policy{Max: 100, Slots: 10, Drain: &scale.Drain{Target: 30 * time.Second, Headroom: 1, Service: time.Second}}
}

func drained(t *testing.T, p scale.Policy, o scale.Observation) scale.Answer {
	t.Helper()
	for _, a := range scale.Decide(p, o, scale.History{}).Answers {
		if a.Rule == scale.RuleDrain {
			return a
		}
	}
	t.Fatal("drain did not answer")
	return scale.Answer{}
}

// Of jobs that differ much in length the long ones are found running. That they have been running for
// longer than a job takes on average says nothing.
func TestDrainIsNotMisledByLongJobs(t *testing.T) {
	t.Parallel()
	o := waiting(0, 10)
	o.Queues[0].Windows = steadily(20, 4*time.Second, 20*time.Second, time.Minute)
	o.Queues[0].Running, o.Queues[0].Held = 80, 12*time.Second
	if a := drained(t, drainOnly(), o); a.Terms["service_s"] != 4 || a.Replicas != 9 {
		t.Errorf("%d replicas for %v", a.Replicas, a.Terms)
	}
}

// Replicas that start are counted on, but not for ever.
func TestDrainDoesNotCountOnStuckReplicas(t *testing.T) {
	t.Parallel()
	o := waiting(500, 2)
	o.Queues[0].Windows = steadily(1, time.Second, time.Minute)
	o.Fleet.StartDelay = 30 * time.Second
	without := drained(t, drainOnly(), o)
	o.Fleet.Replicas = 7
	for age, counts := range map[time.Duration]bool{89 * time.Second: true, 91 * time.Second: false} {
		o.Fleet.Starting = []scale.Starting{{For: age, Replicas: 5}}
		a := drained(t, drainOnly(), o)
		if counted := a.Terms["supply_s"] != without.Terms["supply_s"]; counted != counts {
			t.Errorf("after %v the supply is %v, and without them %v", age, a.Terms["supply_s"], without.Terms["supply_s"])
		}
		if !counts && a.Replicas != without.Replicas {
			t.Errorf("after %v it asks for %d, and for %d without them", age, a.Replicas, without.Replicas)
		}
	}
}

// When jobs take longer than those that ended did, what runs tells.
func TestDrainSeesThatJobsTakeLonger(t *testing.T) {
	t.Parallel()
	o := waiting(500, 10)
	o.Queues[0].Windows = []scale.Window{
		{Span: 20 * time.Second, Arrived: 400},
		{Span: time.Minute, Arrived: 1200, Succeeded: 800, Busy: 800 * time.Second},
	}
	o.Queues[0].Running, o.Queues[0].Held = 100, 18*time.Second
	if a := drained(t, drainOnly(), o); a.Terms["service_s"] != 18 {
		t.Errorf("a job is taken to last %v s, and those that run have been running for 18 s", a.Terms["service_s"])
	}
}

// What arrived until a while ago is not kept up with any more once nothing arrives.
func TestDrainForgetsLoadThatHasEnded(t *testing.T) {
	t.Parallel()
	o := waiting(0, 10)
	o.Queues[0].Windows = []scale.Window{
		{Span: 20 * time.Second},
		{Span: time.Minute, Arrived: 30, Succeeded: 30, Busy: time.Minute},
		{Span: 5 * time.Minute, Arrived: 9000, Succeeded: 9000, Busy: 5 * time.Hour},
	}
	if a := drained(t, drainOnly(), o); a.Replicas != 1 {
		t.Errorf("%d replicas, although nothing arrived in the last 20 s", a.Replicas)
	}
	o.Queues[0].Windows[1] = scale.Window{Span: time.Minute}
	if a := drained(t, drainOnly(), o); a.Replicas != 0 {
		t.Errorf("%d replicas, although nothing arrived in the last minute", a.Replicas)
	}
}

// A fleet that keeps up with what arrives is not enlarged because a job waits for a moment, however
// long jobs take: what has begun in time need not have ended.
func TestDrainOfOneJobThatWaits(t *testing.T) {
	t.Parallel()
	o := waiting(1, 8)
	o.Queues[0].Windows = steadily(2, 30*time.Second, 20*time.Second, time.Minute, 2*time.Minute)
	o.Queues[0].Running, o.Queues[0].Held = 60, 30*time.Second
	o.Fleet.Workers[0].Busy = 7
	o.Fleet.StartDelay = 20 * time.Second
	if a := drained(t, drainOnly(), o); a.Replicas > 8 {
		t.Errorf("%d replicas for one job that waits: %v", a.Replicas, a.Terms)
	}
}

// What leaving workers still run needs no slot of the others.
func TestDrainOfLeavingWorkers(t *testing.T) {
	t.Parallel()
	o := waiting(1, 10)
	o.Queues[0].Windows = steadily(2, 30*time.Second, 20*time.Second, time.Minute, 2*time.Minute)
	o.Queues[0].Running, o.Queues[0].Held = 100, 30*time.Second
	o.Fleet.Workers = []scale.Workers{{Count: 7, Slots: 10, Busy: 10}, {Count: 3, Slots: 10, Busy: 10, Leaving: true}}
	o.Fleet.StartDelay = 20 * time.Second
	with := drained(t, drainOnly(), o)
	o.Fleet.Workers, o.Queues[0].Running = o.Fleet.Workers[:1], 70
	if without := drained(t, drainOnly(), o); with.Terms["in_time"] != without.Terms["in_time"] {
		t.Errorf("%v in time with leavers, %v without", with.Terms, without.Terms)
	}
}

// Long jobs are still there when a replica made now is: less is kept free for them than for short ones
// that are as much work.
func TestDrainOfLongJobsFollowsWhatRuns(t *testing.T) {
	t.Parallel()
	p := drainOnly()
	o := waiting(0, 15)
	o.Fleet.StartDelay = 20 * time.Second
	o.Fleet.Workers = []scale.Workers{{Count: 15, Slots: 1, Busy: 1}}
	o.Queues[0].Running, o.Queues[0].Held = 15, time.Second
	o.Queues[0].Windows = steadily(15, time.Second, time.Minute)
	if a := drained(t, p, o); a.Replicas != 19 { // 15 + √15
		t.Errorf("%d replicas for jobs of 1 s", a.Replicas)
	}
	o.Queues[0].Windows = steadily(0.05, 5*time.Minute, 20*time.Minute)
	// 15 each stay with a chance of e^(-20/300): 15 + √1.87.
	if a := drained(t, p, o); a.Replicas != 17 {
		t.Errorf("%d replicas for jobs of 300 s: %v", a.Replicas, a.Terms)
	}
	o.Queues[0].Running = 5
	if a := drained(t, p, o); a.Replicas > 8 {
		t.Errorf("%d replicas when 5 run", a.Replicas)
	}
}
