package document_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/document"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
)

func utf16Text(order binary.AppendByteOrder, text string) string {
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, u)
	}
	return string(out)
}

func utf32Text(order binary.AppendByteOrder, text string) string {
	var out []byte
	for _, r := range text {
		out = order.AppendUint32(out, uint32(r))
	}
	return string(out)
}

func TestTextEncodings(t *testing.T) {
	t.Parallel()
	little, big := binary.LittleEndian, binary.BigEndian
	japaneseText := strings.Repeat("いろはにほへと ちりぬるを わかよたれそ つねならむ 日本語の文字\n", 5)
	shiftJIS, err := japanese.ShiftJIS.NewEncoder().String(japaneseText)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ content, want, encoding string }{
		"ascii":            {"hello\r\n", "hello\r\n", "us-ascii"},
		"empty":            {"", "", "us-ascii"},
		"utf-8":            {"déjà vu 🚀\n", "déjà vu 🚀\n", "utf-8"},
		"utf-8, mark":      {"\ufeffdéjà vu\n", "déjà vu\n", "utf-8"},
		"utf-8, damaged":   {strings.Repeat("déjà vu\n", 50) + "\xff\n", strings.Repeat("déjà vu\n", 50) + "\ufffd\n", "unknown-8bit"},
		"latin-1":          {"d\xe9j\xe0 vu\n", "déjà vu\n", "iso-8859-1"},
		"windows-1252":     {"\x93d\xe9j\xe0\x94 vu\n", "“déjà” vu\n", "windows-1252"},
		"utf-16, mark":     {utf16Text(little, "\ufeffdéjà 🚀\n"), "déjà 🚀\n", "utf-16le"},
		"utf-16be, mark":   {utf16Text(big, "\ufeffdéjà 🚀\n"), "déjà 🚀\n", "utf-16be"},
		"utf-16, no mark":  {utf16Text(little, "name;city\r\n"), "name;city\r\n", "utf-16le"},
		"utf-16, half":     {utf16Text(little, "\ufeffhello") + "\x00", "hello\ufffd", "utf-16le"},
		"utf-32le":         {utf32Text(little, "\ufeffdéjà\n"), "déjà\n", "utf-32le"},
		"Shift JIS":        {shiftJIS, japaneseText, "shift_jis"},
		"NUL in UTF-16":    {utf16Text(little, "\ufeffa\x00b"), "a\ufffdb", "utf-16le"},
		"a form feed":      {"one\ftwo\n", "one\ftwo\n", "us-ascii"},
		"white space only": {" \n\t\n", " \n\t\n", "us-ascii"},
	} {
		m := made(t, "a.txt", []byte(c.content), "")
		got := jobtest.Decode[document.Result](t, m)
		text := string(m.Artifacts["text.txt"].Content)
		if text != c.want || got.Encoding != c.encoding || got.Format != "text" {
			t.Errorf("%s: %q, %+v", what, text, got)
		}
		if got.Characters != int64(utf8.RuneCountInString(text)) || got.Words != int64(len(strings.Fields(text))) {
			t.Errorf("%s: %q has %d characters in %d words", what, text, got.Characters, got.Words)
		}
		if m.Artifacts["text.txt"].MediaType != "text/plain; charset=utf-8" {
			t.Errorf("%s: %q", what, m.Artifacts["text.txt"].MediaType)
		}
	}
}

// NUL stands in no text: behind what sniffing looks at, too.
func TestNULs(t *testing.T) {
	t.Parallel()
	text, got := textOf(t, "a.txt", strings.Repeat("hello\n", 1000)+"a\x00b")
	if !strings.HasSuffix(text, "a\ufffdb") || got.Words != 1001 {
		t.Errorf("%q, %+v", text[len(text)-10:], got)
	}
}

// However long it is and whatever it holds, text comes out as it went in, and is counted as the
// standard library counts.
func TestTextComesOut(t *testing.T) {
	t.Parallel()
	handler, s := shared(), spec.Document()
	rapid.Check(t, func(rt *rapid.T) {
		parts := []string{"hello", " ", "\n", "é", "\u00a0", "\u2003", "🚀", "\t", strings.Repeat("filler ", 9000)}
		text := "a" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 30).Draw(rt, "text"), "")
		m := jobtest.Run(t, s, handler, "a.txt", []byte(text), "")
		got := jobtest.Decode[document.Result](t, m)
		if out := string(m.Artifacts["text.txt"].Content); out != text {
			rt.Fatalf("%q became %q", text, out)
		}
		if got.Characters != int64(utf8.RuneCountInString(text)) || got.Words != int64(len(strings.Fields(text))) {
			rt.Fatalf("%q: %+v", text, got)
		}
	})
}

