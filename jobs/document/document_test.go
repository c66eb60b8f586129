package document_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/document"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
)

// cacheDir is where all tests keep what PDFium is compiled to, since that takes seconds.
var cacheDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if cacheDir, err = os.MkdirTemp("", "leat-document-"); err != nil {
			panic(err)
		}
		defer func() {
			if err := os.RemoveAll(cacheDir); err != nil {
				panic(err)
			}
		}()
		return m.Run()
	}())
}

// shared is the handler of all tests.
var shared = sync.OnceValue(func() jobs.Handler { return document.New(cacheDir) })

// What was compiled is kept: another process, here another handler, has nothing to compile.
func TestCacheDir(t *testing.T) {
	t.Parallel()
	content := pdfOf("", "(Hello) Tj")
	if m := made(t, "a.pdf", content, ""); m.Err != nil {
		t.Fatal(m.Err)
	}
	var before, after []string
	for _, kept := range []*[]string{&before, &after} {
		if err := filepath.WalkDir(cacheDir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				*kept = append(*kept, path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if m := jobtest.Run(t, spec.Document(), document.New(cacheDir), "a.pdf", content, ""); m.Err != nil {
			t.Fatal(m.Err)
		}
	}
	if len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("kept %v, then %v", before, after)
	}
}

// Without its directory a handler fails, in a way that is tried again.
func TestNoCacheDir(t *testing.T) {
	t.Parallel()
	handler := document.New(filepath.Join("testdata", "SOURCES.md"))
	for range 3 { // more often than there are instances
		m := jobtest.Run(t, spec.Document(), handler, "a.pdf", pdfOf("", "(Hello) Tj"), "")
		if m.Err == nil || jobs.IsPermanent(m.Err) {
			t.Errorf("%v", m.Err)
		}
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// made runs the handler on content.
func made(t testing.TB, name string, content []byte, params string) *jobtest.Made {
	t.Helper()
	return jobtest.Run(t, spec.Document(), shared(), name, content, params)
}

// textOf gives the text of content, which the handler must be able to read.
func textOf(t testing.TB, name, content string) (string, document.Result) {
	t.Helper()
	m := made(t, name, []byte(content), "")
	result := jobtest.Decode[document.Result](t, m)
	return string(m.Artifacts["text.txt"].Content), result
}

// recorder takes what a run makes, and forgets it.
type recorder struct {
	progress func(float64)
	artifact func(name string) error
}

func (r *recorder) Progress(fraction float64) {
	if r.progress != nil {
		r.progress(fraction)
	}
}

func (r *recorder) Artifact(_ context.Context, name, mediaType string, content io.Reader) (jobs.Artifact, error) {
	if r.artifact != nil {
		if err := r.artifact(name); err != nil {
			return jobs.Artifact{}, err
		}
	}
	n, err := io.Copy(io.Discard, content)
	return jobs.Artifact{Name: name, MediaType: mediaType, Size: n}, err
}

func (*recorder) Spawn(context.Context, jobs.Child, io.Reader) error {
	return errors.New("document spawns nothing")
}

func newRun(name string, content io.ReaderAt, size int64, r *recorder) *jobs.Run {
	return &jobs.Run{
		File:     jobs.File{Name: name, Size: size},
		Input:    io.NewSectionReader(content, 0, size),
		Params:   json.RawMessage(`{}`),
		Recorder: r,
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		name, content, want string
		code                jobs.Code
	}{
		"html":               {"a", "<!DOCTYPE html><p>hello", "html", ""},
		"xhtml by its name":  {"a.xhtml", `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><p>hello</p></html>`, "html", ""},
		"html by its name":   {"a.HTM", "hello <b>world", "html", ""},
		"text":               {"a.txt", "hello", "text", ""},
		"empty":              {"a", "", "text", ""},
		"csv":                {"a.csv", "a,b\n1,2\n", "text", ""},
		"json":               {"a.json", `{"a":[1,2]}`, "text", ""},
		"binary":             {"a.txt", "\x00\x01\x02\x03", "", jobs.CodeUnsupported},
		"zip":                {"a.pdf", "PK\x03\x04", "", jobs.CodeUnsupported},
		"png under a lie":    {"a.html", "\x89PNG\r\n\x1a\n", "", jobs.CodeUnsupported},
		"pdf behind garbage": {"a", "\x00\x01\x02" + string(pdfOf("", "(Hello) Tj")), "pdf", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := made(t, c.name, []byte(c.content), "")
			if m.Code() != c.code {
				t.Fatalf("code %q: %v", m.Code(), m.Err)
			}
			if c.code != "" {
				return
			}
			if got := jobtest.Decode[document.Result](t, m); got.Format != c.want {
				t.Errorf("%s: %+v", c.name, got)
			}
		})
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	s := spec.Document()
	for params, field := range map[string]string{
		`{"picture_size":15}`:                        "picture_size",
		`{"picture_size":4097}`:                      "picture_size",
		`{"picture_size":-1}`:                        "picture_size",
		`{"picture_size":"big"}`:                     "picture_size",
		`{"max_pages":-1}`:                           "max_pages",
		`{"max_pages":100001}`:                       "max_pages",
		`{"picture":1}`:                              "picture",
		`{"picture_size":16}`:                        "",
		`{"picture_size":4096}`:                      "",
		`{"picture":false,"max_pages":100000}`:       "",
		`{"picture":true,"max_pages":0}`:             "",
		`{"picture":null,"picture_size":0}`:          "",
		`{"picture":true,"picture_size":1024}`:       "",
		`{"picture_size":1024,"max_pages":5000}`:     "",
		`{"max_pages":1,"picture":true}`:             "",
		`{"picture":false,"picture_size":100}`:       "",
		`{"picture":false,"picture_size":100000000}`: "picture_size",
	} {
		_, _, err := s.Canonical(json.RawMessage(params))
		p, ok := errors.AsType[*jobs.ParamError](err)
		if field == "" && err != nil || field != "" && (!ok || p.Field != field) {
			t.Errorf("%s: %v", params, err)
		}
	}
}

// Parameters that are left out are the same as the defaults.
func TestDefaults(t *testing.T) {
	t.Parallel()
	s := spec.Document()
	_, left, err := s.Canonical(nil)
	if err != nil {
		t.Fatal(err)
	}
	canonical, given, err := s.Canonical(json.RawMessage(`{"picture":true,"picture_size":1024,"max_pages":5000}`))
	if err != nil || left != given {
		t.Errorf("%s: %v", canonical, err)
	}
}

// Auto leaves plain text to others.
func TestRoutes(t *testing.T) {
	t.Parallel()
	specs, err := jobs.NewSpecs("inspect", spec.Inspect(), spec.Document())
	if err != nil {
		t.Fatal(err)
	}
	for mediaType, kind := range map[string]string{
		"application/pdf": "document", "text/html": "document", "application/xhtml+xml": "document",
		"text/plain": "inspect", "text/csv": "inspect", "text/xml": "inspect",
	} {
		if got := specs.Route(mediaType); got.Name != kind {
			t.Errorf("%s goes to %s", mediaType, got.Name)
		}
	}
}

var errBroken = errors.New("the disk is broken")

// broken reads up to an offset.
type broken struct {
	io.ReaderAt
	good int64
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.good {
		return 0, errBroken
	}
	return b.ReaderAt.ReadAt(p, off)
}

// An input that cannot be read is tried again, however far it was read.
func TestBrokenInput(t *testing.T) {
	t.Parallel()
	pdf := readFile(t, "basicapi.pdf")
	html := []byte("<!DOCTYPE html>" + strings.Repeat("<p>hello", 100_000))
	text := bytes.Repeat([]byte("hello\n"), 100_000)
	for _, c := range []struct {
		name    string
		content []byte
	}{{"a.pdf", pdf}, {"a.html", html}, {"a.txt", text}} {
		for _, good := range []int64{0, 4096, int64(len(c.content)) - 1} {
			run := newRun(c.name, broken{bytes.NewReader(c.content), good}, int64(len(c.content)), &recorder{})
			result, err := shared().Handle(t.Context(), run)
			if !errors.Is(err, errBroken) || jobs.IsPermanent(err) {
				t.Errorf("%s, %d bytes: %v, %v", c.name, good, result, err)
			}
		}
	}
}

// A store that fails ends the run with its error, whichever artifact it is.
func TestBrokenStore(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"text.txt", "pages.jsonl", "page-1.png"} {
		r := &recorder{artifact: func(n string) error {
			if n == name {
				return errBroken
			}
			return nil
		}}
		content := pdfOf("", "(Hello) Tj")
		_, err := shared().Handle(t.Context(), newRun("a.pdf", bytes.NewReader(content), int64(len(content)), r))
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A run that was ended answers with the cause, before it starts and while it reads.
func TestEnds(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("hello\n"), 100_000)
	html := []byte("<!DOCTYPE html>" + string(text))
	for name, content := range map[string][]byte{"a.pdf": readFile(t, "basicapi.pdf"), "a.html": html, "a.txt": text} {
		ctx, cancel := context.WithCancelCause(t.Context())
		run := newRun(name, bytes.NewReader(content), int64(len(content)), &recorder{progress: func(float64) { cancel(errBroken) }})
		if _, err := shared().Handle(ctx, run); !errors.Is(err, errBroken) {
			t.Errorf("%s: ended while it was read: %v", name, err)
		}
		if _, err := shared().Handle(ctx, run); !errors.Is(err, errBroken) {
			t.Errorf("%s: ended before: %v", name, err)
		}
	}
}

// More text than is allowed fails, and leaves no part of it.
func TestTextLimit(t *testing.T) {
	t.Parallel()
	handler := document.Limited(shared(), document.Limits{Text: 10})
	for name, content := range map[string]string{
		"a.txt":  "hello, world",
		"a.html": "<!DOCTYPE html>hello, world",
		"a.pdf":  string(pdfOf("", "(Hello, world) Tj")),
	} {
		m := jobtest.Run(t, spec.Document(), handler, name, []byte(content), "")
		if m.Code() != jobs.CodeLimitOutput || len(m.Artifacts) != 0 {
			t.Errorf("%s: %v, %d artifacts", name, m.Err, len(m.Artifacts))
		}
		m = jobtest.Run(t, spec.Document(), handler, name, []byte(strings.ReplaceAll(content, ", world", "")), "")
		if m.Err != nil {
			t.Errorf("%s, short: %v", name, m.Err)
		}
	}
}
