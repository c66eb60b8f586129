package manifests_test

import (
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// selected are the names of whose pods a selector selects.
func selected(t *testing.T, v variant, s *metav1.LabelSelector) []string {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range templates(v) {
		if selector.Matches(labels.Set(p.pod.Labels)) {
			names = append(names, p.name)
		}
	}
	return names
}

func TestSelectorsSelectTheirOwn(t *testing.T) {
	t.Parallel()
	all(t, nil, func(t *testing.T, v variant) {
		own := func(what, name string, s *metav1.LabelSelector) {
			t.Helper()
			if got := selected(t, v, s); !slices.Equal(got, []string{name}) {
				t.Errorf("%s %s selects the pods of %v", what, name, got)
			}
		}
		for name, d := range kind[*appsv1.Deployment](v) {
			own("deployment", name, d.Spec.Selector)
			for _, c := range d.Spec.Template.Spec.TopologySpreadConstraints {
				own("the spread of", name, c.LabelSelector)
			}
			if affinity := d.Spec.Template.Spec.Affinity; affinity != nil {
				for _, term := range affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
					own("the affinity of", name, term.LabelSelector)
				}
				for _, term := range affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
					own("the affinity of", name, term.PodAffinityTerm.LabelSelector)
				}
			}
		}
		for name, s := range kind[*appsv1.StatefulSet](v) {
			own("stateful set", name, s.Spec.Selector)
		}
		budgets := kind[*policyv1.PodDisruptionBudget](v)
		for name, b := range budgets {
			own("disruption budget", name, b.Spec.Selector)
		}
		if _, scaler := kind[*appsv1.Deployment](v)["scaler"]; len(budgets) != 2 && !scaler || len(budgets) != 3 && scaler {
			t.Errorf("%d disruption budgets", len(budgets))
		}
		for name, s := range kind[*corev1.Service](v) {
			if name != "metrics" { // of all
				own("service", name, metav1.SetAsLabelSelector(s.Spec.Selector))
			}
			for _, port := range s.Spec.Ports {
				hasPort(t, v, selected(t, v, metav1.SetAsLabelSelector(s.Spec.Selector)), port.TargetPort.StrVal, "service "+name)
			}
		}
	})
}

// hasPort demands that pods of one of the names have a port that is called so.
func hasPort(t *testing.T, v variant, names []string, port, who string) {
	t.Helper()
	for _, p := range templates(v) {
		if slices.Contains(names, p.name) && slices.ContainsFunc(p.pod.Spec.Containers[0].Ports, func(c corev1.ContainerPort) bool { return c.Name == port }) {
			return
		}
	}
	t.Errorf("%s: no pod of %v has a port %q", who, names, port)
}

func TestWhatPodsReferToIsThere(t *testing.T) {
	t.Parallel()
	all(t, nil, func(t *testing.T, v variant) {
		secret := func(p template, name, key string) {
			t.Helper()
			switch found, ok := kind[*corev1.Secret](v)[name]; {
			case v.name == production || !ok && name == "leat":
				if name != "leat" || !slices.Contains([]string{"database-url", "redis-url", "migrate-database-url"}, key) {
					t.Errorf("%s: secret %s has no key %s by the docs", p.name, name, key)
				}
			case !ok || found.Data[key] == nil && key != "migrate-database-url":
				t.Errorf("%s: no key %s in secret %s", p.name, key, name)
			}
		}
		for _, p := range templates(v) {
			for _, e := range p.pod.Spec.Containers[0].Env {
				if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
					secret(p, e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key)
				}
			}
			for _, from := range p.pod.Spec.Containers[0].EnvFrom {
				get[*corev1.ConfigMap](t, v, from.ConfigMapRef.Name)
			}
			for _, volume := range p.pod.Spec.Volumes {
				if volume.ConfigMap != nil {
					get[*corev1.ConfigMap](t, v, volume.ConfigMap.Name)
				}
				if volume.PersistentVolumeClaim != nil {
					get[*corev1.PersistentVolumeClaim](t, v, volume.PersistentVolumeClaim.ClaimName)
				}
			}
		}
	})
}

