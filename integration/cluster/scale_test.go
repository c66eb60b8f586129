package cluster_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leat-dev/leat/integration/system"
)

// perTen is a policy of one worker for ten jobs, whose fleet goes as soon as it is idle.
const perTen = `
max: 20
depth: {jobs-per-replica: 10}
drain: null
due: null
behavior: {scale-down: {window: 5s, policies: []}}
`

// perJob has a worker for each job.
const perJob = `
max: 12
depth: {jobs-per-replica: 1}
drain: null
due: null
behavior: {scale-down: {window: 0s, policies: []}}
`

// What takes long is proven at length by make e2e alone.
var (
	bursts  = flag.Int("bursts", 20, "how often TestBursts makes the fleet grow from nothing")
	shrinks = flag.Int("shrinks", 30, "how often TestP8ScaleInUnderLoad has the fleet shrink under load")
)

// TestBursts: from no worker and a backlog of 500 real uploads to the first replica, and to all
// twenty, in under three seconds each (median of all bursts); every job done once; then back to none.
func TestBursts(t *testing.T) { //nolint:paralleltest // there is one cluster
	c := install(t, perTen)
	const backlog = 500
	var first, all []time.Duration
	for n := range *bursts {
		// The queue is paused while the backlog is made, so that it is there at once. Each burst comes
		// at another moment between two decisions.
		c.post("/v1/queues/" + c.Queue + "/pause")
		c.upload(backlog, "inspect", "")
		time.Sleep(time.Duration(n) * 100 * time.Millisecond) //nolint:forbidigo // what is measured is time
		began := time.Now()
		c.post("/v1/queues/" + c.Queue + "/resume")
		c.until("the first replica", 30*time.Second, func() bool { return c.replicas() > 0 })
		first = append(first, time.Since(began))
		c.until("all replicas", 30*time.Second, func() bool { return c.replicas() == 20 })
		all = append(all, time.Since(began))
		c.idle(3 * time.Minute)
	}
	c.onceEach(*bursts * backlog)
	t.Logf("to the first replica: %s; to all 20: %s", spread(first), spread(all))
	if m := median(first); m >= 3*time.Second {
		t.Errorf("to the first replica: %v, want under 3 s", m)
	}
	if m := median(all); m >= 3*time.Second {
		t.Errorf("to all replicas: %v, want under 3 s", m)
	}
}

func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

func spread(of []time.Duration) string {
	return fmt.Sprintf("median %v, from %v to %v (%d bursts)", median(of).Round(time.Millisecond),
		slices.Min(of).Round(time.Millisecond), slices.Max(of).Round(time.Millisecond), len(of))
}

func (c *cluster) post(path string) {
	c.t.Helper()
	if err := system.Post(c.t.Context(), c.http, c.url+path); err != nil {
		c.t.Fatal(err)
	}
}

// TestP8ScaleInUnderLoad: again and again the fleet shrinks while some of its workers have long jobs;
// no job is interrupted.
func TestP8ScaleInUnderLoad(t *testing.T) { //nolint:paralleltest // there is one cluster
	c := install(t, perJob, "LEAT_CONCURRENCY=1")
	times := *shrinks
	jobs, shrunk := 0, 0
	for round := 0; shrunk < times; round++ {
		if round == times {
			t.Fatalf("shrunk %d times in %d rounds, want %d times", shrunk, round, times)
		}
		for _, seconds := range []int{1, 3, 6, 10, 15, 20, 25, 30} {
			c.upload(1, "work", fmt.Sprintf(`{"millis":%d}`, seconds*1000))
			jobs++
		}
		c.idle(5 * time.Minute)
		// Only those count that left workers behind which had a job at that moment.
		err := c.DB().QueryRow(t.Context(), `SELECT count(*) FROM scaling_decisions WHERE outcome = 'applied' AND replicas < current
			AND (detail #>> '{observation,queues,0,running}')::int > 0`).Scan(&shrunk)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("shrunk %d times under load, %d jobs", shrunk, jobs)
	c.onceEach(jobs)
}

// TestLeaderKilled: in mid-burst; the other scaler takes over within 15 s, and goes on.
func TestLeaderKilled(t *testing.T) { //nolint:paralleltest // there is one cluster
	c := install(t, perTen)
	c.upload(150, "work", `{"millis":300}`)
	c.until("the fleet grows", 30*time.Second, func() bool { return c.replicas() > 0 })
	killed := c.leader()
	pod, _, _ := strings.Cut(killed, "_")
	began := time.Now()
	c.kill(pod)
	c.upload(100, "work", `{"millis":300}`)
	c.until("another leads", time.Minute, func() bool { l := c.leader(); return l != "" && l != killed })
	took := time.Since(began)
	t.Logf("taken over after %v", took)
	if took > 15*time.Second {
		t.Errorf("taken over after %v, want within 15 s", took)
	}
	c.idle(3 * time.Minute)
	c.onceEach(250)
}

// TestAPIServerAway: for 30 s as the scalers see it; they hold, and go on afterwards.
func TestAPIServerAway(t *testing.T) { //nolint:paralleltest // there is one cluster
	c := install(t, perTen)
	c.upload(30, "work", `{"millis":1000}`)
	c.until("the fleet grows", 30*time.Second, func() bool { return c.replicas() > 0 })
	c.link.Cut()
	before := c.replicas()
	c.upload(100, "work", `{"millis":1000}`)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if n := c.replicas(); n != before {
			t.Fatalf("%d replicas, and %d before the API server went", n, before)
		}
		time.Sleep(time.Second) //nolint:forbidigo // it is away for so long
	}
	c.link.Restore()
	c.idle(3 * time.Minute)
	c.onceEach(130)
	c.bound("blind")
}

