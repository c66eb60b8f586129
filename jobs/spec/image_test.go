package spec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

// What is wrong is named by its field.
func TestImageParams(t *testing.T) {
	t.Parallel()
	variant := `{"variants":[{"name":"a","size":100%s}]}`
	many := strings.Repeat(`{"name":"a","size":1},`, spec.MaxImageVariants) + `{"name":"a","size":1}`
	for params, field := range map[string]string{
		``:                                       "-",
		`{"variants":[]}`:                        "-",
		fmt.Sprintf(variant, ""):                 "-",
		fmt.Sprintf(variant, `,"format":"webp"`): "-",
		fmt.Sprintf(variant, `,"format":"jpeg","quality":100`):                       "-",
		`{"variants":[{"name":"a b.x","size":8192},{"name":"ä","size":1}]}`:          "-",
		fmt.Sprintf(variant, `,"format":"gif"`):                                      "variants[0].format",
		fmt.Sprintf(variant, `,"quality":101`):                                       "variants[0].quality",
		fmt.Sprintf(variant, `,"quality":-1`):                                        "variants[0].quality",
		fmt.Sprintf(variant, `,"format":"png","quality":80`):                         "variants[0].quality",
		fmt.Sprintf(variant, `,"quality":"best"`):                                    "variants.quality",
		fmt.Sprintf(variant, `,"colour":1`):                                          "",
		`{"variants":[{"name":"a"}]}`:                                                "variants[0].size",
		`{"variants":[{"name":"a","size":8193}]}`:                                    "variants[0].size",
		`{"variants":[{"name":"a","size":2049,"format":"webp"}]}`:                    "variants[0].size",
		`{"variants":[{"size":1}]}`:                                                  "variants[0].name",
		`{"variants":[{"name":"../a","size":1}]}`:                                    "variants[0].name",
		`{"variants":[{"name":"` + strings.Repeat("x", 65) + `","size":1}]}`:         "variants[0].name",
		`{"variants":[{"name":"a","size":1},{"name":"A","size":2,"format":"webp"}]}`: "variants[1].name",
		`{"variants":[` + many + `]}`:                                                "variants",
	} {
		image := spec.Image()
		_, _, err := image.Canonical(json.RawMessage(params))
		got := "-"
		if wrong, ok := errors.AsType[*jobs.ParamError](err); ok {
			got = wrong.Field
		}
		if got != field {
			t.Errorf("%s: %v, want the field %q", params, err, field)
		}
	}
}

// Nothing and an empty list mean the same, in one canonical form.
func TestImageDefaults(t *testing.T) {
	t.Parallel()
	image := spec.Image()
	for _, params := range []string{"", "{}", `{"variants":[]}`} {
		if canonical, _, err := image.Canonical(json.RawMessage(params)); err != nil || string(canonical) != "{}" {
			t.Errorf("%q: %s, %v", params, canonical, err)
		}
	}
	want := []spec.ImageVariant{
		{Name: "thumbnail", Size: 256, Format: "auto", Quality: 82}, {Name: "preview", Size: 1024, Format: "auto", Quality: 82},
	}
	if diff := cmp.Diff(want, new(spec.ImageParams).List()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
