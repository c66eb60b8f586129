package kube_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/kube"
)

func newHPA(name, apiVersion, kind, target string) object {
	return object{
		"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
		"metadata": object{"name": name, "namespace": namespace},
		"spec":     object{"maxReplicas": 3, "scaleTargetRef": object{"apiVersion": apiVersion, "kind": kind, "name": target}},
	}
}

func newScaledObject(name string, target object) object {
	return object{
		"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
		"metadata": object{"name": name, "namespace": namespace}, "spec": object{"scaleTargetRef": target},
	}
}

func TestRivals(t *testing.T) {
	t.Parallel()
	kedas := newHPA("keda-hpa-so", "apps/v1", "Deployment", "worker")
	sub(kedas, "metadata")["ownerReferences"] = []any{object{
		"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "so", "uid": "1", "controller": true,
	}}
	for _, c := range []struct {
		name    string
		objects map[string]object
		want    string // empty: no rival
	}{
		{"nothing", nil, ""},
		{"an HPA", map[string]object{"horizontalpodautoscalers/h": newHPA("h", "apps/v1", "Deployment", "worker")}, "HorizontalPodAutoscaler h"},
		{"by another version", map[string]object{"horizontalpodautoscalers/h": newHPA("h", "apps/v1beta2", "Deployment", "worker")}, "HorizontalPodAutoscaler h"},
		{"by no version", map[string]object{"horizontalpodautoscalers/h": newHPA("h", "", "Deployment", "worker")}, "HorizontalPodAutoscaler h"},
		{"of another", map[string]object{"horizontalpodautoscalers/h": newHPA("h", "apps/v1", "Deployment", "api")}, ""},
		{"of another kind", map[string]object{"horizontalpodautoscalers/h": newHPA("h", "apps/v1", "StatefulSet", "worker")}, ""},
		{"of another group", map[string]object{"horizontalpodautoscalers/h": newHPA("h", "argoproj.io/v1", "Deployment", "worker")}, ""},
		{"a ScaledObject", map[string]object{"scaledobjects/so": newScaledObject("so", object{"name": "worker"})}, "ScaledObject so"},
		{"of another too", map[string]object{"scaledobjects/so": newScaledObject("so", object{"name": "api"})}, ""},
		{"of a StatefulSet", map[string]object{"scaledobjects/so": newScaledObject("so", object{"name": "worker", "kind": "StatefulSet"})}, ""},
		{
			"a ScaledObject and its HPA",
			map[string]object{
				"scaledobjects/so":                     newScaledObject("so", object{"name": "worker", "kind": "Deployment", "apiVersion": "apps/v1"}),
				"horizontalpodautoscalers/keda-hpa-so": kedas,
			},
			"ScaledObject so",
		},
		{
			"two",
			map[string]object{
				"scaledobjects/so":           newScaledObject("so", object{"name": "worker"}),
				"horizontalpodautoscalers/h": newHPA("h", "apps/v1", "Deployment", "worker"),
			},
			"HorizontalPodAutoscaler h, ScaledObject so",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newAPIServer(t)
			setReplicas(s, 2)
			for key, o := range c.objects {
				s.put(key, o)
			}
			target := newLeader(t, s, kube.Options{})
			for name, err := range map[string]error{
				"Rival": target.Rival(t.Context()), "Grow": target.Grow(t.Context(), 3), "Shrink": target.Shrink(t.Context(), 0, nil, nil),
			} {
				if errors.Is(err, scale.ErrRival) != (c.want != "") || (c.want != "" && !strings.HasSuffix(err.Error(), ": "+c.want)) {
					t.Errorf("%s says %v, and the rival is %q", name, err, c.want)
				}
			}
			if wrote := len(s.called("update", "deployments/scale")) > 0; wrote != (c.want == "") {
				t.Errorf("it wrote: %t", wrote)
			}
		})
	}
}

// TestRivalAppears: what was found is believed for a while, but not by writes.
func TestRivalAppears(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 2)
	target := newLeader(t, s, kube.Options{})
	for range 3 {
		if err := target.Rival(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.called("list", "horizontalpodautoscalers")); n != 1 {
		t.Errorf("asked %d times", n)
	}
	s.put("horizontalpodautoscalers/h", newHPA("h", "apps/v1", "Deployment", "worker"))
	if err := target.Grow(t.Context(), 3); !errors.Is(err, scale.ErrRival) {
		t.Errorf("grow: %v", err)
	}
	if err := target.Rival(t.Context()); !errors.Is(err, scale.ErrRival) {
		t.Errorf("what a write found out is not known: %v", err)
	}
	s.remove("horizontalpodautoscalers/h")
	if err := target.Grow(t.Context(), 3); err != nil {
		t.Errorf("the rival is gone: %v", err)
	}
	if err := target.Rival(t.Context()); err != nil {
		t.Errorf("the rival is gone: %v", err)
	}
	for _, resource := range []string{"horizontalpodautoscalers", "scaledobjects"} {
		s.hook(func(c call) int { return on(c, "list", resource, http.StatusForbidden) })
		err := target.Grow(t.Context(), 4)
		if err == nil || errors.Is(err, scale.ErrRival) || !strings.Contains(err.Error(), "verb list on "+resource) || replicas(s) != 3 {
			t.Errorf("%s may not be listed, and it says %v; %d replicas", resource, err, replicas(s))
		}
	}
}
