package sniff_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/leat-dev/leat/jobs/sniff"
)

func utf16Bytes(order binary.AppendByteOrder, text string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

const svg = `<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>`

func TestType(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, head, name, want string
	}{
		{"empty", "", "", "text/plain"},
		{"empty, named", "", "a.csv", "text/csv"},
		{"one zero", "\x00", "a.txt", sniff.Unknown},
		{"text", "hello\n", "", "text/plain"},
		{"UTF-8", "h\xc3\xa9llo\n", "", "text/plain"},
		{"CSV", "a,b\n1,2\n", "", "text/csv"},
		{"CSV by its name", "a;b\n1;2\n", "data.CSV", "text/csv"},
		{"TSV by its name", "a\n1\n", "data.tab", "text/tab-separated-values"},
		{"Markdown", "# Title\n", "README.md", "text/markdown"},
		{"only the last extension counts", "hello\n", "a.csv.txt", "text/plain"},
		{"a dot in a folder is none", "hello\n", "a", "text/plain"},
		{"JSON", `{"a":1}`, "a.csv", "application/json"},
		{"SVG", svg, "a.txt", "image/svg+xml"},
		{"HTML", "<!DOCTYPE html><p>", "a.md", "text/html"},
		{"no HTML by its name", "hello\n", "a.html", "text/plain"},
		{"no script by its name", "hello\n", "a.js", "text/plain"},
		{"PNG under a lie", "\x89PNG\r\n\x1a\n", "a.txt", "image/png"},
		{"binary under a lie", "\x00\x01\x02\x03", "a.csv", sniff.Unknown},
		{"UTF-16 with a mark", "\xff\xfe" + string(utf16Bytes(binary.LittleEndian, "a\tb\r\n")), "", "text/plain"},
		{"UTF-16 without", string(utf16Bytes(binary.BigEndian, "name;city\r\n")), "a.csv", "text/csv"},
		{"CSV in UTF-16", string(utf16Bytes(binary.LittleEndian, "\ufeffa,b\r\n1,2\r\n")), "", "text/csv"},
		{"SVG in UTF-16", string(utf16Bytes(binary.BigEndian, "\ufeff"+svg)), "", "image/svg+xml"},
		{"a signature in UTF-16 is none", string(utf16Bytes(binary.LittleEndian, "\ufeff%PDF-1.4\n")), "", "text/plain"},
	} {
		if got := sniff.Type([]byte(c.head), c.name); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

// What lies behind the limit changes nothing: the API and a handler that see more or less of a file
// agree.
func TestTypeLimit(t *testing.T) {
	t.Parallel()
	for _, head := range []string{strings.Repeat("a,b\n", sniff.Limit), strings.Repeat("x", sniff.Limit), strings.Repeat("x\x00", sniff.Limit)} {
		if got, want := sniff.Type([]byte(head+"\x00\x01"), ""), sniff.Type([]byte(head[:sniff.Limit]), ""); got != want {
			t.Errorf("%.4q…: %s, and %s of its head", head, got, want)
		}
	}
}

func TestIsText(t *testing.T) {
	t.Parallel()
	for _, mediaType := range []string{
		"text/plain", "text/csv", "text/tab-separated-values", "text/markdown", "text/html", "text/xml",
		"application/json", "application/x-ndjson", "image/svg+xml", "application/rss+xml", "text/x-python",
	} {
		if !sniff.IsText(mediaType) {
			t.Errorf("%s is not text", mediaType)
		}
	}
	for _, mediaType := range []string{"", sniff.Unknown, "application/pdf", "image/png", "application/zip", "text", "no/type"} {
		if sniff.IsText(mediaType) {
			t.Errorf("%q is text", mediaType)
		}
	}
}

func TestExtension(t *testing.T) {
	t.Parallel()
	for mediaType, want := range map[string]string{
		"image/jpeg": ".jpg", "text/plain": ".txt", "text/markdown": ".md", "text/csv": ".csv",
		"application/gzip": ".gz", sniff.Unknown: "", "no/type": "", "": "",
	} {
		if got := sniff.Extension(mediaType); got != want {
			t.Errorf("%q: %q, want %q", mediaType, got, want)
		}
	}
}

func TestUTF16(t *testing.T) {
	t.Parallel()
	little, big := binary.ByteOrder(binary.LittleEndian), binary.ByteOrder(binary.BigEndian)
	full := utf16Bytes(binary.LittleEndian, strings.Repeat("a", sniff.Limit/2-1)+"🚀")[:sniff.Limit]
	for _, c := range []struct {
		what string
		head []byte
		want binary.ByteOrder
	}{
		{"a mark, little", []byte{0xFF, 0xFE}, little},
		{"a mark, big", []byte{0xFE, 0xFF, 0, 'a'}, big},
		{"a mark decides, whatever follows", []byte{0xFF, 0xFE, 1, 0, 0, 0xD8}, little},
		{"a mark of UTF-32, little", []byte{0xFF, 0xFE, 0, 0}, nil},
		{"a mark of UTF-32, big", []byte{0, 0, 0xFE, 0xFF}, nil},
		{"ASCII, little", utf16Bytes(binary.LittleEndian, "hello\r\n"), little},
		{"ASCII, big", utf16Bytes(binary.BigEndian, "hello\r\n"), big},
		{"accents and a pair", utf16Bytes(binary.LittleEndian, "déjà 🚀 vu"), little},
		{"a pair that the limit cuts", full, little},
		{"plain ASCII", []byte("hello, world"), nil},
		{"UTF-8", []byte("déjà vu"), nil},
		{"empty", nil, nil},
		{"one unit", []byte{'a', 0}, nil},
		{"odd length", []byte{'a', 0, 'b', 0, 'c'}, nil},
		{"zeros", make([]byte, 64), nil},
		{"a control character", utf16Bytes(binary.LittleEndian, "hello\x01"), nil},
		{"half a pair", append(utf16Bytes(binary.LittleEndian, "hello"), 0x00, 0xDC, 'a', 0), nil},
		{"half a pair at the start", append([]byte{0x00, 0xD8}, utf16Bytes(binary.LittleEndian, "hello")...), nil},
		{"small numbers", []byte{1, 0, 2, 0, 3, 0, 4, 0}, nil},
		{"mostly not ASCII", utf16Bytes(binary.LittleEndian, "日本語のテキスト"), nil},
	} {
		if got, ok := sniff.UTF16(c.head); got != c.want || ok != (c.want != nil) {
			t.Errorf("%s: %v, %t; want %v", c.what, got, ok, c.want)
		}
	}
}

func FuzzType(f *testing.F) {
	for _, head := range []string{"", "a,b\n1,2\n", "\xff\xfea\x00", "a\x00b\x00", "PK\x03\x04", "\x1f\x8b", svg, "ustar"} {
		f.Add([]byte(head), "a.csv")
	}
	f.Fuzz(func(t *testing.T, head []byte, name string) {
		got := sniff.Type(head, name)
		if !strings.Contains(got, "/") || strings.ContainsAny(got, "; \t\n\x00") {
			t.Errorf("%q is no media type without parameters", got)
		}
		sniff.IsText(got)
		if ext := sniff.Extension(got); ext != "" && !strings.HasPrefix(ext, ".") {
			t.Errorf("extension %q", ext)
		}
	})
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ mediaType, name, want string }{
		{"image/png", "a.csv", "image/png"}, // the content says enough
		{"text/plain", "a", "text/plain"},
		{sniff.Unknown, "a.csv", sniff.Unknown + " text/csv"},
		{sniff.Unknown, "a.bin", sniff.Unknown},
		{"application/gzip", "a.CSV.gz", "text/csv+gzip application/gzip"},
		{"application/gzip", "a.ndjson.gz", "application/x-ndjson+gzip application/gzip"},
		{"application/json", "a.JSONL", "application/x-ndjson application/json"}, // one record, or a long first one
		{"application/geo+json", "a.ndjson", "application/x-ndjson application/geo+json"},
		{"application/json", "a.json", "application/json"},
		{"application/json", "a.csv", "application/json"},
		{"application/gzip", "a.tar.gz", "application/gzip"},
		{"application/gzip", "a.csv", "application/gzip"},
	} {
		if got := strings.Join(sniff.Routes(c.mediaType, c.name), " "); got != c.want {
			t.Errorf("%s named %s is routed by %s, want %s", c.mediaType, c.name, got, c.want)
		}
	}
}
