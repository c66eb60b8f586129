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

// The cases of this file, of behavior_test.go and of classic_test.go that have Kubernetes' names
// have its figures as well: pkg/controller/podautoscaler of 1.34.

// ruled is what Kubernetes makes of rules that give policies and a window: zeros leave a policy out.
func ruled(pods int, podsPeriod time.Duration, percent int, percentPeriod, window time.Duration) scale.Rules {
	r := scale.Rules{Window: window, Select: scale.SelectMax}
	if pods != 0 {
		r.Policies = append(r.Policies, scale.Rate{Type: scale.Pods, Value: pods, Period: podsPeriod})
	}
	if percent != 0 {
		r.Policies = append(r.Policies, scale.Rate{Type: scale.Percent, Value: percent, Period: percentPeriod})
	}
	return r
}

// ofKubernetes is what an empty behavior becomes.
func ofKubernetes() scale.Behavior {
	return scale.Behavior{
		ScaleUp:   ruled(4, 15*time.Second, 100, 15*time.Second, 0),
		ScaleDown: ruled(0, 0, 100, 15*time.Second, 5*time.Minute),
	}
}

// spread puts changes into the middles of equal parts of the time before noon.
func spread(span time.Duration, by ...int) []scale.Change {
	part := span / time.Duration(len(by))
	var list []scale.Change
	for i, n := range by {
		list = append(list, scale.Change{At: noon.Add(-span + part*time.Duration(i) + part/2), By: n})
	}
	return list
}

// rules lists the rules that made steps, after checking that these lead from what was asked for to
// the result.
func rules(t *rapid.T, desired, got int, steps []scale.Step) []scale.Rule {
	number := desired
	var list []scale.Rule
	for _, s := range steps {
		if s.From != number || s.To == number || !strings.HasSuffix(s.Why, ".") {
			t.Fatalf("step %+v from %d", s, number)
		}
		number, list = s.To, append(list, s.Rule)
	}
	if number != got {
		t.Fatalf("the steps lead to %d, not to %d: %+v", number, got, steps)
	}
	return list
}

