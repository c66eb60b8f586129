package scale_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/scale"
)

var noon = time.Date(2030, 6, 3, 12, 0, 0, 0, time.UTC)

// depthOnly is a policy that asks for a replica for ten jobs, and shrinks at once.
func depthOnly() scale.Policy {
	return scale.Policy{Min: 0, Max: 20, Slots: 10, Depth: &scale.Depth{JobsPerReplica: 10}}
}

// waiting is an observation of so many jobs waiting, and of a fleet of idle workers of ten slots.
func waiting(jobs, replicas int) scale.Observation {
	o := scale.Observation{At: noon, Queues: []scale.Queue{{Name: "default", Ready: jobs}}, Fleet: scale.Fleet{Replicas: replicas}}
	if replicas > 0 {
		o.Fleet.Workers = []scale.Workers{{Count: replicas, Slots: 10}}
	}
	return o
}

func decided(t *testing.T, p scale.Policy, o scale.Observation, h scale.History, replicas int, bound scale.Rule) scale.Decision {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	d := scale.Decide(p, o, h)
	if d.Replicas != replicas || d.Bound != bound {
		t.Errorf("%d replicas by %s, want %d by %s: %s\nanswers: %+v\nsteps: %+v", d.Replicas, d.Bound, replicas, bound, d.Why, d.Answers, d.Steps)
	}
	if d.Why == "" {
		t.Error("the decision does not say why")
	}
	return d
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		jobs, replicas, want int
		bound                scale.Rule
	}{
		{0, 0, 0, scale.RuleNone},
		{1, 0, 1, scale.RuleDepth},
		{10, 0, 1, scale.RuleDepth},
		{11, 0, 2, scale.RuleDepth},
		{95, 3, 10, scale.RuleDepth},
		{500, 0, 20, scale.RuleMax},
		{50, 10, 5, scale.RuleDepth},
	} {
		decided(t, depthOnly(), waiting(c.jobs, c.replicas), scale.History{}, c.want, c.bound)
	}
}

// A tolerance keeps what is nearly right.
func TestDepthTolerance(t *testing.T) {
	t.Parallel()
	p := depthOnly()
	p.Depth.Tolerance = 0.1
	decided(t, p, waiting(109, 10), scale.History{}, 10, scale.RuleDepth)
	decided(t, p, waiting(111, 10), scale.History{}, 12, scale.RuleDepth)
	decided(t, p, waiting(91, 10), scale.History{}, 10, scale.RuleDepth)
	decided(t, p, waiting(89, 10), scale.History{}, 9, scale.RuleDepth)
}

// TestP8BlindHolds: what cannot be seen changes nothing, and above all does not make it none.
func TestP8BlindHolds(t *testing.T) {
	t.Parallel()
	o := scale.Observation{At: noon, Blind: "the store does not answer", Fleet: scale.Fleet{Replicas: 7}}
	d := decided(t, scale.Default(), o, scale.History{}, 7, scale.RuleBlind)
	if !strings.Contains(d.Why, o.Blind) {
		t.Errorf("%q does not say what is wrong", d.Why)
	}
	after := scale.History{}.After(scale.Default(), o, d, d.Current)
	if len(after.Asked) != 0 {
		t.Errorf("what was not asked for is remembered: %+v", after.Asked)
	}
}

func TestOperator(t *testing.T) {
	t.Parallel()
	pin := 3
	o := waiting(100, 1)
	o.Command = scale.Command{Pin: &pin, Until: noon.Add(time.Second), Paused: true}
	decided(t, depthOnly(), o, scale.History{}, 3, scale.RulePin)
	o.At = noon.Add(time.Second) // the pin has ended
	decided(t, depthOnly(), o, scale.History{}, 1, scale.RulePaused)
	many := 50
	o.Command = scale.Command{Pin: &many, Until: o.At.Add(time.Hour)}
	decided(t, depthOnly(), o, scale.History{}, 20, scale.RuleMax)
	o.Command.Pin, o.Blind = &pin, "the queues cannot be seen"
	decided(t, depthOnly(), o, scale.History{}, 3, scale.RulePin)
}

