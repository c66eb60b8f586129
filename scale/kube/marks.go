package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// costAnnotation is what a ReplicaSet removes pods by.
	costAnnotation = "controller.kubernetes.io/pod-deletion-cost"
	// markAnnotation notes the cost that a shrink gave, so that it is told from others' costs.
	markAnnotation = "leat-dev/deletion-cost"
)

// patchesAtOnce is how many pods are marked side by side.
const patchesAtOnce = 16

// seenFor is how long a shrink waits for its marks to be shown by the watch.
const seenFor = 3 * time.Second

// mark gives each member its cost where it has another, and waits until the watch shows all of
// them: then the ReplicaSet's own watch is about to, long before it hears of the new scale.
func (t *Target) mark(ctx context.Context, members []pod, p plan) error {
	want := make(map[types.UID]string)
	patches, patching := errgroup.WithContext(ctx)
	patches.SetLimit(patchesAtOnce)
	for _, m := range members {
		cost := ""
		if n := p.cost(m); n != 0 {
			cost = strconv.Itoa(n)
		}
		if m.cost == cost && m.mark == cost {
			continue
		}
		want[m.uid] = cost
		patches.Go(func() error { return t.patch(patching, m, &cost, &cost) })
	}
	if err := patches.Wait(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, seenFor)
	defer cancel()
	err := t.pods.await(ctx, func(byName map[string]pod) bool {
		for _, m := range byName {
			if cost, ok := want[m.uid]; ok && m.cost != cost {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("see the pods' deletion costs: %w", err)
	}
	return nil
}

// sweep takes back marks when no member is left to be removed. Failures are logged: it is tried
// again at the next look.
func (t *Target) sweep(ctx context.Context, members []pod, replicas int) {
	if len(members) > replicas || t.Leading() != nil {
		return
	}
	none := ""
	patches, patching := errgroup.WithContext(ctx)
	patches.SetLimit(patchesAtOnce)
	for _, m := range members {
		if m.mark == "" {
			continue
		}
		cost := &none
		if m.cost != m.mark {
			cost = nil // changed by something else since
		}
		patches.Go(func() error { return t.patch(patching, m, cost, &none) })
	}
	if err := patches.Wait(); err != nil {
		t.log.WarnContext(ctx, "taking back deletion costs failed", "target", t.what(), "error", err)
	}
}

// patch sets a pod's annotations: nil leaves one as it is, empty removes it. A pod that is gone,
// or another of the same name, needs none.
func (t *Target) patch(ctx context.Context, m pod, cost, mark *string) error {
	annotations := make(map[string]any)
	for key, value := range map[string]*string{costAnnotation: cost, markAnnotation: mark} {
		switch {
		case value == nil:
		case *value == "":
			annotations[key] = nil
		default:
			annotations[key] = *value
		}
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": m.uid, "annotations": annotations}})
	if err != nil {
		return fmt.Errorf("mark pod %s: %w", m.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	_, err = t.pods.client.Patch(ctx, m.name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: userAgent})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return failed("patch", "pods", err)
	}
	return nil
}
