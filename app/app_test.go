package app_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

var quiet = slog.New(slog.DiscardHandler)

// journal notes what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) service(name string, ends error) app.Service {
	return app.Service{Name: name, Run: func(ctx context.Context) error {
		if ends != nil {
			return ends
		}
		<-ctx.Done()
		j.note(name)
		return nil
	}}
}

func TestServicesStopLastFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- app.Serve(ctx, quiet, []app.Service{j.service("dispatch", nil), j.service("worker", nil), j.service("api", nil)})
		}()
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if diff := cmp.Diff([]string{"api", "worker", "dispatch"}, j.lines); diff != "" {
			t.Errorf("order of stopping (-want +got):\n%s", diff)
		}
	})
}

func TestFailedServiceStopsTheOthers(t *testing.T) {
	t.Parallel()
	j := &journal{}
	broken := errors.New("broken")
	err := app.Serve(t.Context(), quiet, []app.Service{j.service("dispatch", nil), j.service("worker", broken), j.service("api", nil)})
	if !errors.Is(err, broken) {
		t.Errorf("Serve: %v, want it to say what broke", err)
	}
	if diff := cmp.Diff([]string{"api", "dispatch"}, j.lines); diff != "" {
		t.Errorf("stopped (-want +got):\n%s", diff)
	}
}

func TestServiceThatEndsByItselfIsAFailure(t *testing.T) {
	t.Parallel()
	gone := app.Service{Name: "gone", Run: func(context.Context) error { return nil }}
	if err := app.Serve(t.Context(), quiet, []app.Service{gone}); err == nil {
		t.Error("Serve returned nil although nobody asked for a stop")
	}
}

// run runs a program that does what act does.
func run(act func(cmd *cobra.Command, args []string) error, children map[string]app.Child, args ...string) (code int, stderr string) {
	var out bytes.Buffer
	root := &cobra.Command{Use: "program", RunE: act, Args: cobra.NoArgs}
	root.Flags().Bool("flag", false, "")
	env := app.Env{Args: args, LookupEnv: func(string) (string, bool) { return "", false }, Stdin: &bytes.Buffer{}, Stdout: &out, Stderr: &out}
	return app.Main(root, env, children), out.String()
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		args []string
		code int
		says string
	}{
		{"success", nil, []string{"--flag"}, 0, ""},
		{"failure", errors.New("no disk"), nil, 1, "program: no disk\n"},
		{"its own code, quietly", &app.ExitError{Code: 7}, nil, 7, ""},
		{"unknown flag", nil, []string{"--nonsense"}, 2, "program: unknown flag: --nonsense\nTry 'program --help'\n"},
		{"an argument too many", nil, []string{"more"}, 2, "program: unknown command \"more\" for \"program\"\nTry 'program --help'\n"},
		{
			"one of several errors has the code", errors.Join(errors.New("a: no such file"), &app.ExitError{Code: 7, Err: errors.New("b failed")}),
			nil, 7, "program: a: no such file\nb failed\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, says := run(func(*cobra.Command, []string) error { return c.err }, nil, c.args...)
			if code != c.code || says != c.says {
				t.Errorf("code %d, %q; want %d, %q", code, says, c.code, c.says)
			}
		})
	}
}

// A misspelt command under one that only has others below it must not succeed.
func TestMisspeltCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"jobs"}, 0, "List jobs"},
		{[]string{"jobs", "lits"}, 2, "program: \"lits\" is no command of program jobs; perhaps list?\nTry 'program jobs --help'\n"},
		{[]string{"jobs", "--all", "7"}, 2, "program: \"7\" is no command of program jobs\nTry 'program jobs --help'\n"},
		{[]string{"jbos"}, 2, "program: \"jbos\" is no command of program; perhaps jobs?\nTry 'program --help'\n"},
		{[]string{"jobs", "list"}, 0, ""},
		{[]string{"jobs", "list", "more"}, 2, "program: unknown command \"more\" for \"program jobs list\"\nTry 'program jobs list --help'\n"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			list := &cobra.Command{Use: "list", Short: "List jobs", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return nil }}
			group := &cobra.Command{Use: "jobs"}
			group.PersistentFlags().Bool("all", false, "")
			group.AddCommand(list)
			root := &cobra.Command{Use: "program", Args: cobra.NoArgs}
			root.AddCommand(group)
			var out bytes.Buffer
			code := app.Main(root, app.Env{Args: c.args, LookupEnv: os.LookupEnv, Stdin: &bytes.Buffer{}, Stdout: &out, Stderr: &out}, nil)
			if said := out.String(); code != c.code || c.code != 0 && said != c.says || !strings.Contains(said, c.says) {
				t.Errorf("code %d, %q; want %d, %q", code, said, c.code, c.says)
			}
		})
	}
}