// A paused queue's jobs wait for nobody; those that run go on.
func TestPausedQueue(t *testing.T) {
	t.Parallel()
	o := waiting(100, 2)
	o.Queues[0].Paused = true
	decided(t, depthOnly(), o, scale.History{}, 0, scale.RuleNone)
	o.Queues[0].Running = 3
	decided(t, depthOnly(), o, scale.History{}, 1, scale.RuleDepth)
}

// TestP8NeverSleepsOnWork: the last replica stays while there is work, or will be soon.
func TestP8NeverSleepsOnWork(t *testing.T) {
	t.Parallel()
	p := scale.Policy{Min: 0, Max: 5, Slots: 10, Due: &scale.LookAhead{Keep: time.Minute}}
	decided(t, p, waiting(1, 0), scale.History{}, 1, scale.RuleAwake)
	o := waiting(0, 1)
	o.Queues[0].Due = []scale.Due{{In: time.Minute, Jobs: 1}}
	decided(t, p, o, scale.History{}, 1, scale.RuleDue)
	o.Queues[0].Due = []scale.Due{{In: 5 * time.Minute, Jobs: 1}}
	decided(t, p, o, scale.History{}, 0, scale.RuleNone)
}

// Jobs that fall due before a new replica would be there are asked for at once.
func TestDuePrewarms(t *testing.T) {
	t.Parallel()
	p := depthOnly()
	p.Due = &scale.LookAhead{Keep: time.Minute}
	o := waiting(0, 0)
	o.Fleet.StartDelay = 20 * time.Second
	o.Queues[0].Due = []scale.Due{{In: 20 * time.Second, Jobs: 70}, {In: time.Minute, Jobs: 100}}
	decided(t, p, o, scale.History{}, 7, scale.RuleDue)
}

// As far as may be kept, jobs are counted.
func TestDueKeepsAsFarAsIsSeen(t *testing.T) {
	t.Parallel()
	p := scale.Policy{Max: 5, Slots: 10, Due: &scale.LookAhead{Keep: 5 * time.Minute}}
	o := waiting(0, 1)
	o.Queues[0].Due = []scale.Due{{In: 5 * time.Minute, Jobs: 1}}
	decided(t, p, o, scale.History{}, 1, scale.RuleDue)
}

// window is one minute of so many ends, each of which took a while.
func window(arrived, ended int, took time.Duration) []scale.Window {
	return []scale.Window{{Span: time.Minute, Arrived: arrived, Succeeded: ended, Busy: time.Duration(ended) * took}}
}

// What arrives is kept up with by the square-root rule: load and a margin.
func TestDrainKeepsUp(t *testing.T) {
	t.Parallel()
	p := scale.Policy{Max: 100, Slots: 10, Drain: &scale.Drain{Target: 30 * time.Second, Headroom: 1}}
	o := waiting(0, 50)
	o.Queues[0].Windows = window(6000, 6000, time.Second)  // 100 a second, one second each: load 100
	decided(t, p, o, scale.History{}, 11, scale.RuleDrain) // (100 + √100) / 10
}

// What waits is worked off within the target; replicas that start are counted, so that nobody asks
// for them twice; and there are never more slots than jobs.
func TestDrainInTime(t *testing.T) {
	t.Parallel()
	p := scale.Policy{Max: 1000, Slots: 10, Drain: &scale.Drain{Target: 40 * time.Second}}
	o := waiting(3000, 0)
	o.Fleet.StartDelay = 20 * time.Second
	o.Queues[0].Windows = window(1, 1000, 2*time.Second)
	// In the 20 s that are left once new replicas are there a slot begins 11 jobs of 2 s: 273 slots.
	d := decided(t, p, o, scale.History{}, 28, scale.RuleDrain)
	o.Fleet.Replicas = d.Replicas
	o.Fleet.Starting = []scale.Starting{{For: 2 * time.Second, Replicas: d.Replicas}}
	again := scale.Decide(p, o, scale.History{})
	if again.Replicas > d.Replicas {
		t.Errorf("%d replicas are starting, and %d are asked for", d.Replicas, again.Replicas)
	}
	few := waiting(12, 0)
	few.Queues[0].Windows = window(0, 100, time.Hour)
	decided(t, p, few, scale.History{}, 2, scale.RuleDrain)
}

