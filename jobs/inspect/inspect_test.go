package inspect_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/inspect"
)

// progress keeps what a run reports, and makes no artifacts and no jobs.
type progress struct {
	mu        sync.Mutex
	fractions []float64
}

func (p *progress) Progress(fraction float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fractions = append(p.fractions, fraction)
}

func (*progress) Artifact(context.Context, string, string, io.Reader) (jobs.Artifact, error) {
	return jobs.Artifact{}, errors.New("inspect makes no artifacts")
}

func (*progress) Spawn(context.Context, jobs.Child, io.Reader) error {
	return errors.New("inspect spawns no jobs")
}

// newRun makes a run on a file with the given content.
func newRun(name string, content []byte) *jobs.Run {
	return &jobs.Run{
		File:     jobs.File{Name: name, Size: int64(len(content)), SHA256: sha256.Sum256(content)},
		Input:    io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))),
		Recorder: &progress{},
	}
}

// handle gives the answer to a run, which must be one that can be stored.
func handle(t testing.TB, handler jobs.Handler, run *jobs.Run) *inspect.Result {
	t.Helper()
	answer, err := handler.Handle(t.Context(), run)
	if err != nil {
		t.Fatalf("%s: %v", run.File.Name, err)
	}
	result, ok := answer.(*inspect.Result)
	if !ok {
		t.Fatalf("%s: the answer is a %T", run.File.Name, answer)
	}
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	if err := jobs.CheckResult(text); err != nil {
		t.Fatalf("%s: %v", run.File.Name, err)
	}
	return result
}

