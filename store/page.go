package store

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// Page asks for a part of a list.
type Page struct {
	After Cursor // zero for the first page
	Limit int    // 1 to MaxLimit
	Scan  int    // how many jobs are looked at for one page that no index finds; 0 means MaxScan
}

// MaxScan is chosen so that a page takes a fraction of a second, however rare what it asks for is.
const MaxScan = 50_000

// Looks is Scan, or what stands for it.
func (p Page) Looks() int {
	if p.Scan <= 0 {
		return MaxScan
	}
	return min(p.Scan, MaxScan)
}

// MaxLimit bounds one page of a list, DefaultLimit is what a caller gets who asks for none.
const (
	MaxLimit     = 1000
	DefaultLimit = 100
)

// Cursor marks a place in a list that is ordered by ID.
type Cursor struct{ ID uuid.UUID }

// IsZero reports whether c marks the beginning, or, as the next cursor, the end.
func (c Cursor) IsZero() bool { return c.ID == uuid.Nil }

const cursorVersion = 1

// ErrBadCursor: the text is not a cursor that String gave out.
var ErrBadCursor = errors.New("not a cursor of this list")

// String gives the opaque form of a cursor; the empty text for the zero one.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append([]byte{cursorVersion}, c.ID[:]...))
}

// ParseCursor reads what String gave out. Errors wrap ErrBadCursor.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return Cursor{}, fmt.Errorf("%w: %w", ErrBadCursor, err)
	}
	if len(raw) != 17 || raw[0] != cursorVersion {
		return Cursor{}, ErrBadCursor
	}
	c := Cursor{ID: uuid.UUID(raw[1:])}
	if c.String() != text { // the zero ID, or line breaks, which the decoder skips
		return Cursor{}, ErrBadCursor
	}
	return c, nil
}
