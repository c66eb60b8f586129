package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"strings"
)

// A key's text is leat_<name>_<secret>: the mark by which scanners find keys that lie where they
// should not, the name by which people and the store know the key, and the secret. Name and secret are
// in base 32, in small letters, so that a double click takes the whole.
const (
	mark         = "leat_"
	nameBytes    = 5  // 8 letters: what two keys have in common by chance once in 10¹² pairs, which the store refuses
	secretBytes  = 32 // 52 letters
	nameLength   = 8
	secretLength = 52
	keyLength    = len(mark) + nameLength + 1 + secretLength
)

var letters = base32.StdEncoding.WithPadding(base32.NoPadding)

// Hash is what is kept of a key. A secret of 256 random bits needs no slow hash: there is nothing to
// guess.
type Hash [sha256.Size]byte

// Equal compares in constant time.
func (h Hash) Equal(other Hash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }

// NewKey makes a key: its text, to be shown once, its name, and what is kept of it.
func NewKey() (text, name string, hash Hash) {
	random := make([]byte, nameBytes+secretBytes)
	_, _ = rand.Read(random) // never fails: it ends the program instead
	name = mark + strings.ToLower(letters.EncodeToString(random[:nameBytes]))
	text = name + "_" + strings.ToLower(letters.EncodeToString(random[nameBytes:]))
	return text, name, sha256.Sum256([]byte(text))
}

// ErrNoKey: the text is not one that NewKey makes.
var ErrNoKey = errors.New("access: not a key")

// ParseKey gives the name and hash of a key's text. Errors: ErrNoKey.
func ParseKey(text string) (name string, hash Hash, err error) {
	rest, found := strings.CutPrefix(text, mark)
	if !found || len(text) != keyLength || rest[nameLength] != '_' ||
		!isLetters(rest[:nameLength]) || !isLetters(rest[nameLength+1:]) {
		return "", Hash{}, ErrNoKey
	}
	return text[:len(mark)+nameLength], sha256.Sum256([]byte(text)), nil
}

// CheckName reports whether text can be a key's name, or its beginning.
func CheckName(text string) bool {
	rest, found := strings.CutPrefix(text, mark)
	return found && len(rest) <= nameLength && isLetters(rest) || strings.HasPrefix(mark, text)
}

func isLetters(text string) bool {
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
