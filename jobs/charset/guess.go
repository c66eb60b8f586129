package charset

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
)

// sampleSize bounds how much of a text is looked at to guess its encoding, in bytes.
const sampleSize = 64 << 10

// Guess finds the encoding of text whose code units are bytes. Whether it is ASCII or UTF-8 is
// checked on all of it; the older encodings are guessed from a sample, taken where the text shows
// that it is not UTF-8. The zero value is ready for use, by one goroutine at a time.
type Guess struct {
	high    bool   // a whole rune above ASCII was there
	partial []byte // the start of a rune
	broken  bool   // it is not UTF-8
	c1      bool   // since then, a byte of 0x80 to 0x9F was there
	sample  []byte
}

// Add takes the next part of the text.
func (c *Guess) Add(p []byte) {
	if c.broken {
		c.addOther(p)
		return
	}
	for len(c.partial) > 0 && len(p) > 0 && !utf8.FullRune(c.partial) {
		c.partial, p = append(c.partial, p[0]), p[1:]
	}
	if len(c.partial) > 0 {
		switch {
		case !utf8.FullRune(c.partial):
			return
		case !utf8.Valid(c.partial):
			c.breakOff(slices.Concat(c.partial, p))
			return
		}
		c.high, c.partial = true, c.partial[:0]
	}
	whole := len(p) - cutRune(p)
	if !utf8.Valid(p[:whole]) {
		c.breakOff(p)
		return
	}
	c.high = c.high || slices.ContainsFunc(p[:whole], func(b byte) bool { return b >= utf8.RuneSelf })
	c.partial = append(c.partial, p[whole:]...)
}

// cutRune gives the length of the rune at the end of p that is not whole, or 0.
func cutRune(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if tail := p[len(p)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// breakOff ends the reading as UTF-8. The sample begins a little before the byte that shows it.
func (c *Guess) breakOff(p []byte) {
	c.broken = true
	at := 0
	for at < len(p) {
		r, size := utf8.DecodeRune(p[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	c.addOther(p[max(at-1024, 0):])
}

func (c *Guess) addOther(p []byte) {
	c.c1 = c.c1 || slices.ContainsFunc(p, func(b byte) bool { return b >= 0x80 && b <= 0x9F })
	c.sample = append(c.sample, p[:min(len(p), sampleSize-len(c.sample))]...)
}

// Name gives the encoding's name in lower case, as IANA has it: certain for "us-ascii" and "utf-8",
// an informed guess for the older ones, and "unknown-8bit" when none fits. It ends the text.
func (c *Guess) Name() string {
	switch {
	case c.broken:
	case c.high: // a rune that the end of the text cuts off does not make it less UTF-8
		return "utf-8"
	case len(c.partial) == 0:
		return "us-ascii"
	default:
		c.addOther(c.partial)
	}
	if mostlyUTF8(c.sample) {
		return "unknown-8bit"
	}
	name := guess(c.sample)
	switch {
	case name == "iso-8859-1" && c.c1: // which has only control characters there
		return "windows-1252"
	case name == "x-mac-cyrillic" && !c.c1: // which has its capital letters there
		return "windows-1251"
	}
	return name
}

// guess names the likeliest encoding of a text that is not UTF-8. Of a short text or one that looks
// like nothing it knows, it takes Latin-1, in which all bytes mean something.
func guess(sample []byte) string {
	const confident = 0.7 // what the detector itself gives to Latin-1 when nothing is against it
	found := chardet.Detect(sample)
	name := strings.ToLower(found.Charset)
	if found.Confidence < confident || strings.HasPrefix(name, "utf-") || name == "us-ascii" {
		return "iso-8859-1"
	}
	return name
}

// mostlyUTF8 tells whether at least nine in ten of the characters above ASCII are UTF-8: a text in
// UTF-8 with some damage, which no older encoding explains.
func mostlyUTF8(p []byte) bool {
	good, bad := 0, 0
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && size == 1:
			bad++
		case size > 1:
			good++
		}
		p = p[size:]
	}
	return good >= 9*bad
}