// More workers for what fails anyway would fail faster.
func TestBrakeOnFailures(t *testing.T) {
	t.Parallel()
	p := depthOnly()
	p.Brakes.FailureRatio = 0.5
	o := waiting(200, 3)
	o.Queues[0].Windows = []scale.Window{{Span: time.Minute, Succeeded: 10, Failed: 5, Retried: 6}}
	d := decided(t, p, o, scale.History{}, 3, scale.RuleBrake)
	if !strings.Contains(d.Braked, "11 of 21") {
		t.Errorf("%q does not say how many failed", d.Braked)
	}
	o.Queues[0].Windows[0].Succeeded = 12
	decided(t, p, o, scale.History{}, 20, scale.RuleDepth)
	o.Queues[0].Windows[0] = scale.Window{Span: time.Minute, Failed: 19}
	decided(t, p, o, scale.History{}, 20, scale.RuleDepth) // too few to tell
	o = waiting(200, 0)
	o.Queues[0].Windows = []scale.Window{{Span: time.Minute, Failed: 50}}
	decided(t, p, o, scale.History{}, 1, scale.RuleBrake) // one must be there, or nothing would ever succeed
}

// Replicas that bring no throughput are the last that are added, until it is tried again.
func TestBrakeOnFutility(t *testing.T) {
	t.Parallel()
	p := scale.Policy{Max: 100, Slots: 10, Depth: &scale.Depth{JobsPerReplica: 10}, Brakes: scale.Brakes{Futility: time.Minute}}
	h := scale.History{}
	at := noon
	// run lets the fleet of that size end so many jobs a second for a while.
	run := func(replicas, perSecond int, d time.Duration) (last scale.Decision) {
		for end := at.Add(d); at.Before(end); at = at.Add(2 * time.Second) {
			o := waiting(100_000, replicas)
			o.At = at
			o.Fleet.Workers[0].Busy = 10
			o.Queues[0].Windows = []scale.Window{{Span: 20 * time.Second, Succeeded: 20 * perSecond}}
			last = scale.Decide(p, o, h)
			h = h.After(p, o, last, last.Current)
		}
		return last
	}
	if d := run(4, 40, 2*time.Minute); d.Braked != "" {
		t.Fatalf("braked without a comparison: %s", d.Braked)
	}
	if d := run(8, 78, 2*time.Minute); d.Braked != "" {
		t.Fatalf("braked although twice the workers did twice as much: %s", d.Braked)
	}
	d := run(16, 80, 2*time.Minute)
	if d.Braked == "" || d.Replicas != 16 || d.Bound != scale.RuleBrake {
		t.Fatalf("%d by %s: twice the workers do no more, and growing goes on", d.Replicas, d.Bound)
	}
	if d := run(16, 80, 10*time.Minute); d.Braked != "" {
		t.Errorf("never tried again: %s", d.Braked)
	}
}

func TestBoundsAndBehavior(t *testing.T) {
	t.Parallel()
	p := depthOnly()
	p.Min = 2
	decided(t, p, waiting(0, 3), scale.History{}, 2, scale.RuleMin)
	p.Behavior = scale.DefaultBehavior()
	h := scale.History{Asked: []scale.Asked{{At: noon.Add(-4 * time.Minute), Replicas: 9}}}
	decided(t, p, waiting(0, 12), h, 9, scale.RuleStabilize)
	h.Asked[0].At = noon.Add(-6 * time.Minute)
	decided(t, p, waiting(0, 12), h, 6, scale.RuleRate)
}

