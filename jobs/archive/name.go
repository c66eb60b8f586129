package archive

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/leat-dev/leat/jobs"
)

// Reason says why an entry was refused. Other programs read it.
type Reason string

// The reasons for which an entry is refused.
const (
	Absolute  Reason = "absolute"  // its path begins at a root or a drive
	Climbing  Reason = "climbing"  // its path has a .. in it
	BadName   Reason = "name"      // its path is empty, too long, or holds a NUL
	Link      Reason = "link"      // a symbolic or hard link
	Device    Reason = "device"    // a character or block device
	Special   Reason = "special"   // a pipe, a socket, or a type that is not known
	Encrypted Reason = "encrypted" // its content is
	Method    Reason = "method"    // packed in a way that cannot be unpacked here
)

// cleanPath gives an entry's path in its safe form: relative, with slashes, each part as
// jobs.CleanName leaves it. A backslash counts as a slash. Nothing is ever written to such a path; it
// is refused all the same when it would lead outside of the folder that the archive is unpacked in,
// or hides where it leads.
func cleanPath(name string) (string, Reason) {
	if name == "" || len(name) > MaxPath || strings.ContainsRune(name, 0) {
		return "", BadName
	}
	name = strings.ReplaceAll(name, `\`, "/")
	if name[0] == '/' || hasDrive(visible(name)) {
		return "", Absolute
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		seen := visible(part)
		switch {
		case len(seen) > 1 && strings.Trim(seen, ".") == "":
			return "", Climbing
		case part == "" || seen == ".":
			continue
		}
		parts = append(parts, jobs.CleanName(part))
	}
	if len(parts) == 0 {
		return "", BadName
	}
	return strings.Join(parts, "/"), ""
}

// visible drops what a reader does not see, or a file system ignores.
func visible(name string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, name)
}

func hasDrive(name string) bool {
	return len(name) >= 2 && name[1] == ':' && unicode.IsLetter(rune(name[0]))
}

// shown is a refused entry's name, fit to be stored and bounded.
func shown(name string) string {
	const limit = 255
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, name[:min(len(name), 2*limit)])
	return cut(name, limit)
}

// cut shortens valid UTF-8 to at most limit bytes, at a rune.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// names gives each file of an archive a name that no other has, whatever a file system thinks of
// case and of how letters are composed. It keeps the number that a name was last given.
type names map[string]int

// of names the file with a clean path: by the path's last part, with a number when that is taken.
func (n names) of(clean string) string {
	name := path.Base(clean)
	key := fold(name)
	number, taken := n[key]
	if !taken {
		n[key] = 1
		return name
	}
	for {
		number++
		candidate := numbered(name, number)
		if _, taken := n[fold(candidate)]; !taken {
			n[key], n[fold(candidate)] = number, 1
			return candidate
		}
	}
}

func fold(name string) string { return norm.NFC.String(strings.ToLower(name)) }

// numbered puts a number before a name's extension.
func numbered(name string, number int) string {
	const longest = 20 // bytes of what is an extension
	extension := path.Ext(name)
	if len(extension) > longest || len(extension) == len(name) {
		extension = ""
	}
	suffix := fmt.Sprintf(" (%d)%s", number, extension)
	stem := strings.TrimSuffix(name, extension)
	return jobs.CleanName(cut(stem, jobs.MaxFileName-len(suffix)) + suffix)
}
