package inspect_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs/inspect"
)

func utf16Text(order binary.AppendByteOrder, text string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

func utf32Text(order binary.AppendByteOrder, text string) []byte {
	var out []byte
	for _, r := range text {
		out = order.AppendUint32(out, uint32(r))
	}
	return out
}

func TestLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]inspect.Text{
		"":                {Lines: 0, LineEnding: "none"},
		"a":               {Lines: 1, LineEnding: "none"},
		"\n":              {Lines: 1, LineEnding: "lf"},
		"\n\n":            {Lines: 2, LineEnding: "lf"},
		"a\nb":            {Lines: 2, LineEnding: "lf"},
		"a\nb\n":          {Lines: 2, LineEnding: "lf"},
		"a\r\nb\r\n":      {Lines: 2, LineEnding: "crlf"},
		"a\r\nb":          {Lines: 2, LineEnding: "crlf"},
		"a\rb\r":          {Lines: 2, LineEnding: "cr"},
		"\r\r\n":          {Lines: 2, LineEnding: "mixed"},
		"\n\r":            {Lines: 2, LineEnding: "mixed"},
		"a\nb\r\nc\rd":    {Lines: 4, LineEnding: "mixed"},
		"a\u2028b\u0085c": {Lines: 1, LineEnding: "none"},
	} {
		want.Encoding = "us-ascii"
		if strings.ContainsRune(text, '\u2028') {
			want.Encoding = "utf-8"
		}
		if diff := cmp.Diff(&want, inspected(t, "a.txt", []byte(text)).Text); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestUnicode(t *testing.T) {
	t.Parallel()
	const text = "déjà vu 🚀\r\nsecond line, third \u0a0d\u0d0a word\r\nlast" // two letters that hold 0A and 0D
	little, big := binary.LittleEndian, binary.BigEndian
	for name, c := range map[string]struct {
		content []byte
		want    inspect.Text
	}{
		"UTF-8":                {[]byte(text), inspect.Text{Encoding: "utf-8"}},
		"UTF-8 with a mark":    {[]byte("\ufeff" + text), inspect.Text{Encoding: "utf-8", BOM: true}},
		"UTF-16LE":             {utf16Text(little, text), inspect.Text{Encoding: "utf-16le"}},
		"UTF-16BE":             {utf16Text(big, text), inspect.Text{Encoding: "utf-16be"}},
		"UTF-16LE with a mark": {utf16Text(little, "\ufeff"+text), inspect.Text{Encoding: "utf-16le", BOM: true}},
		"UTF-16BE with a mark": {utf16Text(big, "\ufeff"+text), inspect.Text{Encoding: "utf-16be", BOM: true}},
		"UTF-32LE with a mark": {utf32Text(little, "\ufeff"+text), inspect.Text{Encoding: "utf-32le", BOM: true}},
		"UTF-32BE with a mark": {utf32Text(big, "\ufeff"+text), inspect.Text{Encoding: "utf-32be", BOM: true}},
		"cut in its last unit": {append(utf16Text(little, "\ufeff"+text), 'x'), inspect.Text{Encoding: "utf-16le", BOM: true}},
		"cut in its last rune": {[]byte(text + "é")[:len(text)+1], inspect.Text{Encoding: "utf-8"}},
	} {
		c.want.Lines, c.want.LineEnding = 3, "crlf"
		if diff := cmp.Diff(&c.want, inspected(t, "a.txt", c.content).Text); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, content := range map[string]string{"UTF-8": "\ufeff", "UTF-16": "\xff\xfe", "UTF-32": "\xff\xfe\x00\x00"} {
		if got := inspected(t, "a.txt", []byte(content)).Text; got == nil || got.Lines != 0 || !got.BOM {
			t.Errorf("only a mark of %s: %+v", name, got)
		}
	}
}

func TestOlderEncodings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		in   encoding.Encoding
		want string
	}{
		"Western":              {"Où est l'élève naïf de la crèmerie? À côté, bientôt.\n", charmap.ISO8859_1, "iso-8859-1"},
		"Western with quotes":  {"“Straße” – größer, naïve café … 5 €\n", charmap.Windows1252, "windows-1252"},
		"one word":             {"caf\u00e9", charmap.ISO8859_1, "iso-8859-1"},
		"Russian":              {"Привет мир, как дела? Всё хорошо, спасибо большое. Сегодня хорошая погода.\n", charmap.Windows1251, "windows-1251"},
		"Russian, older":       {"Привет мир, как дела? Все хорошо, спасибо большое. Сегодня хорошая погода.\n", charmap.KOI8R, "koi8-r"},
		"Greek":                {"Ξεσκεπάζω την ψυχοφθόρα βδελυγμία και τα ελληνικά\n", charmap.ISO8859_7, "iso-8859-7"},
		"Japanese":             {"いろはにほへと ちりぬるを わかよたれそ つねならむ 日本語の文字\n", japanese.ShiftJIS, "shift_jis"},
		"Japanese, Unix":       {"いろはにほへと ちりぬるを わかよたれそ つねならむ 日本語の文字\n", japanese.EUCJP, "euc-jp"},
		"Chinese, simplified":  {"天地玄黄 宇宙洪荒 日月盈昃 辰宿列张 中文编码测试文本\n", simplifiedchinese.GBK, "gb2312"},
		"Chinese, traditional": {"天地玄黃 宇宙洪荒 日月盈昃 辰宿列張 中文編碼測試文字\n", traditionalchinese.Big5, "big5"},
		"Korean":               {"모든 국민은 법 앞에 평등하다 대한민국은 민주공화국이다\n", korean.EUCKR, "euc-kr"},
	} {
		text := c.text
		if strings.HasSuffix(text, "\n") { // a line alone may be anything
			text = strings.Repeat(text, 5)
		}
		content, err := c.in.NewEncoder().Bytes([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := inspected(t, "a.txt", content).Text; got == nil || got.Encoding != c.want {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

func TestDamagedUTF8(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("é à ü\n", 100)
	for name, text := range map[string]string{
		"a stray byte":        good + "\xff\n" + good,
		"a stray byte, late":  strings.Repeat(good, 400) + "\xff\n",
		"half a rune, inside": good + "\xc3\n",
		"a surrogate":         good + "\xed\xa0\x80\n" + good,
	} {
		if got := inspected(t, "a.txt", []byte(text)).Text; got == nil || got.Encoding != "unknown-8bit" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// However a text lies across the pieces in which it is read, the answer is that of all of it.
func TestPiecesOfText(t *testing.T) {
	t.Parallel()
	for _, encode := range []struct {
		name, mark string
		as         func(string) []byte
	}{
		{"utf-8", "", func(s string) []byte { return []byte(s) }},
		{"utf-16le", "", func(s string) []byte { return utf16Text(binary.LittleEndian, s) }},
		{"utf-16be", "\ufeff", func(s string) []byte { return utf16Text(binary.BigEndian, s) }},
		{"utf-32le", "\ufeff", func(s string) []byte { return utf32Text(binary.LittleEndian, s) }},
	} {
		t.Run(encode.name, func(t *testing.T) {
			t.Parallel()
			// ASCII up to just before where the first piece ends, so that what follows straddles it.
			fill := encode.as(encode.mark + strings.Repeat("filler..", inspect.Chunk/len(encode.as("filler.."))-1))
			rapid.Check(t, func(t *rapid.T) {
				parts := []string{"a", "\n", "\r", "\r\n", "é", "€", "🚀"}
				tail := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 30).Draw(t, "tail"), "")
				content := slices.Concat(fill, encode.as(tail))
				run := newRun("a.txt", content)
				answer, err := inspect.New().Handle(t.Context(), run)
				result, ok := answer.(*inspect.Result)
				if err != nil || !ok {
					t.Fatal(answer, err)
				}
				all := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(tail)
				want := &inspect.Text{Encoding: encode.name, BOM: encode.mark != "", Lines: int64(strings.Count(all, "\n"))}
				if !strings.HasSuffix(all, "\n") {
					want.Lines++
				}
				if encode.name == "utf-8" && strings.IndexFunc(tail, func(r rune) bool { return r > 0x7F }) < 0 {
					want.Encoding = "us-ascii"
				}
				if diff := cmp.Diff(want, result.Text, cmpopts.IgnoreFields(inspect.Text{}, "LineEnding")); diff != "" {
					t.Fatalf("%q (-want +got):\n%s", tail, diff)
				}
			})
		})
	}
}