func TestScalingWithRules(t *testing.T) {
	t.Parallel()
	const (
		s  = time.Second
		m  = time.Minute
		m2 = 2 * time.Minute
		m5 = 5 * time.Minute
	)
	for _, c := range []struct {
		name                           string
		current, desired, lowest, most int
		up, down                       scale.Rules
		changes                        []scale.Change
		want                           int
		by                             scale.Rule
	}{
		{"within range", 5, 7, 3, 8, scale.Rules{}, scale.Rules{}, nil, 7, ""},
		{"below min", 3, 1, 2, 8, scale.Rules{}, scale.Rules{}, nil, 2, scale.RuleMin},
		{"to zero", 1, 0, 0, 10, scale.Rules{}, scale.Rules{}, nil, 0, ""},
		{"max below the up limit", 20, 1000, 1, 10, scale.Rules{}, scale.Rules{}, nil, 10, scale.RuleMax},
		{"above max", 100, 1000, 100, 150, scale.Rules{}, scale.Rules{}, nil, 150, scale.RuleMax},
		{"up limit below max", 3, 1000, 1, 2000, ruled(0, 0, 1, m, 0), scale.Rules{}, nil, 4, scale.RuleRate},
		{"down limit above min", 1000, 3, 3, 2000, scale.Rules{}, ruled(20, m, 0, 0, 0), nil, 980, scale.RuleRate},

		{"up by default", 10, 50, 1, 1000, scale.Rules{}, scale.Rules{}, nil, 20, scale.RuleRate},
		{"up, pods above percent", 10, 500, 1, 1000, ruled(100, m, 100, m, 0), scale.Rules{}, nil, 110, scale.RuleRate},
		{"up, percent above pods", 10, 500, 1, 1000, ruled(2, m, 100, m, 0), scale.Rules{}, nil, 20, scale.RuleRate},
		{"up, many pods", 10, 50, 1, 1000, ruled(100, m, 0, 0, 0), scale.Rules{}, nil, 50, ""},
		{"up, very many pods", 10, 50, 1, 1000, ruled(10000, m, 0, 0, 0), scale.Rules{}, nil, 50, ""},
		{"up, pods limit", 10, 50, 1, 1000, ruled(30, m, 0, 0, 0), scale.Rules{}, nil, 40, scale.RuleRate},
		{"up, percent limit", 10, 50, 1, 1000, ruled(0, 0, 200, m, 0), scale.Rules{}, nil, 30, scale.RuleRate},

		{"down, pods above percent", 100, 2, 1, 1000, scale.Rules{}, ruled(20, m, 1, m, m5), nil, 80, scale.RuleRate},
		{"down, both alike", 100, 2, 1, 1000, scale.Rules{}, ruled(2, m, 1, m, m5), nil, 98, scale.RuleRate},
		{"down, many pods", 10, 0, 1, 1000, scale.Rules{}, ruled(100, m, 0, 0, m5), nil, 1, scale.RuleMin},
		{"down, all of them", 10, 2, 5, 1000, scale.Rules{}, ruled(0, 0, 100, m, m5), nil, 5, scale.RuleMin},
		{"down, pods limit", 10, 2, 1, 1000, scale.Rules{}, ruled(5, m, 0, 0, m5), nil, 5, scale.RuleRate},
		{"down, percent limit", 10, 5, 1, 1000, scale.Rules{}, ruled(0, 0, 50, m, m5), nil, 5, ""},

		{"up, many pods, events", 100, 500, 1, 200, ruled(300, m, 0, 0, 0), scale.Rules{}, spread(m2, 1, 5, 9), 200, scale.RuleMax},
		{"up, high percent, events", 100, 500, 1, 200, ruled(0, 0, 10000, m, 0), scale.Rules{}, spread(m2, 1, 5, 9), 200, scale.RuleMax},
		{"up, more done than allowed", 100, 500, 1, 1000, ruled(5, m2, 0, 0, 0), scale.Rules{}, spread(m2, 1, 5, 9), 100, scale.RuleRate},
		{"up, pods, events", 100, 500, 1, 1000, ruled(150, m2, 0, 0, 0), scale.Rules{}, spread(m2, 1, 5, 9), 235, scale.RuleRate},
		{"up, percent, events", 100, 500, 1, 1000, ruled(0, 0, 200, m2, 0), scale.Rules{}, spread(m2, 1, 5, 9), 255, scale.RuleRate},
		{
			"up, percent, both events", 6, 24, 1, 1000, ruled(0, 0, 300, 300*s, 0),
			scale.Rules{},
			slices.Concat(spread(m2, 4), spread(m2, -2)), 16, scale.RuleRate,
		},

		{"down by default, events", 10, 5, 1, 1000, scale.Rules{}, scale.Rules{}, spread(m2, -1, -5, -9), 5, ""},
		{"down, pods to min 1, events", 100, 0, 1, 1000, scale.Rules{}, ruled(115, m2, 0, 0, m5), spread(m2, -1, -5, -9), 1, scale.RuleMin},
		{"down, pods to min 5, events", 100, 0, 5, 1000, scale.Rules{}, ruled(130, m2, 0, 0, m5), spread(m2, -1, -5, -9), 5, scale.RuleMin},
		{"down, percent to min, events", 100, 2, 5, 1000, scale.Rules{}, ruled(0, 0, 100, m2, m5), spread(m2, -1, -5, -9), 5, scale.RuleMin},
		{"down, pods limit, events", 100, 2, 1, 1000, scale.Rules{}, ruled(5, m2, 0, 0, m5), spread(m2, -1, -5, -9), 100, scale.RuleRate},
		{"down, percent limit, events", 100, 0, 1, 1000, scale.Rules{}, ruled(0, 0, 50, m2, m5), spread(m2, -2, -4, -6), 56, scale.RuleRate},
		{
			"down, percent, both events", 10, 1, 1, 1000,
			scale.Rules{},
			ruled(0, 0, 50, 180*s, 0),
			slices.Concat(spread(m2, 2), spread(m2, -4)), 6, scale.RuleRate,
		},
		{"down, more done than allowed", 100, 0, 1, 1000, scale.Rules{}, ruled(0, 0, 10, m2, m5), spread(m2, -10, -10, -10), 100, scale.RuleRate},
		{"down, below zero", 10, 5, 1, 1000, scale.Rules{}, ruled(0, 0, 1000, m2, m5), spread(m2, -10, -10, -10), 5, ""},

		{"up, old events, one period", 100, 200, 1, 1000, ruled(1000, m, 0, 0, 0), scale.Rules{}, spread(m2, 8, 12, 9, 11), 200, ""},
		{"up, no old events, two periods", 100, 200, 1, 1000, ruled(1000, m2, 100, m, 0), scale.Rules{}, spread(m2, 8, 12, 9, 11), 200, ""},
		{"up, old events, two periods", 100, 200, 1, 1000, ruled(1000, 30*s, 100, m, 0), scale.Rules{}, spread(m2, 8, 12, 9, 11), 200, ""},
		{"down, old events, one period", 100, 5, 1, 1000, scale.Rules{}, ruled(1000, m, 0, 0, m5), spread(m2, -8, -12, -9, -11), 5, ""},
		{"down, no old events, two periods", 100, 5, 1, 1000, scale.Rules{}, ruled(1000, m2, 100, m, m5), spread(m2, -8, -12, -9, -11), 5, ""},
		{"down, old events, two periods", 100, 5, 1, 1000, scale.Rules{}, ruled(1000, 30*s, 100, m, m5), spread(m2, -8, -12, -9, -11), 5, ""},

		{"TestCalculateScaleUpLimitWithScalingRules", 1, 9, 1, 10, least(ruled(2, m, 50, m, m5)), scale.Rules{}, nil, 2, scale.RuleRate},
		{"TestCalculateScaleDownLimitWithBehaviors", 5, 0, 0, 10, scale.Rules{}, least(ruled(2, m, 50, m, m5)), nil, 3, scale.RuleRate},
		{"TestUpscaleCap", 3, 60, 1, 100, ruled(0, 0, 700, m, 0), scale.Rules{}, nil, 24, scale.RuleRate},
		{"TestUpscaleCapGreaterThanMaxReplicas", 3, 60, 1, 20, ruled(0, 0, 700, m, 0), scale.Rules{}, nil, 20, scale.RuleMax},
		{"TestTooFewReplicas", 2, 2, 3, 5, scale.Rules{}, scale.Rules{}, nil, 3, scale.RuleMin},
		{"TestTooManyReplicas", 10, 10, 3, 5, scale.Rules{}, scale.Rules{}, nil, 5, scale.RuleMax},
		{"TestMaxReplicas", 3, 21, 2, 5, scale.Rules{}, scale.Rules{}, nil, 5, scale.RuleMax},

		{"up by 10 % of 100", 100, 500, 1, 1000, ruled(0, 0, 10, m, 0), scale.Rules{}, nil, 111, scale.RuleRate},
		{"up by 10 % of 50", 50, 500, 1, 1000, ruled(0, 0, 10, m, 0), scale.Rules{}, nil, 56, scale.RuleRate},
		{"up by 10 % of 200", 200, 500, 1, 1000, ruled(0, 0, 10, m, 0), scale.Rules{}, nil, 221, scale.RuleRate},
		{"down by 90 % of 10", 10, 0, 0, 1000, scale.Rules{}, ruled(0, 0, 90, m, 0), nil, 0, ""},
		{"percent never leaves 0", 0, 5, 0, 1000, ruled(0, 0, 900, m, 0), scale.Rules{}, nil, 0, scale.RuleRate},
		{"the up limit is max", 10, 500, 1, 20, ruled(0, 0, 100, m, 0), scale.Rules{}, nil, 20, scale.RuleMax},
		{"the down limit is min", 10, 0, 5, 20, scale.Rules{}, ruled(0, 0, 50, m, 0), nil, 5, scale.RuleMin},
		{"growing disabled", 3, 5, 1, 10, scale.Rules{Select: scale.SelectDisabled}, scale.Rules{}, nil, 3, scale.RuleRate},
		{"shrinking disabled", 3, 2, 1, 10, scale.Rules{}, scale.Rules{Select: scale.SelectDisabled}, nil, 3, scale.RuleRate},
		{"a change a period ago is over", 10, 50, 1, 100, ruled(5, m, 0, 0, 0), scale.Rules{}, []scale.Change{{At: noon.Add(-m), By: 3}}, 15, scale.RuleRate},
		{"a change just after is not", 10, 50, 1, 100, ruled(5, m, 0, 0, 0), scale.Rules{}, []scale.Change{{At: noon.Add(-m + 1), By: 3}}, 12, scale.RuleRate},
	} {
		b := ofKubernetes()
		if c.up.Policies != nil || c.up.Select != "" {
			b.ScaleUp = c.up
		}
		if c.down.Policies != nil || c.down.Select != "" {
			b.ScaleDown = c.down
		}
		if err := b.Check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got, steps := b.Normalize(noon, c.current, c.desired, c.lowest, c.most, nil, c.changes)
		var by scale.Rule
		if len(steps) > 0 {
			by = steps[len(steps)-1].Rule
		}
		if got != c.want || by != c.by {
			t.Errorf("%s: %d by %q, want %d by %q: %+v", c.name, got, by, c.want, c.by, steps)
		}
	}
}

