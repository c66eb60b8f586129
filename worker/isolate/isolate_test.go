package isolate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/worker/isolate"
)

const childArg = "__isolated"

// TestMain makes the test binary its own child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArg {
		if err := isolate.Main(context.Background(), handlers(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// handlers are what the children can do.
func handlers() map[string]jobs.Handler {
	list := map[string]jobs.HandlerFunc{
		"copy": func(ctx context.Context, run *jobs.Run) (any, error) {
			run.Progress(0.5)
			made, err := run.Artifact(ctx, "copy.bin", "application/octet-stream", run.Input)
			if err != nil {
				return nil, err
			}
			tail := make([]byte, 4)
			if _, err := run.Input.ReadAt(tail, run.Input.Size()-4); err != nil {
				return nil, err
			}
			err = run.Spawn(ctx, jobs.Child{Name: "tail", Kind: "inspect"}, bytes.NewReader(tail))
			return map[string]any{"sha256": fmt.Sprintf("%x", made.SHA256), "name": run.File.Name, "params": run.Params}, err
		},
		"echo": func(_ context.Context, run *jobs.Run) (any, error) {
			text, err := io.ReadAll(run.Input)
			if err != nil {
				return nil, err
			}
			switch string(text) {
			case "fail":
				return nil, jobs.Fail(jobs.CodeMalformed, "as asked")
			case "later":
				return nil, jobs.RetryAfter(time.Minute, errors.New("as asked"))
			case "drain":
				<-run.Draining
				return nil, jobs.ErrDrain
			case "panic":
				panic("as asked")
			}
			return string(text), nil
		},
		"environment": func(context.Context, *jobs.Run) (any, error) {
			status, err := os.ReadFile("/proc/self/status")
			return map[string]any{"env": os.Environ(), "status": string(status)}, err
		},
		"spin": func(context.Context, *jobs.Run) (any, error) {
			n := 1
			for n != 0 {
				n++
			}
			return n, nil
		},
		"sleep": func(context.Context, *jobs.Run) (any, error) { select {} },
		"exit":  func(context.Context, *jobs.Run) (any, error) { os.Exit(7); return nil, nil },
		"files": func(context.Context, *jobs.Run) (any, error) {
			for n := 0; ; n++ {
				if _, err := os.Open("/"); err != nil {
					return n, nil //nolint:nilerr // how many there were is the answer
				}
			}
		},
		"write": func(_ context.Context, run *jobs.Run) (any, error) {
			text, err := io.ReadAll(run.Input)
			if err == nil {
				err = os.WriteFile(string(text), []byte("x"), 0o600)
			}
			return nil, err
		},
		"eat": func(context.Context, *jobs.Run) (any, error) {
			var all [][]byte
			for {
				all = append(all, bytes.Repeat([]byte{1}, 16<<20))
				if len(all) > 1000 {
					return len(all), nil
				}
			}
		},
	}
	handlers := make(map[string]jobs.Handler, len(list))
	for name, f := range list {
		handlers[name] = f
	}
	return handlers
}

func limits() isolate.Limits {
	return isolate.Limits{Memory: 256 << 20, CPU: 2 * time.Second, Files: 32}
}

func isolated(t *testing.T, kind string) *isolate.Handler {
	t.Helper()
	h := isolate.New(kind, []string{childArg}, limits(), slog.New(slog.DiscardHandler))
	t.Cleanup(h.Close)
	return h
}

func run(t *testing.T, kind, content string) *jobtest.Made {
	t.Helper()
	return jobtest.Run(t, jobs.Spec{Name: kind, Version: 1}, isolated(t, kind), "file.bin", []byte(content), "")
}

// All that a run is given and makes passes between the processes as it is.
func TestRunPasses(t *testing.T) {
	t.Parallel()
	content := make([]byte, 3<<20+17)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	h := isolated(t, "copy")
	for range 2 {
		made := jobtest.Run(t, jobs.Spec{Name: "copy", Version: 1}, h, "file.bin", content, "")
		got := jobtest.Decode[struct{ SHA256, Name string }](t, made)
		if got.SHA256 != fmt.Sprintf("%x", sha256.Sum256(content)) || got.Name != "file.bin" {
			t.Errorf("result %s", made.Result)
		}
		if a := made.Artifacts["copy.bin"]; !bytes.Equal(a.Content, content) || a.MediaType != "application/octet-stream" {
			t.Errorf("artifact of %d bytes, %s", len(a.Content), a.MediaType)
		}
		if len(made.Children) != 1 || made.Children[0].Kind != "inspect" || !bytes.Equal(made.Children[0].Content, content[len(content)-4:]) {
			t.Errorf("children %+v", made.Children)
		}
		if len(made.Progress) != 1 || made.Progress[0] != 0.5 {
			t.Errorf("progress %v", made.Progress)
		}
	}
}

// Errors steer the job as they would without the process between.
func TestErrorsPass(t *testing.T) {
	t.Parallel()
	for content, c := range map[string]struct {
		code      jobs.Code
		permanent bool
	}{
		"fail":  {jobs.CodeMalformed, true},
		"later": {jobs.CodeHandlerError, false},
		"panic": {jobs.CodePanic, false},
	} {
		made := run(t, "echo", content)
		if made.Code() != c.code || jobs.IsPermanent(made.Err) != c.permanent {
			t.Errorf("%s: %v", content, made.Err)
		}
		if after, ok := jobs.RetryDelay(made.Err); ok != (content == "later") || ok && after != time.Minute {
			t.Errorf("%s: again after %v, %v", content, after, ok)
		}
	}
}

// The child hears that the worker is stopping, and may hand its job back.
func TestDrainPasses(t *testing.T) {
	t.Parallel()
	draining := make(chan struct{})
	close(draining)
	text := strings.NewReader("drain")
	_, err := isolated(t, "echo").Handle(t.Context(), &jobs.Run{
		Input: io.NewSectionReader(text, 0, text.Size()), Draining: draining,
	})
	if !errors.Is(err, jobs.ErrDrain) {
		t.Errorf("%v, want ErrDrain", err)
	}
}

// An input that cannot be read is an error of the run, to be tried again.
func TestInputThatCannotBeRead(t *testing.T) {
	t.Parallel()
	_, err := isolated(t, "echo").Handle(t.Context(), &jobs.Run{Input: io.NewSectionReader(broken{}, 0, 10)})
	if err == nil || jobs.IsPermanent(err) || !strings.Contains(err.Error(), "the disk is on fire") {
		t.Errorf("%v", err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("the disk is on fire") }

// P7: whatever a file makes its handler do, its job ends with a code, and the next one succeeds.
func TestP7LimitsEndTheJobAlone(t *testing.T) {
	t.Parallel()
	kinds := map[string]jobs.Code{"spin": jobs.CodeLimitTime, "eat": jobs.CodeLimitMemory}
	if raceEnabled {
		delete(kinds, "eat") // the detector ends a process in its own way when it gets no memory
	}
	for kind, want := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			made := run(t, kind, "x")
			if made.Code() != want || !jobs.IsPermanent(made.Err) {
				t.Errorf("%v, result %s; want %s", made.Err, made.Result, want)
			}
		})
	}
	if made := run(t, "exit", "x"); made.Err == nil || jobs.IsPermanent(made.Err) {
		t.Errorf("a process that ends by itself: %v", made.Err)
	}
	if n := jobtest.Decode[int](t, run(t, "files", "x")); n < 5 || n > limits().Files {
		t.Errorf("%d files could be opened, want no more than %d", n, limits().Files)
	}
	path := filepath.Join(t.TempDir(), "file")
	if made := run(t, "write", path); made.Err == nil {
		t.Error("a child wrote a file")
	}
}

// A run that is cancelled is over at once, whatever its handler does.
func TestCancelKills(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was cancelled")
	h := isolated(t, "sleep")
	text := strings.NewReader("x")
	done := make(chan error, 1)
	go func() {
		_, err := h.Handle(ctx, &jobs.Run{Input: io.NewSectionReader(text, 0, 1)})
		done <- err
	}()
	cancel(why)
	select {
	case err := <-done:
		if !errors.Is(err, why) {
			t.Errorf("%v, want the cause", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}

// signalled tells when it is first read.
type signalled struct {
	io.ReaderAt
	once *sync.Once
	read chan struct{}
}

func (s signalled) ReadAt(p []byte, off int64) (int, error) {
	s.once.Do(func() { close(s.read) })
	return s.ReaderAt.ReadAt(p, off)
}

// Runs beyond the bound wait for a child, and hear meanwhile that they are cancelled or drained. Without it
// ten large pictures at once would take ten times the memory of one.
func TestRunsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	one := limits()
	one.AtOnce = 1
	h := isolate.New("echo", []string{childArg}, one, slog.New(slog.DiscardHandler))
	t.Cleanup(h.Close)

	held, free := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		input := signalled{strings.NewReader("drain"), &sync.Once{}, held}
		_, err := h.Handle(t.Context(), &jobs.Run{Input: io.NewSectionReader(input, 0, 5), Draining: free})
		first <- err
	}()
	<-held
	text := strings.NewReader("text")
	next := func(ctx context.Context, draining <-chan struct{}) (any, error) {
		return h.Handle(ctx, &jobs.Run{Input: io.NewSectionReader(text, 0, text.Size()), Draining: draining})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was cancelled")
	cancel(why)
	if _, err := next(ctx, nil); !errors.Is(err, why) {
		t.Errorf("cancelled: %v, want the cause", err)
	}
	draining := make(chan struct{})
	close(draining)
	if _, err := next(t.Context(), draining); !errors.Is(err, jobs.ErrDrain) {
		t.Errorf("drained: %v, want ErrDrain", err)
	}
	close(free)
	if err := <-first; !errors.Is(err, jobs.ErrDrain) {
		t.Errorf("the run that had the child: %v", err)
	}
	got, err := next(t.Context(), nil)
	if text, ok := got.(json.RawMessage); err != nil || !ok || string(text) != `"text"` {
		t.Errorf("after it: %s, %v", got, err)
	}
}

// A child has no environment, and can gain no privileges.
func TestChildHasNothing(t *testing.T) {
	t.Setenv("LEAT_DATABASE_URL", "postgres://leat:secret@db/leat")
	got := jobtest.Decode[struct {
		Env    []string
		Status string
	}](t, run(t, "environment", "x"))
	if len(got.Env) != 1 || !strings.HasPrefix(got.Env[0], "GOTRACEBACK=") {
		t.Errorf("environment %q", got.Env)
	}
	if !strings.Contains(got.Status, "NoNewPrivs:\t1") {
		t.Errorf("it may gain privileges:\n%s", got.Status)
	}
}

// What a child costs, beside the same handler without one.
func BenchmarkRun(b *testing.B) {
	spec := jobs.Spec{Name: "echo", Version: 1}
	apart := isolate.New("echo", []string{childArg}, limits(), slog.New(slog.DiscardHandler))
	defer apart.Close()
	for name, h := range map[string]jobs.Handler{"apart": apart, "within": handlers()["echo"]} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if made := jobtest.Run(b, spec, h, "f", []byte("x"), ""); made.Err != nil {
					b.Fatal(made.Err)
				}
			}
		})
	}
}
