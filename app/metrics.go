package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leat-dev/leat/store"
)

const collectTimeout = 3 * time.Second

// RegisterStoreMetrics makes /metrics tell how the queues and the store's pool stand. They are read
// when the metrics are.
func (r *Resources) RegisterStoreMetrics() error {
	return r.Registry.Register(&storeCollector{store: r.Store, log: r.Log})
}

type storeCollector struct {
	store store.Store
	log   *slog.Logger
}

var (
	descDepth  = prometheus.NewDesc("leat_queue_jobs", "Jobs of a queue, of all tenants, by where they stand; exact up to 100,000.", []string{"queue", "state"}, nil)
	descOldest = prometheus.NewDesc("leat_queue_oldest_seconds", "For how long the oldest job that could run has been waiting: the lag of relay and workers together.", []string{"queue"}, nil)
	descPaused = prometheus.NewDesc("leat_queue_paused", "1 while the queue is paused.", []string{"queue"}, nil)
	descConns  = prometheus.NewDesc("leat_store_connections", "Connections to the database by use.", []string{"use"}, nil)
	descWaits  = prometheus.NewDesc("leat_store_connection_waits_total", "How often a caller had to wait for a connection.", nil, nil)
	descWaited = prometheus.NewDesc("leat_store_connection_wait_seconds_total", "Time that callers waited for connections.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *storeCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descDepth, descOldest, descPaused, descConns, descWaits, descWaited} {
		out <- d
	}
}

// Collect implements prometheus.Collector. While the store is away the queues are left out.
func (c *storeCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	pool := c.store.Stats()
	gauge(descConns, float64(pool.InUse), "busy")
	gauge(descConns, float64(pool.Open-pool.InUse), "idle")
	gauge(descConns, float64(pool.Max), "max")
	out <- prometheus.MustNewConstMetric(descWaits, prometheus.CounterValue, float64(pool.Waits))
	out <- prometheus.MustNewConstMetric(descWaited, prometheus.CounterValue, pool.Waited)

	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	queues, err := c.store.AllQueues(ctx)
	if err != nil {
		c.log.WarnContext(ctx, "metrics are without the queues: the store does not answer", "error", err)
		return
	}
	for _, q := range queues {
		gauge(descDepth, float64(q.Ready.N), q.Name, "ready")
		gauge(descDepth, float64(q.Later.N), q.Name, "later")
		gauge(descDepth, float64(q.Running.N), q.Name, "running")
		gauge(descDepth, float64(q.Waiting.N), q.Name, "waiting")
		gauge(descOldest, q.Age.Seconds(), q.Name)
		paused := 0.0
		if q.Paused {
			paused = 1
		}
		gauge(descPaused, paused, q.Name)
	}
}
