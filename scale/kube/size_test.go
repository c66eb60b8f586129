package kube_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/kube"
)

func TestSize(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	newScale(s, "deployments/worker", 4)
	ended, leaving, young := newPod("ended", 0), newPod("leaving", 0), newPod("young", 9)
	sub(ended, "status")["phase"] = "Failed"
	sub(leaving, "metadata")["deletionTimestamp"] = epoch.Format(time.RFC3339)
	sub(young, "status")["phase"] = "Pending"
	for name, pod := range map[string]object{
		"old": newPod("old", 1), "new": newPod("new", 5), "sick": unready(newPod("sick", 0)),
		"ended": ended, "leaving": leaving, "young": young,
	} {
		s.put("pods/"+name, pod)
	}
	target := newTarget(t, s, kube.Options{})
	member := func(name string, made int) scale.Member {
		return scale.Member{Name: name, Made: epoch.Add(time.Duration(made) * time.Second)}
	}
	expect := func(want scale.Size) {
		t.Helper()
		eventually(t, timeout, func() error {
			got, err := target.Size(t.Context())
			for i := range got.Members {
				got.Members[i].Made = got.Members[i].Made.UTC()
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				return fmt.Errorf("error %w; (-want +got)\n%s", err, diff)
			}
			return nil
		})
	}
	// In the order in which Kubernetes would remove them.
	expect(scale.Size{Replicas: 4, Members: []scale.Member{member("young", 9), member("sick", 0), member("new", 5), member("old", 1)}})

	s.put("pods/next", newPod("next", 20))
	s.remove("pods/young")
	sub(leaving, "metadata")["name"] = "old"
	s.put("pods/old", func() object {
		o := newPod("old", 1)
		sub(o, "metadata")["deletionTimestamp"] = epoch.Format(time.RFC3339)
		return o
	}())
	expect(scale.Size{Replicas: 4, Members: []scale.Member{member("sick", 0), member("next", 20), member("new", 5)}})

	setReplicas(s, 0)
	for _, name := range []string{"next", "sick", "new"} {
		s.remove("pods/" + name)
	}
	expect(scale.Size{})
	if target.Name() != "worker" {
		t.Errorf("its name is %s", target.Name())
	}
}

func TestSizeFailsWhileItCannotSee(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status func(call) int
		says   string
	}{
		{"the API server is away", func(call) int { return away }, ""},
		{"the watch is forbidden", func(c call) int { return on(c, "watch", "pods", http.StatusForbidden) }, "verb watch on pods"},
		{"the scale is forbidden", func(c call) int { return on(c, "get", "deployments/scale", http.StatusForbidden) }, "verb get on deployment/worker's scale"},
		{"the list is forbidden", func(c call) int {
			return on(c, "list", "pods", http.StatusForbidden) + on(c, "watch", "pods", http.StatusGone)
		}, "verb list on pods"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newAPIServer(t)
			newScale(s, "deployments/worker", 1)
			s.put("pods/a", newPod("a", 0))
			target := newTarget(t, s, kube.Options{})
			size := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // a lost connection is tried again
				defer cancel()
				_, err := target.Size(ctx)
				return err
			}
			eventually(t, timeout, size)
			s.hook(c.status)
			s.breakWatches()
			eventually(t, timeout, func() error {
				if err := size(); err == nil || !strings.Contains(err.Error(), c.says) {
					return fmt.Errorf("Size says: %w", err)
				}
				return nil
			})
			s.hook(func(call) int { return 0 })
			eventually(t, timeout, size)
		})
	}
}

// on returns the status for one kind of call.
func on(c call, verb, resource string, status int) int {
	if c.verb == verb && c.resource == resource {
		return status
	}
	return 0
}

func TestSizeOfOtherPods(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	newScale(s, "deployments/worker", 1)
	target := newTarget(t, s, kube.Options{})
	eventually(t, timeout, func() error {
		_, err := target.Size(t.Context())
		return err
	})
	// The target was made anew, with another selector.
	scale := s.get("deployments/worker/scale")
	sub(scale, "status")["selector"] = "app=other"
	s.put("deployments/worker/scale", scale)
	lists := len(s.called("list", "pods"))
	if _, err := target.Size(t.Context()); err != nil {
		t.Error(err)
	}
	if len(s.called("list", "pods")) == lists {
		t.Error("the pods were not listed anew")
	}

	sub(scale, "status")["selector"] = ""
	s.put("deployments/worker/scale", scale)
	if _, err := target.Size(t.Context()); err == nil {
		t.Error("a scale without a selector has a size")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	config := s.kubeconfig("scaler")
	for name, o := range map[string]kube.Options{
		"no name":               {Kubeconfig: config},
		"a bad version":         {Kubeconfig: config, Name: "worker", APIVersion: "a/b/c"},
		"no file":               {Kubeconfig: config + "-not", Name: "worker"},
		"neither file nor pod":  {Name: "worker"},
		"a lease of half a sec": {Kubeconfig: config, Name: "worker", LeaseDuration: 500 * time.Millisecond},
	} {
		if _, err := kube.New(o); err == nil {
			t.Errorf("%s is good enough", name)
		}
	}
	for name, o := range map[string]kube.Options{
		"has no kind Thing":      {Kind: "Thing"},
		"no scale subresource":   {Kind: "DaemonSet"},
		"get /apis/example.io/v": {APIVersion: "example.io/v1", Kind: "Thing"},
	} {
		_, err := newTarget(t, s, o).Size(t.Context())
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error is %v, and should say %q", err, name)
		}
	}
}

func TestGrow(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 0)
	target := newLeader(t, s, kube.Options{})

	if err := target.Grow(t.Context(), 3); err != nil || replicas(s) != 3 {
		t.Errorf("grow to 3: %v; %d", err, replicas(s))
	}
	updates := len(s.called("update", "deployments/scale"))
	if err := target.Grow(t.Context(), 3); err != nil {
		t.Errorf("grow to what there is: %v", err)
	}
	if err := target.Grow(t.Context(), 2); !errors.Is(err, kube.ErrMoved) {
		t.Errorf("grow to less: %v", err)
	}
	if len(s.called("update", "deployments/scale")) != updates {
		t.Error("it wrote for nothing")
	}

	// Someone else writes between the look and the write: once to no effect, then past it.
	others := []int{4, 9}
	s.hook(func(c call) int {
		if c.verb == "update" && c.resource == "deployments/scale" && len(others) > 0 {
			setReplicas(s, others[0])
			others = others[1:]
		}
		return 0
	})
	if err := target.Grow(t.Context(), 6); !errors.Is(err, kube.ErrMoved) || replicas(s) != 9 {
		t.Errorf("grow to 6 while another grows to 9: %v; %d", err, replicas(s))
	}
	others = []int{9}
	if err := target.Grow(t.Context(), 12); err != nil || replicas(s) != 12 {
		t.Errorf("grow in spite of a conflict: %v; %d", err, replicas(s))
	}
	s.hook(func(c call) int { return on(c, "update", "deployments/scale", http.StatusForbidden) })
	if err := target.Grow(t.Context(), 13); err == nil || !strings.Contains(err.Error(), "verb update on deployment/worker's scale") {
		t.Errorf("the verb is missing, and the error says %v", err)
	}
}
