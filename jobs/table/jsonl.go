package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/leat-dev/leat/jobs/sniff"
)

// maxKey bounds a key of JSON lines, in bytes, since each is kept. A row with a longer one does not
// fit.
const maxKey = 1024

// maxJSONCells bounds rows times columns of JSON lines. A row of few bytes may have thousands of
// nulls, each of which is a value in Parquet.
const maxJSONCells = 1 << 34

// isJSONLines tells whether a text, of which sample is the start, has an object of JSON in its first
// line that is not blank. A text that is a JSON document otherwise is no table.
func isJSONLines(sample []byte) (yes, document bool) {
	mediaType := sniff.Type(sample, "")
	line, rest, found := bytes.Cut(bytes.TrimLeft(sample, " \t\r\n"), []byte("\n"))
	if !bytes.HasPrefix(line, []byte("{")) {
		return false, mediaType == "application/json"
	}
	if mediaType == "application/x-ndjson" || json.Valid(line) || !found && len(rest) == 0 && len(line) >= sampleSize/2 {
		return true, false
	}
	return false, mediaType == "application/json"
}

// jsonReader reads JSON lines: an object in each line. Its keys are the columns, in the order in
// which they first come.
type jsonReader struct {
	lines
	index  map[string]int // of the columns that were met
	names  []string
	seen   []int64 // for each column, the line that it was last met in
	record record
	text   []byte // what the cells of the row with escapes really are
}

func newJSONReader(src io.Reader) *jsonReader {
	return &jsonReader{lines: lines{src: src, line: 1, eol: '\n'}, index: map[string]int{}}
}

// next implements rows.
func (r *jsonReader) next() (*record, error) {
	for _, at := range r.record.present { // all others are missing already
		r.record.cells[at] = cell{form: missing}
	}
	r.record = record{line: r.line, cells: r.record.cells, present: r.record.present[:0]}
	end, err := r.findEnd()
	if err != nil {
		return nil, err
	}
	if end < 0 {
		r.record.fault = faultTooLong
		return &r.record, r.skipLine()
	}
	line := bytes.Trim(r.buf[r.pos:end], " \t\r")
	r.pos = min(end+1, r.end)
	r.line++
	r.record.size, r.text = len(line), r.text[:0]
	switch {
	case len(line) == 0:
		r.record.empty = true
	case !utf8.Valid(line):
		r.record.fault = faultNotUTF8
	case !json.Valid(line):
		r.record.fault = faultNotJSON
	case line[0] != '{':
		r.record.fault = faultNotObject
	default:
		r.record.fault = r.readObject(line)
	}
	return &r.record, nil
}

// findEnd gives where the line at pos ends, or less than 0 when it is too long.
func (r *jsonReader) findEnd() (int, error) {
	looked := 0
	for {
		if n := bytes.IndexByte(r.buf[r.pos+looked:r.end], '\n'); n >= 0 {
			return r.pos + looked + n, nil
		}
		looked = r.end - r.pos
		if looked >= maxRecord {
			return -1, nil
		}
		switch err := r.fill(); {
		case errors.Is(err, io.EOF) && r.pos < r.end:
			return r.end, nil
		case err != nil:
			return 0, err
		}
	}
}

// readObject takes the cells out of an object that is known to be valid.
func (r *jsonReader) readObject(line []byte) fault {
	for i := skipSpace(line, 1); line[i] != '}'; i = skipSpace(line, i) {
		if line[i] == ',' {
			i = skipSpace(line, i+1)
		}
		end := stringEnd(line, i)
		key := r.unquote(line[i:end])
		at, fault := r.column(key)
		if fault != "" {
			return fault
		}
		if r.seen[at] == r.record.line {
			return faultTwice
		}
		r.seen[at] = r.record.line
		i = skipSpace(line, skipSpace(line, end)+1) // over the colon
		end = valueEnd(line, i)
		r.record.cells[at] = r.cell(line[i:end])
		r.record.present = append(r.record.present, at)
		i = end
	}
	return ""
}

// column gives the index of a key's column, which is a new one when the key was not met before.
func (r *jsonReader) column(key []byte) (int, fault) {
	if at, ok := r.index[string(key)]; ok {
		return at, ""
	}
	switch {
	case len(key) > maxKey:
		return 0, faultTooLong
	case len(r.names) == maxColumns:
		return 0, faultManyCells
	}
	at := len(r.names)
	r.names = append(r.names, string(key))
	r.index[r.names[at]] = at
	r.seen = append(r.seen, 0)
	r.record.cells = append(r.record.cells, cell{form: missing})
	return at, ""
}

func (r *jsonReader) cell(value []byte) cell {
	switch value[0] {
	case '"':
		return cell{r.unquote(value), stringly}
	case '{', '[':
		return cell{value, composite}
	case 'n':
		return cell{form: missing}
	}
	return cell{text: value}
}

// unquote gives what a valid JSON string says.
func (r *jsonReader) unquote(value []byte) []byte {
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return inner // which cannot be: the line is valid
	}
	start := len(r.text)
	r.text = append(r.text, text...)
	return r.text[start:len(r.text):len(r.text)]
}

func skipSpace(line []byte, i int) int {
	for line[i] == ' ' || line[i] == '\t' || line[i] == '\r' {
		i++
	}
	return i
}

// stringEnd gives the index behind the string that begins at i.
func stringEnd(line []byte, i int) int {
	for i++; line[i] != '"'; i++ {
		if line[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd gives the index behind the value that begins at i.
func valueEnd(line []byte, i int) int {
	depth := 0
	for {
		switch line[i] {
		case '"':
			i = stringEnd(line, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth < 0 {
				return i
			}
		case ',', ' ', '\t', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
		if depth == 0 && (line[i-1] == '"' || line[i-1] == '}' || line[i-1] == ']') {
			return i
		}
	}
}
