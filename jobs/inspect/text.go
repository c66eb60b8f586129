package inspect

import (
	"bytes"
	"encoding/binary"

	"github.com/leat-dev/leat/jobs/charset"
	"github.com/leat-dev/leat/jobs/sniff"
)

// Text tells how a text is written.
type Text struct {
	// Encoding is the name of the character encoding, in lower case as IANA has it: certain for
	// "us-ascii", "utf-8", "utf-16le" and the like, an informed guess for the older ones, and
	// "unknown-8bit" when none fits.
	Encoding string `json:"encoding"`
	// BOM says that the text starts with a byte order mark.
	BOM bool `json:"bom,omitempty"`
	// Lines counts lines; the last one counts whether or not a line end follows it.
	Lines int64 `json:"lines"`
	// LineEnding is "lf", "crlf", "cr", "mixed", or "none" when no line ends.
	LineEnding string `json:"line_ending"`
}

// textReader finds out about the text that is written to it.
type textReader struct {
	wide    string // name of the encoding when its units are wider than a byte
	unit    int    // bytes per code unit
	order   binary.ByteOrder
	rest    []byte // the start of a code unit
	bom     int    // bytes of the byte order mark
	skip    int    // how many of them are still to come
	charset charset.Guess
	lines   lineCounter
}

// newTextReader prepares to read the text that starts with head.
func newTextReader(head []byte) *textReader {
	t := &textReader{unit: 1}
	utf16, isUTF16 := sniff.UTF16(head)
	switch {
	case bytes.HasPrefix(head, []byte{0xEF, 0xBB, 0xBF}):
		t.bom = 3
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE, 0, 0}):
		t.unit, t.order, t.bom, t.wide = 4, binary.LittleEndian, 4, "utf-32le"
	case bytes.HasPrefix(head, []byte{0, 0, 0xFE, 0xFF}):
		t.unit, t.order, t.bom, t.wide = 4, binary.BigEndian, 4, "utf-32be"
	case isUTF16:
		t.unit, t.order, t.wide = 2, utf16, "utf-16le"
		if utf16 == binary.BigEndian {
			t.wide = "utf-16be"
		}
		if utf16.Uint16(head) == 0xFEFF {
			t.bom = 2
		}
	}
	t.skip = t.bom
	return t
}

// Write implements io.Writer.
func (t *textReader) Write(p []byte) (int, error) {
	written := len(p)
	mark := min(t.skip, len(p))
	p, t.skip = p[mark:], t.skip-mark
	if t.unit == 1 {
		t.charset.Add(p)
		t.lines.add(p)
		return written, nil
	}
	if len(t.rest) > 0 {
		more := min(t.unit-len(t.rest), len(p))
		t.rest, p = append(t.rest, p[:more]...), p[more:]
		if len(t.rest) == t.unit {
			t.narrow(t.rest)
			t.rest = t.rest[:0]
		}
	}
	whole := len(p) - len(p)%t.unit
	t.narrow(p[:whole])
	t.rest = append(t.rest, p[whole:]...)
	return written, nil
}

// narrow counts the lines of wide code units by writing each as one byte.
func (t *textReader) narrow(units []byte) {
	var buf [512]byte
	for len(units) > 0 {
		n := min(len(units)/t.unit, len(buf))
		for i := range n {
			buf[i] = t.narrowed(units[i*t.unit:])
		}
		t.lines.add(buf[:n])
		units = units[n*t.unit:]
	}
}

func (t *textReader) narrowed(unit []byte) byte {
	var u uint32
	if t.unit == 2 {
		u = uint32(t.order.Uint16(unit))
	} else {
		u = t.order.Uint32(unit)
	}
	if u < 0x80 {
		return byte(u)
	}
	return 'x'
}

func (t *textReader) result() *Text {
	encoding := t.wide
	switch {
	case encoding != "":
	case t.bom > 0:
		encoding = "utf-8"
	default:
		encoding = t.charset.Name()
	}
	return &Text{Encoding: encoding, BOM: t.bom > 0, Lines: t.lines.count(), LineEnding: t.lines.ending()}
}

// lineCounter counts line ends of text whose code units are bytes.
type lineCounter struct {
	lf, cr, crlf int64 // a pair counts in all three
	last         byte
	some         bool // at least one byte was there
}

func (c *lineCounter) add(p []byte) {
	if len(p) == 0 {
		return
	}
	if c.some && c.last == '\r' && p[0] == '\n' {
		c.crlf++
	}
	c.lf += int64(bytes.Count(p, []byte{'\n'}))
	if cr := bytes.Count(p, []byte{'\r'}); cr > 0 {
		c.cr += int64(cr)
		for i := range p[1:] {
			if p[i] == '\r' && p[i+1] == '\n' {
				c.crlf++
			}
		}
	}
	c.last, c.some = p[len(p)-1], true
}

func (c *lineCounter) count() int64 {
	n := c.lf + c.cr - c.crlf
	if c.some && c.last != '\n' && c.last != '\r' {
		n++
	}
	return n
}

func (c *lineCounter) ending() string {
	switch (lineCounter{lf: min(c.lf-c.crlf, 1), cr: min(c.cr-c.crlf, 1), crlf: min(c.crlf, 1)}) {
	case lineCounter{}:
		return "none"
	case lineCounter{lf: 1}:
		return "lf"
	case lineCounter{crlf: 1}:
		return "crlf"
	case lineCounter{cr: 1}:
		return "cr"
	}
	return "mixed"
}
