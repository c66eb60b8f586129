package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/leat-dev/leat/scale"
)

// rivalsFor is how long Rival believes what it found.
const rivalsFor = 15 * time.Second

// rivals is what was last found out about them.
type rivals struct {
	at  time.Time // zero: nothing yet
	err error
}

var scaledObjects = schema.GroupVersionResource{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects"}

// scaledObject is the kind of KEDA's resource.
const scaledObject = "ScaledObject"

// Rival returns an error that wraps [scale.ErrRival] and names what else scales the target: a
// HorizontalPodAutoscaler, or a ScaledObject of KEDA's. Other errors tell that this could not be
// found out. What was found up to 15 s ago is believed, so that it may be called often; writes
// always look again. It may be called concurrently with all other methods.
func (t *Target) Rival(ctx context.Context) error {
	t.mu.Lock()
	known := t.rivals
	t.mu.Unlock()
	if !known.at.IsZero() && time.Since(known.at) < rivalsFor {
		return known.err
	}
	return t.findRivals(ctx)
}

// findRivals is Rival, but looks.
func (t *Target) findRivals(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	at := time.Now()
	names, err := t.listRivals(ctx)
	if err != nil {
		return err
	}
	var rival error
	if len(names) > 0 {
		rival = fmt.Errorf("%w: %s", scale.ErrRival, strings.Join(names, ", "))
	}
	t.mu.Lock()
	t.rivals = rivals{at: at, err: rival}
	t.mu.Unlock()
	return rival
}

func (t *Target) listRivals(ctx context.Context) ([]string, error) {
	hpas, err := t.typed.AutoscalingV2().HorizontalPodAutoscalers(t.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, failed("list", "horizontalpodautoscalers.autoscaling", err)
	}
	var names []string
	for i := range hpas.Items {
		hpa := &hpas.Items[i]
		if ref := hpa.Spec.ScaleTargetRef; t.is(ref.APIVersion, ref.Kind, ref.Name) {
			names = append(names, hpaName(hpa))
		}
	}
	objects, err := t.dynamic.Resource(scaledObjects).Namespace(t.namespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return names, nil // KEDA is not installed
	}
	if err != nil {
		return nil, failed("list", "scaledobjects.keda.sh", err)
	}
	for i := range objects.Items {
		if t.isOf(&objects.Items[i]) {
			names = append(names, scaledObject+" "+objects.Items[i].GetName())
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// hpaName names an autoscaler, by the ScaledObject that KEDA made it for if there is one.
func hpaName(hpa *autoscalingv2.HorizontalPodAutoscaler) string {
	if owner := metav1.GetControllerOf(hpa); owner != nil && owner.Kind == scaledObject {
		return scaledObject + " " + owner.Name
	}
	return "HorizontalPodAutoscaler " + hpa.Name
}

// isOf says whether a ScaledObject scales the target.
func (t *Target) isOf(object *unstructured.Unstructured) bool {
	ref := func(field, otherwise string) string {
		value, _, err := unstructured.NestedString(object.Object, "spec", "scaleTargetRef", field)
		if err != nil || value == "" {
			return otherwise
		}
		return value
	}
	return t.is(ref("apiVersion", "apps/v1"), ref("kind", "Deployment"), ref("name", ""))
}

// is says whether a reference means the target. Versions of one group mean the same, and so does
// none at all.
func (t *Target) is(apiVersion, kind, name string) bool {
	if kind != t.kind.Kind || name != t.name {
		return false
	}
	return apiVersion == "" || schema.FromAPIVersionAndKind(apiVersion, kind).Group == t.kind.Group
}
