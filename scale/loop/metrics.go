package loop

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/store"
)

// Metrics is what a loop tells Prometheus.
type Metrics struct {
	replicas  *prometheus.GaugeVec
	decisions *prometheus.CounterVec
	blind     prometheus.Counter
	looking   prometheus.Histogram
	given     prometheus.Counter
}

// NewMetrics makes and registers a loop's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		replicas: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "leat", Subsystem: "scaler", Name: "replicas", Help: "Replicas of the target, as told and as wanted.",
		}, []string{"which"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "leat", Subsystem: "scaler", Name: "decisions_total", Help: "Decisions by the rule that bound and by what became of them.",
		}, []string{"rule", "outcome"}),
		blind: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "leat", Subsystem: "scaler", Name: "blind_total", Help: "Decisions to hold because the work or the fleet could not be seen.",
		}),
		looking: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "leat", Subsystem: "scaler", Name: "observe_seconds", Help: "How long looking at the work and the fleet took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 9),
		}),
		given: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "leat", Subsystem: "scaler", Name: "workers_given_up_total", Help: "Workers that were emptied and given up.",
		}),
	}
	r.MustRegister(m.replicas, m.decisions, m.blind, m.looking, m.given)
	return m
}

func (m *Metrics) observed(v view, took time.Duration) {
	m.looking.Observe(took.Seconds())
	if v.observation.Blind != "" {
		m.blind.Inc()
	}
}

func (m *Metrics) decided(d scale.Decision, outcome store.Outcome) {
	m.replicas.WithLabelValues("told").Set(float64(d.Current))
	m.replicas.WithLabelValues("wanted").Set(float64(d.Replicas))
	m.decisions.WithLabelValues(string(d.Bound), string(outcome)).Inc()
}

func (m *Metrics) shrunk(n int) { m.given.Add(float64(n)) }
