package apirole

import (
	"testing"
	"time"

	"github.com/leat-dev/leat/config"
)

func TestHSTS(t *testing.T) {
	t.Parallel()
	defaults := config.Default()
	for want, o := range map[string]*config.Options{
		"max-age=31536000":              &defaults,
		"max-age=60; includeSubDomains": {HSTS: config.Age(time.Minute), HSTSSubdomains: true},
		"":                              {HSTSSubdomains: true},
	} {
		if got := hsts(o); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
