package table

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// maxRecord bounds one row, in bytes. A longer one does not fit.
const maxRecord = 4 << 20

// maxColumns bounds the columns of a table. Of what is known of a table, some is kept per column.
const maxColumns = 8192

// form says how a cell is to be understood.
type form byte

const (
	plain     form = iota // may be anything
	quoted                // the same, from between quotes
	stringly              // a JSON string: no number, whatever it looks like
	composite             // a JSON object or array: text
	missing               // no value
)

// cell is one cell of a row; its text is good until the next row is read.
type cell struct {
	text []byte
	form form
}

// fault says why a row does not fit; empty when it does.
type fault string

const (
	faultFewCells     fault = "too_few_cells"
	faultManyCells    fault = "too_many_cells"
	faultAfterQuote   fault = "text_after_closing_quote"
	faultUnterminated fault = "unterminated_quote"
	faultTooLong      fault = "too_long"
	faultNotUTF8      fault = "not_utf8"
	faultNotJSON      fault = "not_json"
	faultNotObject    fault = "not_an_object"
	faultTwice        fault = "key_twice"
)

// rows gives the rows of a table one after the other.
type rows interface {
	// next steps to the next row. After the last one it answers io.EOF.
	next() (*record, error)
}

// record is a row, good until the next one is read.
type record struct {
	line  int64 // where it starts, counted from 1
	cells []cell
	fault fault
	size  int // bytes

	// Of JSON lines, whose rows may have few of very many cells:
	present []int // the cells that are there
	empty   bool  // the line is blank
}

// blank says that there is nothing in the row's line.
func (r *record) blank() bool {
	return r.empty || r.fault == "" && len(r.cells) == 1 && r.cells[0].form == plain && len(r.cells[0].text) == 0
}

// reader reads delimited text. It keeps one row in memory, and of its cells only where they are;
// encoding/csv knows no other quote than its own, gives no cell back when one is bad, and takes an
// unterminated quote's gigabyte into memory.
//
// A row that is broken by a quote ends with its first line, and reading goes on with the next one:
// one stray quote costs one row. What is read twice for it stays linear. A row is broken by the
// first quote that closes, so none closes in the lines between, and a quote that stands for itself
// there is doubled or escaped; read from the start of its own line, no such line stays open.
type reader struct {
	lines
	dialect Dialect
	stop    [256]bool // ends a cell that has no quotes
	utf8    bool      // whether rows are checked
	record  record
	scratch []byte // what escapes were taken out of
}

func newReader(src io.Reader, d Dialect) *reader {
	r := &reader{lines: lines{src: src, line: 1, eol: d.lineEnd()}, dialect: d, utf8: true}
	r.stop[d.Delimiter], r.stop[r.eol] = true, true
	return r
}

// next implements rows.
func (r *reader) next() (*record, error) {
	for {
		if r.pos == r.end {
			if err := r.fill(); err != nil {
				return nil, err
			}
		}
		r.record.line, r.record.fault, r.record.cells = r.line, "", r.record.cells[:0]
		end, fault := r.scan()
		if fault == errShort {
			if r.end-r.pos < maxRecord {
				if err := r.fill(); err != nil && !errors.Is(err, io.EOF) {
					return nil, err
				}
				continue
			}
			fault = faultTooLong
			if r.open {
				fault = faultUnterminated
			}
		}
		return r.finish(end, fault)
	}
}

// errShort is no fault of the row: more of it must be read.
const errShort fault = "short"

func (r *reader) finish(end int, fault fault) (*record, error) {
	if fault != "" {
		r.record.fault, r.record.size = fault, 0
		return &r.record, r.skipLine()
	}
	raw := r.buf[r.pos:end]
	if r.utf8 && !utf8.Valid(raw) {
		r.record.fault = faultNotUTF8
	}
	r.record.size = len(raw)
	r.unescape()
	r.line += r.inside + 1
	r.pos = end
	return &r.record, nil
}