func TestChildModeRunsAChildInsteadOfTheProgram(t *testing.T) {
	t.Parallel()
	var got []string
	children := map[string]app.Child{"decode": func(_ context.Context, env app.Env) error { got = slices.Clone(env.Args); return nil }}
	program := func(*cobra.Command, []string) error { return errors.New("the program ran") }
	if code, says := run(program, children, app.ChildArg, "decode", "--limit", "5"); code != 0 {
		t.Fatalf("code %d: %s", code, says)
	}
	if diff := cmp.Diff([]string{"--limit", "5"}, got); diff != "" {
		t.Errorf("the child's arguments (-want +got):\n%s", diff)
	}
	if code, _ := run(program, children, app.ChildArg, "unknown"); code != 2 {
		t.Errorf("code %d for an unknown child, want 2", code)
	}
}

func TestConfigurationChangesKinds(t *testing.T) {
	t.Parallel()
	none := 0.0
	opts := config.Options{
		Kinds:    map[string]config.Kind{"image": {MaxAttempts: 2, RetryJitter: &none, Concurrency: 3}},
		Commands: map[string]declare.Command{"copy": {Name: "copy", Argv: []string{"/bin/cp", "{input}", "{output}/copy"}}},
	}
	specs, err := app.Specs(opts)
	if err != nil {
		t.Fatal(err)
	}
	changed, _ := specs.Get("image")
	same, _ := specs.Get("inspect")
	if changed.Retry.MaxAttempts != 2 || changed.Retry.Jitter != 0 || changed.Retry.Base != jobs.DefaultRetry().Base || changed.Concurrency != 3 || same.Retry != jobs.DefaultRetry() {
		t.Errorf("image %+v, inspect %+v", changed, same)
	}
	if _, ok := specs.Get("copy"); !ok {
		t.Error("a declared command is no kind")
	}
	for _, wrong := range []map[string]config.Kind{{"c": {MaxAttempts: 2}}, {"image": {RetryFactor: 0.5}}} {
		var exit *app.ExitError
		if _, err := app.Specs(config.Options{Kinds: wrong}); !errors.As(err, &exit) || exit.Code != 2 {
			t.Errorf("Specs with %v: %v, want a complaint about the options", wrong, err)
		}
	}
}

// What an operator declares is chosen before what Leat brings, where both name a type alike; a
// program's own kinds come before both.
func TestDeclaredKindsAreChosenFirst(t *testing.T) {
	t.Parallel()
	opts := config.Options{Commands: map[string]declare.Command{
		"ocr": {Name: "ocr", Argv: []string{"/bin/true", "{input}"}, MediaTypes: []string{"image/png", "text/csv"}},
		"any": {Name: "any", Argv: []string{"/bin/true", "{input}"}, MediaTypes: []string{"image/*"}},
	}}
	own := jobs.Kind{Spec: jobs.Spec{Name: "own", Version: 1, MediaTypes: []string{"text/csv"}}}
	specs, err := app.SpecsWith(own)(opts)
	if err != nil {
		t.Fatal(err)
	}
	for mediaType, want := range map[string]string{
		"image/png":       "ocr",
		"image/jpeg":      "image", // a wildcard loses to a kind that names the type
		"image/x-icon":    "any",
		"text/csv":        "own",
		"application/pdf": "document",
		"video/mp4":       "inspect",
	} {
		if got := specs.Route(mediaType); got.Name != want {
			t.Errorf("%s goes to %s, want %s", mediaType, got.Name, want)
		}
	}
}

// What the entries of an archive cannot be given to is refused with the archive, by the field's name.
func TestParametersOfEntriesAreChecked(t *testing.T) {
	t.Parallel()
	specs, err := app.Specs(config.Options{Commands: map[string]declare.Command{
		"copy": {Name: "copy", Argv: []string{"/bin/cp", "{input}", "{output}/copy"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	archive, _ := specs.Get("archive")
	for raw, field := range map[string]string{
		`{"kind":"tabel"}`: "kind",
		`{"kind":"table","params":{"delimiter":"ab"}}`:          "params.delimiter",
		`{"kind":"table","params":{"delimitor":";"}}`:           "params",
		`{"kind":"inspect","params":{"a":1}}`:                   "params",
		`{"kind":"archive","params":{"max_entries":-1}}`:        "params.max_entries",
		`{"kind":"copy","params":{"a":"b"}}`:                    "params",
		`{"kind":"image","params":{"variants":[{"name":"a"}]}}`: "params.variants[0].size",
	} {
		_, _, err := archive.Canonical([]byte(raw))
		if wrong, ok := errors.AsType[*jobs.ParamError](err); !ok || wrong.Field != field {
			t.Errorf("%s: %v, want the field %q named", raw, err, field)
		}
	}
	for _, raw := range []string{
		``, `{"kind":"table"}`, `{"kind":"table","params":{"delimiter":";"}}`, `{"kind":"copy"}`,
		`{"kind":"archive","params":{"kind":"table","params":{"header":"yes"}}}`,
	} {
		if _, _, err := archive.Canonical([]byte(raw)); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
