package blob

import (
	"bytes"
	"fmt"

	"github.com/google/uuid"
)

// Key names an object: a fresh UUIDv7. It is never derived from the content and never used again,
// so that an object which is being deleted cannot be the one that someone has just put. Keys are
// ordered by the time at which they were made.
type Key uuid.UUID

// NewKey gives a key that no one else has.
func NewKey() Key { return Key(uuid.Must(uuid.NewV7())) }

// ParseKey reads what Key.String has written: a UUIDv7 of 36 characters, in lower case, with
// hyphens. It answers anything else with ErrInvalidKey.
func ParseKey(text string) (Key, error) {
	id, err := uuid.Parse(text)
	// Parse also takes upper case, braces, a prefix and no hyphens; a key has one form only.
	if err != nil || id.String() != text {
		return Key{}, fmt.Errorf("%w: %.40q", ErrInvalidKey, text)
	}
	key := Key(id)
	return key, key.Check()
}

// Check answers a key that is not a UUIDv7, such as the zero Key, with ErrInvalidKey.
func (k Key) Check() error {
	if id := uuid.UUID(k); id.Version() != 7 || id.Variant() != uuid.RFC4122 {
		return fmt.Errorf("%w: %v is not a UUIDv7", ErrInvalidKey, k)
	}
	return nil
}

// Compare is negative when k comes before other, zero when they are the same key, else positive.
// Keys have the same order as their text.
func (k Key) Compare(other Key) int { return bytes.Compare(k[:], other[:]) }

// String gives the canonical form: 36 characters, lower case, with hyphens.
func (k Key) String() string { return uuid.UUID(k).String() }
