package spec_test

import (
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

func TestAll(t *testing.T) {
	t.Parallel()
	specs, err := spec.All()
	if err != nil {
		t.Fatal(err)
	}
	if got := specs.Route("nobody/knows"); got.Name != "inspect" {
		t.Errorf("a file that no kind takes goes to %q", got.Name)
	}
	for _, s := range specs.All() {
		if s.Summary == "" {
			t.Errorf("%s has no summary for the API's documentation", s.Name)
		}
	}
}

// Kinds of which one run may take some hundred megabytes run few at a time, each in a process of its own.
func TestLargeKindsAreBounded(t *testing.T) {
	t.Parallel()
	for _, s := range []jobs.Spec{spec.Image(), spec.Document()} {
		if s.Concurrency < 1 || s.Concurrency > 2 {
			t.Errorf("%d runs of %s at a time", s.Concurrency, s.Name)
		}
	}
}
