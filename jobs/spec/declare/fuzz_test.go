package declare_test

import (
	"strings"
	"testing"

	"github.com/leat-dev/leat/jobs/spec/declare"
)

// Whatever a template and a value hold, the value comes into the argument as it is, once, and is
// never read as a template.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"", "{input}", "{output}/a", "x{param.a}y{param.a}", "{{}}", "{{{input}}}", "{", "}", "{param.}", "{name}", "{{input}"} {
		f.Add(seed, "value")
		f.Add(seed, "{input}{{")
	}
	paths := declare.Paths{Input: "/s/in", Output: "/s/out", Temp: "/s/tmp"}
	f.Fuzz(func(t *testing.T, text, value string) {
		template, err := declare.ParseTemplate(text)
		if err != nil {
			return
		}
		got := template.Fill(paths, map[string]string{"a": value})
		// What a template says has two spellings of braces and four words, none within another. Braces
		// are hidden first, by a character that no template holds.
		want := strings.NewReplacer("{{", "\x00o", "}}", "\x00c").Replace(text)
		if strings.Contains(want, "\x00c}") || strings.Contains(text, "}}}") {
			return // where a placeholder ends before a brace, this simple reading is not enough
		}
		want = strings.NewReplacer("{input}", paths.Input, "{output}", paths.Output, "{temp}", paths.Temp, "{param.a}", "\x00v").Replace(want)
		if strings.Contains(want, "{param.") {
			return // of other names, which are not given
		}
		want = strings.NewReplacer("\x00o", "{", "\x00c", "}", "\x00v", value).Replace(want)
		if got != want {
			t.Errorf("%q with %q: got %q, want %q", text, value, got, want)
		}
	})
}
