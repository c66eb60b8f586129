package simulate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/leat-dev/leat/scale"
)

// HPA is a HorizontalPodAutoscaler on an external metric that Prometheus scrapes. The zero value is
// Kubernetes' defaults, on jobs that wait or run, at as many for each replica as it has slots.
type HPA struct {
	Label  string
	Target float64 // AverageValue: jobs for each replica; its slots when 0
	// Pending leaves running jobs out of the metric.
	Pending bool
	// Scrape is between two values of the metric: Prometheus' global scrape_interval is 1 m, what
	// its operator and the usual exporters set is 15 s or 30 s; 15 s when 0.
	Scrape time.Duration
	// Min is at least 1, Max is 20 when 0: Kubernetes 1.34 scales to zero behind a gate only.
	Min, Max int
	// Behavior is spec.behavior; nil leaves it out.
	Behavior *scale.Behavior
}

// Name is the label.
func (h HPA) Name() string { return cmp.Or(h.Label, "hpa") }

// String tells the settings.
func (h HPA) String() string {
	return settings(fmt.Sprintf("scrape %v", cmp.Or(h.Scrape, scrape)), h.Target, h.Pending, max(h.Min, 1), h.Behavior)
}

func settings(first string, target float64, pending bool, least int, b *scale.Behavior) string {
	parts := []string{first}
	if target > 0 {
		parts = append(parts, fmt.Sprintf("target %g", target))
	}
	if pending {
		parts = append(parts, "pending only")
	} else {
		parts = append(parts, "pending and running")
	}
	parts = append(parts, fmt.Sprintf("min %d", least))
	if b != nil {
		up := "up at once"
		if len(b.ScaleUp.Policies) > 0 {
			up = "up by rates"
		}
		parts = append(parts, up, fmt.Sprintf("down window %v", b.ScaleDown.Window))
	}
	return strings.Join(parts, ", ")
}

// syncPeriod is the controller's --horizontal-pod-autoscaler-sync-period, tolerance its
// --horizontal-pod-autoscaler-tolerance, and scrape what is assumed of Prometheus.
const (
	syncPeriod = 15 * time.Second
	tolerance  = 0.1
	scrape     = 15 * time.Second
	mostPods   = 20
)

func (h HPA) begin(load *Load, rng *rand.Rand) (scaler, time.Duration) {
	every := cmp.Or(h.Scrape, scrape)
	s := &hpa{
		autoscaler: newAutoscaler(cmp.Or(h.Target, float64(load.Slots)), max(h.Min, 1), cmp.Or(h.Max, mostPods), h.Behavior),
		pending:    h.Pending, scrape: every, nextScrape: phase(rng, every), nextSync: phase(rng, syncPeriod),
	}
	return s, 0
}

func phase(rng *rand.Rand, every time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(every)))
}

type hpa struct {
	autoscaler
	pending              bool
	scrape               time.Duration
	nextScrape, nextSync time.Duration
	metric               float64
	scraped              bool
}

func (s *hpa) act(w *world) time.Duration {
	if w.told == 0 {
		w.scale(s.least) // as the manifest of its target does
	}
	if w.now >= s.nextScrape {
		s.metric, s.scraped = w.metric(s.pending), true
		s.nextScrape += s.scrape
	}
	if w.now >= s.nextSync {
		if s.scraped {
			s.sync(w, s.metric)
		}
		s.nextSync += syncPeriod
	}
	return min(s.nextScrape, s.nextSync) - w.now
}

// metric is the jobs that count.
func (w *world) metric(pending bool) float64 {
	n := w.waiting()
	if !pending {
		n += w.running()
	}
	return float64(n)
}

// behavior is scale.Behavior or scale.Classic.
type behavior interface {
	Normalize(at time.Time, current, desired, lowest, highest int, asked []scale.Asked, changes []scale.Change) (int, []scale.Step)
	Remember(at time.Time, asked []scale.Asked, desired int) []scale.Asked
	Forget(at time.Time, changes []scale.Change) []scale.Change
}

// autoscaler is Kubernetes' controller for one HorizontalPodAutoscaler.
type autoscaler struct {
	target      float64
	least, most int
	behavior    behavior
	asked       []scale.Asked
	changes     []scale.Change
}

func newAutoscaler(target float64, least, most int, b *scale.Behavior) autoscaler {
	a := autoscaler{target: target, least: least, most: most, behavior: scale.Classic{}}
	if b != nil {
		a.behavior = *b
	}
	return a
}

// sync is one turn of the controller.
func (a *autoscaler) sync(w *world, metric float64) {
	if scale.HPADisabled(w.told, a.least) {
		return
	}
	at := begins.Add(w.now)
	if len(a.asked) == 0 {
		a.asked = []scale.Asked{{At: at, Replicas: w.told}}
	}
	desired := scale.AverageValue(metric, a.target, len(w.pods), tolerance)
	to, _ := a.behavior.Normalize(at, w.told, desired, a.least, a.most, a.asked, a.changes)
	a.asked = a.behavior.Remember(at, a.asked, desired)
	if to != w.told {
		a.changes = append(a.changes, scale.Change{At: at, By: to - w.told})
		w.scale(to)
	}
	a.changes = a.behavior.Forget(at, a.changes)
}

// Kubernetes is spec.behavior as the API server fills it in when it is there, with a window for
// scaling down.
func Kubernetes(window time.Duration) scale.Behavior {
	return scale.Behavior{
		ScaleUp: scale.Rules{Policies: []scale.Rate{
			{Type: scale.Pods, Value: 4, Period: 15 * time.Second},
			{Type: scale.Percent, Value: 100, Period: 15 * time.Second},
		}},
		ScaleDown: scale.Rules{Window: window, Policies: []scale.Rate{{Type: scale.Percent, Value: 100, Period: 15 * time.Second}}},
	}
}

// AtOnce is spec.behavior that grows as far as is asked for.
func AtOnce(window time.Duration) scale.Behavior {
	b := Kubernetes(window)
	b.ScaleUp.Policies = nil
	return b
}
