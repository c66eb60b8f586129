package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leat-dev/leat/jobs"
)

// InputError says what of a call's input cannot be taken. Nothing was done.
type InputError struct {
	Field  string // such as "target"
	Reason string
}

// Error names the field and the reason.
func (e *InputError) Error() string { return "store: " + e.Field + ": " + e.Reason }

// What a decision and a pin may be at most.
const (
	MaxDecisionJSON = 256 << 10 // bytes of a decision's detail, and of its memory
	MaxDecisionText = 4 << 10   // bytes of its bound, and of what it is compared by
	MaxPin          = 366 * 24 * time.Hour
)

// CheckTarget tells whether a target can have that name: one that a queue could have. The error is
// an *InputError.
func CheckTarget(name string) error {
	if err := jobs.CheckName(name); err != nil {
		return &InputError{"target", err.Error()}
	}
	return nil
}

// CheckPin tells whether so many replicas can be pinned for so long. A negative number, which ends
// a pin, always can. The error is an *InputError.
func CheckPin(replicas int, d time.Duration) error {
	switch {
	case replicas < 0:
		return nil
	case replicas > math.MaxInt32:
		return &InputError{"replicas", fmt.Sprintf("%d is over %d", replicas, math.MaxInt32)}
	case d <= 0 || d > MaxPin:
		return &InputError{"duration", fmt.Sprintf("%v is not above 0 and at most %v", d, MaxPin)}
	}
	return nil
}

// Check tells whether a decision can be stored. The error is an *InputError.
func (d NewDecision) Check() error {
	if d.At.IsZero() {
		return &InputError{"at", "is missing"}
	}
	if !d.Outcome.valid() {
		return &InputError{"outcome", fmt.Sprintf("%q is none", d.Outcome)}
	}
	for _, number := range []struct {
		field string
		n     int
	}{{"current", d.Current}, {"replicas", d.Replicas}} {
		if number.n < 0 || number.n > math.MaxInt32 {
			return &InputError{number.field, fmt.Sprintf("%d is not between 0 and %d", number.n, math.MaxInt32)}
		}
	}
	for _, text := range []struct{ field, text string }{{"bound", d.Bound}, {"same", d.Same}} {
		if len(text.text) > MaxDecisionText || !utf8.ValidString(text.text) || strings.ContainsRune(text.text, 0) {
			return &InputError{text.field, fmt.Sprintf("is not at most %d bytes of UTF-8 without NUL", MaxDecisionText)}
		}
	}
	for _, object := range []struct {
		field string
		text  json.RawMessage
	}{{"detail", d.Detail}, {"memory", d.Memory}} {
		if err := jobs.CheckJSON(object.text, MaxDecisionJSON); err != nil {
			return &InputError{object.field, err.Error()}
		}
		if len(object.text) > 0 && !bytes.HasPrefix(bytes.TrimLeft(object.text, " \t\r\n"), []byte("{")) {
			return &InputError{object.field, "is not an object"}
		}
	}
	return nil
}

func (o Outcome) valid() bool {
	switch o {
	case ScaleUnchanged, ScaleApplied, ScalePending, ScaleFailed, ScaleRefused:
		return true
	}
	return false
}
