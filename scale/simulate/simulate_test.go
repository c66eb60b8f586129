package simulate_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/simulate"
)

// ours is the policy of the published figures.
func ours(t testing.TB) simulate.Leat {
	t.Helper()
	text, err := os.ReadFile("testdata/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := scale.ParsePolicy(text, scale.Default())
	if err != nil {
		t.Fatal(err)
	}
	return simulate.Leat{Policy: p}
}

func run(t testing.TB, l *simulate.Load, rules simulate.Rules, o simulate.Options) *simulate.Result {
	t.Helper()
	r, err := simulate.Run(t.Context(), l, rules, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// small is a load of a few jobs for replicas that take exactly so long to start.
func small(start time.Duration, jobs ...simulate.Job) *simulate.Load {
	return &simulate.Load{Name: "small", Jobs: jobs, For: 10 * time.Minute, Slots: 1, StartMean: start, Backoff: simulate.DefaultBackoff()}
}

// pinned is a policy of ours that keeps so many replicas.
func pinned(n int) simulate.Leat {
	p := scale.Policy{Min: n, Max: n, Slots: 1}
	return simulate.Leat{Policy: p}
}

// By hand: two jobs of 4 s at once on one replica of one slot; one waits for 4 s.
func TestByHand(t *testing.T) {
	t.Parallel()
	l := small(time.Second, simulate.Job{At: 10 * time.Second, Service: 4 * time.Second}, simulate.Job{At: 10 * time.Second, Service: 4 * time.Second})
	l.Initial, l.For = 1, 36*time.Second
	r := run(t, l, pinned(1), simulate.Options{Target: 3 * time.Second, Points: 36})
	want := &simulate.Result{
		Load: "small", Scaler: "leat", Arrived: 2, Succeeded: 2,
		WaitP50: 0, WaitP95: 4, WaitP99: 4, WaitMax: 4, Missed: 0.5, PodHours: 0.01,
	}
	series := r.Series
	r.Series = nil
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	if len(series) != 37 || series[12].Waiting != 1 || series[12].Running != 1 || series[12].Wait != 2 || series[15].Running != 1 || series[19].Running != 0 {
		t.Errorf("over time: %+v", series)
	}
}

// By hand: KEDA with nothing running, one job waiting. It sees the job at its next poll and sets one
// replica, which starts in 20 s.
func TestKEDAFromZeroByHand(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		l := small(20*time.Second, simulate.Job{At: time.Minute, Service: time.Second})
		l.Seed = seed
		r := run(t, l, simulate.KEDA{}, simulate.Options{})
		if r.WaitMax < 20 || r.WaitMax > 50 {
			t.Errorf("seed %d: waited for %v s, want 20 s and up to a polling interval of 30 s", seed, r.WaitMax)
		}
	}
}

// What arrived is somewhere, whatever the load and the rules.
func TestConservation(t *testing.T) {
	t.Parallel()
	policy := ours(t)
	rapid.Check(t, func(rt *rapid.T) {
		l := small(time.Duration(rapid.IntRange(1, 60).Draw(rt, "start"))*time.Second, drawJobs(rt)...)
		l.Slots, l.Initial = rapid.IntRange(1, 4).Draw(rt, "slots"), rapid.IntRange(0, 5).Draw(rt, "initial")
		l.Seed = rapid.Uint64().Draw(rt, "seed")
		if rapid.Bool().Draw(rt, "fails") {
			l.FailureRatio = func(time.Duration) float64 { return 0.5 }
		}
		rules := rapid.SampledFrom([]simulate.Rules{policy, simulate.KEDA{}, simulate.KEDA{Active: true}, simulate.HPA{}}).Draw(rt, "rules")
		r := run(t, l, rules, simulate.Options{Grace: time.Second, Points: 10})
		if sum := r.Succeeded + r.Failed + r.Running + r.Waiting + r.Later; sum != r.Arrived || r.Arrived != len(l.Jobs) {
			rt.Fatalf("%d of %d jobs arrived, and %d are somewhere: %+v", r.Arrived, len(l.Jobs), sum, r)
		}
		if r.WaitP50 < 0 || r.WaitMax > l.For.Seconds() || r.Missed < 0 || r.Missed > 1 || r.PodHours < 0 {
			rt.Fatalf("makes no sense: %+v", r)
		}
		if _, leat := rules.(simulate.Leat); leat && r.Interrupted > 0 {
			rt.Fatalf("Leat interrupted %d jobs", r.Interrupted)
		}
	})
}

func drawJobs(t *rapid.T) []simulate.Job {
	var jobs []simulate.Job
	at := time.Duration(0)
	for range rapid.IntRange(0, 200).Draw(t, "jobs") {
		at += time.Duration(rapid.IntRange(0, 3000).Draw(t, "gap")) * time.Millisecond
		jobs = append(jobs, simulate.Job{
			At: min(at, 10*time.Minute), Service: time.Duration(rapid.IntRange(1, 100_000).Draw(t, "takes")) * time.Millisecond,
			Queue: rapid.SampledFrom([]string{"", "other"}).Draw(t, "queue"),
		})
	}
	return jobs
}

// The same seed gives the same, another one something else.
func TestDeterminism(t *testing.T) {
	t.Parallel()
	for _, rules := range []simulate.Rules{ours(t), simulate.KEDA{}, simulate.HPA{}} {
		shape := shapes(t)["spike"]
		o := simulate.Options{Points: 100}
		a, b := run(t, shape.Load(7), rules, o), run(t, shape.Load(7), rules, o)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s: %s", rules.Name(), diff)
		}
		if c := run(t, shape.Load(8), rules, o); c.PodHours == a.PodHours {
			t.Errorf("%s: another seed comes to the same", rules.Name())
		}
	}
}

func shapes(t *testing.T) map[string]simulate.Shape {
	t.Helper()
	m := make(map[string]simulate.Shape)
	for _, s := range simulate.Shapes() {
		m[s.Name] = s
	}
	return m
}

// A worker that is told to end has a while for what it runs, which is then interrupted and begins anew:
// by an HPA that sees only what waits, at the end of its window of five minutes.
func TestRivalsInterruptLongJobs(t *testing.T) {
	t.Parallel()
	l := small(time.Second)
	for range 4 {
		l.Jobs = append(l.Jobs, simulate.Job{At: 0, Service: 30 * time.Minute})
	}
	l.Initial, l.For = 4, 20*time.Minute
	r := run(t, l, simulate.HPA{Pending: true}, simulate.Options{})
	if r.Interrupted < 3 || r.Succeeded != 0 {
		t.Errorf("%d interrupted, %d done; want all but one interrupted", r.Interrupted, r.Succeeded)
	}
	if r := run(t, l, simulate.HPA{}, simulate.Options{}); r.Interrupted != 0 {
		t.Errorf("%d interrupted although those that run count", r.Interrupted)
	}
	if r := run(t, l, ours(t), simulate.Options{}); r.Interrupted != 0 {
		t.Errorf("Leat interrupted %d", r.Interrupted)
	}
}

// A budget interrupts in the end, and only then.
func TestBudgetInterrupts(t *testing.T) {
	t.Parallel()
	l := small(time.Second, simulate.Job{Service: 5 * time.Hour}, simulate.Job{Service: 5 * time.Hour})
	l.Initial, l.For = 2, time.Hour
	p := scale.Policy{Max: 2, Slots: 1, Budget: &scale.Budget{Hours: 1.5, Period: scale.PerDay}}
	if r := run(t, l, simulate.Leat{Policy: p}, simulate.Options{}); r.Interrupted == 0 || r.PodHours > 1.6 {
		t.Errorf("%d interrupted, %v replica-hours; the budget is 1.5", r.Interrupted, r.PodHours)
	}
}

func TestLoadsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*simulate.Load){
		"no time":  func(l *simulate.Load) { l.For = 0 },
		"no slots": func(l *simulate.Load) { l.Slots = 0 },
		"no start": func(l *simulate.Load) { l.StartMean = 0 },
		"disorder": func(l *simulate.Load) { l.Jobs = []simulate.Job{{At: time.Second}, {}} },
	} {
		l := small(time.Second)
		change(l)
		if _, err := simulate.Run(t.Context(), l, pinned(1), simulate.Options{}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := simulate.Run(ctx, small(time.Second), pinned(1), simulate.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: %v", err)
	}
}
