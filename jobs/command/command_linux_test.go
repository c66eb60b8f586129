package command_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/command"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

// rig is a handler with its own scratch folder.
type rig struct {
	handler jobs.Handler
	spec    jobs.Spec
	scratch string
}

// newRig makes the handler of a declaration. At the test's end nothing may be left in its folder.
func newRig(t testing.TB, d declare.Command) *rig {
	t.Helper()
	if d.Name == "" {
		d.Name = "test"
	}
	r := &rig{scratch: t.TempDir()}
	var err error
	if r.spec, err = d.Spec(); err != nil {
		t.Fatal(err)
	}
	if r.handler, err = command.New(d, r.scratch, []string{"/proc/self/exe", launchArg}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, err := os.ReadDir(r.scratch); err != nil || len(left) > 0 {
			t.Errorf("%v is left in the scratch folder, %v", left, err)
		}
	})
	return r
}

func (r *rig) run(t testing.TB, name, content, params string) *jobtest.Made {
	t.Helper()
	return jobtest.Run(t, r.spec, r.handler, name, []byte(content), params)
}

// script is a declaration whose shell is one the test asks for, with the paths as $1 to $3.
func script(text string) declare.Command {
	text = strings.NewReplacer("{", "{{", "}", "}}").Replace(text)
	return declare.Command{Argv: []string{"sh", "-c", text, "sh", "{input}", "{output}", "{temp}"}}
}

// fails checks that a run failed as it should.
func fails(t *testing.T, made *jobtest.Made, code jobs.Code, permanent bool) {
	t.Helper()
	if made.Err == nil || made.Code() != code || jobs.IsPermanent(made.Err) != permanent {
		t.Errorf("error %v (permanent: %t), want code %s (permanent: %t)", made.Err, jobs.IsPermanent(made.Err), code, permanent)
	}
}

// The program reads the file and makes artifacts, named after their paths and typed by content.
func TestOutputsBecomeArtifacts(t *testing.T) {
	t.Parallel()
	made := newRig(t, script(`mkdir -p "$2/a/b"; cat "$1" >"$2/copy.txt"; echo '{"x":1}' >"$2/a/b/c.json"; : >"$2/a_b_c.json"; echo temporary >"$3/x"`)).
		run(t, "../../etc/passwd", "the file\n", "")
	if got := jobtest.Decode[command.Result](t, made); got != (command.Result{Artifacts: 3, Bytes: 17}) {
		t.Errorf("result %+v", got)
	}
	want := map[string]jobtest.Artifact{
		"copy.txt":     {MediaType: "text/plain", Content: []byte("the file\n")},
		"a_b_c.json":   {MediaType: "application/json", Content: []byte("{\"x\":1}\n")},
		"a_b_c-2.json": {MediaType: "text/plain", Content: []byte{}},
	}
	if diff := cmp.Diff(want, made.Artifacts); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
}

// The environment is the declared one and nothing else, and the standard input is empty.
func TestEnvironmentIsDeclared(t *testing.T) {
	t.Parallel()
	d := declare.Command{Argv: []string{"env"}, Stdout: declare.Artifact}
	made := newRig(t, d).run(t, "a", "", "")
	if got := string(made.Artifacts["stdout"].Content); got != "PATH="+declare.DefaultPath+"\n" || made.Err != nil {
		t.Errorf("environment %q, %v", got, made.Err)
	}
	d.Env = map[string]string{"PATH": "/opt", "A": "{{x}} {param.p}", "B": ""}
	d.Params = map[string]declare.Param{"p": {Pattern: ".*", Default: "{input}"}}
	made = newRig(t, d).run(t, "a", "", "")
	if got := string(made.Artifacts["stdout"].Content); got != "A={x} {input}\nB=\nPATH=/opt\n" || made.Err != nil {
		t.Errorf("environment %q, %v", got, made.Err)
	}
	d = declare.Command{Argv: []string{"cat"}, Stdout: declare.Artifact}
	if made = newRig(t, d).run(t, "a", "content", ""); made.Err != nil || len(made.Artifacts["stdout"].Content) > 0 {
		t.Errorf("standard input: %q, %v", made.Artifacts, made.Err)
	}
}

