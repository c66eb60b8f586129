// Package cluster_test proves on a real Kubernetes cluster that the scaler sizes the worker
// Deployment to the work. `make e2e` runs it: it needs KUBECONFIG, kubectl, and in the cluster the
// image local/leat:e2e with the programs api, worker, scaler, leat and integration/program; the
// node must be this machine: Postgres and Redis run on its 127.0.0.1, and a process of a pod is killed.
package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

var e2e = flag.Bool("e2e", false, "run on the cluster of KUBECONFIG")

// namespace is the overlay's.
const namespace = "leat-e2e"

func TestMain(m *testing.M) {
	flag.Parse()
	if !*e2e {
		fmt.Println("the tests on a Kubernetes cluster run with make e2e")
		return
	}
	os.Exit(m.Run())
}

// cluster is an installation: the base as it is, but for what the overlay changes.
type cluster struct {
	*system.System
	t     *testing.T
	kube  kubernetes.Interface
	url   string // of the api
	redis *testserver.RedisServer
	link  *testserver.Link // between the scalers and the API server
	http  *http.Client
}

// install applies the overlay with the given settings and policy, and waits until a scaler leads.
func install(t *testing.T, policy string, settings ...string) *cluster {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatalf("KUBECONFIG: %v", err)
	}
	cfg.QPS = -1
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	pg, rd := testserver.NewPostgres(t), testserver.NewRedis(t)
	c := &cluster{
		System: system.New(t, system.Build(t, "integration/program", false), pg.URL(), rd.URL()),
		t:      t, kube: kube, redis: rd, http: system.Client(),
		link: testserver.Proxy(t, strings.TrimPrefix(cfg.Host, "https://")),
	}
	c.Queue = "default"
	if err := os.Chmod(c.BlobDir, 0o777); err != nil { // the pods run as another user
		t.Fatal(err)
	}
	c.apply(policy, settings)
	c.until("the api answers", 90*time.Second, c.answers)
	c.until("a scaler leads", 90*time.Second, func() bool { return c.leader() != "" })
	return c
}

// answers tells whether the api is ready.
func (c *cluster) answers() bool {
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+"/readyz", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}

