package kube_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/scale/kube"
)

// TestShrinkMarksFirst: when the scale is written, a watcher knows who is to go.
func TestShrinkMarksFirst(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 6)
	s.put("pods/idle", newPod("idle", 0))
	s.put("pods/spare", newPod("spare", 0))
	s.put("pods/busy", newPod("busy", 0))
	s.put("pods/long", newPod("long", 0))
	s.put("pods/blink", newPod("blink", 0))
	s.put("pods/known", annotated(newPod("known", 0), "90", "90"))
	target := newLeader(t, s, kube.Options{})
	var atWrite map[string]string
	s.hook(func(c call) int {
		if c.verb == "update" && c.resource == "deployments/scale" {
			atWrite = costs(s)
		}
		return 0
	})
	left := map[string]time.Duration{
		"busy": 61500 * time.Millisecond, "long": math.MaxInt64, "blink": time.Millisecond, "known": 90 * time.Second, "spare": 0,
	}
	if err := target.Shrink(t.Context(), 5, []string{"idle"}, left); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"idle": "-1000000", "busy": "61", "long": "2147483647", "blink": "1", "known": "90"}
	if diff := cmp.Diff(want, atWrite); diff != "" {
		t.Errorf("costs when the scale was written (-want +got)\n%s", diff)
	}
	if n := len(s.called("patch", "pods")); n != 4 {
		t.Errorf("%d pods were patched, not the 4 that had another cost", n)
	}
	if replicas(s) != 5 {
		t.Errorf("%d replicas", replicas(s))
	}

	// As long as a pod is to be removed the marks stay; then they go.
	if _, err := target.Size(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, costs(s)); diff != "" {
		t.Errorf("costs while there is a pod too many (-want +got)\n%s", diff)
	}
	s.remove("pods/idle")
	swept(t, s, target, map[string]string{})
}

// swept waits until a look at the fleet has left just these costs.
func swept(t *testing.T, s *apiServer, target *kube.Target, want map[string]string) {
	t.Helper()
	eventually(t, timeout, func() error {
		if _, err := target.Size(t.Context()); err != nil {
			return err
		}
		if diff := cmp.Diff(want, costs(s)); diff != "" {
			return fmt.Errorf("costs (-want +got)\n%s", diff)
		}
		return nil
	})
}

// TestStaleMarks: what an aborted shrink or another scaler left is taken back, others' costs not.
func TestStaleMarks(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 4)
	s.put("pods/ours", annotated(newPod("ours", 0), "-1000000", "-1000000"))
	s.put("pods/theirs", annotated(newPod("theirs", 0), "7", ""))
	s.put("pods/since", annotated(newPod("since", 0), "8", "-1000000"))
	s.put("pods/none", newPod("none", 0))
	target := newLeader(t, s, kube.Options{})
	swept(t, s, target, map[string]string{"theirs": "7", "since": "8"})

	s.hook(func(c call) int { return on(c, "update", "deployments/scale", http.StatusInternalServerError) })
	if err := target.Shrink(t.Context(), 3, []string{"none"}, nil); err == nil {
		t.Error("a failed write is no error")
	}
	if costs(s)["none"] != "-1000000" {
		t.Errorf("the victim was not marked: %v", costs(s))
	}
	swept(t, s, target, map[string]string{})
}

func TestShrinkRefuses(t *testing.T) {
	t.Parallel()
	pending := func(pod object) object {
		sub(pod, "status")["phase"] = "Pending"
		return pod
	}
	owned := func(pod object, by string) object {
		sub(pod, "metadata")["ownerReferences"] = []any{object{
			"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": by, "uid": by, "controller": true,
		}}
		return pod
	}
	busy := map[string]time.Duration{"b": time.Minute}
	for _, c := range []struct {
		name    string
		pods    []object
		to      int
		victims []string
		safe    bool
	}{
		{"a victim", []object{newPod("a", 0), newPod("b", 0)}, 1, []string{"a"}, true},
		{"a busy pod that is not ready goes before it", []object{newPod("a", 0), unready(newPod("b", 0))}, 1, []string{"a"}, false},
		{"a pod that starts goes before it", []object{newPod("a", 0), newPod("b", 0), pending(newPod("c", 0))}, 2, []string{"a"}, true},
		{"pods that start go without any victim", []object{newPod("b", 0), pending(newPod("c", 0))}, 1, nil, true},
		{"a sick one without work too", []object{newPod("a", 0), newPod("b", 0), unready(newPod("c", 0))}, 2, []string{"a"}, true},
		{"too few victims", []object{newPod("a", 0), newPod("b", 0), newPod("c", 0)}, 1, []string{"a"}, false},
		{"no victim", []object{newPod("a", 0), newPod("b", 0)}, 1, nil, false},
		{"a victim that is gone", []object{newPod("a", 0), newPod("b", 0)}, 1, []string{"x"}, false},
		{"fewer pods than replicas", []object{newPod("b", 0)}, 1, nil, true},
		{"a rollout", []object{newPod("a", 0), owned(newPod("b", 0), "rs-2")}, 1, []string{"a"}, false},
		{"to nothing in a rollout", []object{newPod("a", 0), owned(newPod("c", 0), "rs-2")}, 0, []string{"a", "c"}, true},
		{"a busy victim, by order", []object{newPod("a", 0), newPod("b", 0)}, 0, []string{"a", "b"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newAPIServer(t)
			setReplicas(s, c.to+1)
			for _, pod := range c.pods {
				s.put("pods/"+nameOf(pod), pod)
			}
			target := newLeader(t, s, kube.Options{})
			err := target.Shrink(t.Context(), c.to, c.victims, busy)
			if c.safe && (err != nil || replicas(s) != c.to) {
				t.Errorf("%v; %d replicas", err, replicas(s))
			}
			if !c.safe && (!errors.Is(err, kube.ErrUnsafe) || replicas(s) != c.to+1 || len(costs(s)) > 0) {
				t.Errorf("%v; %d replicas, costs %v", err, replicas(s), costs(s))
			}
		})
	}
}