// No file name and no parameter becomes more than the one argument that it stands in.
func TestArgumentsAreNotRead(t *testing.T) {
	t.Parallel()
	d := declare.Command{
		Argv:   []string{"printf", `[%s]`, "--", "{param.text}", "x{param.text}", "{{input}}"},
		Params: map[string]declare.Param{"text": {Pattern: `(?s).*`}},
		Stdout: declare.Artifact,
	}
	r := newRig(t, d)
	for _, value := range []string{"", "a b", "$(id)", "`id`", `"; id; "`, "{input}", "{param.text}", "a -o /etc/x", "*", "~", "é|&"} {
		params := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
		made := r.run(t, "-rf; $(id) {output}", "x", `{"text":"`+params+`"}`)
		want := "[--][" + value + "][x" + value + "][{input}]"
		if got := string(made.Artifacts["stdout"].Content); got != want {
			t.Errorf("arguments %q, want %q (%v)", got, want, made.Err)
		}
	}
}

// A run's parameters are checked again, since the declaration may be another by then.
func TestParamsAreCheckedInTheRun(t *testing.T) {
	t.Parallel()
	d := declare.Command{
		Argv:   []string{"true", "{param.lang}"},
		Params: map[string]declare.Param{"lang": {Pattern: `[-a-z]{3}|a\nb`}},
	}
	r := newRig(t, d)
	for _, params := range []string{`{"lang":"a"}`, `{"lang":"eng x"}`, `{"lang":"-ab"}`, `{"lang":"a\nb"}`, `{}`, `{"other":"eng","lang":"eng"}`, `{"lang":3}`, `[]`} {
		_, err := r.handler.Handle(t.Context(), &jobs.Run{
			Params: []byte(params), Input: io.NewSectionReader(strings.NewReader(""), 0, 0),
		})
		if !jobs.IsPermanent(err) || jobs.AsError(err).Code != jobs.CodeInvalidParams {
			t.Errorf("%s: %v", params, err)
		}
	}
	if made := r.run(t, "a", "", `{"lang":"eng"}`); made.Err != nil {
		t.Error(made.Err)
	}
}

func TestStdoutIsTheResult(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		code       jobs.Code
		want       string
	}{
		{"an object", `echo '{"a": [1, 2]}'`, "", `{"a":[1,2]}`},
		{"nothing", `true`, jobs.CodeInvalidResult, ""},
		{"not JSON", `echo hello`, jobs.CodeInvalidResult, ""},
		{"two values", `echo 1 2`, jobs.CodeInvalidResult, ""},
		{"NUL", `echo '"\u0000"'`, jobs.CodeInvalidResult, ""},
		{"too long", `head -c 2000 /dev/zero`, jobs.CodeLimitOutput, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := script(c.text)
			d.Stdout, d.Limits.StdoutBytes = declare.Result, 1000
			made := newRig(t, d).run(t, "a", "", "")
			if made.Code() != c.code || string(made.Result) != c.want || made.Err != nil && !jobs.IsPermanent(made.Err) {
				t.Errorf("%s, %v", made.Result, made.Err)
			}
		})
	}
}

// What exit codes mean is declared; a signal's is 128 more than its number.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	d := script("echo first >&2; echo \"$1: said\" >&2; exit $(cat \"$1\")")
	d.Exit = declare.Exit{Permanent: []int{2}, Retry: []int{3, 152}, Codes: map[int]jobs.Code{1: "infected", 139: jobs.CodeMalformed}}
	retrying := newRig(t, d)
	d.Exit.Other = declare.Permanent
	failing := newRig(t, d)
	for _, c := range []struct {
		exit      string
		code      jobs.Code
		permanent bool
		other     bool // of the handler by which others fail for good
	}{
		{"1", "infected", true, true},
		{"2", jobs.CodeHandlerError, true, true},
		{"3", jobs.CodeHandlerError, false, false},
		{"4", jobs.CodeHandlerError, false, true},
		{"139", jobs.CodeMalformed, true, true},
		{"152", jobs.CodeHandlerError, false, false},
		{"153", jobs.CodeLimitOutput, true, true},
	} {
		fails(t, retrying.run(t, "a", c.exit, ""), c.code, c.permanent)
		fails(t, failing.run(t, "a", c.exit, ""), c.code, c.other)
	}
	if made := retrying.run(t, "a", "0", ""); made.Err != nil {
		t.Error(made.Err)
	}
	made := retrying.run(t, "a", "1", "")
	if got := jobs.AsError(made.Err).Message; got != "the program ended with exit code 1: /in/input: said" {
		t.Errorf("message %q", got)
	}
	killed := newRig(t, script(`kill -SEGV $$`)).run(t, "a", "", "")
	if got := jobs.AsError(killed.Err).Message; got != "the program ended with exit code 139 (segmentation fault)" {
		t.Errorf("message %q", got)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		progress declare.Progress
		text     string
		want     []float64
	}{
		{"percent", declare.Progress{Pattern: `(\d+)%`}, `printf '10%%\r50%%\r40%%\rx\r100%%\r150%%\n' >&2`, []float64{.1, .5, 1}},
		{"fraction", declare.Progress{Pattern: `at (\S+)`, Unit: declare.Fraction, From: declare.FromStdout}, `echo at 0.25; echo at NaN; echo at Inf; echo at -1; echo at 1e999; echo at 0.5`, []float64{.25, .5}},
		{"of a total", declare.Progress{Pattern: `(\d+)/(\d+)`}, `echo 1/0 >&2; echo 0/0 >&2; echo 1/4 >&2; echo 2/4 >&2`, []float64{.25, .5}},
		{"total said once", declare.Progress{Pattern: `time=(\S+)`, Total: `Duration: ([0-9:.]+)`}, `printf 'time=1\nDuration: 00:01:40.0\ntime=00:00:10.00\rtime=00:00:50.00\r' >&2`, []float64{.1, .5}},
		{"cut in pieces", declare.Progress{Pattern: `^(\d+)$`}, `printf 1 >&2; printf 0 >&2; echo >&2`, []float64{.1}},
		{"a long line", declare.Progress{Pattern: `(\d+)%`}, `head -c 100000 /dev/zero >&2; echo 10% >&2; echo 20% >&2`, []float64{.2}},
		{"the other stream", declare.Progress{Pattern: `(\d+)%`}, `echo 10%`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := script(c.text)
			d.Progress = c.progress
			made := newRig(t, d).run(t, "a", "", "")
			if diff := cmp.Diff(c.want, made.Progress); diff != "" || made.Err != nil {
				t.Errorf("progress (-want +got):\n%s%v", diff, made.Err)
			}
		})
	}
}

