package blob_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
)

func TestParseKeyTakesOnlyTheCanonicalForm(t *testing.T) {
	t.Parallel()
	key := blob.NewKey()
	text := key.String()
	if got, err := blob.ParseKey(text); err != nil || got != key {
		t.Fatalf("ParseKey(%q) = %v, %v", text, got, err)
	}
	refused := map[string]string{
		"empty":         "",
		"upper case":    strings.ToUpper("0198a3f2-7c1e-7abc-8def-0123456789ab"),
		"braces":        "{" + text + "}",
		"urn":           "urn:uuid:" + text,
		"no hyphens":    strings.ReplaceAll(text, "-", ""),
		"version 4":     uuid.NewString(),
		"nil":           uuid.Nil.String(),
		"wrong variant": "0198a3f2-7c1e-7abc-cdef-0123456789ab",
		"a path":        "../../../../../../../../etc/passwd..",
		"a space":       text + " ",
		"a NUL":         text[:35] + "\x00",
	}
	for name, text := range refused {
		if got, err := blob.ParseKey(text); !errors.Is(err, blob.ErrInvalidKey) {
			t.Errorf("%s: ParseKey(%q) = %v, %v, want ErrInvalidKey", name, text, got, err)
		}
	}
}

func TestKeysAreOrderedByTimeAndAsTheirText(t *testing.T) {
	t.Parallel()
	keys := make([]blob.Key, 1000)
	texts := make([]string, len(keys))
	for i := range keys {
		keys[i] = blob.NewKey()
		texts[i] = keys[i].String()
	}
	if !slices.IsSortedFunc(keys, blob.Key.Compare) || !slices.IsSorted(texts) {
		t.Error("keys that were made one after another are not in order")
	}
	if len(slices.Compact(keys)) != len(texts) {
		t.Error("two keys are the same")
	}
}
