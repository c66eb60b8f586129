package app

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/leat-dev/leat/store"
)

// queues is a store of which only these are asked.
type queues struct {
	store.Store
	stats []store.QueueStats
	err   error
}

func (q queues) AllQueues(context.Context) ([]store.QueueStats, error) { return q.stats, q.err }

func (q queues) Stats() store.PoolStats { return store.PoolStats{Open: 3, InUse: 1, Max: 16} }

// Those who scale by these numbers must see every tenant's jobs, and no queues rather than empty ones
// while the store is away.
func TestMetricsTellOfTheQueuesOfAllTenants(t *testing.T) {
	t.Parallel()
	n := func(n int) store.Count { return store.Count{N: n} }
	paused := store.QueueStats{Name: "q", Paused: true, Ready: n(4), Later: n(3), Running: n(2), Waiting: n(1), Age: time.Minute}
	conns := map[string]float64{"leat_store_connections busy": 1, "leat_store_connections idle": 2, "leat_store_connections max": 16}
	for name, c := range map[string]struct {
		store queues
		want  map[string]float64
	}{
		"store answers": {queues{stats: []store.QueueStats{paused}}, map[string]float64{
			"leat_queue_jobs q ready": 4, "leat_queue_jobs q later": 3, "leat_queue_jobs q running": 2, "leat_queue_jobs q waiting": 1,
			"leat_queue_oldest_seconds q": 60, "leat_queue_paused q": 1,
		}},
		"store is away": {queues{err: errors.New("connection refused")}, map[string]float64{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := prometheus.NewRegistry()
			r := Resources{Registry: registry, Store: c.store, Log: slog.New(slog.DiscardHandler)}
			if err := r.RegisterStoreMetrics(); err != nil {
				t.Fatal(err)
			}
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			got, want := map[string]float64{}, map[string]float64{}
			maps.Copy(want, conns)
			maps.Copy(want, c.want)
			for _, f := range families {
				for _, m := range f.GetMetric() {
					if m.GetGauge() == nil {
						continue
					}
					name := f.GetName()
					for _, l := range m.GetLabel() {
						name += " " + l.GetValue()
					}
					got[name] = m.GetGauge().GetValue()
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