// apply makes a copy of the overlay with this test's settings, and applies it. Api and worker are
// the program with the kinds of the tests.
func (c *cluster) apply(policy string, settings []string) {
	c.t.Helper()
	root := filepath.Join("..", "..")
	dir := c.t.TempDir()
	for _, part := range []string{"deploy/k8s/base", "integration/overlay"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(root, part))); err != nil {
			c.t.Fatal(err)
		}
	}
	overlay := filepath.Join(dir, "integration", "overlay")
	_, port, _ := strings.Cut(c.link.Addr(), ":")
	listen := testserver.FreeAddr(c.t)
	c.url = "http://" + listen
	c.write(overlay, "secret.env", "database-url="+c.DatabaseURL+"\nredis-url="+c.RedisURL+"\n")
	c.write(overlay, "settings.env", strings.Join(append([]string{
		"LEAT_LISTEN=" + listen, "LEAT_ADMIN_LISTEN=127.0.0.1:0", "LEAT_QUEUES=" + c.Queue, "LEAT_TEST_UNTETHERED=yes", "LEAT_AUTH=loopback",
	}, settings...), "\n")+"\n")
	c.write(overlay, "node.env", "blobs="+c.BlobDir+"\n")
	c.write(overlay, "policy.yaml", policy)
	c.write(overlay, "test.yaml", fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 0 # or there would be one until the scaler has decided
  template:
    spec:
      containers: [{name: worker, command: [/program, worker]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      containers: [{name: api, command: [/program, api]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: scaler}
spec:
  template:
    spec:
      containers: [{name: scaler, env: [{name: KUBERNETES_SERVICE_PORT, value: "%s"}]}]
`, port))
	kustomization := filepath.Join(overlay, "kustomization.yaml")
	text, err := os.ReadFile(kustomization)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(overlay, "kustomization.yaml", strings.Replace(string(text), "\nreplacements:\n", "  - path: test.yaml\n\nreplacements:\n", 1)) // after the others
	c.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait")
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Log(c.kubectl("--namespace", namespace, "logs", "--selector=app.kubernetes.io/component=scaler", "--prefix", "--tail=40"))
		}
		c.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait")
	})
	c.kubectl("apply", "--kustomize", overlay)
}

func (c *cluster) write(dir, name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// kubectl runs a command and returns what it prints.
func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "kubectl", args...).CombinedOutput()
	if err != nil {
		c.t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// until waits until something is so.
func (c *cluster) until(what string, limit time.Duration, check func() bool) {
	c.t.Helper()
	system.Poll(c.t.Context(), c.t, what, limit, 50*time.Millisecond, check)
}

// worker is the Deployment.
func (c *cluster) worker() *appsv1.Deployment {
	d, err := c.kube.AppsV1().Deployments(namespace).Get(c.t.Context(), "worker", metav1.GetOptions{})
	if err != nil {
		if c.t.Context().Err() == nil {
			c.t.Logf("get the worker: %v", err)
		}
		return &appsv1.Deployment{}
	}
	return d
}

// replicas is what the Deployment is told to have; -1 when it cannot be asked.
func (c *cluster) replicas() int {
	if r := c.worker().Spec.Replicas; r != nil {
		return int(*r)
	}
	return -1
}

// leader is who holds the Lease and runs: a pod's name, and behind a _ a number that each process has
// of its own. It is empty when there is none.
func (c *cluster) leader() string {
	lease, err := c.kube.CoordinationV1().Leases(namespace).Get(c.t.Context(), "worker-scaler", metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil || lease.Spec.RenewTime == nil {
		return ""
	}
	age := time.Since(lease.Spec.RenewTime.Time)
	if age > time.Duration(*lease.Spec.LeaseDurationSeconds)*time.Second {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// kill ends a pod's process at once, as kill -9 on its node does; the node is this machine.
func (c *cluster) kill(pod string) {
	c.t.Helper()
	wanted := []byte("LEAT_INSTANCE=" + pod)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil || !slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(v []byte) bool { return bytes.Equal(v, wanted) }) {
			continue // a process that has ended, most likely
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			c.t.Fatalf("kill the process of %s: %v", pod, err)
		}
		return
	}
	c.t.Fatalf("no process of %s on this machine", pod)
}

// upload posts n files of the kind at once, over some connections, and returns when all are
// accepted.
func (c *cluster) upload(n int, kind, params string) {
	c.t.Helper()
	errs := make(chan error, n)
	limit := make(chan struct{}, 16)
	for i := range n {
		limit <- struct{}{}
		go func() {
			defer func() { <-limit }()
			_, err := c.Upload(c.t.Context(), c.http, c.url, kind, params, fmt.Appendf(nil, "file %d\n", i))
			errs <- err
		}()
	}
	var failed error
	for range n {
		failed = errors.Join(failed, <-errs)
	}
	if failed != nil {
		c.t.Fatal(failed)
	}
}

// idle waits until no job is left, and no worker.
func (c *cluster) idle(limit time.Duration) {
	c.t.Helper()
	c.until("all work is done", limit, func() bool {
		busy, err := c.Busy(c.t.Context())
		return err == nil && !busy
	})
	c.until("the fleet is gone", 2*time.Minute, func() bool { return c.replicas() == 0 })
}

// onceEach fails the test unless every job has succeeded, in its first attempt and its first run.
func (c *cluster) onceEach(jobs int) {
	c.t.Helper()
	var succeeded, attempts, others int
	err := c.DB().QueryRow(c.t.Context(), `SELECT (SELECT count(*) FROM jobs WHERE state = 'succeeded'),
		(SELECT count(*) FROM attempts), (SELECT count(*) FROM attempts WHERE outcome <> 'succeeded')`).Scan(&succeeded, &attempts, &others)
	if err != nil {
		c.t.Fatal(err)
	}
	if succeeded != jobs || attempts != jobs || others != 0 {
		c.t.Errorf("of %d jobs %d succeeded, in %d runs, %d of which ended otherwise%s", jobs, succeeded, attempts, others, c.unwanted())
	}
}

// unwanted tells of the runs that did not succeed.
func (c *cluster) unwanted() string {
	var text string
	err := c.DB().QueryRow(c.t.Context(), `SELECT coalesce(string_agg(format(E'\n%s %s on %s, %s to %s: %s', job_id, outcome, worker_label,
		started_at, finished_at, coalesce(error_message, '')), ''), '') FROM attempts WHERE outcome <> 'succeeded'`).Scan(&text)
	if err != nil {
		return err.Error()
	}
	return text
}

// events are the reasons and messages of the Deployment's Events.
func (c *cluster) events() []corev1.Event {
	list, err := c.kube.CoreV1().Events(namespace).List(c.t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=worker"})
	if err != nil {
		c.t.Logf("list events: %v", err)
		return nil
	}
	return list.Items
}