func least(r scale.Rules) scale.Rules {
	r.Select = scale.SelectMin
	return r
}

func TestStoreScaleEvents(t *testing.T) {
	t.Parallel()
	const m = time.Minute
	ago := func(seconds, by int) scale.Change {
		return scale.Change{At: noon.Add(-time.Duration(seconds) * time.Second), By: by}
	}
	for _, c := range []struct {
		name   string
		before []scale.Change
		rules  scale.Rules
		within int // of the last minute, before the change is stored
		after  []int
	}{
		{"none, default behavior", nil, scale.Rules{}, 0, nil},
		{"none, two policies", nil, ruled(10, m, 100, m, 0), 0, []int{5}},
		{"one that is over", []scale.Change{ago(61, 7)}, ruled(10, m, 100, m, 0), 0, []int{5}},
		{"one that counts", []scale.Change{ago(58, 7)}, ruled(10, m, 100, m, 0), 7, []int{7, 5}},
		{"two, one over", []scale.Change{ago(61, 7), ago(59, 6)}, ruled(10, m, 0, 0, 0), 6, []int{6, 5}},
		{
			"two periods",
			[]scale.Change{ago(29, 8), ago(59, 6), ago(61, 7), ago(61, 9)},
			ruled(10, m, 100, m/2, 0), 14,
			[]int{8, 6, 5},
		},
		{"two that count", []scale.Change{ago(58, 7), ago(59, 6)}, ruled(10, 2*m, 100, m/2, 0), 13, []int{7, 6, 5}},
	} {
		for _, sign := range []int{1, -1} {
			before := slices.Clone(c.before)
			for i := range before {
				before[i].By *= sign
			}
			perMinute := scale.Behavior{ScaleUp: ruled(1000, m, 0, 0, 0)}
			got, _ := perMinute.Normalize(noon, 100, 5000, 0, 10000, nil, before)
			if within := sign * (1100 - got); within != c.within {
				t.Errorf("%s: changed by %d within a minute, want %d", c.name, within, c.within)
			}

			b := scale.Behavior{ScaleUp: c.rules}
			if sign < 0 {
				b = scale.Behavior{ScaleDown: c.rules}
			}
			var after []int
			for _, kept := range b.Forget(noon, append(before, scale.Change{At: noon, By: 5 * sign})) {
				after = append(after, kept.By*sign)
			}
			if diff := cmp.Diff(c.after, after); diff != "" {
				t.Errorf("%s: kept (-want +got):\n%s", c.name, diff)
			}
		}
	}
}

