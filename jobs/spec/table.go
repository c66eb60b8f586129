package spec

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leat-dev/leat/jobs"
)

// TableParams overrides what the kind table finds out by itself. All of it is optional.
type TableParams struct {
	Delimiter string `json:"delimiter,omitempty" doc:"The character between cells, one ASCII character. Sniffed when left out."`
	Quote     string `json:"quote,omitempty" doc:"The character around cells, one ASCII character, or none. Sniffed when left out."`
	Escape    string `json:"escape,omitempty" doc:"What stands before a quote inside of a quoted cell: the quote itself, or a backslash. Sniffed when left out."`
	Header    string `json:"header,omitempty" enum:"auto,yes,no" doc:"Whether the first row has the names of the columns."`
	Encoding  string `json:"encoding,omitempty" doc:"The character encoding, such as utf-8, utf-16le or iso-8859-1. Sniffed when left out."`
	// Skip is a pointer, since to skip no line is not the same as to find out.
	Skip    *int     `json:"skip,omitempty" minimum:"0" doc:"How many lines come before the table. Sniffed when left out."`
	Null    []string `json:"null,omitzero" doc:"The cells that stand for no value; only the empty one when left out."`
	Parquet *bool    `json:"parquet,omitempty" doc:"Whether to write data.parquet; yes when left out."`
}

// The bounds of what the kind table takes as parameters.
const (
	tableMaxSkip    = 1_000_000
	tableMaxNulls   = 32
	tableMaxNullLen = 64 // bytes
)

// Table is the kind that profiles tables in text and makes typed Parquet of them.
func Table() jobs.Spec {
	return jobs.Spec{
		Name:       "table",
		Version:    1,
		Summary:    "Profiles a table (CSV, TSV or JSON lines, gzip'd too): types, ranges, distinct values, quantiles; and makes Parquet of it.",
		Params:     TableParams{},
		MediaTypes: []string{"text/csv", "text/tab-separated-values", "application/x-ndjson", "text/csv+gzip", "text/tab-separated-values+gzip", "application/x-ndjson+gzip"},
		Reusable:   true,
		Timeout:    2 * time.Hour, // reads some hundred gigabytes twice
	}
}

// TableEncodings lists the character encodings that can be named, in lower case.
func TableEncodings() []string {
	return []string{
		"utf-8", "utf-16le", "utf-16be", "iso-8859-1", "windows-1252", "iso-8859-2", "iso-8859-5", "iso-8859-7",
		"iso-8859-15", "windows-1250", "windows-1251", "windows-1253", "windows-1254", "koi8-r", "macintosh",
		"shift_jis", "euc-jp", "gbk", "gb18030", "big5", "euc-kr",
	}
}

// Validate checks the parameters; its error is a *jobs.ParamError that names the field.
func (p *TableParams) Validate() error {
	if err := p.validateDialect(); err != nil {
		return err
	}
	switch {
	case !slices.Contains([]string{"", "auto", "yes", "no"}, p.Header):
		return &jobs.ParamError{Field: "header", Reason: `want "auto", "yes" or "no"`}
	case p.Encoding != "" && !slices.Contains(TableEncodings(), p.Encoding):
		return &jobs.ParamError{Field: "encoding", Reason: "want one of " + strings.Join(TableEncodings(), ", ")}
	case p.Skip != nil && (*p.Skip < 0 || *p.Skip > tableMaxSkip):
		return &jobs.ParamError{Field: "skip", Reason: fmt.Sprintf("want 0 to %d", tableMaxSkip)}
	case len(p.Null) > tableMaxNulls:
		return &jobs.ParamError{Field: "null", Reason: fmt.Sprintf("want at most %d values", tableMaxNulls)}
	}
	for _, null := range p.Null {
		if len(null) > tableMaxNullLen || !utf8.ValidString(null) {
			return &jobs.ParamError{Field: "null", Reason: fmt.Sprintf("want UTF-8 of at most %d bytes each", tableMaxNullLen)}
		}
	}
	return nil
}

func (p *TableParams) validateDialect() error {
	quote := p.Quote
	if quote == "none" {
		quote = ""
	}
	for field, value := range map[string]string{"delimiter": p.Delimiter, "quote": quote} {
		if value != "" && !separates(value) {
			return &jobs.ParamError{Field: field, Reason: "want one ASCII character, and no line end, NUL or backslash"}
		}
	}
	switch {
	case quote != "" && quote == p.Delimiter:
		return &jobs.ParamError{Field: "quote", Reason: "is the delimiter"}
	case p.Escape == "":
	case p.Quote == "none":
		return &jobs.ParamError{Field: "escape", Reason: "there is no quote to escape"}
	case p.Escape == `\`:
	case p.Escape != quote && (quote != "" || p.Escape != `"` && p.Escape != "'"):
		return &jobs.ParamError{Field: "escape", Reason: "want the quote or a backslash"}
	}
	return nil
}

// separates tells whether something can stand between or around cells.
func separates(value string) bool {
	return len(value) == 1 && value[0] < utf8.RuneSelf && !strings.ContainsAny(value, "\r\n\x00\\")
}
