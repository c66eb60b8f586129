package command_test

import (
	"math"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/command"
)

// Whatever a program writes for a number is a number that is finite, or none.
func FuzzNumber(f *testing.F) {
	for _, seed := range []string{"", "1", "01:02:03.5", ":", "1e308", "-1", "1e308:1e308", "Inf", "NaN", "0x1p-2", "1_0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n := command.Number(text); math.IsInf(n, 0) {
			t.Errorf("%q is %v", text, n)
		}
	})
}

// Whatever files are called, artifacts have names that they may have, each its own.
func FuzzArtifactNames(f *testing.F) {
	f.Add("a.txt", "a.txt", "a-2.txt")
	f.Add("..", "\xff", "\u202egpj.exe")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		seen := map[string]bool{}
		for _, name := range command.Unique(a, b, c, a) {
			if err := jobs.CheckArtifactName(name); err != nil || seen[name] {
				t.Errorf("%q of %q: %v, seen: %t", name, []string{a, b, c, a}, err, seen[name])
			}
			seen[name] = true
		}
	})
}
