package scale_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/scale"
)

func TestConvertDesiredReplicasWithRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		current, desired, lowest, highest int
		want                              int
		by                                scale.Rule
	}{
		{5, 7, 3, 8, 7, ""},
		{3, 1, 2, 8, 2, scale.RuleMin},
		{1, 0, 0, 10, 0, ""},
		{20, 1000, 1, 10, 10, scale.RuleMax},
		{3, 1000, 1, 2000, 6, scale.RuleRate},
		{1, 1000, 1, 2000, 4, scale.RuleRate},
		{0, 1000, 0, 2000, 4, scale.RuleRate},
		{3, 21, 2, 5, 5, scale.RuleMax}, // TestMaxReplicas
	} {
		got, steps := scale.Classic{}.Normalize(noon, c.current, c.desired, c.lowest, c.highest, nil, nil)
		var by scale.Rule
		if len(steps) > 0 {
			by = steps[len(steps)-1].Rule
		}
		if got != c.want || by != c.by {
			t.Errorf("%+v: %d by %q: %+v", c, got, by, steps)
		}
	}
}

func TestNormalizeDesiredReplicas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		asked   []scale.Asked
		current int
		desired int
		want    int
		kept    []int
	}{
		{"empty log", nil, 9, 5, 5, []int{5}},
		{"stabilize", []scale.Asked{was(4, 2), was(5, 1)}, 9, 3, 5, []int{5, 3}},
		{"no stabilize", []scale.Asked{was(1, 2), was(2, 1)}, 9, 3, 3, []int{1, 2, 3}},
		{"no stabilize, old", []scale.Asked{was(10, 10), was(9, 9)}, 9, 3, 3, []int{3}},
		{"stabilize, old", []scale.Asked{was(10, 10), was(4, 1), was(5, 2), was(9, 9)}, 9, 3, 5, []int{5, 4, 3}},
		{"TestStabilizeDownscale", []scale.Asked{was(10, 10), was(4, 1)}, 4, 2, 4, []int{4, 2}},
		{"the window's end is inside", []scale.Asked{was(8, 5)}, 9, 3, 8, []int{8, 3}},
	} {
		got, steps := scale.Classic{}.Normalize(noon, c.current, c.desired, 1, 100, c.asked, nil)
		if got != c.want {
			t.Errorf("%s: %d, want %d: %+v", c.name, got, c.want, steps)
		}
		var kept []int
		for _, a := range (scale.Classic{}).Remember(noon, c.asked, c.desired) {
			kept = append(kept, a.Replicas)
		}
		if diff := cmp.Diff(c.kept, kept); diff != "" {
			t.Errorf("%s: kept (-want +got):\n%s", c.name, diff)
		}
	}
	if kept := (scale.Classic{}).Forget(noon, []scale.Change{{At: noon, By: 1}}); kept != nil {
		t.Errorf("kept changes: %v", kept)
	}
}

func TestClassicDoublesAndThenWaitsFiveMinutes(t *testing.T) {
	t.Parallel()
	var c scale.Classic
	at, current := noon, 1
	asked := []scale.Asked{{At: at, Replicas: 1}}
	tick := func(desired int) int {
		current, _ = c.Normalize(at, current, desired, 1, 50, asked, nil)
		asked = c.Remember(at, asked, desired)
		at = at.Add(15 * time.Second)
		return current
	}
	var got []int
	for range 6 {
		got = append(got, tick(50))
	}
	if diff := cmp.Diff([]int{4, 8, 16, 32, 50, 50}, got); diff != "" {
		t.Error(diff)
	}
	ticks := 0
	for tick(1) == 50 {
		ticks++
	}
	if current != 1 || ticks != 20 { // the last of them looks back to the last 50 exactly
		t.Errorf("down to %d after %d ticks", current, ticks)
	}
}

func TestZeroReplicas(t *testing.T) {
	t.Parallel()
	if !scale.HPADisabled(0, 3) || scale.HPADisabled(0, 0) || scale.HPADisabled(1, 3) {
		t.Error("an autoscaler is disabled at 0, unless its minimum is 0")
	}
	if got, _ := scale.DefaultBehavior().Normalize(noon, 0, 5, 3, 10, nil, nil); got != 3 {
		t.Errorf("ours leaves 0 for %d", got)
	}
}

func TestAverageValue(t *testing.T) {
	t.Parallel()
	const tenth = 0.1
	for _, c := range []struct {
		name          string
		usage, target float64
		status        int
		tolerance     float64
		want          int
	}{
		{"TestScaleUpPerPodCMExternal", 8600, 2222, 3, tenth, 4},
		{"TestTolerancePerPodCMExternal", 8600, 2200, 4, tenth, 4},
		{"TestScaleDownPerPodCMExternal", 8600, 3000, 5, tenth, 3},
		{"TestReplicaCalcScaleUpPerPodCMExternal", 8600, 2150, 3, tenth, 4},
		{"TestReplicaCalcScaleDownPerPodCMExternal", 8600, 2867, 5, tenth, 3},
		{"TestReplicaCalcTolerancePerPodCMExternal", 8600, 2900, 3, tenth, 3},
		{"TestReplicaCalcConfigurableTolerancePerPodCMExternal", 8600, 2800, 3, 0.01, 4},
		{"TestExternalPerPodMetricReplicaOverflow", math.MaxInt64, 1, 1, tenth, math.MaxInt32},
		{"TestExternalPerPodMetricUsageOverflow", math.MaxInt64, math.MaxInt64, 1, tenth, 1},
		{"from none", 1, 10, 0, tenth, 1},
		{"none of none", 0, 10, 0, tenth, 0},
		{"to none", 0, 10, 4, tenth, 0},
		{"a tenth too few", 110, 10, 10, tenth, 10},
		{"more than that", 111, 10, 10, tenth, 12},
		{"a tenth too many", 90, 10, 10, tenth, 10},
		{"more than that", 89, 10, 10, tenth, 9},
		{"no tolerance", 101, 10, 10, 0, 11},
	} {
		if got := scale.AverageValue(c.usage, c.target, c.status, c.tolerance); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
