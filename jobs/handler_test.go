package jobs_test

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

func TestDecodeParams(t *testing.T) {
	t.Parallel()
	canonical, _, err := (&jobs.Spec{Params: params{}}).Canonical(json.RawMessage(`{"width":10,"quality":0.5}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := jobs.DecodeParams[params](&jobs.Run{Params: canonical})
	if err != nil || got.Width != 10 || got.Quality != 0.5 {
		t.Errorf("DecodeParams = %+v, %v", got, err)
	}
	if got, err := jobs.DecodeParams[params](&jobs.Run{}); err != nil || got.Width != 0 {
		t.Errorf("without parameters: %+v, %v", got, err)
	}
	// An older version of the kind may have stored what this one does not take.
	_, err = jobs.DecodeParams[params](&jobs.Run{Params: json.RawMessage(`{"height":10}`)})
	if !jobs.IsPermanent(err) || jobs.AsError(err).Code != jobs.CodeInvalidParams {
		t.Errorf("unknown parameters: %v", err)
	}
}

func TestDrained(t *testing.T) {
	t.Parallel()
	draining := make(chan struct{})
	run := &jobs.Run{Draining: draining}
	if run.Drained() {
		t.Error("drained before the worker stops")
	}
	close(draining)
	for range 2 {
		if !run.Drained() {
			t.Error("not drained, though the worker stops")
		}
	}
	if (&jobs.Run{}).Drained() {
		t.Error("a run that nothing can drain is drained")
	}
}

// recorder writes down what a run reports.
type recorder struct {
	fractions []float64
	artifact  string
	child     string
}

func (r *recorder) Progress(fraction float64) { r.fractions = append(r.fractions, fraction) }

func (r *recorder) Artifact(_ context.Context, name, mediaType string, content io.Reader) (jobs.Artifact, error) {
	text, err := io.ReadAll(content)
	r.artifact = name + " " + mediaType + " " + string(text)
	return jobs.Artifact{Name: name, Size: int64(len(text))}, err
}

func (r *recorder) Spawn(_ context.Context, child jobs.Child, content io.Reader) error {
	text, err := io.ReadAll(content)
	r.child = child.Name + " " + child.Kind + " " + string(text)
	return err
}

func TestRunReports(t *testing.T) {
	t.Parallel()
	recorder := &recorder{}
	run := &jobs.Run{Recorder: recorder}
	run.Progress(0.25)
	run.Progress(1)
	artifact, err := run.Artifact(t.Context(), "a.txt", "text/plain", strings.NewReader("content"))
	if err != nil || artifact.Name != "a.txt" || artifact.Size != 7 {
		t.Errorf("Artifact = %+v, %v", artifact, err)
	}
	if err := run.Spawn(t.Context(), jobs.Child{Name: "b", Kind: "inspect"}, strings.NewReader("more")); err != nil || recorder.child != "b inspect more" {
		t.Errorf("Spawn = %v, %q", err, recorder.child)
	}
	if !slices.Equal(recorder.fractions, []float64{0.25, 1}) || recorder.artifact != "a.txt text/plain content" {
		t.Errorf("recorded %v and %q", recorder.fractions, recorder.artifact)
	}
}

func TestAttempt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ failures, attempts, want int }{
		{0, 5, 1}, {1, 5, 2}, {4, 5, 5}, {5, 5, 5}, {9, 5, 5}, {0, 1, 1}, {1, 1, 1}, {0, 0, 1},
	} {
		job := jobs.Job{Failures: c.failures, MaxAttempts: c.attempts}
		if got := job.Attempt(); got != c.want {
			t.Errorf("%d failures of %d attempts: attempt %d, want %d", c.failures, c.attempts, got, c.want)
		}
	}
}

func TestChildren(t *testing.T) {
	t.Parallel()
	c := jobs.Children{Pending: 1, Running: 2, Succeeded: 4, Failed: 8, Cancelled: 16}
	if c.Open() != 3 || c.Total() != 31 {
		t.Errorf("open %d, total %d", c.Open(), c.Total())
	}
}

// IDs sort by the time at which they were made, which lists and lock orders rely on.
func TestNewID(t *testing.T) {
	t.Parallel()
	ids := make([]uuid.UUID, 1000)
	for i := range ids {
		ids[i] = jobs.NewID()
	}
	if !slices.IsSortedFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:6], b[:6]) }) {
		t.Error("the IDs are out of order")
	}
	if ids[0].Version() != 7 || len(slices.Compact(ids)) != 1000 {
		t.Error("the IDs are not UUIDv7, or not unique")
	}
}
