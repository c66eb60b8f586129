package simulate_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"image/png"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/scale/simulate"
)

func TestReadTrace(t *testing.T) {
	t.Parallel()
	l, err := simulate.ReadTrace("mine", strings.NewReader("arrival,service,queue\n# a remark\n3, 2.5, video\n1,0.25\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []simulate.Job{{At: time.Second, Service: 250 * time.Millisecond}, {At: 3 * time.Second, Service: 2500 * time.Millisecond, Queue: "video"}}
	if diff := cmp.Diff(want, l.Jobs); diff != "" || l.For != 10*time.Minute+5500*time.Millisecond || l.Name != "mine" {
		t.Error(diff, l.For, l.Name)
	}
	if r := run(t, l, ours(t), simulate.Options{}); r.Succeeded != 2 {
		t.Errorf("%d jobs of two succeeded", r.Succeeded)
	}
}

func TestReadTraceNamesTheLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                        "no jobs",
		"arrival,service\n":       "no jobs",
		"1,2\n3,x\n":              "line 2: service",
		"1,2\n-3,1\n":             "line 2: arrival",
		"1,2\nNaN,1\n":            "line 2: arrival",
		"1\n":                     "line 1",
		"1,2,a,b\n":               "line 1",
		"x1,2\n":                  "line 1: arrival",
		"1,2\n\"3,4\n":            "trace",
		"a,b\nc,d\n":              "line 2",
		"1,2\n99999999999999,1\n": "line 2",
	} {
		if _, err := simulate.ReadTrace("", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}

func FuzzReadTrace(f *testing.F) {
	f.Add("arrival,service,queue\n1,2,q\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := simulate.ReadTrace("", strings.NewReader(text))
		if err == nil && (len(l.Jobs) == 0 || l.For <= 0) {
			t.Errorf("%d jobs over %v", len(l.Jobs), l.For)
		}
	})
}

func TestWriteCSV(t *testing.T) {
	t.Parallel()
	r := run(t, shapes(t)["spike"].Load(1), ours(t), simulate.Options{Points: 10})
	var runs, series bytes.Buffer
	if err := simulate.WriteRuns(&runs, []*simulate.Result{r}); err != nil {
		t.Fatal(err)
	}
	if err := simulate.WriteSeries(&series, []*simulate.Result{r}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text  *bytes.Buffer
		lines int
	}{"runs": {&runs, 2}, "series": {&series, 12}} {
		lines, err := csv.NewReader(c.text).ReadAll()
		if err != nil || len(lines) != c.lines || lines[1][0] != "spike" || lines[1][1] != "leat" {
			t.Errorf("%s: %d lines, %v: %v", name, len(lines), err, lines)
		}
	}
}

func TestPlot(t *testing.T) {
	t.Parallel()
	l := shapes(t)["spike"].Load(1)
	o := simulate.Options{Points: 100}
	runs := []*simulate.Result{run(t, l, ours(t), o), run(t, l, simulate.KEDA{}, o)}
	var svg, picture bytes.Buffer
	if err := simulate.Plot(&svg, simulate.SVG, runs); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "jobs waiting", "replicas", "longest wait", "leat", "keda", "spike", "minutes"} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("the SVG has no %q", want)
		}
	}
	if err := simulate.Plot(&picture, simulate.PNG, runs); err != nil {
		t.Fatal(err)
	}
	if img, err := png.Decode(&picture); err != nil || img.Bounds().Dx() < 500 {
		t.Errorf("not a picture of a useful size: %v", err)
	}
	if err := simulate.Plot(&picture, "jpeg", runs); err == nil {
		t.Error("drew a JPEG")
	}
	if err := simulate.Plot(&picture, simulate.SVG, []*simulate.Result{{}}); err == nil {
		t.Error("drew a run without a series")
	}
}

// recorded is what a live system of the given policy writes down while ten jobs a second of 2 s each
// are done by two workers, one decision every ten seconds for five minutes.
func recorded(p scale.Policy) []simulate.Record {
	var list []simulate.Record
	h := scale.History{}
	for i := range 31 {
		o := scale.Observation{
			At: time.Date(2030, 6, 3, 12, 0, 10*i, 0, time.UTC),
			Queues: []scale.Queue{{
				Name: "default", Running: 20,
				Windows: []scale.Window{{Span: 20 * time.Second, Arrived: 200, Succeeded: 200, Busy: 400 * time.Second}, {Span: time.Minute, Arrived: 600, Succeeded: 600, Busy: 1200 * time.Second}},
			}},
			Fleet: scale.Fleet{Replicas: 2, StartDelay: 20 * time.Second, Workers: []scale.Workers{{Count: 2, Slots: 10, Busy: 10}}},
		}
		d := scale.Decide(p, o, h)
		h = h.After(p, o, d, d.Current)
		list = append(list, simulate.Record{Policy: p, Observation: o, Decision: d})
	}
	return list
}

// Under the same policy nothing is decided otherwise; under another one it is, and it says why.
func TestReplay(t *testing.T) {
	t.Parallel()
	p := scale.Default()
	records := recorded(p)
	if list := simulate.Replay(records, p); len(list) != 0 {
		t.Errorf("the same policy decides otherwise: %+v", list)
	}
	p.Max = 1
	list := simulate.Replay(records, p)
	if len(list) != len(records) {
		t.Fatalf("%d of %d decisions differ, want all", len(list), len(records))
	}
	if d := list[0]; d.Would != 1 || d.Was == 1 || d.Bound != scale.RuleMax || d.Why == "" || d.WasWhy == "" || d.Current != 2 {
		t.Errorf("%+v", d)
	}
}

// A load that is made of records is about what they were made of.
func TestRecordedLoad(t *testing.T) {
	t.Parallel()
	l, err := simulate.Recorded(recorded(scale.Default()), 1)
	if err != nil {
		t.Fatal(err)
	}
	var total time.Duration
	for _, j := range l.Jobs {
		total += j.Service
	}
	mean := total / time.Duration(len(l.Jobs))
	if n := len(l.Jobs); n != 20+300*10 || mean < 1800*time.Millisecond || mean > 2200*time.Millisecond {
		t.Errorf("%d jobs of %v; 20 ran, and ten a second of 2 s arrived for 300 s", n, mean)
	}
	if l.Initial != 2 || l.Slots != 10 || l.StartMean != 15*time.Second {
		t.Errorf("%d replicas of %d slots that start in %v", l.Initial, l.Slots, l.StartMean)
	}
	if r := run(t, l, ours(t), simulate.Options{}); r.Succeeded != len(l.Jobs) {
		t.Errorf("%d of %d jobs succeeded", r.Succeeded, len(l.Jobs))
	}
	quiet := recorded(scale.Default())
	for i := range quiet {
		quiet[i].Observation.Queues = nil
	}
	if _, err := simulate.Recorded(quiet, 1); err == nil {
		t.Error("made a load of nothing")
	}
}

// Both what explain prints, latest first, and bare records are read.
func TestReadRecords(t *testing.T) {
	t.Parallel()
	records := recorded(scale.Default())
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	for i, r := range slices.Backward(records) {
		var v any = r
		if i%2 == 0 {
			v = map[string]any{"id": "x", "at": r.Observation.At, "detail": r}
		}
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	got, err := simulate.ReadRecords(&text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(records, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "{}", "[", `{"detail": {}}`, `{"observation": 3}`} {
		if _, err := simulate.ReadRecords(strings.NewReader(bad)); err == nil {
			t.Errorf("read %q", bad)
		}
	}
}
