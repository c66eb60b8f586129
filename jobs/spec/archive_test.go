package spec_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

// What means the same has one form, and that form is its own.
func TestArchiveCanonical(t *testing.T) {
	t.Parallel()
	s := spec.Archive()
	for raw, want := range map[string]string{
		``: `{"kind":"auto","max_entries":10000}`,
		`{"kind":"","max_entries":0,"params":null}`:                              `{"kind":"auto","max_entries":10000}`,
		`{"max_entries":100000, "include":["*.csv"]}`:                            `{"kind":"auto","include":["*.csv"],"max_entries":100000}`,
		`{"kind":"table","params":{"z":12345678901234567890,"a":{"c":1,"b":2}}}`: `{"kind":"table","params":{"a":{"b":2,"c":1},"z":12345678901234567890},"max_entries":10000}`,
	} {
		canonical, _, err := s.Canonical(json.RawMessage(raw))
		if err != nil || string(canonical) != want {
			t.Errorf("%s: %s, %v", raw, canonical, err)
		}
		if again, _, err := s.Canonical(canonical); err != nil || string(again) != want {
			t.Errorf("%s again: %s, %v", raw, again, err)
		}
	}
}

// A wrong parameter is named.
func TestArchiveParams(t *testing.T) {
	t.Parallel()
	s := spec.Archive()
	for raw, field := range map[string]string{
		`{"kind":"No Such"}`:     "kind",
		`{"kind":1}`:             "kind",
		`{"max_entries":-1}`:     "max_entries",
		`{"max_entries":100001}`: "max_entries",
		`{"include":["["]}`:      "include",
		`{"include":[""]}`:       "include",
		`{"exclude":["` + strings.Repeat("a", 256) + `"]}`:     "exclude",
		`{"exclude":["a"` + strings.Repeat(`,"a"`, 100) + `]}`: "exclude",
		`{"params":{}}`:                  "params",
		`{"kind":"table","params":[1]}`:  "params",
		`{"kind":"table","params":"{}"}`: "params",
		`{"depth":3}`:                    "",
	} {
		_, _, err := s.Canonical(json.RawMessage(raw))
		if p, ok := errors.AsType[*jobs.ParamError](err); !ok || p.Field != field {
			t.Errorf("%.60s: %v", raw, err)
		}
	}
}
