// Package jobtest runs handlers in tests, without a worker: what they make is kept in memory.
//
// It imports package jobs, and is for tests alone.
package jobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
)

// Made is what a run came to.
type Made struct {
	Result    json.RawMessage // as it would be stored
	Err       error
	Artifacts map[string]Artifact
	Children  []Child
	Progress  []float64
}

// Artifact is one that a run made.
type Artifact struct {
	MediaType string
	Content   []byte
}

// Child is one that a run spawned.
type Child struct {
	jobs.Child
	Content []byte
}

// Code is the code of the run's error; empty when there is none.
func (m *Made) Code() jobs.Code {
	if m.Err == nil {
		return ""
	}
	if e, ok := errors.AsType[*jobs.Error](m.Err); ok {
		return e.Code
	}
	return jobs.CodeHandlerError
}

// Decode reads the result.
func Decode[T any](t testing.TB, m *Made) T {
	t.Helper()
	var v T
	if m.Err != nil {
		t.Fatalf("the run failed: %v", m.Err)
	}
	if err := json.Unmarshal(m.Result, &v); err != nil {
		t.Fatalf("result %s: %v", m.Result, err)
	}
	return v
}

// Run lets a handler work on content under a name, with parameters that its spec is asked about
// first.
func Run(t testing.TB, spec jobs.Spec, handler jobs.Handler, name string, content []byte, params string) *Made {
	t.Helper()
	return RunAt(t, spec, handler, name, bytes.NewReader(content), int64(len(content)), params)
}

// RunAt is Run for content that is not in memory. The file's SHA-256 is left out.
func RunAt(t testing.TB, spec jobs.Spec, handler jobs.Handler, name string, content io.ReaderAt, size int64, params string) *Made {
	t.Helper()
	canonical, _, err := spec.Canonical(json.RawMessage(params))
	if err != nil {
		t.Fatalf("parameters: %v", err)
	}
	head := make([]byte, min(size, sniff.Limit))
	if _, err := content.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("read the head: %v", err)
	}
	r := &recorder{made: &Made{Artifacts: map[string]Artifact{}}}
	run := &jobs.Run{
		JobID: jobs.NewID(), Attempt: 1, Params: canonical, Recorder: r,
		Input: io.NewSectionReader(content, 0, size),
		File:  jobs.File{ID: jobs.NewID(), Tenant: jobs.DefaultTenant, Name: name, Size: size, MediaType: sniff.Type(head, name)},
	}
	if b, ok := content.(*bytes.Reader); ok {
		sum := sha256.New()
		if _, err := io.Copy(sum, io.NewSectionReader(b, 0, size)); err != nil {
			t.Fatal(err)
		}
		run.File.SHA256 = [32]byte(sum.Sum(nil))
	}
	result, err := handler.Handle(t.Context(), run)
	if r.made.Err = err; err != nil {
		return r.made
	}
	if r.made.Result, err = json.Marshal(result); err != nil {
		t.Fatalf("the result is not JSON: %v", err)
	}
	if err := jobs.CheckResult(r.made.Result); err != nil {
		t.Fatalf("the result cannot be stored: %v", err)
	}
	return r.made
}

// recorder keeps what a run makes.
type recorder struct {
	mu   sync.Mutex
	made *Made
}

func (r *recorder) Progress(fraction float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made.Progress = append(r.made.Progress, fraction)
}

func (r *recorder) Artifact(ctx context.Context, name, mediaType string, content io.Reader) (jobs.Artifact, error) {
	if err := jobs.CheckArtifactName(name); err != nil {
		return jobs.Artifact{}, err
	}
	bytes, err := io.ReadAll(content)
	if err != nil {
		return jobs.Artifact{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.made.Artifacts[name]; ok {
		return jobs.Artifact{}, fmt.Errorf("artifact %q is there already", name)
	}
	r.made.Artifacts[name] = Artifact{mediaType, bytes}
	return jobs.Artifact{Name: name, MediaType: mediaType, Size: int64(len(bytes)), SHA256: sha256.Sum256(bytes)}, ctx.Err()
}

func (r *recorder) Spawn(ctx context.Context, child jobs.Child, content io.Reader) error {
	bytes, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made.Children = append(r.made.Children, Child{child, bytes})
	return ctx.Err()
}
