package archive_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/archive"
)

func TestCleanPath(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"a.txt":                    "a.txt",
		"d/a.txt":                  "d/a.txt",
		"./d//./a.txt":             "d/a.txt",
		"d/":                       "d",
		`d\a.txt`:                  "d/a.txt",
		" a .txt ":                 "a .txt",
		"a\n\u202etxt.exe":         "atxt.exe",
		"...x/..y":                 "...x/..y",
		"d/\u200b":                 "d/file",
		"a:b":                      "!absolute",
		"ab:c":                     "ab:c",
		"\xff\xfe":                 "file",
		"/a":                       "!absolute",
		"//host/share/a":           "!absolute",
		`\a`:                       "!absolute",
		`\\host\share\a`:           "!absolute",
		`C:\a`:                     "!absolute",
		"c:/a":                     "!absolute",
		"c:a":                      "!absolute",
		"\u200bC:/a":               "!absolute",
		"..":                       "!climbing",
		"../a":                     "!climbing",
		"d/../a":                   "!climbing",
		"d/..":                     "!climbing",
		`d\..\..\a`:                "!climbing",
		".. /a":                    "!climbing",
		".\u200b./a":               "!climbing",
		".../a":                    "!climbing",
		"":                         "!name",
		".":                        "!name",
		"./":                       "!name",
		"a\x00.txt":                "!name",
		strings.Repeat("a/", 3000): "!name",
	} {
		got, reason := archive.CleanPath(name)
		if reason != "" {
			got = "!" + string(reason)
		}
		if got != want {
			t.Errorf("%.50q: %.50q, want %q", name, got, want)
		}
	}
}

// Names that a file system may take for one are told apart, and stay names.
func TestNames(t *testing.T) {
	t.Parallel()
	of := archive.Names()
	for _, c := range [][2]string{
		{"a.txt", "a.txt"},
		{"A.TXT", "A (2).TXT"},
		{"d/a.txt", "a (3).txt"},
		{"a (4).txt", "a (4).txt"},
		{"e/a.txt", "a (5).txt"},
		{"e/A (2).txt", "A (2) (2).txt"},
		{"\u00e9", "\u00e9"},
		{"e\u0301", "e\u0301 (2)"},
		{".profile", ".profile"},
		{"d/.profile", ".profile (2)"},
		{"x." + strings.Repeat("y", 30), "x." + strings.Repeat("y", 30)},
		{"X." + strings.Repeat("y", 30), "X." + strings.Repeat("y", 30) + " (2)"},
		{strings.Repeat("é", 127), strings.Repeat("é", 127)},
		{"d/" + strings.Repeat("é", 127), strings.Repeat("é", 125) + " (2)"},
	} {
		if got := of(c[0]); got != c[1] {
			t.Errorf("%s: %s, want %s", c[0], got, c[1])
		}
	}
}

func TestNamesDiffer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		of, seen := archive.Names(), map[string]bool{}
		for _, clean := range rapid.SliceOf(rapid.StringMatching(`[aA]{1,2}( \([23]\))?(\.[tT])?`)).Draw(t, "paths") {
			name := of(clean)
			if seen[strings.ToLower(name)] || jobs.CleanName(name) != name {
				t.Fatalf("%q became %q", clean, name)
			}
			seen[strings.ToLower(name)] = true
		}
	})
}

// Whatever an entry is called, its path stays below the folder that it would be unpacked in, on any
// system, and its name is one that the store takes.
func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{"a/b.txt", "../a", `..\a`, "C:x", "/a", "a/./b", "a\x00b", "\u202e../x", " .. /x", "\xff/..", "a//b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean, reason := archive.CleanPath(name)
		if (clean == "") == (reason == "") {
			t.Fatalf("%q: %q and %q", name, clean, reason)
		}
		if reason != "" {
			return
		}
		if !utf8.ValidString(clean) || strings.ContainsAny(clean, "\\\x00") || strings.ContainsFunc(clean, unicode.IsControl) {
			t.Fatalf("%q: %q is not clean", name, clean)
		}
		if len(clean) > 1 && clean[1] == ':' && unicode.IsLetter(rune(clean[0])) {
			t.Fatalf("%q: %q begins with a drive", name, clean)
		}
		for part := range strings.SplitSeq(clean, "/") {
			if part == "" || strings.Trim(part, ". ") == "" || jobs.CleanName(part) != part {
				t.Fatalf("%q: %q has the part %q", name, clean, part)
			}
		}
		if again, reason := archive.CleanPath(clean); again != clean && reason != archive.BadName { // longer than allowed, by "file"
			t.Fatalf("%q: %q, and then %q %s", name, clean, again, reason)
		}
		if got := archive.Names()(clean); jobs.CleanName(got) != got {
			t.Fatalf("%q: the name %q", name, got)
		}
	})
}
