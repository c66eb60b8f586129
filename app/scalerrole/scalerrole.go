// Package scalerrole makes the services of the scaler role: one of several scalers leads, looks at the
// work and sizes the worker Deployment to it.
package scalerrole

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/kube"
)

// Command is the scaler program.
func Command(env app.Env, open app.Opener) *cobra.Command {
	return app.Program{
		Name:     "scaler",
		Short:    "Sizes the worker Deployment to the work",
		Groups:   []string{"store", "redis", "scaler", "serve"},
		Defaults: config.Default(),
		Services: services,
	}.Command(env, open)
}

func services(_ context.Context, res *app.Resources) ([]app.Service, error) {
	policy, err := app.ScalingPolicy(res.Options.Policy, scale.Default())
	if err != nil {
		return nil, err
	}
	opts, err := parseTarget(res.Options.Target)
	if err != nil {
		return nil, &app.ExitError{Code: 2, Err: err}
	}
	opts.Kubeconfig, opts.Namespace = res.Options.Kubeconfig, res.Options.Namespace
	opts.Identity = res.Instance()
	opts.Log = res.Log.With("part", "kubernetes")
	target, err := kube.New(opts)
	if err != nil {
		return nil, err
	}
	scaler := res.ScalingLoop(target, policy)
	return []app.Service{
		{Name: "pods", Run: target.Run},
		{Name: "scaler", Run: func(ctx context.Context) error { return target.Lead(ctx, scaler.Run) }},
	}, nil
}

// known are the kinds that need no version and group.
var known = map[string]string{"deployment": "Deployment", "statefulset": "StatefulSet", "replicaset": "ReplicaSet"}

// parseTarget reads deployment/worker, or Kind.version.group/name.
func parseTarget(text string) (kube.Options, error) {
	kind, name, found := strings.Cut(text, "/")
	if !found || name == "" || strings.Contains(name, "/") {
		return kube.Options{}, fmt.Errorf("target: %q is not like deployment/worker", text)
	}
	if k, ok := known[strings.ToLower(kind)]; ok {
		return kube.Options{APIVersion: "apps/v1", Kind: k, Name: name}, nil
	}
	k, rest, _ := strings.Cut(kind, ".")
	version, group, found := strings.Cut(rest, ".")
	if k == "" || version == "" || !found || group == "" {
		return kube.Options{}, fmt.Errorf("target: %q is none of deployment, statefulset and replicaset, and not like Rollout.v1alpha1.argoproj.io/worker", text)
	}
	return kube.Options{APIVersion: group + "/" + version, Kind: k, Name: name}, nil
}
