package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/kube"
)

// events returns what there is, by reason.
func events(s *apiServer) map[string]object {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[string]object)
	for key, o := range s.objects {
		if strings.HasPrefix(key, "events/") {
			found[fmt.Sprintf("%s/%s", o["reason"], o["message"])] = clone(o)
		}
	}
	return found
}

func TestTell(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 1)
	target := newTarget(t, s, kube.Options{})
	ctx := t.Context()
	target.Tell(ctx, scale.News{Reason: "ScaledUp", Message: "1 to 2"})
	target.Tell(ctx, scale.News{Reason: "Rival", Message: "an HPA", Bad: true})
	target.Tell(ctx, scale.News{Reason: "Rival", Message: "an HPA", Bad: true})
	target.Tell(ctx, scale.News{Reason: "ScaledUp", Message: "2 to 3"})
	target.Tell(ctx, scale.News{Reason: "Rival", Message: "an HPA", Bad: true})
	type shown struct {
		Type, Count any
	}
	got := make(map[string]shown)
	all := events(s)
	for key, o := range all {
		got[key] = shown{o["type"], o["count"]}
	}
	want := map[string]shown{"ScaledUp/1 to 2": {"Normal", 1.0}, "ScaledUp/2 to 3": {"Normal", 1.0}, "Rival/an HPA": {"Warning", 3.0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
	// As kubectl describe asks for them.
	on := object{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": namespace, "name": "worker", "uid": "uid-of-deployments/worker"}
	if diff := cmp.Diff(on, all["Rival/an HPA"]["involvedObject"]); diff != "" {
		t.Errorf("the event is about (-want +got)\n%s", diff)
	}

	// The API server forgets events after an hour.
	s.remove("events/" + nameOf(all["Rival/an HPA"]))
	target.Tell(ctx, scale.News{Reason: "Rival", Message: "an HPA", Bad: true})
	if o := events(s)["Rival/an HPA"]; o == nil || o["count"] != float64(1) {
		t.Errorf("told again, the event is %v", o)
	}
	target.Tell(ctx, scale.News{Reason: "Long", Message: strings.Repeat("ä", 600)})
	for key := range events(s) {
		if text, ok := strings.CutPrefix(key, "Long/"); ok && (len(text) > 1024 || len(text) < 1000 || !utf8.ValidString(text)) {
			t.Errorf("%d bytes, valid: %t", len(text), utf8.ValidString(text))
		}
	}
}

func TestTellFails(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 1)
	var log bytes.Buffer
	target, err := kube.New(kube.Options{Kubeconfig: s.kubeconfig("scaler"), Name: "worker", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.hook(func(c call) int { return on(c, "create", "events", http.StatusForbidden) })
	target.Tell(t.Context(), scale.News{Reason: "ScaledUp", Message: "1 to 2"})
	if !strings.Contains(log.String(), "verb create on events") {
		t.Errorf("the log says %q", log.String())
	}
}

// TestRBAC: the calls of a life are those that the package's description asks rights for.
func TestRBAC(t *testing.T) {
	t.Parallel()
	s := newAPIServer(t)
	setReplicas(s, 1)
	s.put("pods/a", newPod("a", 0))
	s.put("pods/b", newPod("b", 0))
	target := newLeader(t, s, kube.Options{})
	for _, err := range []error{
		target.Grow(t.Context(), 2),
		target.Shrink(t.Context(), 1, []string{"a"}, nil),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		target.Tell(context.WithoutCancel(t.Context()), scale.News{Reason: "ScaledDown", Message: "2 to 1"})
	}
	eventually(t, timeout, func() error {
		if len(s.called("update", "leases")) > 0 {
			return nil
		}
		return context.DeadlineExceeded
	})
	want := []string{
		"create events", "create leases", "get deployments/scale", "get leases", "list horizontalpodautoscalers", "list pods",
		"list scaledobjects", "patch events", "patch pods", "update deployments/scale", "update leases", "watch pods",
	}
	var got []string
	s.mu.Lock()
	for _, c := range s.calls {
		got = append(got, c.verb+" "+c.resource)
	}
	s.mu.Unlock()
	slices.Sort(got)
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
}
