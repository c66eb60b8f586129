package charset_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding/charmap"

	"github.com/leat-dev/leat/jobs/charset"
)

// A text is detected and read back, however it is encoded and in whatever pieces it comes.
func TestDetectAndRead(t *testing.T) {
	t.Parallel()
	const russian = "Спасибо большое. Сегодня хорошая погода.\n"
	koi8, err := charmap.KOI8R.NewEncoder().String(strings.Repeat(russian, 5))
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ content, name, text string }{
		"nothing":          {"", "us-ascii", ""},
		"ascii":            {"hello", "us-ascii", "hello"},
		"utf-8":            {"déjà vu", "utf-8", "déjà vu"},
		"utf-8, late":      {strings.Repeat("x", 300_000) + "é", "utf-8", strings.Repeat("x", 300_000) + "é"},
		"utf-8, marked":    {"\ufeffdéjà", "utf-8", "déjà"},
		"utf-16, marked":   {"\xff\xfeh\x00\xe9\x00", "utf-16le", "hé"},
		"utf-16, big":      {"\xfe\xff\x00h\x00\xe9", "utf-16be", "hé"},
		"utf-16, bare":     {"h\x00i\x00!\x00", "utf-16le", "hi!"},
		"utf-16be, bare":   {"\x00h\x00i\x00!", "utf-16be", "hi!"},
		"utf-32, marked":   {"\xff\xfe\x00\x00h\x00\x00\x00", "utf-32le", "h"},
		"utf-32, big":      {"\x00\x00\xfe\xff\x00\x00\x00h", "utf-32be", "h"},
		"latin-1":          {"d\xe9j\xe0", "iso-8859-1", "déjà"},
		"windows-1252":     {"\x93d\xe9j\xe0\x94", "windows-1252", "“déjà”"},
		"koi8-r":           {koi8, "koi8-r", strings.Repeat(russian, 5)},
		"damaged utf-8":    {strings.Repeat("é", 20) + "\xff", "unknown-8bit", strings.Repeat("é", 20) + "\ufffd"},
		"half a utf-8":     {"h\xc3", "iso-8859-1", "hÃ"},
		"half a utf-16":    {"\xff\xfeh\x00i", "utf-16le", "h\ufffd"},
		"a lone surrogate": {"\xff\xfe\x00\xd8", "utf-16le", "\ufffd"},
	} {
		for pieces, r := range map[string]io.Reader{
			"whole":     strings.NewReader(c.content),
			"halves":    iotest.HalfReader(strings.NewReader(c.content)),
			"with data": iotest.DataErrReader(strings.NewReader(c.content)),
		} {
			name, err := charset.Detect(r)
			if err != nil || name != c.name {
				t.Errorf("%s, %s: %q, %v", what, pieces, name, err)
			}
		}
		r, err := charset.Reader(iotest.OneByteReader(strings.NewReader(c.content)), c.name)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(r); err != nil || string(text) != c.text {
			t.Errorf("%s: %q, %v", what, text, err)
		}
	}
}

func TestUnknownEncoding(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "nonsense", "x-none"} {
		if r, err := charset.Reader(strings.NewReader("x"), name); err == nil {
			t.Errorf("%q: %v", name, r)
		}
	}
}

// What goes wrong in reading is no encoding.
func TestBrokenReader(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, before := range []string{"", "hello", strings.Repeat("x", 300_000)} {
		if name, err := charset.Detect(io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("%d bytes: %q, %v", len(before), name, err)
		}
	}
}
