package document

import (
	"bufio"
	"errors"
	"io"
	"unicode"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/charset"
)

// replacement stands where a text holds something that is no character.
const replacement = unicode.ReplacementChar

func isSpace(r rune) bool { return unicode.IsSpace(r) }

// readText copies plain text, as it is but for its encoding.
func (h *handler) readText(src *source, out *output) (*Result, error) {
	meter := &meter{report: out.run.Progress, total: 2 * src.Size()}
	encoding, err := charset.Detect(src.stream(meter))
	if err != nil {
		return nil, err
	}
	runes, err := decode(src, meter, encoding)
	if err != nil {
		return nil, err
	}
	text := newTextWriter(out, h.limits.text)
	for {
		r, _, err := runes.ReadRune()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := text.write(r); err != nil {
			return nil, err
		}
	}
	return text.count(&Result{Format: "text", Encoding: encoding}), nil
}

// decode reads the whole file in its encoding.
func decode(src *source, meter *meter, encoding string) (*bufio.Reader, error) {
	decoded, err := charset.Reader(src.stream(meter), encoding)
	if err != nil {
		return nil, jobs.Fail(jobs.CodeUnsupported, "%v", err)
	}
	return bufio.NewReaderSize(decoded, chunk), nil
}
