package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/jobs"
)

// Keys keeps the keys of the API. System role: a key says whose everything else is.
type Keys interface {
	// AddKey keeps a new key, and notes who made it.
	AddKey(ctx context.Context, key NewKey, by Actor) (Key, error)
	// Key returns the key of that name, also one that is over, or ErrNotFound.
	Key(ctx context.Context, name string) (Key, error)
	// ListKeys returns at most page.Limit keys that fit the filter, newest first, and the cursor of
	// the next page, zero at the end.
	ListKeys(ctx context.Context, filter KeyFilter, page Page) ([]Key, Cursor, error)
	// RevokeKey ends a key for good, and notes who did. One that is revoked stays as it is.
	// Errors: ErrNotFound.
	RevokeKey(ctx context.Context, name string, by Actor) (Key, error)
	// TouchKey notes that a key is in use. A name that is not there is no error.
	TouchKey(ctx context.Context, name string) error
}

// NewKey is a key to be kept.
type NewKey struct {
	Name    string // as access.NewKey gave it
	Hash    access.Hash
	Tenant  jobs.Tenant
	Label   string // for people; may be empty
	Scopes  access.Scopes
	Expires time.Duration // from now, by the store's clock; 0 for never
}

// Key is a key as it is kept.
type Key struct {
	ID     uuid.UUID
	Name   string
	Hash   access.Hash
	Tenant jobs.Tenant
	Label  string
	Scopes access.Scopes

	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not
	UsedAt    time.Time // as TouchKey said last; zero before
}

// Valid reports whether the key opens anything at that time.
func (k *Key) Valid(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// KeyFilter narrows a list of keys; zero fields do not.
type KeyFilter struct {
	Tenant jobs.Tenant
	Prefix string // what their names begin with; access.CheckName must take it
}

// maxLabel bounds a key's label, in bytes.
const maxLabel = 100

// CheckLabel tells whether a text can be a key's label.
func CheckLabel(label string) error {
	switch {
	case len(label) > maxLabel:
		return fmt.Errorf("of %d bytes is over the limit of %d", len(label), maxLabel)
	case !utf8.ValidString(label) || strings.ContainsFunc(label, unicode.IsControl):
		return errors.New("holds characters that cannot be shown")
	}
	return nil
}
