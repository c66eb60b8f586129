package simulate_test

import (
	"math"
	"testing"
	"time"

	"github.com/leat-dev/leat/scale/simulate"
)

// reaction is how long it takes, in seconds, from when a great backlog appears until so many replicas
// are asked for: mean and maximum over many phases of the rival's clocks.
func reaction(t *testing.T, rules simulate.Rules, initial, replicas int) (mean, most float64) {
	t.Helper()
	const runs = 200
	for seed := range uint64(runs) {
		l := &simulate.Load{Seed: seed, For: 5 * time.Minute, Slots: 1, StartMean: time.Hour, Initial: initial}
		// One job keeps the first replica busy, and so the fleet from shrinking; nobody starts in time to
		// work on the others.
		const appears = 100 * time.Second
		for range 1000 {
			l.Jobs = append(l.Jobs, simulate.Job{At: appears, Service: time.Hour})
		}
		r := run(t, l, rules, simulate.Options{Points: 3000})
		for _, p := range r.Series {
			if p.Replicas >= replicas {
				took := p.At - appears.Seconds()
				mean += took / runs
				most = max(most, took)
				break
			}
		}
	}
	return mean, most
}

// KEDA's way to many replicas: a poll every 30 s takes it from none to one, then its autoscaler doubles
// them every 15 s (to 4 at least). By hand: from 0 to 50, 15 s for the poll on average, 7.5 s until the
// autoscaler's next turn, and four more turns: 82.5 s, and at most 30 + 15 + 60 = 105 s.
func TestKEDAReacts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name              string
		initial, replicas int
		mean, most        float64
	}{
		{"from 0 to 50", 0, 50, 82.5, 105},
		{"from 1 to 50", 1, 50, 67.5, 75},
		{"from 0 to 10", 0, 10, 52.5, 75},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := simulate.KEDA{Target: 1, Max: 100}
			if c.initial > 0 {
				k.Min = 1
			}
			mean, most := reaction(t, k, c.initial, c.replicas)
			if math.Abs(mean-c.mean) > 3 || most > c.most+0.2 || most < c.most-10 {
				t.Errorf("%.1f s on average, %.1f s at most; want %.1f and %.1f", mean, most, c.mean, c.most)
			}
		})
	}
}

// Leat's way: the next decision, and at once.
func TestLeatReacts(t *testing.T) {
	t.Parallel()
	l := ours(t)
	l.Policy.Max = 100
	if mean, most := reaction(t, l, 0, 50); mean > 1.5 || most > 2.2 {
		t.Errorf("%.1f s on average, %.1f s at most; a decision is made every 2 s", mean, most)
	}
}

// A metric that is scraped is older than one that is asked for.
func TestScrapedMetricIsLate(t *testing.T) {
	t.Parallel()
	quick, _ := reaction(t, simulate.HPA{Target: 1, Max: 100, Scrape: time.Second}, 1, 4)
	slow, _ := reaction(t, simulate.HPA{Target: 1, Max: 100, Scrape: 30 * time.Second}, 1, 4)
	if late := slow - quick; late < 10 || late > 20 {
		t.Errorf("%.1f s later with a scrape every 30 s than with one every second, want about 14.5", late)
	}
}

// KEDA takes the last replica five minutes after it last saw something to do, an HPA never.
func TestCooldown(t *testing.T) {
	t.Parallel()
	l := small(time.Second, simulate.Job{At: 0, Service: time.Second})
	l.Initial, l.For = 1, 20*time.Minute
	replicas := func(rules simulate.Rules, at int) int {
		return run(t, l, rules, simulate.Options{Points: 1200}).Series[at].Replicas
	}
	if before, after := replicas(simulate.KEDA{Active: true}, 295), replicas(simulate.KEDA{Active: true}, 335); before != 1 || after != 0 {
		t.Errorf("KEDA has %d replicas before its cooldown of 300 s is over, %d afterwards", before, after)
	}
	if n := replicas(simulate.HPA{}, 1199); n != 1 {
		t.Errorf("an HPA went to %d", n)
	}
}