func inspected(t testing.TB, name string, content []byte) *inspect.Result {
	t.Helper()
	return handle(t, inspect.New(), newRun(name, content))
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// The answers, byte for byte: other programs read them.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, claimed string
		content       []byte
		want          string
	}{
		{"notes.txt", "text/html", []byte("one\ntwo\n"), `{
			"size":8,"sha256":"c3f9c8c283a2b1f2f1896f27a01cbe3cddc0c9d93f752e4639035a0f5b36f6e8",
			"media_type":"text/plain","claimed_type":"text/html","extension":".txt",
			"text":{"encoding":"us-ascii","lines":2,"line_ending":"lf"}}`},
		{"orientation_6.jpg", "", readFile(t, "orientation_6.jpg"), `{
			"size":863,"sha256":"bedc8c3a1f41a3f5a5d4225a45ef1419c99536d6424136cb70bfcce1de724e04",
			"media_type":"image/jpeg","extension":".jpg",
			"image":{"format":"jpeg","width":70,"height":50,"orientation":6,"frames":1}}`},
		{"winshort.zip", "application/zip", readFile(t, "winshort.zip"), `{
			"size":1892,"sha256":"d6732b7e95bb7670dbd6d1cbcad6eda370add99407716054dbda537193f772e0",
			"media_type":"application/zip","claimed_type":"application/zip","extension":".zip",
			"archive":{"format":"zip","entries":12,"uncompressed_size":40}}`},
		{"nothing", "", []byte{}, `{
			"size":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			"media_type":"text/plain","extension":".txt",
			"text":{"encoding":"us-ascii","lines":0,"line_ending":"none"}}`},
		{"one byte", "", []byte{0}, `{
			"size":1,"sha256":"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
			"media_type":"application/octet-stream"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			run := newRun(c.name, c.content)
			run.File.ClaimedType = c.claimed
			got, err := json.Marshal(handle(t, inspect.New(), run))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.NewReplacer("\n", "", "\t", "").Replace(c.want)
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// P7: bytes that are not the ones that were uploaded fail the job, once and for all.
func TestP7CorruptInput(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*jobs.Run){
		"other bytes":    func(r *jobs.Run) { r.File.SHA256[0]++ },
		"fewer bytes":    func(r *jobs.Run) { r.Input = io.NewSectionReader(strings.NewReader("conte"), 0, 7) },
		"more bytes":     func(r *jobs.Run) { r.Input = io.NewSectionReader(strings.NewReader("content, more"), 0, 13) },
		"no bytes":       func(r *jobs.Run) { r.Input = io.NewSectionReader(strings.NewReader(""), 0, 7) },
		"a size too far": func(r *jobs.Run) { r.File.Size++ },
	} {
		run := newRun("a.txt", []byte("content"))
		change(run)
		_, err := inspect.New().Handle(t.Context(), run)
		if !jobs.IsPermanent(err) || jobs.AsError(err).Code != jobs.CodeInputCorrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errDisk = errors.New("the disk is on fire")

// failing reads well up to an offset.
type failing struct {
	io.ReaderAt
	from int64
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, errDisk
	}
	return f.ReaderAt.ReadAt(p, off)
}

// thirdTime fails from its third read on: a small file's head and the whole of it are read before.
type thirdTime struct {
	io.ReaderAt
	reads int
}

func (s *thirdTime) ReadAt(p []byte, off int64) (int, error) {
	if s.reads++; s.reads > 2 {
		return 0, errDisk
	}
	return s.ReaderAt.ReadAt(p, off)
}

// readOnce tells whether an answer needed no more than one reading of the file.
func readOnce(answer any) bool {
	result, ok := answer.(*inspect.Result)
	return ok && result.Image == nil && result.Archive == nil
}

// An input that cannot be read is not a fault of the file: the job is tried again, and nothing that
// was read so far passes for an answer.
func TestReadErrorIsRetried(t *testing.T) {
	t.Parallel()
	for name, content := range samples(t) {
		at := bytes.NewReader(content)
		for what, r := range map[string]io.ReaderAt{
			"at once": failing{at, 0}, "half way": failing{at, int64(len(content)) - 1}, "later": &thirdTime{ReaderAt: at},
		} {
			run := newRun(name, content)
			run.Input = io.NewSectionReader(r, 0, int64(len(content)))
			answer, err := inspect.New().Handle(t.Context(), run)
			if what == "later" && readOnce(answer) {
				continue
			}
			if !errors.Is(err, errDisk) || jobs.IsPermanent(err) {
				t.Errorf("%s, %s: %v, %v", name, what, answer, err)
			}
		}
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	cause := errors.New("the claim is lost")
	for name, content := range samples(t) {
		for _, reports := range []int{0, 1} {
			ctx, cancel := context.WithCancelCause(t.Context())
			run := newRun(name, content)
			run.Recorder = &cancelling{after: reports, cancel: func() { cancel(cause) }}
			if reports == 0 {
				cancel(cause)
			}
			answer, err := inspect.New().Handle(ctx, run)
			cancel(nil)
			if reports == 1 && readOnce(answer) {
				continue
			}
			if !errors.Is(err, cause) || jobs.IsPermanent(err) {
				t.Errorf("%s, cancelled after %d reports: %v, %v", name, reports, answer, err)
			}
		}
	}
}

// cancelling cancels its run after some reports.
type cancelling struct {
	progress
	after  int
	cancel func()
}

func (c *cancelling) Progress(float64) {
	if c.after--; c.after == 0 {
		c.cancel()
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789abcdef"), 4*inspect.Chunk/16)
	for name, content := range map[string][]byte{"plain": content, "gzip": gzipped(t, content), "empty": nil} {
		run, reported := newRun(name, content), &progress{}
		run.Recorder = reported
		handle(t, inspect.New(), run)
		last := 0.0
		for _, f := range reported.fractions {
			if f < last || f > 1 {
				t.Errorf("%s: %v comes after %v", name, f, last)
			}
			last = f
		}
		if last != 1 && len(content) > 0 {
			t.Errorf("%s: the last report is %v", name, last)
		}
	}
}

// One handler serves many runs at once.
func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	handler := inspect.New()
	var group sync.WaitGroup
	for name, content := range samples(t) {
		want := inspected(t, name, content)
		for range 2 * inspect.MaxWindows {
			group.Go(func() {
				answer, err := handler.Handle(t.Context(), newRun(name, content))
				if err != nil || !cmp.Equal(answer, any(want)) {
					t.Errorf("%s: %v, %v", name, answer, err)
				}
			})
		}
	}
	group.Wait()
}
