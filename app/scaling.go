package app

import (
	"fmt"
	"maps"
	"os"
	"slices"
	_ "time/tzdata" // schedules name zones, and an image may have none

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/loop"
)

// ScalingPolicy reads a policy from a file, on top of what holds without one. Its errors are
// *ExitError.
func ScalingPolicy(path string, otherwise scale.Policy) (scale.Policy, error) {
	var text []byte
	if path != "" {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return scale.Policy{}, &ExitError{Code: 2, Err: fmt.Errorf("policy: %w", err)}
		}
	}
	policy, err := scale.ParsePolicy(text, otherwise)
	if err != nil {
		return scale.Policy{}, &ExitError{Code: 2, Err: err}
	}
	return policy, nil
}

// ScalingLoop sizes the target to the work of the queues that are served.
func (r *Resources) ScalingLoop(target loop.Target, policy scale.Policy) *loop.Loop {
	opts := loop.DefaultOptions()
	opts.Policy, opts.Every = policy, r.Options.ScaleEvery
	opts.Queues = slices.Sorted(maps.Keys(r.Options.Queues))
	opts.Deliverable = r.Queue.Ping
	opts.Logger, opts.Metrics = r.Log.With("part", "scaler"), loop.NewMetrics(r.Registry)
	return loop.New(r.Store, target, opts)
}