// bound fails the test unless a decision was recorded in which that rule bound.
func (c *cluster) bound(rule string) {
	c.t.Helper()
	var n int
	if err := c.DB().QueryRow(c.t.Context(), `SELECT count(*) FROM scaling_decisions WHERE bound = $1`, rule).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	if n == 0 {
		c.t.Errorf("no decision was bound by the rule %q", rule)
	}
}

// TestRedisAway: for 30 s; the fleet stays as it is, and goes on afterwards.
func TestRedisAway(t *testing.T) { //nolint:paralleltest // there is one cluster
	c := install(t, perTen)
	c.upload(150, "work", `{"millis":2000}`)
	c.until("the fleet grows", 30*time.Second, func() bool { return c.replicas() > 0 })
	c.redis.Stop()
	c.until("scaling is held", 20*time.Second, func() bool { return c.latest() == "blind" })
	before := c.replicas()
	c.upload(100, "work", `{"millis":1000}`)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if n := c.replicas(); n != before {
			t.Fatalf("%d replicas, and %d when Redis went", n, before)
		}
		time.Sleep(time.Second) //nolint:forbidigo // it is away for so long
	}
	c.redis.Start()
	c.idle(3 * time.Minute)
	var lost int
	if err := c.DB().QueryRow(t.Context(), `SELECT count(*) FROM jobs WHERE state <> 'succeeded'`).Scan(&lost); err != nil || lost != 0 {
		t.Errorf("%d jobs did not succeed, %v", lost, err)
	}
}

// latest is the rule that bound last.
func (c *cluster) latest() string {
	var rule string
	err := c.DB().QueryRow(c.t.Context(), `SELECT bound FROM scaling_decisions ORDER BY id DESC LIMIT 1`).Scan(&rule)
	if err != nil {
		c.t.Logf("read the latest decision: %v", err)
	}
	return rule
}

// TestRivalRefused: an HPA on the same target stops the scaler, with an Event that names it; when it
// goes, the scaler goes on.
func TestRivalRefused(t *testing.T) { //nolint:paralleltest // there is one cluster
	c := install(t, perTen)
	lowest := int32(1)
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "rival"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "worker"},
			MinReplicas:    &lowest, MaxReplicas: 2,
		},
	}
	rivals := c.kube.AutoscalingV2().HorizontalPodAutoscalers(namespace)
	if _, err := rivals.Create(t.Context(), hpa, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.upload(100, "inspect", "")
	c.until("an Event names the rival", 30*time.Second, func() bool {
		for _, e := range c.events() {
			if e.Type == "Warning" && strings.Contains(e.Message, "rival") {
				return true
			}
		}
		return false
	})
	if n := c.replicas(); n > 2 {
		t.Errorf("%d replicas: the scaler wrote beside the HPA", n)
	}
	if err := rivals.Delete(t.Context(), "rival", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the scaler goes on", 30*time.Second, func() bool {
		var n int
		err := c.DB().QueryRow(t.Context(), `SELECT count(*) FROM scaling_decisions WHERE outcome = 'applied'`).Scan(&n)
		return err == nil && n > 0
	})
	c.idle(3 * time.Minute)
	c.onceEach(100)
}

// TestRollingUpdate: of the workers under load; nothing is lost, and no attempt is burned.
func TestRollingUpdate(t *testing.T) { //nolint:paralleltest // there is one cluster
	c := install(t, perTen)
	c.post("/v1/scaling/worker/pin?replicas=4&for=10m")
	c.until("four workers", time.Minute, func() bool { return c.worker().Status.ReadyReplicas == 4 })
	c.upload(300, "work", `{"millis":700}`)
	c.kubectl("--namespace", namespace, "rollout", "restart", "deployment/worker")
	c.upload(300, "work", `{"millis":700}`)
	c.kubectl("--namespace", namespace, "rollout", "status", "deployment/worker", "--timeout=3m")
	c.post("/v1/scaling/worker/unpin")
	c.idle(4 * time.Minute)
	var succeeded, burned int
	err := c.DB().QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE state = 'succeeded'), coalesce(sum(failures + losses), 0) FROM jobs`).Scan(&succeeded, &burned)
	if err != nil {
		t.Fatal(err)
	}
	if succeeded != 600 || burned != 0 {
		t.Errorf("%d of 600 jobs succeeded, %d attempts were burned or lost", succeeded, burned)
	}
}
