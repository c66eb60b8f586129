package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/leat-dev/leat/jobs"
)

// Metrics measures what a worker does.
type Metrics struct {
	durations  *prometheus.HistogramVec
	retries    *prometheus.CounterVec
	unrecorded prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	return &Metrics{
		durations: f.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "leat", Subsystem: "job", Name: "duration_seconds",
			Help:    "Time that handlers took, by kind and how the run ended.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 11), // 1 ms to 17 min
		}, []string{"kind", "outcome"}),
		retries: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: "leat", Subsystem: "job", Name: "retries_total",
			Help: "Failed attempts after which the job is tried again, by kind.",
		}, []string{"kind"}),
		unrecorded: f.NewCounter(prometheus.CounterOpts{
			Namespace: "leat", Subsystem: "job", Name: "unrecorded_runs_total",
			Help: "Runs whose end was not kept, because their claim was lost or the store was away to the last.",
		}),
	}
}

func (m *Metrics) ended(job *jobs.Job, outcome jobs.Outcome, took time.Duration) {
	m.durations.WithLabelValues(job.Kind, string(outcome)).Observe(took.Seconds())
	if outcome == jobs.RunRetry {
		m.retries.WithLabelValues(job.Kind).Inc()
	}
}
