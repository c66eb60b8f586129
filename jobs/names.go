package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`)

// CheckName tells whether a name can be a kind's or a queue's: 1 to 63 characters of a-z, 0-9, dot,
// dash and underscore, the first a letter or digit. Such names are safe in keys, metrics and paths.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("name %q: use 1 to 63 of a-z, 0-9, '.', '-' and '_', starting with a letter or digit", cleanText(name, 80))
	}
	return nil
}

// MaxFileName bounds a file's name, in bytes.
const MaxFileName = 255

// CleanName makes a sender's file name fit to be stored and shown: only the part behind the last
// slash or backslash, without control or formatting characters (which could hide an extension),
// valid UTF-8, at most MaxFileName bytes. What has no name left is called "file".
func CleanName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return -1
		}
		return r
	}, name)
	name = strings.TrimSpace(cleanText(strings.TrimSpace(name), MaxFileName))
	if name == "" || strings.Trim(name, ".") == "" {
		return "file"
	}
	return name
}

// MaxResult bounds a job's result, in bytes of JSON.
const MaxResult = 1 << 20

// CheckResult tells whether a handler's result can be stored: JSON of at most MaxResult bytes, in
// UTF-8, without the NUL character that no text column holds.
func CheckResult(result json.RawMessage) error {
	if err := CheckJSON(result, MaxResult); err != nil {
		return fmt.Errorf("result %w", err)
	}
	return nil
}

// CheckJSON tells whether JSON can be stored, as CheckResult says, with a limit of its own. What is
// wrong is said without a subject. Nothing at all is well.
func CheckJSON(text json.RawMessage, limit int) error {
	switch {
	case len(text) == 0:
		return nil
	case len(text) > limit:
		return fmt.Errorf("of %d bytes is over the limit of %d", len(text), limit)
	case !utf8.Valid(text):
		return errors.New("is not UTF-8")
	case !json.Valid(text):
		return errors.New("is not JSON")
	case holdsNUL(text):
		return errors.New("holds a NUL character")
	}
	return nil
}

// holdsNUL finds the escape \u0000 in valid JSON; an escaped backslash before u0000 is text.
func holdsNUL(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return false
		}
		if bytes.HasPrefix(text[i:], []byte(`\u0000`)) {
			return true
		}
		text = text[i+2:]
	}
}
