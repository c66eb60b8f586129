package declare_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec/declare"
)

// ocr is a declaration that says much of what can be said.
func ocr() declare.Command {
	none := 0.0
	return declare.Command{
		Name: "ocr", Summary: "Reads text.", Argv: []string{"tesseract", "{input}", "{output}/text", "-l", "{param.lang}"},
		Params: map[string]declare.Param{
			"lang": {Pattern: "[a-z]{3}", Default: "eng", Doc: `the "language"`},
			"page": {Pattern: "[0-9]*"},
			"size": {Pattern: "[0-9]+"},
		},
		MediaTypes: []string{"image/*"}, Queue: "slow", Timeout: time.Minute, Concurrency: 2,
		MaxAttempts: 3, RetryBase: time.Second, RetryFactor: 3, RetryCap: time.Minute, RetryJitter: &none,
	}
}

func TestSpec(t *testing.T) {
	t.Parallel()
	spec, err := ocr().Spec()
	if err != nil {
		t.Fatal(err)
	}
	specs, err := jobs.NewSpecs("ocr", spec)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := specs.Get("ocr")
	got.Params, got.Check = nil, nil
	want := jobs.Spec{
		Name: "ocr", Version: 1, Summary: "Reads text.", MediaTypes: []string{"image/*"}, Queue: "slow",
		Retry:   jobs.Retry{Base: time.Second, Factor: 3, Cap: time.Minute, MaxAttempts: 3},
		Timeout: time.Minute, Concurrency: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	bare, err := declare.Command{Name: "x", Argv: []string{"true"}}.Spec()
	if err != nil || bare.Params != nil || bare.Check != nil || bare.Retry != jobs.DefaultRetry() || bare.Timeout != jobs.DefaultTimeout {
		t.Errorf("%+v, %v", bare, err)
	}
}

// Parameters are filled in and checked before a job is made of them.
func TestParams(t *testing.T) {
	t.Parallel()
	spec, err := ocr().Spec()
	if err != nil {
		t.Fatal(err)
	}
	tags := reflect.TypeOf(spec.Params)
	if got := tags.Field(0).Tag; got != `json:"lang,omitempty" doc:"the \"language\"" pattern:"^(?:[a-z]{3})$" default:"eng"` {
		t.Errorf("tag %s", got)
	}
	if got := tags.Field(2).Tag.Get("json"); got != "size" { // required, since nothing is no size
		t.Errorf("key %q", got)
	}
	for _, c := range []struct{ raw, want, field string }{
		{`{"size":"1"}`, `{"lang":"eng","size":"1"}`, ""},
		{`{"page":"3","lang":"deu","size":"1"}`, `{"lang":"deu","page":"3","size":"1"}`, ""},
		{`{"lang":"","size":"1"}`, `{"lang":"eng","size":"1"}`, ""},
		{``, "", "size"},
		{`{"lang":"de","size":"1"}`, "", "lang"},
		{`{"lang":"deu\n","size":"1"}`, "", "lang"},
		{`{"lang":"deu --x","size":"1"}`, "", "lang"},
		{`{"page":3,"size":"1"}`, "", "page"},
		{`{"pages":"3","size":"1"}`, "", ""},
	} {
		got, _, err := spec.Canonical([]byte(c.raw))
		param, refused := errors.AsType[*jobs.ParamError](err)
		if string(got) != c.want || refused != (c.want == "") || refused && param.Field != c.field {
			t.Errorf("%s: %s, %v; want %s", c.raw, got, err, c.want)
		}
	}
}

// A value is never taken for an option where it begins an argument; behind something it may begin
// with a dash.
func TestValuesAreNoOptions(t *testing.T) {
	t.Parallel()
	anything := declare.Param{Pattern: `.*`}
	for _, c := range []struct {
		arg string
		ok  bool
	}{
		{"{param.a}", false},
		{"{param.a}x", false},
		{"{param.b}{param.a}", false},
		{"x{param.a}", true},
		{"--level={param.a}", true},
		{"{output}{param.a}", true},
		{"none", true},
	} {
		d := declare.Command{Name: "x", Argv: []string{"true", c.arg}, Params: map[string]declare.Param{"a": anything, "b": anything}}
		if err := d.Check(); err != nil {
			t.Fatal(err)
		}
		if err := d.CheckValues(map[string]string{"a": "-rf"}); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.arg, err)
		}
	}
	for _, value := range []string{"\x00", "a\nb", "\x1b[0m", "\xff", strings.Repeat("x", declare.MaxValue+1)} {
		d := declare.Command{Name: "x", Argv: []string{"true"}, Params: map[string]declare.Param{"a": {Pattern: `(?s).*`}}}
		if err := d.CheckValues(map[string]string{"a": value}); err == nil {
			t.Errorf("%q is taken", value)
		}
	}
}

