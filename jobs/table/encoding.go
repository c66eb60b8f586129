package table

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
)

// The names of the encodings that are told apart by themselves.
const (
	utf8Name    = "utf-8"
	latin1      = "iso-8859-1"
	windows1252 = "windows-1252"
)

// text is a file's content in UTF-8, without a byte order mark. The bytes of a file in UTF-8 are
// handed on as they are, so they may be invalid.
type text struct {
	r    *bufio.Reader
	in   io.Reader // what is read from once the encoding is decided
	name string
}

// newText decodes what raw holds: as the named encoding, or as what its start shows.
func newText(raw io.Reader, name string) (*text, error) {
	t := &text{r: bufio.NewReaderSize(raw, chunk), name: name}
	head, err := t.r.Peek(sniff.Limit)
	if len(head) == 0 && err != nil {
		if name == "" {
			t.name = utf8Name
		}
		t.in = t.r // which gives the error again, when it is not the end
		return t, nil
	}
	if name == "" {
		if t.name, err = wideEncoding(head); err != nil {
			return nil, err
		}
	}
	return t, t.open(head)
}

// open sets up the decoder, unless only what comes later shows which one.
func (t *text) open(head []byte) error {
	switch {
	case t.name == "utf-16le" || t.name == "utf-16be":
		order := unicode.LittleEndian
		if t.name == "utf-16be" {
			order = unicode.BigEndian
		}
		t.decode(unicode.UTF16(order, unicode.UseBOM))
	case bytes.HasPrefix(head, []byte("\ufeff")) && (t.name == "" || t.name == utf8Name):
		if _, err := t.r.Discard(len("\ufeff")); err != nil {
			return err
		}
		t.name, t.in = utf8Name, t.r
	case t.name == utf8Name:
		t.in = t.r
	case t.name != "":
		named, err := htmlindex.Get(t.name)
		if err != nil {
			return jobs.Fail(jobs.CodeInvalidParams, "params.encoding: %q is not known", t.name)
		}
		t.decode(named)
	}
	return nil
}

// wideEncoding names the encoding of text whose code units are wider than a byte; empty for others.
func wideEncoding(head []byte) (string, error) {
	if bytes.HasPrefix(head, []byte{0xFF, 0xFE, 0, 0}) || bytes.HasPrefix(head, []byte{0, 0, 0xFE, 0xFF}) {
		return "", jobs.Fail(jobs.CodeUnsupported, "the file is UTF-32, which is not read")
	}
	switch order, ok := sniff.UTF16(head); {
	case !ok:
		return "", nil
	case order == binary.BigEndian:
		return "utf-16be", nil
	}
	return "utf-16le", nil
}

func (t *text) decode(e encoding.Encoding) {
	t.in = transform.NewReader(t.r, e.NewDecoder())
}

// encoding names the encoding, as far as has been read. Text that is all ASCII is UTF-8.
func (t *text) encoding() string {
	if t.name == "" {
		return utf8Name
	}
	return t.name
}

// Read implements io.Reader. As long as all is ASCII, nothing is decided: the first byte above it
// may come after a gigabyte, and only what follows it shows how it is meant.
func (t *text) Read(p []byte) (int, error) {
	if t.in != nil {
		return t.in.Read(p)
	}
	ahead, err := t.r.Peek(chunk)
	if len(ahead) == 0 {
		return 0, err
	}
	ascii := slices.IndexFunc(ahead, func(b byte) bool { return b >= utf8.RuneSelf })
	switch {
	case ascii < 0:
		ascii = len(ahead)
	case ascii == 0:
		t.decide(ahead)
		return t.in.Read(p)
	}
	n := copy(p, ahead[:ascii])
	_, err = t.r.Discard(n)
	return n, err
}

// decide takes the text for UTF-8 if at least nine in ten of its characters above ASCII are, and
// for Latin-1 otherwise, or for its superset of Windows when bytes are there that Latin-1 has only
// control characters for. The decoder is that of the superset for both.
func (t *text) decide(sample []byte) {
	good, bad, control := 0, 0, false
	for p := sample; len(p) > 0; {
		r, size := utf8.DecodeRune(p)
		switch {
		case r != utf8.RuneError || size > 1:
			if size > 1 {
				good++
			}
		case !utf8.FullRune(p): // cut off by the sample's end
		default:
			bad++
			control = control || p[0] <= 0x9F
		}
		p = p[size:]
	}
	switch {
	case good > 0 && good >= 9*bad, bad == 0:
		t.name, t.in = utf8Name, t.r
	case control:
		t.name = windows1252
	default:
		t.name = latin1
	}
	if t.in == nil {
		t.decode(charmap.Windows1252)
	}
}