var errDisk = errors.New("the disk is on fire")

// failing is an input that cannot be read.
type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

// An input that cannot be read is not the file's fault: the job is tried again.
func TestReadErrorIsRetried(t *testing.T) {
	t.Parallel()
	r := newRig(t, script("true"))
	_, err := r.handler.Handle(t.Context(), &jobs.Run{Input: io.NewSectionReader(failing{}, 0, 10)})
	if !errors.Is(err, errDisk) || jobs.IsPermanent(err) {
		t.Error(err)
	}
}

func TestContextEndsBeforeTheProgramStarts(t *testing.T) {
	t.Parallel()
	r := newRig(t, script("true"))
	cause := errors.New("the claim is lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := r.handler.Handle(ctx, &jobs.Run{Input: io.NewSectionReader(bytes.NewReader(make([]byte, 10)), 0, 10)})
	if !errors.Is(err, cause) {
		t.Error(err)
	}
}

// What cannot work is found at the start, not by the first job.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	launcher := []string{"/proc/self/exe", launchArg}
	for name, try := range map[string]func() (jobs.Handler, error){
		"no such program":   func() (jobs.Handler, error) { return command.New(named("leat-no-such"), t.TempDir(), launcher) },
		"no such path":      func() (jobs.Handler, error) { return command.New(named("/nonexistent/x"), t.TempDir(), launcher) },
		"not a program":     func() (jobs.Handler, error) { return command.New(named("/etc/passwd"), t.TempDir(), launcher) },
		"a bad declaration": func() (jobs.Handler, error) { return command.New(named("./true"), t.TempDir(), launcher) },
		"no launcher":       func() (jobs.Handler, error) { return command.New(named("true"), t.TempDir(), nil) },
		"no scratch":        func() (jobs.Handler, error) { return command.New(named("true"), "/dev/null/x", launcher) },
	} {
		if h, err := try(); err == nil || h != nil || !strings.Contains(err.Error(), `command "test"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func named(program string) declare.Command {
	return declare.Command{Name: "test", Argv: []string{program}}
}

// A launcher that does not do its work is not mistaken for the program, whose job is tried again.
func TestLauncherFails(t *testing.T) {
	t.Parallel()
	for name, launcher := range map[string][]string{
		"is not there":   {"/nonexistent/launcher"},
		"does something": {"/bin/echo"},
		"fails":          {"/bin/false"},
	} {
		h, err := command.New(named("true"), t.TempDir(), launcher)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Handle(t.Context(), &jobs.Run{Input: io.NewSectionReader(strings.NewReader(""), 0, 0)})
		if err == nil || jobs.IsPermanent(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// within gives up on a condition that does not come true.
func within(t *testing.T, what string, d time.Duration, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(d); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, d)
		}
	}
}