func TestWrongDeclarationIsNamed(t *testing.T) {
	t.Parallel()
	if err := ocr().Check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*declare.Command){
		"name":                 func(c *declare.Command) { c.Name = "no such name" },
		"reserved":             func(c *declare.Command) { c.Name = jobs.Auto },
		"version":              func(c *declare.Command) { c.Version = -1 },
		"timeout":              func(c *declare.Command) { c.Timeout = -1 },
		"concurrency":          func(c *declare.Command) { c.Concurrency = -1 },
		"queue":                func(c *declare.Command) { c.Queue = "A" },
		"retry attempts":       func(c *declare.Command) { c.MaxAttempts = -1 },
		"retry base":           func(c *declare.Command) { c.RetryBase = -1 },
		"no program":           func(c *declare.Command) { c.Argv = nil },
		"plain name":           func(c *declare.Command) { c.Argv[0] = "bin/x" },
		`"{input}"`:            func(c *declare.Command) { c.Argv[0] = "{input}" },
		"{name}":               func(c *declare.Command) { c.Argv[1] = "{name}" },
		"{param.}":             func(c *declare.Command) { c.Argv[1] = "{param.}" },
		"argument 1: a brace":  func(c *declare.Command) { c.Argv[1] = "{input" },
		"argument 2: a brace":  func(c *declare.Command) { c.Argv[2] = "}" },
		`"other" is not`:       func(c *declare.Command) { c.Argv[1] = "{param.other}" },
		"NUL":                  func(c *declare.Command) { c.Argv[1] = "\x00" },
		`params: "Lang"`:       func(c *declare.Command) { c.Params["Lang"] = declare.Param{Pattern: "x"} },
		"no pattern":           func(c *declare.Command) { c.Params["x"] = declare.Param{} },
		"missing closing":      func(c *declare.Command) { c.Params["x"] = declare.Param{Pattern: "("} },
		"unexpected )":         func(c *declare.Command) { c.Params["x"] = declare.Param{Pattern: "a)|(b"} },
		"x: the default":       func(c *declare.Command) { c.Params["x"] = declare.Param{Pattern: "a", Default: "b"} },
		`env: "A=B"`:           func(c *declare.Command) { c.Env = map[string]string{"A=B": ""} },
		"env: A: there is no":  func(c *declare.Command) { c.Env = map[string]string{"A": "{x}"} },
		`media-types: "*/*"`:   func(c *declare.Command) { c.MediaTypes = []string{"*/*"} },
		`"image"`:              func(c *declare.Command) { c.MediaTypes = []string{"image"} },
		`"Image/PNG"`:          func(c *declare.Command) { c.MediaTypes = []string{"Image/PNG"} },
		"limits: memory":       func(c *declare.Command) { c.Limits.Memory = 1000 },
		"limits: cpu":          func(c *declare.Command) { c.Limits.CPU = 1500 * time.Millisecond },
		"limits: open-files":   func(c *declare.Command) { c.Limits.OpenFiles = 1 },
		"limits: one":          func(c *declare.Command) { c.Limits.OutputFiles = -1 },
		"exit: other":          func(c *declare.Command) { c.Exit.Other = "never" },
		"exit: 0":              func(c *declare.Command) { c.Exit.Permanent = []int{0} },
		"exit: 256":            func(c *declare.Command) { c.Exit.Retry = []int{256} },
		"exit: 3 is there":     func(c *declare.Command) { c.Exit = declare.Exit{Retry: []int{3}, Codes: map[int]jobs.Code{3: "x"}} },
		"exit: codes":          func(c *declare.Command) { c.Exit.Codes = map[int]jobs.Code{3: "X Y"} },
		"progress: unit":       func(c *declare.Command) { c.Progress.Unit = "bytes" },
		"progress: from":       func(c *declare.Command) { c.Progress.From = "stdin" },
		"progress: pattern: e": func(c *declare.Command) { c.Progress.Pattern = "(" },
		"has 0 groups":         func(c *declare.Command) { c.Progress.Pattern = "x" },
		"has 3 groups":         func(c *declare.Command) { c.Progress.Pattern = "(a)(b)(c)" },
		"progress: total: e":   func(c *declare.Command) { c.Progress = declare.Progress{Pattern: "(x)", Total: "("} },
		"total: has 0":         func(c *declare.Command) { c.Progress = declare.Progress{Pattern: "(x)", Total: "x"} },
		"there is a total too": func(c *declare.Command) { c.Progress = declare.Progress{Pattern: "(x)(y)", Total: "(x)"} },
		"without a pattern":    func(c *declare.Command) { c.Progress.Total = "(x)" },
		"stdout: \"keep\"":     func(c *declare.Command) { c.Stdout = "keep" },
		"limits.stdout-bytes":  func(c *declare.Command) { c.Stdout, c.Limits.StdoutBytes = declare.Result, jobs.MaxResult+1 },
	} {
		d := ocr()
		change(&d)
		_, err := d.Spec()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "command ") {
			t.Errorf("error %v, want one that names %q", err, want)
		}
	}
}
