//go:build !race

// A simulation has one goroutine, and takes ten times as long with the race detector.

package simulate_test

import (
	"testing"
	"time"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/simulate"
)

// best are the settings that scale/simulate/search has found for each load: those of each rival that
// come closest to beating Leat on both wait and cost.
func best() map[string][]simulate.Rules {
	atOnce := func(window time.Duration) *scale.Behavior {
		b := simulate.AtOnce(window)
		return &b
	}
	rates := simulate.Kubernetes(time.Minute)
	return map[string][]simulate.Rules{
		"flat": {
			simulate.KEDA{Target: 10, Active: true, Min: 1, Behavior: atOnce(10 * time.Minute)},
			simulate.HPA{Target: 10, Behavior: atOnce(10 * time.Minute)},
		},
		"day-and-week": {
			simulate.KEDA{Target: 9, Active: true, Min: 2},
			simulate.HPA{Target: 8, Scrape: 5 * time.Second, Behavior: atOnce(2 * time.Minute)},
		},
		"burst": {
			simulate.KEDA{Target: 5, Active: true, Min: 1, Behavior: atOnce(30 * time.Second)},
			simulate.HPA{Target: 5, Scrape: 5 * time.Second, Min: 4, Behavior: atOnce(30 * time.Second)},
		},
		"spike": {
			simulate.KEDA{Target: 8, Active: true, Min: 1, Behavior: atOnce(time.Minute)},
			simulate.HPA{Target: 7, Scrape: 5 * time.Second, Behavior: atOnce(time.Minute)},
		},
		"from-zero": {
			simulate.KEDA{Target: 8, Active: true, Min: 1, Behavior: atOnce(30 * time.Second)},
			simulate.HPA{Target: 9, Scrape: 5 * time.Second, Min: 2, Behavior: atOnce(30 * time.Second)},
		},
		"slow-drain": {
			simulate.KEDA{Target: 0.7, Active: true, Polling: 5 * time.Second, Behavior: atOnce(30 * time.Second)},
			simulate.HPA{Target: 0.7, Scrape: 5 * time.Second, Behavior: atOnce(time.Minute)},
		},
		"retry-storm": {
			simulate.KEDA{Target: 10, Active: true, Min: 1, Behavior: &rates},
			simulate.HPA{Target: 10, Scrape: 5 * time.Second, Behavior: &rates},
		},
	}
}

// Leat, under one policy for all loads, interrupts nothing, and loses to no rival on both wait and
// cost: neither to its defaults nor to its best settings for just that load.
func TestLosesToNobodyOnBoth(t *testing.T) {
	t.Parallel()
	rivals := best()
	for _, shape := range simulate.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			var loads []*simulate.Load
			for seed := range uint64(2) {
				l := shape.Load(seed + 1)
				l.For = min(l.For, 24*time.Hour) // of the week, its first day
				loads = append(loads, l)
			}
			summary := func(rules simulate.Rules) simulate.Summary {
				results, err := simulate.Repeat(t.Context(), loads, rules, simulate.Options{})
				if err != nil {
					t.Fatal(err)
				}
				return simulate.Summarize(results)
			}
			leat := summary(ours(t))
			if leat.Interrupted != 0 {
				t.Errorf("%v jobs were interrupted", leat.Interrupted)
			}
			defaults := []simulate.Rules{simulate.KEDA{}, simulate.KEDA{Active: true}, simulate.HPA{}}
			for _, rules := range append(defaults, rivals[shape.Name]...) {
				if rival := summary(rules); leat.LosesTo(rival) {
					t.Errorf("p99 %.2f s for %.2f replica-hours; %s (%v): %.2f s for %.2f",
						leat.WaitP99, leat.PodHours, rules.Name(), rules, rival.WaitP99, rival.PodHours)
				}
			}
		})
	}
}
