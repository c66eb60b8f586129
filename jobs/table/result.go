package table

import "strings"

const (
	// maxResultColumns bounds how many columns are told of in the result. All are in the profile.
	maxResultColumns = 200
	maxResultLines   = 20
)

// Result is what the handler answers: the profile in short.
type Result struct {
	Format      string   `json:"format"`                // "csv", "tsv" or "jsonl"
	Encoding    string   `json:"encoding"`              // IANA's name, in lower case
	Compression string   `json:"compression,omitempty"` // "gzip"
	Dialect     *Dialect `json:"dialect,omitempty"`     // of delimited text
	Rows        int64    `json:"rows"`                  // that fit, without the header
	BlankLines  int64    `json:"blank_lines,omitempty"`
	// Columns are the first ones; ColumnCount counts all, and ColumnsLeftOut those that only
	// profile.json has.
	Columns        []ResultColumn `json:"columns"`
	ColumnCount    int            `json:"column_count"`
	ColumnsLeftOut int            `json:"columns_left_out,omitempty"`
	BadRows        ResultBadRows  `json:"bad_rows"`
}

// ResultColumn is a column in short.
type ResultColumn struct {
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Nulls    int64   `json:"nulls"`
	Min      *string `json:"min,omitempty"`
	Max      *string `json:"max,omitempty"`
	Mean     string  `json:"mean,omitempty"`
	Distinct int64   `json:"distinct"` // an estimate
}

// ResultBadRows tells of the rows that do not fit.
type ResultBadRows struct {
	Count   int64           `json:"count"`
	Reasons map[fault]int64 `json:"reasons,omitempty"`
	Lines   []int64         `json:"lines"` // where the first ones start, from 1
}

func resultOf(p *Profile) *Result {
	r := &Result{
		Format: p.Format, Encoding: p.Encoding, Compression: p.Compression, Dialect: p.Dialect, Rows: p.Rows, BlankLines: p.BlankLines,
		Columns: []ResultColumn{}, ColumnCount: len(p.Columns), ColumnsLeftOut: max(len(p.Columns)-maxResultColumns, 0),
		BadRows: ResultBadRows{Count: p.BadRows.Count, Reasons: p.BadRows.Reasons, Lines: []int64{}},
	}
	for i := range p.Columns[:min(len(p.Columns), maxResultColumns)] {
		c := &p.Columns[i]
		r.Columns = append(r.Columns, ResultColumn{
			Name: storable(cut(c.Name, maxValue)), Type: c.Type, Nulls: c.Nulls, Min: storableOrNil(c.Min), Max: storableOrNil(c.Max),
			Mean: c.Mean, Distinct: c.Distinct.Estimate,
		})
	}
	for _, bad := range p.BadRows.Lines[:min(len(p.BadRows.Lines), maxResultLines)] {
		r.BadRows.Lines = append(r.BadRows.Lines, bad.Line)
	}
	return r
}

// storable replaces NUL, which a result must not hold.
func storable(s string) string { return strings.ReplaceAll(s, "\x00", "\ufffd") }

func storableOrNil(s *string) *string {
	if s == nil {
		return nil
	}
	t := storable(*s)
	return &t
}
