package dispatch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/leat-dev/leat/store"
)

// Metrics counts what the duties do. They are counters of this process: sum them over processes,
// since the leader moves.
type Metrics struct {
	deliveries   prometheus.Counter
	redeliveries prometheus.Counter
	lag          prometheus.Gauge
	lostWorkers  prometheus.Counter
	lostRuns     prometheus.Counter
	prunedJobs   prometheus.Counter
	deletedBlobs prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: "leat", Subsystem: "dispatch", Name: name, Help: help})
	}
	return &Metrics{
		deliveries:   counter("deliveries_total", "Deliveries enqueued by the relay, repeated ones included."),
		redeliveries: counter("redeliveries_total", "Jobs delivered anew because nobody claimed them while slots were free."),
		lag: f.NewGauge(prometheus.GaugeOpts{
			Namespace: "leat", Subsystem: "dispatch", Name: "lag_seconds",
			Help: "How far Redis is behind the store: the time since the relay began the last round that brought it up to date. 0 on all but the leader.",
		}),
		lostWorkers:  counter("lost_workers_total", "Workers that fell silent and were given up."),
		lostRuns:     counter("recoveries_total", "Runs taken back from workers that had died or forgotten them."),
		prunedJobs:   counter("pruned_jobs_total", "Ended jobs deleted because of their age."),
		deletedBlobs: counter("deleted_blobs_total", "Objects deleted because nothing referred to them."),
	}
}

func (m *Metrics) behind(lag time.Duration) { m.lag.Set(lag.Seconds()) }

func (m *Metrics) delivered(n int)   { m.deliveries.Add(float64(n)) }
func (m *Metrics) redelivered(n int) { m.redeliveries.Add(float64(n)) }
func (m *Metrics) pruned(n int)      { m.prunedJobs.Add(float64(n)) }
func (m *Metrics) unlinked(n int)    { m.deletedBlobs.Add(float64(n)) }
func (m *Metrics) reaped(r store.Reaped) {
	m.lostWorkers.Add(float64(r.Workers))
	m.lostRuns.Add(float64(r.Runs))
}