func TestHTML(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ content, want, title string }{
		"paragraphs":          {"<p>One <b>bold</b> word<p>Two</p> three", "One bold word\nTwo\nthree", ""},
		"nested blocks":       {"<div><div><p>One</p></div></div><div>Two</div>", "One\nTwo", ""},
		"white space":         {"<p>  a \n\t b  <i> c</i> </p>  <p> d", "a b c\nd", ""},
		"none within words":   {"<p>un<b>believ</b>able", "unbelievable", ""},
		"line breaks":         {"a<br>b<br/>c<br><br>d", "a\nb\nc\n\nd", ""},
		"a break and blocks":  {"<p>a<br></p><p>b</p>", "a\nb", ""},
		"lists":               {"<ul><li>a<li>b<ul><li>c</ul></ul>d", "a\nb\nc\nd", ""},
		"a table":             {"<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>", "a\tb\n1\t2", ""},
		"pre":                 {"<p>x</p><pre>a\n  b\n\nc</pre>d  e", "x\na\n  b\n\nc\nd e", ""},
		"headings, rules":     {"<h1>A</h1>b<hr>c", "A\nb\nc", ""},
		"scripts and styles":  {"a<script>if (a < b) alert('<p>x')</script>b<STYLE>p{}</STYLE><noscript>y</noscript>c<template><p>z</template>d", "abcd", ""},
		"frames, drawings":    {"a<iframe>x</iframe><svg><title>no</title><text>x</text><svg></svg>y</svg>b", "ab", ""},
		"a script in itself":  {"a<script src=x />b<p>c</script>d<iframe/>e</iframe>f", "adf", ""},
		"a drawing in itself": {"a<svg/>b<svg><title/><script/><svg/>c</svg>d<noscript/>e</noscript>f", "abdf", ""},
		"a break in itself":   {"a<br/>b<hr/>c<img src=x/>d", "a\nb\ncd", ""},
		"XHTML in itself": {
			`<html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="x"/><style/></head><body>a<iframe/><textarea/>b<svg/><p/>c<template/>d`,
			"a\nb\ncd", "",
		},
		"a script unclosed": {"a<script>b<p>c", "a", ""},
		"entities":          {"a&amp;b &lt;c&gt; &eacute;&#8364;&#x1F680;&nbsp;d &unknown; &", "a&b <c> é€🚀\u00a0d &unknown; &", ""},
		"comments":          {"a<!-- <p>b -->c<!DOCTYPE x><![CDATA[d]]>e", "ace", ""},
		"a title":           {"<head><title> A &amp;\n B </title></head><body>c<title>no</title>", "c", "A & B"},
		"attributes":        {`<p title="no" onclick='alert("no")'>a<img alt="no" src=x>`, "a", ""},
		"a form":            {"<label>Name</label><textarea>a\n b</textarea><select><option>x<option>y</select>", "Name\na\n b\nx\ny", ""},
		"closed twice":      {"</p></pre></pre><p>a  b</svg></script>c", "a bc", ""},
		"cut off":           {"<p>a<b", "a", ""},
		"nothing":           {"", "", ""},
		"NUL":               {"<p>a" + strings.Repeat(" ", 5000) + "b\x00c", "a b\ufffdc", ""},
	} {
		text, got := textOf(t, "a.html", "<!DOCTYPE html>\n"+c.content)
		if text != c.want || got.Title != c.title || got.Format != "html" {
			t.Errorf("%s: %q, want %q; %+v", what, text, c.want, got)
		}
		if got.Characters != int64(utf8.RuneCountInString(text)) || got.Words != int64(len(strings.Fields(text))) {
			t.Errorf("%s: %q: %+v", what, text, got)
		}
	}
}

