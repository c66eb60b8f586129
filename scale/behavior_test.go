package scale_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/scale"
)

// was is what was asked for some minutes before noon.
func was(replicas int, minutes float64) scale.Asked {
	return scale.Asked{At: noon.Add(-time.Duration(minutes * float64(time.Minute))), Replicas: replicas}
}

func windows(up, down time.Duration) scale.Behavior {
	return scale.Behavior{ScaleUp: scale.Rules{Window: up}, ScaleDown: scale.Rules{Window: down}}
}

func TestNormalizeDesiredReplicasWithBehavior(t *testing.T) {
	t.Parallel()
	const m = time.Minute
	for _, c := range []struct {
		name             string
		b                scale.Behavior
		asked            []scale.Asked
		current, desired int
		want             int
		kept             []int
	}{
		{"nothing asked for before", windows(0, 0), nil, 100, 5, 5, []int{5}},
		{"down", windows(0, 3*m), []scale.Asked{was(4, 2), was(5, 1)}, 100, 3, 5, []int{5, 3}},
		{"up", windows(5*m, 0), []scale.Asked{was(4, 2), was(5, 1)}, 1, 7, 4, []int{4, 5, 7}},
		{"down, no window", windows(5*m, 0), []scale.Asked{was(1, 2), was(2, 1)}, 100, 3, 3, []int{1, 2, 3}},
		{"up, no window", windows(0, 5*m), []scale.Asked{was(4, 2), was(5, 1)}, 1, 3, 3, []int{5, 3}},
		{"down, all too old", windows(0, 0), []scale.Asked{was(10, 10), was(9, 9)}, 100, 3, 3, []int{3}},
		{"up, all too old", windows(0, 0), []scale.Asked{was(10, 10), was(9, 9)}, 1, 100, 100, []int{100}},
		{"down, some too old", windows(0, 3*m), []scale.Asked{was(10, 10), was(4, 1), was(5, 2), was(9, 9)}, 100, 3, 5, []int{5, 4, 3}},
		{"up, some too old", windows(5*m, 0), []scale.Asked{was(10, 100), was(6, 1), was(5, 2), was(9, 3)}, 1, 100, 5, []int{5, 6, 100}},
		{"no growth when less is asked for", windows(5*m, 5*m), []scale.Asked{was(2, 100), was(3, 3)}, 2, 1, 2, []int{3, 1}},
		{"no shrinking when more is", windows(5*m, 5*m), []scale.Asked{was(2, 100), was(1, 3)}, 2, 3, 2, []int{1, 3}},

		{"TestScaleDownStabilizeInitialSize", ofKubernetes(), []scale.Asked{was(5, 0)}, 5, 3, 5, []int{5, 3}},
		{"TestScaleDownWithScalingRules", ofKubernetes(), nil, 5, 3, 3, []int{3}},
		{"the window's end is outside", windows(0, 5*m), []scale.Asked{was(9, 5)}, 9, 3, 3, []int{3}},
		{"one that was repeated is kept once", windows(0, 5*m), []scale.Asked{was(9, 4), was(9, 3), was(9, 2)}, 9, 9, 9, []int{9}},
		{"the windows' first sight", windows(5*m, 0), []scale.Asked{was(2, 0)}, 2, 9, 2, []int{2, 9}},
	} {
		got, steps := c.b.Normalize(noon, c.current, c.desired, 0, 1000, c.asked, nil)
		if got != c.want {
			t.Errorf("%s: %d, want %d: %+v", c.name, got, c.want, steps)
		}
		if len(steps) > 0 && steps[0].Rule != scale.RuleStabilize {
			t.Errorf("%s: a step by %s", c.name, steps[0].Rule)
		}
		given := slices.Clone(c.asked)
		var kept []int
		for _, a := range c.b.Remember(noon, c.asked, c.desired) {
			kept = append(kept, a.Replicas)
		}
		if diff := cmp.Diff(c.kept, kept); diff != "" {
			t.Errorf("%s: kept (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(given, c.asked); diff != "" {
			t.Errorf("%s: changed what it was given:\n%s", c.name, diff)
		}
	}
}

func TestReasonsOfWindowsAndBounds(t *testing.T) {
	t.Parallel()
	const m = time.Minute
	for _, c := range []struct {
		b                scale.Behavior
		current, desired int
		asked            []scale.Asked
		want             []string
	}{
		{windows(0, 5*m), 9, 3, []scale.Asked{was(5, 3+1./3)}, []string{"5 were asked for 3m20s ago, within the window of 5m0s."}},
		{windows(0, 5*m), 9, 3, []scale.Asked{was(12, 1)}, []string{"12 were asked for 1m0s ago, within the window of 5m0s."}},
		{windows(5*m, 0), 2, 9, []scale.Asked{was(4, 1)}, []string{"4 were asked for 1m0s ago, within the window of 5m0s."}},
		{windows(5*m, 0), 2, 9, []scale.Asked{was(1, 1)}, []string{"1 was asked for 1m0s ago, within the window of 5m0s."}},
		{windows(0, 0), 30, 40, nil, []string{"There are 30, and the most is 20."}},
		{windows(0, 0), 0, 40, nil, []string{"There are 0, and the fewest is 2."}},
		{windows(0, 0), 3, 40, nil, []string{"The most is 20."}},
		{windows(0, 0), 3, 0, nil, []string{"The fewest is 2."}},
		{windows(5*m, 0), 3, 50, []scale.Asked{was(40, 1)}, []string{"40 were asked for 1m0s ago, within the window of 5m0s.", "The most is 20."}},
		{windows(0, 0), 3, 3, nil, nil},
	} {
		_, steps := c.b.Normalize(noon, c.current, c.desired, 2, 20, c.asked, nil)
		if diff := cmp.Diff(c.want, whys(steps)); diff != "" {
			t.Errorf("from %d to %d (-want +got):\n%s", c.current, c.desired, diff)
		}
	}
}

func TestBehaviorCheck(t *testing.T) {
	t.Parallel()
	good := []scale.Behavior{{}, scale.DefaultBehavior(), scale.HPAClassic(), ofKubernetes()}
	for _, b := range good {
		if err := b.Check(); err != nil {
			t.Errorf("%+v: %v", b, err)
		}
	}
	rate := func(r scale.Rate) scale.Behavior {
		return scale.Behavior{ScaleDown: scale.Rules{Policies: []scale.Rate{{scale.Pods, 1, time.Second}, r}}}
	}
	for want, b := range map[string]scale.Behavior{
		"scale-up.window":               windows(time.Hour+1, 0),
		"scale-down.window":             windows(0, -1),
		"scale-up.select":               {ScaleUp: scale.Rules{Select: "max"}},
		"scale-down.policies[1].type":   rate(scale.Rate{Type: "pods", Value: 1, Period: time.Minute}),
		"scale-down.policies[1].value":  rate(scale.Rate{Type: scale.Percent, Period: time.Minute}),
		"scale-down.policies[1].period": rate(scale.Rate{Type: scale.Percent, Value: 1, Period: 31 * time.Minute}),
	} {
		if err := b.Check(); err == nil || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// anyRules draws rules that pass Check.
func anyRules(t *rapid.T, name string) scale.Rules {
	rate := rapid.Custom(func(t *rapid.T) scale.Rate {
		return scale.Rate{
			Type:   rapid.SampledFrom([]scale.RateType{scale.Pods, scale.Percent}).Draw(t, "type"),
			Value:  rapid.IntRange(1, 300).Draw(t, "value"),
			Period: time.Duration(rapid.IntRange(1, 90).Draw(t, "period")) * time.Second,
		}
	})
	return scale.Rules{
		Window:   time.Duration(rapid.IntRange(0, 90).Draw(t, name+" window")) * time.Second,
		Policies: rapid.SliceOfN(rate, 0, 3).Draw(t, name+" policies"),
		Select:   rapid.SampledFrom([]scale.Select{"", scale.SelectMax, scale.SelectMin, scale.SelectDisabled}).Draw(t, name+" select"),
	}
}

// plainly is Kubernetes' way with everything that was ever asked for and changed at hand.
func plainly(b scale.Behavior, at time.Time, current, desired int, asked []scale.Asked) int {
	up, down := desired, desired
	for _, a := range asked {
		if a.At.After(at.Add(-b.ScaleUp.Window)) {
			up = min(up, a.Replicas)
		}
		if a.At.After(at.Add(-b.ScaleDown.Window)) {
			down = max(down, a.Replicas)
		}
	}
	return min(max(current, up), down)
}

// What is forgotten is never missed: over any run the results are those of a full history.
func TestMemoryIsEnough(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := scale.Behavior{ScaleUp: anyRules(t, "up"), ScaleDown: anyRules(t, "down")}
		lowest := rapid.IntRange(0, 3).Draw(t, "min")
		highest := rapid.IntRange(lowest+1, 30).Draw(t, "max")
		at, current := noon, rapid.IntRange(lowest, highest).Draw(t, "first")
		asked := []scale.Asked{{At: at, Replicas: current}}
		allAsked := slices.Clone(asked)
		var changes, allChanges []scale.Change
		for range rapid.IntRange(1, 80).Draw(t, "ticks") {
			at = at.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "s")) * time.Second)
			desired := rapid.IntRange(0, 40).Draw(t, "desired")

			got, steps := b.Normalize(at, current, desired, lowest, highest, asked, changes)
			want, _ := b.Normalize(at, current, desired, lowest, highest, allAsked, allChanges)
			if got != want {
				t.Fatalf("%d, with all of the past %d: %v, %v", got, want, asked, changes)
			}
			list := rules(t, desired, got, steps)
			stable := desired
			if len(list) > 0 && list[0] == scale.RuleStabilize {
				stable = steps[0].To
			}
			if want := plainly(b, at, current, desired, allAsked); stable != want {
				t.Fatalf("stabilized to %d, want %d", stable, want)
			}
			if got < lowest || got > highest || got > max(current, stable) || got < min(current, stable, highest) {
				t.Fatalf("from %d by %d to %d", current, stable, got)
			}

			asked, allAsked = b.Remember(at, asked, desired), append(allAsked, scale.Asked{At: at, Replicas: desired})
			if got != current {
				c := scale.Change{At: at, By: got - current}
				changes, allChanges = append(changes, c), append(allChanges, c)
			}
			changes, current = b.Forget(at, changes), got
			if n := len(asked); asked[n-1] != (scale.Asked{At: at, Replicas: desired}) {
				t.Fatalf("the latest is not remembered: %v", asked)
			}
		}
	})
}

