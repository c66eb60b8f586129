package manifests_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	root       = "../.."
	production = "production"
	local      = "local"
	onOneNode  = "integration" // the overlay of the tests on a cluster
)

// variant is one way to install Leat, rendered.
type variant struct {
	name    string
	objects []metav1.Object
}

// components are the optional parts, each of which fits every overlay; none comes first.
var components = []string{"", "servicemonitor", "keda", "hpa-worker"}

// variants are all ways to install Leat, rendered once.
var variants = sync.OnceValues(func() ([]variant, error) {
	var list []variant
	for _, overlay := range []string{local, production} {
		for _, component := range components {
			v, err := render(overlay, component)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	}
	objects, err := build(filepath.Join(root, "integration/overlay"))
	return append(list, variant{onOneNode, objects}), err
})

// render renders an overlay with a component as an overlay of its own would have it.
func render(overlay, component string) (v variant, err error) {
	v.name = strings.TrimSuffix(overlay+"+"+component, "+")
	dir, err := os.MkdirTemp("", "manifests")
	if err != nil {
		return v, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of temporary files
	text := "resources: [" + from(dir, "overlays", overlay) + "]\n"
	if component != "" {
		text += "components: [" + from(dir, "components", component) + "]\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		return v, err
	}
	v.objects, err = build(dir)
	return v, err
}

// from is the path of a folder of deploy/k8s as seen from dir, since kustomize takes no other.
func from(dir string, names ...string) string {
	path, err := filepath.Abs(filepath.Join(append([]string{root, "deploy/k8s"}, names...)...))
	if err == nil {
		if dir, err = filepath.EvalSymlinks(dir); err == nil {
			path, err = filepath.Rel(dir, path)
		}
	}
	if err != nil {
		panic(err)
	}
	return path
}

// strict reads objects of the kinds that Kubernetes brings and those of custom, and refuses what
// their schema does not know or has twice.
var strict = sync.OnceValue(func() runtime.Decoder {
	known := runtime.NewScheme()
	if err := scheme.AddToScheme(known); err != nil {
		panic(err)
	}
	for kind, object := range custom {
		known.AddKnownTypeWithName(kind, object)
	}
	return serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
})

// build is what kustomize makes of a folder.
func build(dir string) ([]metav1.Object, error) {
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	var objects []metav1.Object
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.CurId(), err)
		}
		object, _, err := strict().Decode(text, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", r.CurId(), err, text)
		}
		named, ok := object.(metav1.Object)
		if !ok {
			return nil, fmt.Errorf("%s: a %T has no name", r.CurId(), object)
		}
		objects = append(objects, named)
	}
	return objects, nil
}

// all gives every variant whose name the test wants, each in a subtest.
func all(t *testing.T, want func(name string) bool, check func(t *testing.T, v variant)) {
	t.Helper()
	list, err := variants()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if want == nil || want(v.name) {
			t.Run(v.name, func(t *testing.T) {
				t.Parallel()
				check(t, v)
			})
		}
	}
}

// inCluster wants the variants for clusters with Services, DNS and network policies.
func inCluster(name string) bool { return name != onOneNode }

// withScaler wants the variants in which Leat's own scaler sizes the workers.
func withScaler(name string) bool {
	return !strings.Contains(name, "keda") && !strings.Contains(name, "hpa-worker")
}

// kind gives a variant's objects of one type, by name.
func kind[T metav1.Object](v variant) map[string]T {
	found := map[string]T{}
	for _, o := range v.objects {
		if object, ok := o.(T); ok {
			found[object.GetName()] = object
		}
	}
	return found
}

// get gives the one object of that type and name.
func get[T metav1.Object](t *testing.T, v variant, name string) T {
	t.Helper()
	object, ok := kind[T](v)[name]
	if !ok {
		t.Fatalf("there is no %T %s", object, name)
	}
	return object
}

// template is what makes pods.
type template struct {
	name string
	pod  corev1.PodTemplateSpec
}

// ours says whether the pods run Leat's image.
func (p template) ours() bool { return p.pod.Labels["app.kubernetes.io/name"] == "leat" }

// templates are everything in a variant that makes pods.
func templates(v variant) []template {
	found := map[string]corev1.PodTemplateSpec{}
	for name, o := range kind[*appsv1.Deployment](v) {
		found[name] = o.Spec.Template
	}
	for name, o := range kind[*appsv1.StatefulSet](v) {
		found[name] = o.Spec.Template
	}
	for name, o := range kind[*batchv1.Job](v) {
		found[name] = o.Spec.Template
	}
	var list []template
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, template{name, found[name]})
	}
	return list
}

// custom are kinds of other projects, as these document them, with the fields that are used here.
var custom = map[schema.GroupVersionKind]runtime.Object{
	{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"}:           &scaledObject{},
	{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"}: &serviceMonitor{},
}
