package table

import (
	"encoding/json"

	"github.com/leat-dev/leat/jobs/spec"
)

// Dialect is how a table is written in delimited text.
type Dialect struct {
	Delimiter byte
	Quote     byte // 0 for none
	Escape    byte // the quote itself, doubled, or a backslash beside that; 0 when there is no quote
	CR        bool // lines end with CR alone, as on old Macs; otherwise with LF or CRLF
	Header    bool
	Skip      int // lines before the table
	// ShortHeader says that the first row lacks the last cell, which is empty in the rows below: they
	// end with a delimiter, and it does not.
	ShortHeader bool
}

// MarshalJSON writes the characters as text.
func (d Dialect) MarshalJSON() ([]byte, error) {
	text := func(b byte) string {
		if b == 0 {
			return ""
		}
		return string(rune(b))
	}
	return json.Marshal(struct {
		Delimiter string `json:"delimiter"`
		Quote     string `json:"quote"`
		Escape    string `json:"escape"`
		Header    bool   `json:"header"`
		Skip      int    `json:"skip"`
	}{text(d.Delimiter), text(d.Quote), text(d.Escape), d.Header, d.Skip})
}

func (d Dialect) lineEnd() byte {
	if d.CR {
		return '\r'
	}
	return '\n'
}

// dialects lists what a table may be written in, the likeliest first, as far as the parameters leave
// a choice.
func dialects(params spec.TableParams, delimiters string, cr bool) []Dialect {
	if params.Delimiter != "" {
		delimiters = params.Delimiter
	}
	quotes := []byte{'"', 0, '\''} // an apostrophe needs more than that it does no harm
	switch {
	case params.Quote == "none":
		quotes = []byte{0}
	case params.Quote != "":
		quotes = []byte{params.Quote[0]}
	case params.Escape != "" && params.Escape != `\`:
		quotes = []byte{params.Escape[0]}
	}
	var all []Dialect
	for _, quote := range quotes {
		for _, escape := range escapes(params, quote) {
			for _, delimiter := range []byte(delimiters) {
				if delimiter != quote {
					all = append(all, Dialect{Delimiter: delimiter, Quote: quote, Escape: escape, CR: cr})
				}
			}
		}
	}
	return all
}

func escapes(params spec.TableParams, quote byte) []byte {
	switch {
	case quote == 0:
		return []byte{0}
	case params.Escape == "":
		return []byte{quote, '\\'}
	}
	return []byte{params.Escape[0]}
}