func TestMemoryIsSmall(t *testing.T) {
	t.Parallel()
	b := windows(time.Hour, time.Hour)
	var asked []scale.Asked
	for i := range 10_000 {
		asked = b.Remember(noon.Add(time.Duration(i)*2*time.Second), asked, i*7919%20)
	}
	if len(asked) > 40 { // 20 numbers, as the least and as the most
		t.Errorf("%d entries", len(asked))
	}
}

func TestClockThatIsAhead(t *testing.T) {
	t.Parallel()
	b := ofKubernetes()
	later := noon.AddDate(1, 0, 0)
	asked := b.Remember(noon, []scale.Asked{{At: later, Replicas: 9}}, 3)
	changes := b.Forget(noon, []scale.Change{{At: later, By: 9}})
	if !asked[0].At.Equal(noon) || !changes[0].At.Equal(noon) {
		t.Errorf("kept for a year: %v, %v", asked, changes)
	}
	if asked[0].Replicas != 9 || changes[0].By != 9 {
		t.Errorf("lost: %v, %v", asked, changes)
	}
}

// What a policy file can say and a history can hold gives a number within the bounds.
func FuzzNormalize(f *testing.F) {
	f.Add(10, 50, 1, 1000, 4, 15, 100, 15, 0, 300, 5, -3)
	f.Add(0, 1<<40, 0, 1, 1<<30, 1800, 1<<30, 1, 3600, 0, -1<<31, 1<<31)
	f.Fuzz(func(t *testing.T, current, desired, lowest, highest, pods, podsPeriod, percent, percentPeriod, up, down, asked, by int) {
		s := func(n int) time.Duration { return time.Duration(n) * time.Second }
		r := func(window int) scale.Rules { return ruled(pods, s(podsPeriod), percent, s(percentPeriod), s(window)) }
		b := scale.Behavior{ScaleUp: r(up), ScaleDown: least(r(down))}
		if b.Check() != nil || lowest < 0 || lowest > highest || current < 0 {
			return
		}
		got, steps := b.Normalize(noon, current, desired, lowest, highest,
			[]scale.Asked{{At: noon.Add(-time.Second), Replicas: asked}}, []scale.Change{{At: noon.Add(-time.Second), By: by}})
		if got < lowest || got > highest {
			t.Errorf("%d: %+v", got, steps)
		}
		if last := fmt.Sprint(steps); len(steps) > 0 && steps[len(steps)-1].To != got || len(steps) == 0 && got != desired {
			t.Errorf("%d: %s", got, last)
		}
	})
}