// scan finds the cells of the row at pos, and where the next row begins. Behind the end of what was
// read there is a line end, so that no step needs to look for it.
func (r *reader) scan() (next int, fault fault) {
	r.inside, r.open, r.escaped = 0, false, r.escaped[:0]
	buf := r.buf[:r.end+1]
	i := r.pos
	for {
		if buf[i] == r.dialect.Quote && r.dialect.Quote != 0 {
			if i, fault = r.scanQuoted(buf, i+1); fault != "" {
				return 0, fault
			}
		} else {
			start := i
			for !r.stop[buf[i]] {
				i++
			}
			r.record.cells = append(r.record.cells, cell{text: buf[start:i]})
		}
		if len(r.record.cells) > maxColumns {
			return 0, faultManyCells
		}
		if buf[i] == r.dialect.Delimiter {
			i++
			continue
		}
		if i == r.end && !r.eof {
			return 0, errShort
		}
		r.trimCR()
		return min(i+1, r.end), ""
	}
}

// trimCR takes the first half of a line end of two characters off the last cell.
func (r *reader) trimCR() {
	last := &r.record.cells[len(r.record.cells)-1]
	if n := len(last.text); r.eol == '\n' && last.form == plain && n > 0 && last.text[n-1] == '\r' {
		last.text = last.text[:n-1]
	}
}

// scanQuoted finds the end of the quoted cell whose content begins at start, and gives the index of
// the delimiter or line end that follows.
func (r *reader) scanQuoted(buf []byte, start int) (next int, fault fault) {
	quote, escape := r.dialect.Quote, r.dialect.Escape
	escaped := false
	for i := start; ; {
		n := bytes.IndexByte(buf[i:r.end], quote)
		if n < 0 {
			return r.unclosed()
		}
		if escape == '\\' && oddBackslashes(buf[i:i+n]) {
			i, escaped = i+n+1, true
			continue
		}
		i += n
		switch {
		case i+1 >= r.end && !r.eof:
			return r.unclosed()
		case buf[i+1] == quote && i+1 < r.end:
			i, escaped = i+2, true
			continue
		}
		text := buf[start:i]
		r.inside += int64(bytes.Count(text, []byte{r.eol}))
		if escaped = escaped || escape == '\\' && bytes.IndexByte(text, '\\') >= 0; escaped {
			r.escaped = append(r.escaped, len(r.record.cells))
		}
		r.record.cells = append(r.record.cells, cell{text: text, form: quoted})
		return r.afterQuote(buf, i+1)
	}
}

func (r *reader) unclosed() (int, fault) {
	if r.eof {
		return 0, faultUnterminated
	}
	r.open = true
	return 0, errShort
}

// afterQuote steps over the first half of a line end of two characters.
func (r *reader) afterQuote(buf []byte, i int) (next int, fault fault) {
	switch b := buf[i]; {
	case r.stop[b]:
		return i, ""
	case b == '\r' && r.eol == '\n' && i+1 >= r.end && !r.eof:
		return 0, errShort
	case b == '\r' && r.eol == '\n' && buf[i+1] == '\n':
		return i + 1, ""
	}
	return 0, faultAfterQuote
}

// oddBackslashes tells whether the last character of p that is no backslash is followed by an odd
// number of them.
func oddBackslashes(p []byte) bool {
	return (len(p)-len(bytes.TrimRight(p, `\`)))%2 == 1
}

// unescape takes the escapes out of the cells that have some. The buffer stays as it is, since a
// row may have to be read again.
func (r *reader) unescape() {
	r.scratch = r.scratch[:0]
	for _, at := range r.escaped {
		c := &r.record.cells[at]
		start := len(r.scratch)
		for i := 0; i < len(c.text); i++ {
			b := c.text[i]
			if i+1 < len(c.text) && r.isEscape(b, c.text[i+1]) {
				i++
				b = c.text[i]
			}
			r.scratch = append(r.scratch, b)
		}
		c.text = r.scratch[start:len(r.scratch):len(r.scratch)]
	}
}

func (r *reader) isEscape(b, next byte) bool {
	quote := r.dialect.Quote
	return b == quote && next == quote || b == '\\' && r.dialect.Escape == '\\' && (next == quote || next == '\\')
}