// A ceiling holds at once, whatever was asked for lately.
func TestScheduleCeiling(t *testing.T) {
	t.Parallel()
	p := depthOnly()
	p.Behavior = scale.DefaultBehavior()
	most := 5
	p.Schedule = []scale.Schedule{{Start: "0 11 * * *", End: "0 13 * * *", Ceiling: &most}}
	h := scale.History{Asked: []scale.Asked{{At: noon.Add(-time.Minute), Replicas: 20}}}
	decided(t, p, waiting(200, 20), h, 5, scale.RuleSchedule)
}

// An unknown field, or a value that makes no sense, is named.
func TestParsePolicy(t *testing.T) {
	t.Parallel()
	p, err := scale.ParsePolicy([]byte("max: 50\ndrain:\n  target: 1m\ndue: null\nbehavior:\n  scale-down:\n    window: 10m\n"), scale.Default())
	if err != nil {
		t.Fatal(err)
	}
	want := scale.Default()
	want.Max, want.Drain.Target, want.Due = 50, time.Minute, nil
	want.Behavior.ScaleDown.Window = 10 * time.Minute
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	for text, field := range map[string]string{
		"maximum: 3":                       "maximum",
		"max: 0":                           "max",
		"min: 30":                          "min",
		"depth: {jobs-per-replica: 0}":     "depth.jobs-per-replica",
		"depth: {jobs-per-replica: .nan}":  "depth.jobs-per-replica",
		"drain: {target: 10ms}":            "drain.target",
		"due: {keep: 301s}":                "due.keep",
		"brakes: {failure-ratio: 2}":       "brakes.failure-ratio",
		"budget: {hours: 5, period: year}": "budget",
		"schedule: [{start: x, end: '0 0 * * *', floor: 1}]": "schedule[0]",
		"behavior: {scale-up: {window: 2h}}":                 "behavior",
	} {
		if _, err := scale.ParsePolicy([]byte(text), scale.Default()); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v, want an error that names %s", text, err, field)
		}
	}
}

// TestP9Replay: a decision made of what was written down is the same.
func TestP9Replay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, o, h := drawPolicy(t), drawObservation(t), scale.History{}
		for range rapid.IntRange(1, 5).Draw(t, "decisions") {
			d := scale.Decide(p, o, h)
			again := scale.Decide(through(t, p), through(t, o), through(t, h))
			if diff := cmp.Diff(d, again); diff != "" {
				t.Fatal(diff)
			}
			if diff := cmp.Diff(d, through(t, d)); diff != "" {
				t.Fatalf("a decision changes when it is written down: %s", diff)
			}
			told := d.Current
			if rapid.Bool().Draw(t, "applied") {
				told = d.Replicas
			}
			h = h.After(p, o, d, told)
			o.At = o.At.Add(rapid.SampledFrom([]time.Duration{2 * time.Second, time.Minute, time.Hour}).Draw(t, "later"))
		}
	})
}

// Whatever is seen, the number stays within the bounds, and the sums in a decision add up.
func TestInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, o := drawPolicy(t), drawObservation(t)
		d := scale.Decide(p, o, scale.History{})
		if d.Replicas < p.Min && d.Replicas < o.Fleet.Replicas {
			t.Fatalf("%d is below the minimum of %d", d.Replicas, p.Min)
		}
		if d.Replicas > p.Max {
			t.Fatalf("%d is above the maximum of %d", d.Replicas, p.Max)
		}
		at := d.Raw
		for _, s := range d.Steps {
			if s.From != at || s.Why == "" {
				t.Fatalf("the steps do not go from %d to %d: %+v", d.Raw, d.Replicas, d.Steps)
			}
			at = s.To
		}
		if at != d.Replicas {
			t.Fatalf("the steps end at %d, and the decision says %d", at, d.Replicas)
		}
	})
}

