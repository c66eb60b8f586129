package main

import (
	"testing"

	"github.com/leat-dev/leat/jobs/jobtest"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "one": 1, "to be, or\nnot to be ": 6} {
		made := jobtest.Run(t, words.Spec, words.Handler, "a.txt", []byte(text), "")
		if got := jobtest.Decode[map[string]int](t, made); got["words"] != want {
			t.Errorf("%q has %d words, want %d", text, got["words"], want)
		}
	}
}
