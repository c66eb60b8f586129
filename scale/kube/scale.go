package kube

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"
)

// scaled is the target's scale subresource as it was read.
type scaled struct {
	object   *unstructured.Unstructured
	replicas int
	selector string // of its pods
}

// client returns what reads and writes the target, whose resource it asks the API server for once.
func (t *Target) client(ctx context.Context) (dynamic.ResourceInterface, error) {
	t.mu.Lock()
	resource := t.resource
	t.mu.Unlock()
	if resource.Empty() {
		var err error
		if resource, err = t.discover(ctx); err != nil {
			return nil, err
		}
		t.mu.Lock()
		t.resource = resource
		t.mu.Unlock()
	}
	return t.dynamic.Resource(resource).Namespace(t.namespace), nil
}

// discover finds the resource of the target's kind, which must have a scale subresource.
func (t *Target) discover(ctx context.Context) (schema.GroupVersionResource, error) {
	version := t.kind.GroupVersion()
	path := "/apis/" + version.String()
	if version.Group == "" {
		path = "/api/" + version.Version
	}
	var list metav1.APIResourceList
	if err := t.typed.CoreV1().RESTClient().Get().AbsPath(path).Do(ctx).Into(&list); err != nil {
		return schema.GroupVersionResource{}, failed("get", path, err)
	}
	plural, scales := "", make(map[string]bool)
	for _, r := range list.APIResources {
		if name, ok := strings.CutSuffix(r.Name, "/scale"); ok {
			scales[name] = true
		} else if r.Kind == t.kind.Kind && !strings.Contains(r.Name, "/") {
			plural = r.Name
		}
	}
	switch {
	case plural == "":
		return schema.GroupVersionResource{}, fmt.Errorf("%s has no kind %s", version, t.kind.Kind)
	case !scales[plural]:
		return schema.GroupVersionResource{}, fmt.Errorf("%s of %s have no scale subresource", plural, version)
	}
	return version.WithResource(plural), nil
}

// read gets the scale.
func (t *Target) read(ctx context.Context) (scaled, error) {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	client, err := t.client(ctx)
	if err != nil {
		return scaled{}, err
	}
	object, err := client.Get(ctx, t.name, metav1.GetOptions{}, "scale")
	if err != nil {
		return scaled{}, failed("get", t.what()+"'s scale", err)
	}
	// Zero replicas are left out.
	replicas, _, err := unstructured.NestedInt64(object.Object, "spec", "replicas")
	if err != nil {
		return scaled{}, fmt.Errorf("%s's scale: %w", t.what(), err)
	}
	selector, _, err := unstructured.NestedString(object.Object, "status", "selector")
	if err != nil {
		return scaled{}, fmt.Errorf("%s's scale: %w", t.what(), err)
	}
	if selector == "" {
		return scaled{}, fmt.Errorf("%s's scale does not tell which pods are its own", t.what())
	}
	t.mu.Lock()
	t.uid = object.GetUID()
	t.mu.Unlock()
	return scaled{object: object, replicas: int(replicas), selector: selector}, nil
}

// resize sets the number of replicas if allow agrees with the number that stands there, unless it
// does so already. It looks and asks again when someone else wrote in between.
func (t *Target) resize(ctx context.Context, replicas int, allow func(found int) error) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		s, err := t.read(ctx)
		if err != nil {
			return err
		}
		if err := allow(s.replicas); err != nil || s.replicas == replicas {
			return err
		}
		if err := unstructured.SetNestedField(s.object.Object, int64(replicas), "spec", "replicas"); err != nil {
			return fmt.Errorf("%s's scale: %w", t.what(), err)
		}
		if err := t.Leading(); err != nil {
			return err
		}
		return t.write(ctx, s.object)
	})
}

// write updates the scale if it is still as it was read.
func (t *Target) write(ctx context.Context, object *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	client, err := t.client(ctx)
	if err != nil {
		return err
	}
	_, err = client.Update(ctx, object, metav1.UpdateOptions{FieldManager: userAgent}, "scale")
	if err != nil {
		return failed("update", t.what()+"'s scale", err)
	}
	return nil
}
