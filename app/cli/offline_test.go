package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/app/cli"
	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/simulate"
)

// leat runs the program with arguments.
func leat(args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	env := app.Env{
		Args: args, LookupEnv: func(string) (string, bool) { return "", false },
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
	}
	code = app.Main(cli.Command(env), env, nil)
	return out.String(), errs.String(), code
}

// fields finds the line that begins with a word.
func fields(t *testing.T, text, first string) []string {
	t.Helper()
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 0 && f[0] == first {
			return f
		}
	}
	t.Fatalf("no line begins with %q:\n%s", first, text)
	return nil
}

// 1,000 a second that grow by a fifth for six months, 150 a second each, and a fifth more.
func TestPlan(t *testing.T) {
	t.Parallel()
	out, stderr, code := leat("plan", "--rate", "1000", "--growth", "20%", "--months", "6", "--per-instance", "150", "--headroom", "20%")
	if code != 0 {
		t.Fatal(stderr)
	}
	if f := fields(t, out, "6"); f[1] != "2985.984" || f[2] != "20" || f[3] != "+4" {
		t.Errorf("after six months: %v", f)
	}
	out, _, _ = leat("plan", "--rate", "1000", "--months", "0", "--json", "--size", "4KiB", "--keep", "24h")
	var month map[string]float64
	if err := json.Unmarshal([]byte(out), &month); err != nil || month["rate_per_s"] != 1000 || month["blob_bytes"] != 0 {
		t.Errorf("%v of %s", err, out)
	}
}

// What a server measured is a rate of arrivals, and the time that a job took.
func TestPlanFromServer(t *testing.T) {
	t.Parallel()
	rates := `{"arrived":30,"succeeded":25,"failed":3,"retried":2,"busy_seconds":60}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write([]byte(`{"queues":[{"name":"a","rates":` + rates + `},{"name":"b","rates":` + rates + `}]}`)); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	args := []string{"plan", "--months", "0", "--slots", "1", "--headroom", "0"}
	measured, stderr, code := leat(append(args, "--from-server", "--server", server.URL)...)
	if code != 0 {
		t.Fatal(stderr)
	}
	given, _, _ := leat(append(args, "--rate", "60", "--service", "2s", "--queues", "2")...)
	if measured != given {
		t.Errorf("measured:\n%s\nthe same, given:\n%s", measured, given)
	}
	if f := fields(t, given, "0"); f[2] != "121" { // 120 are busy, and less than one in twenty waits for 15 times as long as a job takes
		t.Errorf("%v", f)
	}
}

func TestSimulate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policy := filepath.Join(dir, "mine.yaml")
	if err := os.WriteFile(policy, []byte("max: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr, code := leat("scale", "simulate", "--shape", "spike", "--seeds", "2", "--policy", policy, "--rival", "keda,hpa", "--out", filepath.Join(dir, "figures"))
	if code != 0 {
		t.Fatal(stderr)
	}
	for _, name := range []string{"mine", "keda", "keda-active", "hpa"} {
		fields(t, out, name)
	}
	for _, name := range []string{"spike-runs.csv", "spike-series.csv", "spike.svg", "spike.png"} {
		if info, err := os.Stat(filepath.Join(dir, "figures", name)); err != nil || info.Size() < 100 {
			t.Errorf("%s: %v", name, err)
		}
	}
	trace := filepath.Join(dir, "trace.csv")
	if err := os.WriteFile(trace, []byte("arrival,service\n1,2\n2,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr, code = leat("scale", "simulate", "--trace", trace, "--json", "--seeds", "1")
	var s simulate.Summary
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || s.Load != "trace" || s.PodHours <= 0 {
		t.Errorf("%v, %s: %+v", err, stderr, s)
	}
}

// What a live system has decided is compared with what another policy would have, and run under it.
func TestBacktest(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	policy := scale.Default()
	for i := range 30 {
		o := scale.Observation{
			At: time.Date(2030, 6, 3, 12, 0, 10*i, 0, time.UTC),
			Queues: []scale.Queue{{
				Name: "default", Running: 20,
				Windows: []scale.Window{{Span: 20 * time.Second, Arrived: 200, Succeeded: 200, Busy: 400 * time.Second}},
			}},
			Fleet: scale.Fleet{Replicas: 2, Workers: []scale.Workers{{Count: 2, Slots: 10, Busy: 10}}},
		}
		d := scale.Decide(policy, o, scale.History{})
		if err := json.NewEncoder(&lines).Encode(map[string]any{"detail": simulate.Record{Policy: policy, Observation: o, Decision: d}}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	decisions, small := filepath.Join(dir, "decisions.jsonl"), filepath.Join(dir, "small.yaml")
	for name, text := range map[string][]byte{decisions: lines.Bytes(), small: []byte("max: 1\n")} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, stderr, code := leat("scale", "simulate", "--decisions", decisions, "--policy", small, "--seeds", "1")
	if code != 0 {
		t.Fatal(stderr)
	}
	for _, want := range []string{"small would have decided 30 of 30 decisions otherwise", "10 more", "as recorded"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// What makes no sense is refused with code 2, and an error that names it.
func TestOfflineUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"plan", "rate"},
		{"plan --rate 10 --growth lots", "growth"},
		{"plan --rate 10 --size huge", "size"},
		{"plan --rate 10 --slots 0", "slots"},
		{"scale simulate", "--shape"},
		{"scale simulate --shape cube", "from-zero"},
		{"scale simulate --shape spike --rival me", "me"},
		{"scale simulate --shape spike --seeds 0", "--seeds"},
		{"scale simulate --trace none.csv", "none.csv"},
		{"scale simulate --decisions none.jsonl", "none.jsonl"},
		{"scale simulate --shape spike --policy none.yaml", "none.yaml"},
	} {
		if _, stderr, code := leat(strings.Fields(c.args)...); code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("leat %s: code %d, want 2 and %q: %s", c.args, code, c.want, stderr)
		}
	}
}
