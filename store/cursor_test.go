package store_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func TestCursorComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, id := range []uuid.UUID{uuid.Nil, uuid.Max, jobs.NewID(), {15: 1}} {
		c := store.Cursor{ID: id}
		got, err := store.ParseCursor(c.String())
		if err != nil || got != c {
			t.Errorf("%v came back as %v, %v", c, got, err)
		}
	}
}

func TestTheZeroCursorIsTheEmptyText(t *testing.T) {
	t.Parallel()
	var c store.Cursor
	if !c.IsZero() || c.String() != "" {
		t.Errorf("zero: %v, text %q", c.IsZero(), c.String())
	}
	if (store.Cursor{ID: jobs.NewID()}).IsZero() {
		t.Error("a cursor with an ID is zero")
	}
}

func TestWhatIsNoCursorIsRefused(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	good := store.Cursor{ID: jobs.NewID()}.String()
	for name, text := range map[string]string{
		"not base64":        "###",
		"a bare ID":         jobs.NewID().String(),
		"too short":         encode(make([]byte, 16)),
		"too long":          encode(append([]byte{1}, make([]byte, 17)...)),
		"another version":   encode(append([]byte{2}, good[:16]...)),
		"the zero ID":       encode(append([]byte{1}, make([]byte, 16)...)),
		"padded":            good + "=",
		"with a line break": good[:8] + "\n" + good[8:],
		"loose last bits":   good[:len(good)-1] + "_",
	} {
		if c, err := store.ParseCursor(text); !errors.Is(err, store.ErrBadCursor) {
			t.Errorf("%s: %q gave %v, %v", name, text, c, err)
		}
	}
}

// FuzzParseCursor: whatever is parsed is exactly what String would give, and nothing panics.
func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"", "x", store.Cursor{ID: uuid.Max}.String(), strings.Repeat("A", 23), "AQ\nAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := store.ParseCursor(text)
		if err != nil {
			if !errors.Is(err, store.ErrBadCursor) || !c.IsZero() {
				t.Fatalf("%q gave %v, %v", text, c, err)
			}
			return
		}
		if got := c.String(); got != text {
			t.Fatalf("%q was read as %v, whose text is %q", text, c, got)
		}
	})
}

func TestStateErrorNamesTheState(t *testing.T) {
	t.Parallel()
	var err error = &store.StateError{State: jobs.Succeeded, Want: "cancel"}
	if got, want := err.Error(), "store: cannot cancel a job that is succeeded"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