// through writes a value down and reads it again.
func through[T any](t *rapid.T, v T) T {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var again T
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	return again
}

func drawPolicy(t *rapid.T) scale.Policy {
	p := scale.Default()
	p.Max = rapid.IntRange(1, 50).Draw(t, "max")
	p.Min = rapid.IntRange(0, p.Max).Draw(t, "min")
	if rapid.Bool().Draw(t, "depth") {
		p.Depth = &scale.Depth{JobsPerReplica: rapid.Float64Range(0.5, 100).Draw(t, "per replica"), Tolerance: 0.1}
	}
	if rapid.Bool().Draw(t, "no drain") {
		p.Drain = nil
	}
	if rapid.Bool().Draw(t, "classic") {
		p.Behavior = scale.HPAClassic()
	}
	return p
}

func drawObservation(t *rapid.T) scale.Observation {
	o := scale.Observation{At: noon}
	n := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
	for _, name := range []string{"a", "b"} {
		o.Queues = append(o.Queues, scale.Queue{
			Name: name, Ready: n("ready", 5000), Running: n("running", 50), Paused: rapid.Bool().Draw(t, "paused"),
			Age: time.Duration(n("age", 600)) * time.Second, Held: time.Duration(n("held", 60)) * time.Second,
			Windows: []scale.Window{
				{Span: 20 * time.Second, Arrived: n("arrived", 500), Succeeded: n("succeeded", 500), Failed: n("failed", 100), Busy: time.Duration(n("busy", 500)) * time.Second},
				{Span: time.Minute, Arrived: n("arrived", 1500), Succeeded: n("succeeded", 1500), Retried: n("retried", 100), Busy: time.Duration(n("busy", 5000)) * time.Second},
			},
			Due: []scale.Due{{In: 10 * time.Second, Jobs: n("due", 100)}},
		})
	}
	idle, busy := n("idle", 20), n("busy workers", 20)
	if idle > 0 {
		o.Fleet.Workers = append(o.Fleet.Workers, scale.Workers{Count: idle, Slots: 4})
	}
	if busy > 0 {
		o.Fleet.Workers = append(o.Fleet.Workers, scale.Workers{Count: busy, Slots: 4, Busy: 2, Leaving: rapid.Bool().Draw(t, "leaving")})
	}
	o.Fleet.Replicas = idle + busy
	if starting := n("starting", 5); starting > 0 {
		o.Fleet.Starting = []scale.Starting{{For: time.Duration(n("for", 60)) * time.Second, Replicas: starting}}
		o.Fleet.Replicas += starting
	}
	return o
}

// BenchmarkDecide is of 50 queues and 1,000 workers, no two groups of them alike. It is to take less
// than a millisecond.
func BenchmarkDecide(b *testing.B) {
	p := scale.Default()
	p.Max, p.Depth = 2000, &scale.Depth{JobsPerReplica: 10}
	o := scale.Observation{At: noon, Fleet: scale.Fleet{Replicas: 1000}}
	for i := range 50 {
		o.Queues = append(o.Queues, scale.Queue{
			Name: strings.Repeat("q", i+1), Ready: 100 * i, Running: 20, Age: time.Second,
			Windows: window(100*i, 100*i, time.Second), Due: []scale.Due{{In: time.Minute, Jobs: i}},
		})
	}
	for i := range 1000 {
		o.Fleet.Workers = append(o.Fleet.Workers, scale.Workers{Count: 1, Slots: 1000, Busy: i})
	}
	h := scale.History{}
	for i := range 150 {
		h.Asked = append(h.Asked, scale.Asked{At: noon.Add(time.Duration(i-150) * 2 * time.Second), Replicas: i})
	}
	for b.Loop() {
		scale.Decide(p, o, h)
	}
}