func TestScalersScaleWhatIsThere(t *testing.T) {
	t.Parallel()
	all(t, nil, func(t *testing.T, v variant) {
		targets := map[string]int{}
		for _, h := range kind[*autoscalingv2.HorizontalPodAutoscaler](v) {
			targets[h.Spec.ScaleTargetRef.Name]++
		}
		for _, s := range kind[*scaledObject](v) {
			targets[s.Spec.ScaleTargetRef.Name]++
		}
		for name, r := range kind[*rbacv1.Role](v) {
			for _, rule := range r.Rules {
				if slices.Contains(rule.Resources, "deployments/scale") {
					for _, target := range rule.ResourceNames {
						targets[target]++
					}
				}
			}
			b := get[*rbacv1.RoleBinding](t, v, name)
			if b.RoleRef.Name != name || len(b.Subjects) != 1 || b.Subjects[0].Name != "scaler" || b.Subjects[0].Namespace != r.Namespace {
				t.Errorf("role %s is bound as %+v to %+v", name, b.RoleRef, b.Subjects)
			}
		}
		want := map[string]int{"api": 1, "worker": 1}
		if v.name == onOneNode {
			delete(want, "api")
		}
		if !maps.Equal(targets, want) {
			t.Errorf("what is scaled, and by how many: %v, want %v", targets, want)
		}
	})
}

func TestAPIScalesAsPromised(t *testing.T) {
	t.Parallel()
	all(t, func(name string) bool { return name == production }, func(t *testing.T, v variant) {
		h := get[*autoscalingv2.HorizontalPodAutoscaler](t, v, "api").Spec
		if h.MinReplicas == nil || *h.MinReplicas != 3 || h.MaxReplicas != 20 {
			t.Errorf("bounds %v to %d", h.MinReplicas, h.MaxReplicas)
		}
		use := map[corev1.ResourceName]int32{}
		for _, m := range h.Metrics {
			use[m.Resource.Name] = *m.Resource.Target.AverageUtilization
		}
		if !maps.Equal(use, map[corev1.ResourceName]int32{"cpu": 70, "memory": 80}) {
			t.Errorf("targets %v", use)
		}
		up, down := h.Behavior.ScaleUp, h.Behavior.ScaleDown
		if *up.StabilizationWindowSeconds != 0 || *up.SelectPolicy != autoscalingv2.MaxChangePolicySelect ||
			!slices.Equal(up.Policies, []autoscalingv2.HPAScalingPolicy{{Type: "Percent", Value: 100, PeriodSeconds: 30}, {Type: "Pods", Value: 4, PeriodSeconds: 30}}) {
			t.Errorf("up %+v", up)
		}
		if *down.StabilizationWindowSeconds != 300 ||
			!slices.Equal(down.Policies, []autoscalingv2.HPAScalingPolicy{{Type: "Percent", Value: 50, PeriodSeconds: 60}}) {
			t.Errorf("down %+v", down)
		}
	})
}

func TestNetworkIsClosedButForWhatIsNeeded(t *testing.T) {
	t.Parallel()
	all(t, inCluster, func(t *testing.T, v variant) {
		in, out := map[string][]string{}, map[string][]string{}
		denied := map[string]bool{}
		for name, p := range kind[*networkingv1.NetworkPolicy](v) {
			for _, pod := range selected(t, v, &p.Spec.PodSelector) {
				if len(p.Spec.PolicyTypes) == 2 {
					denied[pod] = true
				}
				if len(p.Spec.Ingress) > 0 {
					in[pod] = append(in[pod], name)
				}
				if len(p.Spec.Egress) > 0 {
					out[pod] = append(out[pod], name)
				}
			}
		}
		wantIn := map[string][]string{"api": {"api"}, "postgres": {"postgres-server"}, "redis": {"redis-server"}}
		wantOut := map[string][]string{
			"api": {"dns", "postgres", "redis"}, "worker": {"dns", "postgres", "redis"},
			"scaler": {"dns", "postgres", "redis", "scaler"}, "migrate": {"dns", "postgres"},
		}
		for _, p := range templates(v) {
			if !denied[p.name] {
				t.Errorf("%s: is under no policy that denies both ways", p.name)
			}
			got := slices.DeleteFunc(in[p.name], func(name string) bool { return name == "metrics" })
			slices.Sort(got)
			if !slices.Equal(got, wantIn[p.name]) {
				t.Errorf("%s: may be reached by %v, want %v", p.name, got, wantIn[p.name])
			}
			slices.Sort(out[p.name])
			if !slices.Equal(out[p.name], wantOut[p.name]) {
				t.Errorf("%s: may reach by %v, want %v", p.name, out[p.name], wantOut[p.name])
			}
		}
	})
}
