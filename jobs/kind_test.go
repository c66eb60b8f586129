package jobs_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
)

type params struct {
	Width   int               `json:"width,omitempty"`
	Quality float64           `json:"quality"`
	Formats []string          `json:"formats"`
	Labels  map[string]string `json:"labels,omitempty"`
	Crop    *struct {
		X int `json:"x"`
	} `json:"crop,omitempty"`
	Extra json.RawMessage `json:"extra,omitempty"`
}

func (p *params) Validate() error {
	if p.Width < 0 {
		return &jobs.ParamError{Field: "width", Reason: "is negative"}
	}
	if len(p.Formats) > 2 {
		return errors.New("too many formats")
	}
	return nil
}

// later is checked by a method of its value, and by an error that wraps the one that names it.
type later struct {
	At time.Time `json:"at"`
}

func (l later) Validate() error {
	if l.At.IsZero() {
		return errors.Join(errors.New("there is more"), &jobs.ParamError{Field: "at", Reason: "is not set"})
	}
	return nil
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	spec := jobs.Spec{Params: params{}}
	for _, c := range []struct {
		name, raw, want string
	}{
		{"nothing", ``, `{"quality":0,"formats":null}`},
		{"white space", " \n\t", `{"quality":0,"formats":null}`},
		{"null", ` null `, `{"quality":0,"formats":null}`},
		{"empty", `{}`, `{"quality":0,"formats":null}`},
		{"order and spacing", ` { "formats" : [ "png" ] , "width" : 10 } `, `{"width":10,"quality":0,"formats":["png"]}`},
		{"number's spelling", `{"width":1,"quality":1.50e1}`, `{"width":1,"quality":15,"formats":null}`},
		{"map's order", `{"labels":{"b":"2","a":"1"}}`, `{"quality":0,"formats":null,"labels":{"a":"1","b":"2"}}`},
		{"string's spelling", `{"formats":["\u0061<","\u00e9"]}`, `{"quality":0,"formats":["a\u003c","é"]}`},
		{"the last of two", `{"width":1,"width":2}`, `{"width":2,"quality":0,"formats":null}`},
		{"nested", `{"crop":{"x":3}}`, `{"quality":0,"formats":null,"crop":{"x":3}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, hash, err := spec.Canonical(json.RawMessage(c.raw))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want || hash != sha256.Sum256(got) {
				t.Errorf("got %s with hash %x, want %s", got, hash, c.want)
			}
			again, hash2, err := spec.Canonical(got)
			if err != nil || string(again) != string(got) || hash2 != hash {
				t.Errorf("the canonical form of %s is %s, %v", got, again, err)
			}
		})
	}
}

// A kind that is declared checks its parameters with a function, behind the struct's own check; what
// it fills in is part of the canonical form.
func TestCanonicalIsChecked(t *testing.T) {
	t.Parallel()
	spec := jobs.Spec{Params: params{}, Check: func(p any) error {
		given, ok := p.(*params)
		if !ok || given.Width == 7 {
			return fmt.Errorf("a %T of 7", p)
		}
		given.Quality = 1
		return nil
	}}
	got, _, err := spec.Canonical(json.RawMessage(`{"width":3}`))
	if err != nil || string(got) != `{"width":3,"quality":1,"formats":null}` {
		t.Errorf("got %s, %v", got, err)
	}
	for raw, want := range map[string]string{`{"width":7}`: "of 7", `{"width":-1}`: "is negative"} {
		_, _, err := spec.Canonical(json.RawMessage(raw))
		if p, ok := errors.AsType[*jobs.ParamError](err); !ok || !strings.Contains(p.Reason, want) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	withParams, without, timed := jobs.Spec{Params: params{}}, jobs.Spec{}, jobs.Spec{Params: later{}}
	for _, c := range []struct {
		name   string
		spec   jobs.Spec
		raw    string
		field  string
		reason string // a part of it
	}{
		{"unknown field", withParams, `{"widht":1}`, "", `unknown field "widht"`},
		{"unknown nested field", withParams, `{"crop":{"z":1}}`, "", `unknown field "z"`},
		{"a field where there are none", without, `{"width":1}`, "", `unknown field "width"`},
		{"wrong type", withParams, `{"width":"10"}`, "width", "want int, got string"},
		{"wrong nested type", withParams, `{"crop":{"x":true}}`, "crop.x", "want int, got bool"},
		{"fraction", withParams, `{"width":1.5}`, "width", "got number 1.5"},
		{"too large for the type", withParams, `{"width":1e999}`, "width", "got number 1e999"},
		{"too large a float", withParams, `{"quality":1e999}`, "quality", "got number 1e999"},
		{"array", withParams, `[]`, "", "got array"},
		{"array where there are none", without, `[]`, "", "got array"},
		{"number", without, `1`, "", "got number"},
		{"trailing value", withParams, `{} {}`, "", "more than one JSON value"},
		{"trailing garbage", withParams, `{}]`, "", "more than one JSON value"},
		{"cut", withParams, `{"width":`, "", "unexpected EOF"},
		{"no JSON", withParams, `width=1`, "", "invalid character"},
		{"NUL", withParams, `{"formats":["a\u0000b"]}`, "", "NUL"},
		{"NUL in raw JSON", withParams, `{"extra":{"a":"\u0000"}}`, "", "NUL"},
		{"too large", withParams, `{"formats":["` + strings.Repeat("x", jobs.MaxResult) + `"]}`, "", "limit"},
		{"validated, by field", withParams, `{"width":-1}`, "width", "is negative"},
		{"validated, as a whole", withParams, `{"formats":["a","b","c"]}`, "", "too many formats"},
		{"validated by value, wrapped", timed, ``, "at", "is not set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, hash, err := c.spec.Canonical(json.RawMessage(c.raw))
			var param *jobs.ParamError
			if !errors.As(err, &param) {
				t.Fatalf("got %s, %v; want a ParamError", got, err)
			}
			if param.Field != c.field || !strings.Contains(param.Reason, c.reason) {
				t.Errorf("field %q, reason %q; want %q, …%s…", param.Field, param.Reason, c.field, c.reason)
			}
			if got != nil || hash != [32]byte{} {
				t.Error("a refused value has a canonical form")
			}
		})
	}
}

func TestParamError(t *testing.T) {
	t.Parallel()
	if got := (&jobs.ParamError{Field: "a.b", Reason: "is bad"}).Error(); got != "params.a.b: is bad" {
		t.Error(got)
	}
	if got := (&jobs.ParamError{Reason: "all bad"}).Error(); got != "params: all bad" {
		t.Error(got)
	}
}

// Parameters that say the same in another order and spacing are the same.
func TestCanonicalIsOne(t *testing.T) {
	t.Parallel()
	spec := jobs.Spec{Params: params{}}
	rapid.Check(t, func(t *rapid.T) {
		fields := map[string]any{
			"width":   rapid.IntRange(0, math.MaxInt).Draw(t, "width"),
			"quality": rapid.Float64().Draw(t, "quality"),
			"labels":  rapid.MapOf(rapid.StringMatching(`[a-zé<&]{1,5}`), rapid.StringMatching(`[^\x00]{0,5}`)).Draw(t, "labels"),
		}
		names := rapid.Permutation([]string{"width", "quality", "labels"})
		write := func(label string) json.RawMessage {
			space := rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space "+label)
			var parts []string
			for _, name := range names.Draw(t, "order "+label) {
				value, err := json.Marshal(fields[name])
				if err != nil {
					t.Fatal(err)
				}
				parts = append(parts, space+`"`+name+`"`+space+":"+space+string(value))
			}
			return json.RawMessage(space + "{" + strings.Join(parts, space+",") + "}" + space)
		}
		one, hash1, err1 := spec.Canonical(write("one"))
		two, hash2, err2 := spec.Canonical(write("two"))
		if err1 != nil || err2 != nil || string(one) != string(two) || hash1 != hash2 {
			t.Fatalf("%s, %v\n%s, %v", one, err1, two, err2)
		}
		if err := jobs.CheckResult(one); err != nil {
			t.Fatal(err)
		}
	})
}

func spec(name string, mediaTypes ...string) jobs.Spec {
	return jobs.Spec{Name: name, Version: 1, MediaTypes: mediaTypes}
}

func TestNewSpecsFillsIn(t *testing.T) {
	t.Parallel()
	own := jobs.Spec{
		Name: "own", Version: 3, Queue: "slow", Timeout: time.Second, Concurrency: 2,
		Retry: jobs.Retry{Base: time.Second, Factor: 1, Cap: time.Second, MaxAttempts: 2},
	}
	specs, err := jobs.NewSpecs("plain", spec("plain"), own)
	if err != nil {
		t.Fatal(err)
	}
	plain := jobs.Spec{
		Name: "plain", Version: 1, Queue: jobs.DefaultQueue, Retry: jobs.DefaultRetry(), Timeout: jobs.DefaultTimeout,
	}
	if diff := cmp.Diff([]jobs.Spec{plain, own}, specs.All()); diff != "" {
		t.Errorf("All (-want +got):\n%s", diff)
	}
	if got, ok := specs.Get("own"); !ok || !cmp.Equal(got, own) {
		t.Errorf("Get = %+v, %t", got, ok)
	}
	if got, ok := specs.Get("none"); ok || !cmp.Equal(got, jobs.Spec{}) {
		t.Errorf("Get of an unknown kind = %+v, %t", got, ok)
	}
	specs.All()[0].Name = "changed"
	if _, ok := specs.Get("plain"); !ok {
		t.Error("All gives out the set's own memory")
	}
}

func TestNewSpecsRefuses(t *testing.T) {
	t.Parallel()
	change := func(f func(*jobs.Spec)) []jobs.Spec {
		s := spec("a")
		f(&s)
		return []jobs.Spec{s}
	}
	for name, list := range map[string][]jobs.Spec{
		"no kinds":          nil,
		"no fallback":       {spec("b")},
		"twice":             {spec("a"), spec("a")},
		"no name":           change(func(s *jobs.Spec) { s.Name = "" }),
		"bad name":          change(func(s *jobs.Spec) { s.Name = "A b" }),
		"bad queue":         change(func(s *jobs.Spec) { s.Queue = "a{b}" }),
		"no version":        change(func(s *jobs.Spec) { s.Version = 0 }),
		"bad retry":         change(func(s *jobs.Spec) { s.Retry.Base = time.Second }),
		"negative timeout":  change(func(s *jobs.Spec) { s.Timeout = -1 }),
		"negative bound":    change(func(s *jobs.Spec) { s.Concurrency = -1 }),
		"params no struct":  change(func(s *jobs.Spec) { s.Params = 1 }),
		"params by pointer": change(func(s *jobs.Spec) { s.Params = &params{} }),
	} {
		if _, err := jobs.NewSpecs("a", list...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := jobs.NewSpecs(jobs.Auto, spec(jobs.Auto)); err == nil {
		t.Error("a kind took the name that stands for choosing one")
	}
}

func TestSpecsWith(t *testing.T) {
	t.Parallel()
	specs, err := jobs.NewSpecs("a", spec("a"), spec("b"))
	if err != nil {
		t.Fatal(err)
	}
	changed, err := specs.With(func(s *jobs.Spec) { s.Timeout = time.Second })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range changed.All() {
		if s.Timeout != time.Second {
			t.Errorf("%s: timeout %v", s.Name, s.Timeout)
		}
	}
	if got := changed.Route("nothing/known"); got.Name != "a" {
		t.Errorf("the fallback became %q", got.Name)
	}
	if s, _ := specs.Get("a"); s.Timeout != jobs.DefaultTimeout {
		t.Error("the original changed")
	}
	if _, err := specs.With(func(s *jobs.Spec) { s.Timeout = -1 }); err == nil {
		t.Error("a change that makes no sense was taken")
	}
}

func TestRoute(t *testing.T) {
	t.Parallel()
	specs, err := jobs.NewSpecs("inspect",
		spec("inspect"), spec("image", "image/*"), spec("vector", "image/svg+xml", "text/csv"), spec("table", "text/csv", "text/*"))
	if err != nil {
		t.Fatal(err)
	}
	for mediaType, want := range map[string]string{
		"image/png":                 "image",
		"image/svg+xml":             "vector", // named beats covered, though it comes later
		"text/csv":                  "vector", // the first of two
		"text/plain":                "table",
		"text/plain; charset=utf-8": "table",
		"IMAGE/PNG":                 "image",
		" image/png ;x=y":           "image",
		"application/pdf":           "inspect",
		"image":                     "image",
		"imagery/png":               "inspect",
		"":                          "inspect",
		"/":                         "inspect",
		"*/*":                       "inspect",
	} {
		if got := specs.Route(mediaType); got.Name != want {
			t.Errorf("Route(%q) = %s, want %s", mediaType, got.Name, want)
		}
	}
	if got := specs.Route("application/gzip", "image/png", "text/csv"); got.Name != "image" {
		t.Errorf("of several types, the first that any kind takes leads to %s, want image", got.Name)
	}
	if got := specs.Route(); got.Name != "inspect" {
		t.Errorf("no type leads to %s, want inspect", got.Name)
	}
}

func TestNewKinds(t *testing.T) {
	t.Parallel()
	specs, err := jobs.NewSpecs("a", spec("a"), spec("b"))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(text string) jobs.Handler {
		return jobs.HandlerFunc(func(context.Context, *jobs.Run) (any, error) { return text, nil })
	}
	kinds, err := jobs.NewKinds(specs, map[string]jobs.Handler{"b": answer("B"), "a": answer("A")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, kinds.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	got, handler, ok := kinds.Get("b")
	if !ok || got.Name != "b" {
		t.Fatalf("Get = %+v, %t", got, ok)
	}
	if result, err := handler.Handle(t.Context(), &jobs.Run{}); result != "B" || err != nil {
		t.Errorf("the handler answers %v, %v", result, err)
	}
	if _, handler, ok := kinds.Get("c"); ok || handler != nil {
		t.Error("an unknown kind has a handler")
	}
	for name, handlers := range map[string]map[string]jobs.Handler{
		"one missing": {"a": answer("A")},
		"one nil":     {"a": answer("A"), "b": nil},
		"one more":    {"a": answer("A"), "b": answer("B"), "c": answer("C")},
	} {
		if _, err := jobs.NewKinds(specs, handlers); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
