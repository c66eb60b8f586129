// Package charset finds out how a text is encoded, and reads it as UTF-8. The kinds of work that
// read text share it, so that they take the same text in the same way.
//
// It imports package jobs/sniff, and nothing else of Leat.
package charset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"github.com/leat-dev/leat/jobs/sniff"
)

// chunk is how much of a text is read at once, in bytes.
const chunk = 128 << 10

// Detect reads a text to its end and names its encoding: by its byte order mark, as UTF-16 if its
// start looks like that, and else as Guess does. Reader takes the name. Errors are those of r.
func Detect(r io.Reader) (string, error) {
	buf := make([]byte, chunk)
	n, err := io.ReadFull(r, buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	if name := Marked(buf[:n]); name != "" {
		return name, nil
	}
	if order, ok := sniff.UTF16(buf[:min(n, sniff.Limit)]); ok {
		return utf16Name(order), nil
	}
	var guess Guess
	guess.Add(buf[:n])
	for err == nil {
		n, err = r.Read(buf)
		guess.Add(buf[:n])
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	return guess.Name(), nil
}

// Marked names the encoding whose byte order mark the text that starts with head begins with, or
// gives "" when there is none.
func Marked(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0xEF, 0xBB, 0xBF}):
		return "utf-8"
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE, 0, 0}):
		return "utf-32le"
	case bytes.HasPrefix(head, []byte{0, 0, 0xFE, 0xFF}):
		return "utf-32be"
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}):
		return "utf-16le"
	case bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		return "utf-16be"
	}
	return ""
}

func utf16Name(order binary.ByteOrder) string {
	if order == binary.BigEndian {
		return "utf-16be"
	}
	return "utf-16le"
}

// Reader reads a text in the named encoding as UTF-8, without its byte order mark. What is not
// possible in the encoding is read as U+FFFD. It fails when it does not know the encoding.
func Reader(r io.Reader, name string) (io.Reader, error) {
	found, err := lookup(name)
	if err != nil {
		return nil, err
	}
	return found.NewDecoder().Reader(r), nil
}

func lookup(name string) (encoding.Encoding, error) {
	switch name {
	case "us-ascii", "utf-8", "unknown-8bit": // the last is UTF-8 with some damage
		return unicode.UTF8BOM, nil
	case "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), nil
	case "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), nil
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM), nil
	case "utf-32be":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM), nil
	}
	if found, err := htmlindex.Get(name); err == nil {
		return found, nil
	}
	if found, err := ianaindex.IANA.Encoding(name); err == nil && found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("encoding %q is not known", name)
}
