package manifests_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/scale"
)

// groups are the groups of options that each program has.
var groups = map[string][]string{
	"api":    {"store", "redis", "api", "serve", "blob"},
	"worker": {"store", "redis", "worker", "serve", "blob"},
	"scaler": {"store", "redis", "scaler", "serve"},
}

func TestSettingsAreOptionsOfTheirProgram(t *testing.T) {
	t.Parallel()
	options := map[string]config.Option{}
	for _, o := range config.Describe(config.Default()) {
		options[config.EnvName(o.Name)] = o
	}
	has := func(program, env string) bool {
		return slices.ContainsFunc(options[env].Groups, func(g string) bool { return slices.Contains(groups[program], g) })
	}
	all(t, nil, func(t *testing.T, v variant) {
		for name, d := range kind[*appsv1.Deployment](v) {
			c := d.Spec.Template.Spec.Containers[0]
			if want := []string{"/" + name}; !slices.Equal(c.Command, want) {
				t.Errorf("%s runs %v", name, c.Command)
			}
			for _, e := range c.Env {
				if strings.HasPrefix(e.Name, config.EnvPrefix) && !has(name, e.Name) {
					t.Errorf("%s has no option for %s", name, e.Name)
				}
			}
			for _, arg := range c.Args {
				flag, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
				if !has(name, config.EnvName(flag)) {
					t.Errorf("%s has no flag for %s", name, arg)
				}
			}
			for env := range environment(t, v, c) {
				if _, known := options[env]; !known && strings.HasPrefix(env, config.EnvPrefix) {
					t.Errorf("%s: there is no option for %s", name, env)
				}
			}
			if env := environment(t, v, c); env["LEAT_MIGRATE"] != "false" {
				t.Errorf("%s migrates by itself, beside the job that does", name)
			}
		}
	})
}

// The pod's name is how the scaler knows which worker a pod is.
func TestInstanceIsThePodsName(t *testing.T) {
	t.Parallel()
	all(t, nil, func(t *testing.T, v variant) {
		for name, d := range kind[*appsv1.Deployment](v) {
			if !slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Env, func(e corev1.EnvVar) bool {
				return e.Name == "LEAT_INSTANCE" && e.ValueFrom != nil && e.ValueFrom.FieldRef != nil && e.ValueFrom.FieldRef.FieldPath == "metadata.name"
			}) {
				t.Errorf("%s: LEAT_INSTANCE is not the pod's name", name)
			}
		}
	})
}

func TestScalingPolicies(t *testing.T) {
	t.Parallel()
	want := map[string]scale.Policy{production: scale.Default(), local: scale.Default(), onOneNode: scale.Default()}
	small := want[local]
	small.Max = 4
	want[local] = small
	tested := want[onOneNode]
	tested.Depth, tested.Drain, tested.Due = &scale.Depth{JobsPerReplica: 10}, nil, nil
	tested.Behavior.ScaleDown = scale.Rules{Window: tested.Behavior.ScaleDown.Window / 60, Policies: []scale.Rate{}}
	want[onOneNode] = tested

	all(t, func(name string) bool { return slices.Contains(slices.Collect(maps.Keys(want)), name) }, func(t *testing.T, v variant) {
		volumes := get[*appsv1.Deployment](t, v, "scaler").Spec.Template.Spec.Volumes
		text := get[*corev1.ConfigMap](t, v, volumes[0].ConfigMap.Name).Data["policy.yaml"]
		got, err := scale.ParsePolicy([]byte(text), scale.Default())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[v.name], got); diff != "" {
			t.Errorf("policy (-want +got):\n%s", diff)
		}
	})
}
