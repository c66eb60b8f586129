package wire_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/leat-dev/leat/api/wire"
)

func TestProblemAsAnError(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]wire.Problem{
		"not_found":                                {Code: wire.CodeNotFound},
		"not_found: There is no such thing.":       {Code: wire.CodeNotFound, Title: "There is no such thing."},
		"state_conflict: Too late.":                {Code: wire.CodeStateConflict, Title: "No.", Detail: "Too late."},
		"status 502: Bad Gateway":                  {Status: 502, Title: "Bad Gateway"},
		"invalid_parameter [a: too long] [b: odd]": {Code: wire.CodeInvalidParameter, Errors: []wire.FieldError{{Field: "a", Message: "too long"}, {Field: "b", Message: "odd"}}},
	} {
		wrapped := fmt.Errorf("upload: %w", &p)
		if got := wrapped.Error(); got != "upload: "+want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What is not known is absent, and what is zero but known is not.
func TestWhatIsNotKnownIsAbsent(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		`{"id":"00000000-0000-0000-0000-000000000000","file_id":"00000000-0000-0000-0000-000000000000","kind":"","queue":"","state":"",` +
			`"cancel_requested":false,"attempt":0,"max_attempts":0,"losses":0,"run_at":"0001-01-01T00:00:00Z","created_at":"0001-01-01T00:00:00Z"}`: wire.Job{},
		`{"jobs":[]}`:                wire.Jobs{Jobs: []wire.Job{}},
		`{"changed":0,"more":false}`: wire.Changed{},
		`{"run":0,"worker":"00000000-0000-0000-0000-000000000000","started_at":"0001-01-01T00:00:00Z"}`: wire.Attempt{},
	} {
		got, err := json.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, want)
		}
	}
	job := wire.Job{Progress: new(0.0)}
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	var back wire.Job
	if err := json.Unmarshal(text, &back); err != nil || back.Progress == nil {
		t.Errorf("a progress of 0 is lost in %s: %v", text, err)
	}
}

func TestEnded(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]bool{
		wire.Pending: false, wire.Running: false, wire.Retrying: false, wire.Waiting: false,
		wire.Succeeded: true, wire.Failed: true, wire.Cancelled: true,
	} {
		if got := (&wire.Job{State: state}).Ended(); got != want {
			t.Errorf("%s: %v", state, got)
		}
	}
}
