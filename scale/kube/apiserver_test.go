package kube_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/kubernetes/scheme"
)

const namespace = "leat"

// object is a Kubernetes object as JSON.
type object = map[string]any

// apiServer is as much of an API server as the package calls: versions and conflicts, merge
// patches, watches, scale subresources and faults. It has no controllers.
type apiServer struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	version int
	objects map[string]object // by resource/name, or resource/name/scale
	log     []change
	changed chan struct{}
	calls   []call
	// before is asked ahead of each call, without the lock; a status other than 0 is the answer.
	before func(c call) int
	stalls bool          // watches show nothing new
	breaks chan struct{} // closed when watches are to end
}

type change struct {
	version  int
	resource string
	kind     string
	object   []byte
}

// call is one request: its verb as RBAC has it, resource with subresource, and name.
type call struct{ verb, resource, name, caller string }

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{
		t: t, objects: make(map[string]object), changed: make(chan struct{}), breaks: make(chan struct{}),
		before: func(call) int { return 0 },
	}
	s.server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.breakWatches()
		s.server.Close()
	})
	return s
}

// kubeconfig writes one for a caller, whom the server knows by the first part of the path.
func (s *apiServer) kubeconfig(caller string) string {
	path := filepath.Join(s.t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c,
clusters: [{name: c, cluster: {server: %q}}],
contexts: [{name: c, context: {cluster: c, namespace: %s}}]}`, s.server.URL+"/"+caller, namespace)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// hook sets what is asked ahead of each call.
func (s *apiServer) hook(before func(c call) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// breakWatches ends those that go on.
func (s *apiServer) breakWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.breaks)
	s.breaks = make(chan struct{})
}

// put stores an object as somebody else would.
func (s *apiServer) put(key string, o object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(key, o)
}

// get returns a copy of an object; nil: there is none.
func (s *apiServer) get(key string) object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.objects[key])
}

// edit changes an object in place.
func (s *apiServer) edit(key string, how func(o object) object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(key, how(clone(s.objects[key])))
}

func (s *apiServer) remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resource, _, _ := strings.Cut(key, "/")
	s.version++
	s.note(resource, "DELETED", s.objects[key])
	delete(s.objects, key)
}

// called returns the calls of a verb on a resource.
func (s *apiServer) called(verb, resource string) []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c call) bool { return c.verb != verb || c.resource != resource })
}

func (s *apiServer) store(key string, o object) {
	o, resource := clone(o), strings.Split(key, "/")[0]
	meta := sub(o, "metadata")
	if meta["uid"] == nil {
		meta["uid"] = "uid-of-" + key
	}
	s.version++
	meta["resourceVersion"] = strconv.Itoa(s.version)
	kind := "MODIFIED"
	if s.objects[key] == nil {
		kind = "ADDED"
	}
	s.objects[key] = o
	s.note(resource, kind, o)
}

func (s *apiServer) note(resource, kind string, o object) {
	body, err := json.Marshal(o)
	if err != nil {
		s.t.Error(err)
	}
	s.log = append(s.log, change{version: s.version, resource: resource, kind: kind, object: body})
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, path, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	if path == "apis/apps/v1" {
		answer(w, http.StatusOK, discovery())
		return
	}
	parts := strings.Split(path, "/")
	at := slices.Index(parts, "namespaces")
	if at < 0 || len(parts) < at+3 || parts[at+1] != namespace {
		fail(w, http.StatusNotFound, r.URL.Path)
		return
	}
	parts = parts[at+2:]
	c := call{resource: parts[0], caller: caller}
	key := strings.Join(parts, "/")
	if len(parts) > 1 {
		c.name = parts[1]
	}
	if len(parts) > 2 {
		c.resource += "/" + parts[2]
	}
	c.verb = map[string]string{"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch"}[r.Method]
	if c.verb == "get" && c.name == "" {
		c.verb = "list"
		if r.URL.Query().Get("watch") != "" {
			c.verb = "watch"
		}
	}
	s.mu.Lock()
	s.calls = append(s.calls, c)
	before := s.before
	s.mu.Unlock()
	switch status := before(c); status {
	case 0:
	case away:
		panic(http.ErrAbortHandler)
	default:
		fail(w, status, c.verb+" "+key)
		return
	}
	if c.verb == "watch" {
		s.watch(w, r, c.resource)
		return
	}
	var body object
	if r.Method != http.MethodGet {
		var err error
		if body, err = decode(r); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	s.mu.Lock()
	status, o := s.do(c, key, body)
	s.mu.Unlock()
	if status >= 300 {
		fail(w, status, c.verb+" "+key)
		return
	}
	answer(w, status, o)
}

// decode reads a body, which typed clients send as protobuf.
func decode(r *http.Request) (object, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.Header.Get("Content-Type") == "application/vnd.kubernetes.protobuf" {
		o, _, err := scheme.Codecs.UniversalDeserializer().Decode(text, nil, nil)
		if err != nil {
			return nil, err
		}
		if text, err = json.Marshal(o); err != nil {
			return nil, err
		}
	}
	var body object
	err = json.Unmarshal(text, &body)
	return body, err
}

// away as a status breaks the connection.
const away = -1

// do carries out a call.
func (s *apiServer) do(c call, key string, body object) (int, object) {
	there := s.objects[key]
	switch {
	case c.verb == "list":
		return s.list(c.resource)
	case c.verb == "create":
		key += "/" + nameOf(body)
		if s.objects[key] != nil {
			return http.StatusConflict, nil
		}
		s.store(key, body)
		return http.StatusCreated, clone(s.objects[key])
	case there == nil:
		return http.StatusNotFound, nil
	case c.verb == "update":
		if sub(body, "metadata")["resourceVersion"] != sub(there, "metadata")["resourceVersion"] {
			return http.StatusConflict, nil
		}
		s.store(key, body)
	case c.verb == "patch":
		if uid := sub(body, "metadata")["uid"]; uid != nil && uid != sub(there, "metadata")["uid"] {
			return http.StatusConflict, nil
		}
		there = clone(there)
		merge(there, body)
		s.store(key, there)
	}
	return http.StatusOK, clone(s.objects[key])
}

func (s *apiServer) list(resource string) (int, object) {
	kinds := map[string][2]string{
		"pods":                     {"v1", "PodList"},
		"horizontalpodautoscalers": {"autoscaling/v2", "HorizontalPodAutoscalerList"},
		"scaledobjects":            {"keda.sh/v1alpha1", "ScaledObjectList"},
	}
	items := []any{}
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(key, resource+"/") {
			items = append(items, clone(s.objects[key]))
		}
	}
	if resource == "scaledobjects" && len(items) == 0 {
		return http.StatusNotFound, nil // KEDA is not installed
	}
	return http.StatusOK, object{
		"apiVersion": kinds[resource][0], "kind": kinds[resource][1],
		"metadata": object{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	}
}

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request, resource string) {
	seen, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	s.mu.Lock()
	breaks := s.breaks
	s.mu.Unlock()
	for {
		s.mu.Lock()
		log, changed, stalls := s.log, s.changed, s.stalls
		s.mu.Unlock()
		for _, c := range log {
			if c.version > seen && c.resource == resource && !stalls {
				fmt.Fprintf(w, `{"type":%q,"object":%s}`+"\n", c.kind, c.object)
				seen = c.version
			}
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-changed:
		case <-breaks:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func discovery() object {
	resource := func(name, kind string) object {
		return object{"name": name, "kind": kind, "namespaced": true, "verbs": []string{"get"}}
	}
	return object{"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": "apps/v1", "resources": []any{
		resource("deployments", "Deployment"), resource("deployments/scale", "Scale"),
		resource("statefulsets", "StatefulSet"), resource("statefulsets/scale", "Scale"),
		resource("daemonsets", "DaemonSet"),
	}}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
}

func fail(w http.ResponseWriter, status int, what string) {
	reasons := map[int]string{
		http.StatusNotFound: "NotFound", http.StatusConflict: "Conflict", http.StatusForbidden: "Forbidden",
		http.StatusGone: "Expired", http.StatusInternalServerError: "InternalError",
	}
	answer(w, status, object{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": status,
		"reason": reasons[status], "message": what + ": " + reasons[status],
	})
}

// sub is a part of an object, made where it is missing.
func sub(o object, name string) object {
	part, ok := o[name].(object)
	if !ok {
		part = object{}
		o[name] = part
	}
	return part
}

func nameOf(o object) string { return fmt.Sprint(sub(o, "metadata")["name"]) }

func clone(o object) object {
	if o == nil {
		return nil
	}
	body, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	var c object
	if err := json.Unmarshal(body, &c); err != nil {
		panic(err)
	}
	return c
}

// merge is RFC 7386.
func merge(o, patch object) {
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(o, name)
		case object:
			merge(sub(o, name), value)
		default:
			o[name] = value
		}
	}
}
