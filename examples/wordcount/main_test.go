package main

import (
	"strings"
	"testing"

	"github.com/leat-dev/leat/jobs"
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

// A word that is too long is so each time: the job is not tried again.
func TestWordTooLong(t *testing.T) {
	t.Parallel()
	made := jobtest.Run(t, words.Spec, words.Handler, "a.txt", []byte("one "+strings.Repeat("x", 100_000)), "")
	if made.Code() != "word_too_long" || !jobs.IsPermanent(made.Err) {
		t.Errorf("%v", made.Err)
	}
}