// However numbers are asked for, no period sees more growth than its rate allows, as long as
// nothing shrinks in between.
func TestRateHoldsOverAnyPeriod(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		period := time.Duration(rapid.IntRange(1, 60).Draw(t, "period")) * time.Second
		most := rapid.IntRange(1, 10).Draw(t, "pods")
		b := scale.Behavior{
			ScaleUp:   scale.Rules{Policies: []scale.Rate{{Type: scale.Pods, Value: most, Period: period}}},
			ScaleDown: scale.Rules{Select: scale.SelectDisabled},
		}
		at, current := noon, 0
		var changes, all []scale.Change
		for range rapid.IntRange(1, 60).Draw(t, "ticks") {
			at = at.Add(time.Duration(rapid.IntRange(1, 10_000).Draw(t, "ms")) * time.Millisecond)
			desired := rapid.IntRange(0, 100).Draw(t, "desired")
			n, _ := b.Normalize(at, current, desired, 0, 1000, nil, changes)
			if n < current {
				t.Fatalf("shrank from %d to %d", current, n)
			}
			changes = b.Forget(at, append(changes, scale.Change{At: at, By: n - current}))
			all = append(all, scale.Change{At: at, By: n - current})
			current = n
		}
		for i, first := range all {
			grown := 0
			for _, c := range all[i:] {
				if c.At.Sub(first.At) < period {
					grown += c.By
				}
			}
			if grown > most {
				t.Fatalf("grew by %d within %v from %v on: %+v", grown, period, first.At, all)
			}
		}
	})
}

func TestReasonsOfRates(t *testing.T) {
	t.Parallel()
	percent := scale.Behavior{ScaleDown: ruled(0, 0, 50, 2*time.Minute, 0)}
	pods := scale.Behavior{ScaleUp: ruled(5, 2*time.Minute, 0, 0, 0)}
	for _, c := range []struct {
		b                scale.Behavior
		current, desired int
		changes          []scale.Change
		want             string
	}{
		{percent, 100, 0, spread(2*time.Minute, -12), "No fewer than 56 yet: at most 50 % fewer within 2m0s, and there were 112."},
		{pods, 100, 500, spread(2*time.Minute, 15), "No more than 100 yet: at most 5 more within 2m0s, and there were 85."},
		{scale.Behavior{ScaleUp: scale.Rules{Select: scale.SelectDisabled}}, 1, 2, nil, "Growing is disabled."},
		{scale.Behavior{ScaleDown: scale.Rules{Select: scale.SelectDisabled}}, 2, 1, nil, "Shrinking is disabled."},
	} {
		_, steps := c.b.Normalize(noon, c.current, c.desired, 0, 1000, nil, c.changes)
		if got := fmt.Sprint(whys(steps)); got != fmt.Sprint([]string{c.want}) {
			t.Errorf("from %d to %d: %s, want %s", c.current, c.desired, got, c.want)
		}
	}
}

func whys(steps []scale.Step) []string {
	var list []string
	for _, s := range steps {
		list = append(list, s.Why)
	}
	return list
}
