package spec_test

import (
	"testing"

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