func TestHTMLEncodings(t *testing.T) {
	t.Parallel()
	const page = "<!DOCTYPE html><title>Ünï</title><p>déjà vu"
	latin := func(head string) string {
		text, err := charmap.Windows1252.NewEncoder().String(head + page)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	cyrillic, err := charmap.Windows1251.NewEncoder().String("<html><meta charset=windows-1251><title>Привет</title>")
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ content, title, encoding string }{
		"utf-8, not declared":    {page, "Ünï", "utf-8"},
		"utf-8, far away":        {"<!DOCTYPE html>" + strings.Repeat("<!-- filler -->", 1000) + page, "Ünï", "utf-8"},
		"utf-8, mark":            {"\ufeff" + page, "Ünï", "utf-8"},
		"a mark beats a meta":    {"\ufeff<meta charset=windows-1251>" + page, "Ünï", "utf-8"},
		"meta":                   {latin("<html><meta charset='ISO-8859-1'>"), "Ünï", "windows-1252"},
		"meta, http-equiv":       {latin(`<html><meta http-equiv="Content-Type" content="text/html; charset=windows-1252">`), "Ünï", "windows-1252"},
		"meta, Cyrillic":         {cyrillic, "Привет", "windows-1251"},
		"latin-1, not declared":  {latin(""), "Ünï", "iso-8859-1"},
		"meta of what is not":    {latin("<html><meta charset=nonsense>"), "Ünï", "iso-8859-1"},
		"a charset, no meta":     {`<html><script charset="utf-8" src=x></script>` + strings.Repeat(" ", 1024) + page, "Ünï", "utf-8"},
		"a charset, all ASCII":   {"<html><script charset=utf-8 src=x></script><title>hello</title>", "hello", "us-ascii"},
		"unknown meta, utf-8":    {"<html><meta charset=nonsense>" + strings.Repeat(" ", 1024) + page, "Ünï", "utf-8"},
		"meta far away":          {latin("<html>" + strings.Repeat(" ", 1024) + "<meta charset=koi8-r>"), "Ünï", "iso-8859-1"},
		"utf-16, mark":           {utf16Text(binary.LittleEndian, "\ufeff"+page), "Ünï", "utf-16le"},
		"utf-16 without a mark":  {utf16Text(binary.BigEndian, page), "Ünï", "utf-16be"},
		"utf-8 that says latin1": {"<html><meta charset=utf-8>" + page, "Ünï", "utf-8"},
	} {
		if _, got := textOf(t, "a.html", c.content); got.Title != c.title || got.Encoding != c.encoding {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// One tag or stretch of text is held in memory as a whole, and bounded for that.
func TestHTMLTokenLimit(t *testing.T) {
	t.Parallel()
	handler := document.Limited(shared(), document.Limits{Token: 10_000})
	for what, content := range map[string]string{
		"a tag":   "<p title='" + strings.Repeat("x", 20_000) + "'>",
		"a text":  strings.Repeat("x", 20_000),
		"comment": "<!--" + strings.Repeat("x", 20_000),
		"script":  "<script>" + strings.Repeat("x", 20_000) + "</script>",
	} {
		m := jobtest.Run(t, spec.Document(), handler, "a.html", []byte("<!DOCTYPE html>"+content), "")
		if m.Code() != jobs.CodeLimitMemory || len(m.Artifacts) != 0 {
			t.Errorf("%s: %v", what, m.Err)
		}
	}
	short := jobtest.Run(t, spec.Document(), handler, "a.html", []byte("<!DOCTYPE html>"+strings.Repeat("<p>hello", 20_000)), "")
	if short.Err != nil {
		t.Error(short.Err)
	}
}

// Elements within each other cost nothing, however deep they are.
func TestDeepHTML(t *testing.T) {
	t.Parallel()
	text, _ := textOf(t, "a.html", "<!DOCTYPE html>"+strings.Repeat("<div><b>", 200_000)+"deep")
	if text != "deep" {
		t.Errorf("%q", text)
	}
}

// No HTML makes the handler fail, or give what is no text.
func FuzzHTML(f *testing.F) {
	for _, content := range []string{
		"<p>One<br>two<pre>\n a</pre>", "<title>x</title><script>y", "<table><tr><td>a<td>b", "&amp;&#0;&#xD800;",
		"<meta charset=utf-16>", "<svg><svg></svg>", "<plaintext>a", "<!--", "\xff\xfea\x00", "<textarea>", "a\x00b",
	} {
		f.Add([]byte(content))
	}
	handler, s := document.Limited(shared(), document.Limits{Text: 1 << 20}), spec.Document()
	f.Fuzz(func(t *testing.T, content []byte) {
		m := jobtest.Run(t, s, handler, "a.html", append([]byte("<!DOCTYPE html>"), content...), "")
		if c := m.Code(); c == jobs.CodeLimitOutput || c == jobs.CodeUnsupported { // sniffing may see another type behind the doctype
			return
		}
		got := jobtest.Decode[document.Result](t, m)
		text := string(m.Artifacts["text.txt"].Content)
		if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			t.Errorf("%q is no text", text)
		}
		if got.Format == "html" && strings.HasPrefix(text, "\n") {
			t.Errorf("%q starts with an empty line", text)
		}
		if got.Characters != int64(utf8.RuneCountInString(text)) || got.Words != int64(len(strings.Fields(text))) || utf8.RuneCountInString(got.Title) > document.MaxTitle {
			t.Errorf("%q: %+v", text, got)
		}
	})
}
