// Package workerrole makes the service of the worker role, with the handlers that Leat brings.
package workerrole

import (
	"maps"
	"slices"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/worker"
)

// Services makes a worker for the kinds.
func Services(res *app.Resources, kinds *jobs.Kinds) ([]app.Service, error) {
	w, err := newWorker(res, kinds, res.Instance(), worker.NewMetrics(res.Registry))
	if err != nil {
		return nil, err
	}
	return []app.Service{{Name: "worker", Run: w.Run}}, nil
}

// newWorker makes a worker of that name.
func newWorker(res *app.Resources, kinds *jobs.Kinds, name string, meter *worker.Metrics) (*worker.Worker, error) {
	opts := res.Options
	log := res.Log.With("part", "worker")
	source := func(handle queue.Handler) (worker.Source, error) {
		return queue.NewServer(res.Queue, queue.ServerOptions{
			Queues: opts.Queues, Slots: opts.Concurrency, Servers: opts.Fetchers,
			PollBudget: float64(opts.PollBudget), DrainTimeout: opts.ShutdownTimeout, Handler: handle, Logger: log,
		})
	}
	return worker.New(res.Store, res.Blobs, kinds, worker.Options{
		Label: name, Version: app.Version(), Slots: opts.Concurrency,
		Queues: slices.Sorted(maps.Keys(opts.Queues)), Grace: opts.ShutdownTimeout,
	}, source, log, meter)
}
