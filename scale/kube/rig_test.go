package kube_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leat-dev/leat/scale/kube"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	costKey = "controller.kubernetes.io/pod-deletion-cost"
	markKey = "leat-dev/deletion-cost"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newScale puts the scale of a target.
func newScale(s *apiServer, target string, replicas int) {
	_, name, _ := strings.Cut(target, "/")
	scale := object{
		"apiVersion": "autoscaling/v1", "kind": "Scale",
		"metadata": object{"name": name, "namespace": namespace, "uid": "uid-of-" + target},
		"spec":     object{}, "status": object{"replicas": 0, "selector": "app=worker"},
	}
	if replicas > 0 { // as the API server does, which leaves out a zero
		sub(scale, "spec")["replicas"] = replicas
	}
	s.put(target+"/scale", scale)
}

// replicas is what the scale of deployments/worker asks for.
func replicas(s *apiServer) int {
	n, _ := sub(s.get("deployments/worker/scale"), "spec")["replicas"].(float64)
	return int(n)
}

// setReplicas is what somebody else does.
func setReplicas(s *apiServer, n int) { newScale(s, "deployments/worker", n) }

// newPod is a ready pod.
func newPod(name string, made int) object {
	return object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{
			"name": name, "namespace": namespace, "labels": object{"app": "worker"},
			"creationTimestamp": epoch.Add(time.Duration(made) * time.Second).Format(time.RFC3339),
			"ownerReferences": []any{object{
				"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "worker-1", "uid": "rs-1", "controller": true,
			}},
		},
		"spec":   object{"nodeName": "node-1"},
		"status": object{"phase": "Running", "conditions": []any{object{"type": "Ready", "status": "True"}}},
	}
}

func unready(pod object) object {
	sub(pod, "status")["conditions"] = []any{object{"type": "Ready", "status": "False"}}
	return pod
}

func annotated(pod object, cost, mark string) object {
	annotations := sub(sub(pod, "metadata"), "annotations")
	annotations[costKey], annotations[markKey] = cost, mark
	return pod
}

// costs are the pods' deletion costs, where they have any.
func costs(s *apiServer) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[string]string)
	for key, o := range s.objects {
		if name, ok := strings.CutPrefix(key, "pods/"); ok {
			if cost, ok := sub(sub(o, "metadata"), "annotations")[costKey]; ok {
				found[name] = fmt.Sprint(cost)
			}
		}
	}
	return found
}

// newTarget makes a target, for deployments/worker unless the options say otherwise, and runs it.
func newTarget(t *testing.T, s *apiServer, o kube.Options) *kube.Target {
	t.Helper()
	if o.Kubeconfig == "" {
		o.Kubeconfig = s.kubeconfig("scaler")
	}
	if o.Name == "" {
		o.Name = "worker"
	}
	o.Log = slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	target, err := kube.New(o)
	if err != nil {
		t.Fatal(err)
	}
	background(t, target.Run)
	return target
}

// newLeader is newTarget that leads already.
func newLeader(t *testing.T, s *apiServer, o kube.Options) *kube.Target {
	t.Helper()
	target := newTarget(t, s, o)
	leads := make(chan struct{})
	background(t, func(ctx context.Context) error {
		return target.Lead(ctx, func(ctx context.Context) error {
			close(leads)
			<-ctx.Done()
			return nil
		})
	})
	receive(t, leads, timeout)
	return target
}

// background runs something until the test ends, or what it returns is called.
func background(t *testing.T, run func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // it ends in Cleanup, in order
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func receive[T any](t *testing.T, from <-chan T, within time.Duration) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(within):
		t.Fatalf("nothing within %v", within)
		panic("unreachable")
	}
}

// eventually polls until a check is content.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %v: %v", within, err)
		}
	}
}

// logWriter shows the log where a test fails.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(line []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
