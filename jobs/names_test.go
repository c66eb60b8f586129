package jobs_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/leat-dev/leat/jobs"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "0", "inspect", "low-prio", "a.b_c-9", strings.Repeat("x", 63)} {
		if err := jobs.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", "A", "é", "-a", ".a", "_a", "a b", "a/b", "a\\b", "a:b", "a{b}", "a*", "a\n", "\na", "a\x00", "a\xff",
		"a\u202e", strings.Repeat("x", 64),
	} {
		err := jobs.CheckName(name)
		if err == nil {
			t.Errorf("%q is a name", name)
		} else if !utf8.ValidString(err.Error()) || len(err.Error()) > 300 {
			t.Errorf("%q: the error cannot be shown: %q", name, err)
		}
	}
}

func TestCleanName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"photo.jpg":                         "photo.jpg",
		"Übersicht (2).pdf":                 "Übersicht (2).pdf",
		"日本語.txt":                           "日本語.txt",
		"👩‍🚀.png":                           "👩🚀.png", // the joiner is a formatting character
		"":                                  "file",
		".":                                 "file",
		"..":                                "file",
		"...":                               "file",
		" \t\n":                             "file",
		".profile":                          ".profile",
		"/etc/passwd":                       "passwd",
		"../../etc/passwd":                  "passwd",
		`C:\Users\me\a.txt`:                 "a.txt",
		`a/b\c.txt`:                         "c.txt",
		"a.txt/":                            "file",
		`a.txt\`:                            "file",
		"..\\..":                            "file",
		"a\x00.txt":                         "a.txt",
		"a\r\nSet-Cookie: x.txt":            "aSet-Cookie: x.txt",
		"a\x1b[31m.txt":                     "a[31m.txt",
		"a\u0085b\u009fc":                   "abc",
		"photo\u202egpj.exe":                "photogpj.exe", // shown as photoexe.jpg
		"a\u200b\u2066\ufeffb":              "ab",
		"a\u2028b\u2029c":                   "abc",
		"a\xffb\xc3":                        "ab",
		"a\ufffdb":                          "ab",
		"  spaced out .txt  ":               "spaced out .txt",
		"\u00a0\u3000":                      "file",
		"%2e%2e%2fpasswd":                   "%2e%2e%2fpasswd", // not a URL's path: nothing decodes it
		"CON":                               "CON",
		strings.Repeat("x", 300):            strings.Repeat("x", 255),
		strings.Repeat("é", 200):            strings.Repeat("é", 127), // 254 bytes: no half of the next
		strings.Repeat("x", 254) + " y.txt": strings.Repeat("x", 254), // cut, then trimmed
	} {
		if got := jobs.CleanName(name); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, name := range []string{"photo.jpg", "../a", `b\c`, "a\x00", "\u202e", "\xff", strings.Repeat("é", 200), " . ", ". ."} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := jobs.CleanName(name)
		switch {
		case got == "" || got == "." || got == "..":
			t.Errorf("%q is no name", got)
		case len(got) > jobs.MaxFileName || !utf8.ValidString(got):
			t.Errorf("%q is too long or not UTF-8", got)
		case strings.ContainsAny(got, "/\\") || strings.ContainsFunc(got, unicode.IsControl) || strings.ContainsFunc(got, isFormat):
			t.Errorf("%q holds what a name must not", got)
		case jobs.CleanName(got) != got:
			t.Errorf("%q is cleaned once more, to %q", got, jobs.CleanName(got))
		case jobs.CheckArtifactName(got) != nil:
			t.Errorf("%q is clean and no artifact's name", got)
		}
		if jobs.CheckArtifactName(name) == nil && got != name {
			t.Errorf("%q is an artifact's name and is cleaned to %q", name, got)
		}
	})
}

func isFormat(r rune) bool { return unicode.Is(unicode.Cf, r) }

func TestCheckArtifactName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"thumb.png", "page 1.txt", "file", ".hidden", strings.Repeat("x", 255)} {
		if err := jobs.CheckArtifactName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", ".", "..", "a/b", `a\b`, "/a", "a/", " a", "a ", "a\x00", "a\n", "a\u202eb", "a\xff", strings.Repeat("x", 256),
	} {
		if jobs.CheckArtifactName(name) == nil {
			t.Errorf("%q is an artifact's name", name)
		}
	}
}

func TestCheckResult(t *testing.T) {
	t.Parallel()
	full := `"` + strings.Repeat("x", jobs.MaxResult-2) + `"`
	for name, result := range map[string]string{
		"none":                        "",
		"null":                        "null",
		"an object":                   `{"a":[1,2.5e-3,true,null,"é\n\"\u00e9\ud83d\ude80"]}`,
		"a backslash before u0000":    `"\\u0000"`,
		"two backslashes before it":   `"\\\\u0000"`,
		"u0000 without one":           `{"u0000":"u0000"}`,
		"other escapes with zeros":    `"\u000a\u0100\u1000"`,
		"as large as it may be":       full,
		"an escaped quote at the end": `"\""`,
	} {
		if err := jobs.CheckResult(json.RawMessage(result)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, result := range map[string]string{
		"too large":                       full + " ",
		"NUL as an escape":                `"\u0000"`,
		"NUL in a key":                    `{"a\u0000b":1}`,
		"NUL behind an escaped backslash": `"\\\u0000"`,
		"NUL behind other escapes":        `"\n\"\\\t\u0000"`,
		"NUL in the raw":                  "\"a\x00b\"",
		"invalid UTF-8":                   "\"a\xffb\"",
		"a surrogate in UTF-8":            "\"\xed\xa0\x80\"",
		"not JSON":                        `{a:1}`,
		"cut":                             `{"a":`,
		"two values":                      `{} {}`,
		"white space alone":               " \n",
		"a byte order mark":               "\uFEFF{}",
	} {
		if jobs.CheckResult(json.RawMessage(result)) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// What passes can be stored: it is UTF-8, and no string in it holds NUL once it is read.
func FuzzCheckResult(f *testing.F) {
	for _, result := range []string{`{"a":"\\u0000"}`, `"\u0000"`, `"\\\u0000"`, "\"\xff\"", `[1,"\ud800"]`, "null", ""} {
		f.Add([]byte(result))
	}
	f.Fuzz(func(t *testing.T, result []byte) {
		err := jobs.CheckResult(result)
		if len(result) == 0 {
			if err != nil {
				t.Error(err)
			}
			return
		}
		var value any
		readable := json.Unmarshal(result, &value) == nil && utf8.Valid(result)
		if want := readable && !hasNUL(value); (err == nil) != want {
			t.Errorf("CheckResult(%q) = %v, readable %t, NUL %t", result, err, readable, hasNUL(value))
		}
	})
}

func hasNUL(value any) bool {
	switch v := value.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		return slices.ContainsFunc(v, hasNUL)
	case map[string]any:
		for k, e := range v {
			if hasNUL(k) || hasNUL(e) {
				return true
			}
		}
	}
	return false
}