// TestShrinkLooksAgain: what changes while the pods are marked counts.
func TestShrinkLooksAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		other func(s *apiServer)
		want  error
		left  int // replicas
	}{
		{"another shrank further", func(s *apiServer) { setReplicas(s, 1) }, kube.ErrMoved, 1},
		{"another shrank as far", func(s *apiServer) { setReplicas(s, 2) }, nil, 2},
		{"another grew", func(s *apiServer) { setReplicas(s, 5) }, nil, 2},
		{"a busy pod is not ready any more", func(s *apiServer) { s.edit("pods/b", unready) }, kube.ErrUnsafe, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newAPIServer(t)
			setReplicas(s, 3)
			for _, name := range []string{"a", "b", "c"} {
				s.put("pods/"+name, newPod(name, 0))
			}
			target := newLeader(t, s, kube.Options{})
			s.hook(func(k call) int {
				if k.verb == "patch" && k.name == "a" {
					c.other(s)
				}
				return 0
			})
			err := target.Shrink(t.Context(), 2, []string{"a"}, map[string]time.Duration{"b": time.Second})
			if !errors.Is(err, c.want) || replicas(s) != c.left {
				t.Errorf("%v; %d replicas", err, replicas(s))
			}
		})
	}
}

func TestShrinkWaitsForItsMarks(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 2)
	s.put("pods/a", newPod("a", 0))
	s.put("pods/b", newPod("b", 0))
	target := newLeader(t, s, kube.Options{})
	eventually(t, timeout, func() error {
		_, err := target.Size(t.Context())
		return err
	})
	s.mu.Lock()
	s.stalls = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := target.Shrink(ctx, 1, []string{"a"}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no watcher has seen the marks, and it says: %v", err)
	}
	if costs(s)["a"] == "" || replicas(s) != 2 {
		t.Errorf("costs %v, %d replicas", costs(s), replicas(s))
	}
}

func TestStatefulSet(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	newScale(s, "statefulsets/worker", 11)
	s.put("statefulsets/worker", object{
		"apiVersion": "apps/v1", "kind": "StatefulSet",
		"metadata": object{"name": "worker", "namespace": namespace}, "spec": object{"ordinals": object{"start": 1}},
	})
	for i := 1; i <= 11; i++ {
		name := fmt.Sprintf("worker-%d", i)
		s.put("pods/"+name, newPod(name, 0))
	}
	target := newLeader(t, s, kube.Options{Kind: "StatefulSet"})
	size, err := target.Size(t.Context())
	if err != nil || !size.Ordered || size.Members[0].Name != "worker-11" || size.Members[10].Name != "worker-1" {
		t.Errorf("who would go first does not come first: %v %v", err, size.Members)
	}
	if err := target.Shrink(t.Context(), 9, []string{"worker-11", "worker-9"}, nil); !errors.Is(err, kube.ErrUnsafe) {
		t.Errorf("worker-10 would go, and it says: %v", err)
	}
	if err := target.Shrink(t.Context(), 9, []string{"worker-11", "worker-10"}, nil); err != nil {
		t.Error(err)
	}
	if got := sub(s.get("statefulsets/worker/scale"), "spec")["replicas"]; got != float64(9) || len(costs(s)) > 0 {
		t.Errorf("%v replicas, costs %v", got, costs(s))
	}
}
