package workerrole

import (
	"context"
	"time"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/local"
	"github.com/leat-dev/leat/worker"
)

// Fleet makes a service of as many workers, in this process, as the work needs.
func Fleet(res *app.Resources, kinds *jobs.Kinds) (app.Service, error) {
	policy := scale.Default()
	policy.Min, policy.Max, policy.Slots = 1, res.Options.MaxWorkers, res.Options.Concurrency
	policy, err := app.ScalingPolicy(res.Options.Policy, policy)
	if err != nil {
		return app.Service{}, err
	}
	meter := worker.NewMetrics(res.Registry)
	start := func(_ context.Context, name string) (func(context.Context) error, error) {
		w, err := newWorker(res, kinds, name, meter)
		if err != nil {
			return nil, err
		}
		return w.Run, nil
	}
	fleet := local.New("local", res.Instance(), start, time.Now, res.Log.With("part", "fleet"))
	scaler := res.ScalingLoop(fleet, policy)
	return app.Service{Name: "workers", Run: func(ctx context.Context) error {
		return fleet.Run(ctx, policy.Min, scaler.Run)
	}}, nil
}
