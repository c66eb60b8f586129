package table

import (
	"errors"
	"io"

	"github.com/leat-dev/leat/jobs"
)

// each calls visit with every row that fits, and bad, blank or header, when they are not nil, with
// the others.
func (f *file) each(r rows, visit func(*record) error, bad func(line int64, reason fault), blank func(), header func(*record)) error {
	headed := f.json || !f.dialect.Header
	for {
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch reason := f.reason(row); {
		case row.blank() && (f.json || f.columns != 1 || !headed):
			blank()
		case !headed && (reason == "" || f.dialect.ShortHeader):
			headed = true
			header(row)
		case reason != "":
			bad(row.line, reason)
		default:
			if err := visit(row); err != nil {
				return err
			}
		}
	}
}

// reason says why a row does not fit.
func (f *file) reason(row *record) fault {
	switch {
	case row.fault != "" || f.json:
		return row.fault
	case len(row.cells) < f.columns:
		return faultFewCells
	case len(row.cells) > f.columns:
		return faultManyCells
	}
	return ""
}

// delimited gives the rows of a delimited text.
func (f *file) delimited(t io.Reader) (*reader, error) {
	r := newReader(t, f.dialect)
	return r, r.skipLines(f.dialect.Skip)
}

// profile reads the whole table.
func (f *file) profile() (*Profile, error) {
	t, err := f.open(true)
	if err != nil {
		return nil, err
	}
	g := &gathering{file: f, names: namer{}, profile: &Profile{BadRows: BadRows{Lines: []BadRow{}}}}
	if f.json {
		r := newJSONReader(t)
		g.keys = func() []string { return r.names }
		err = f.each(r, g.row, g.profile.BadRows.add, g.blank, nil)
	} else {
		g.sizes = sizesFor(f.columns)
		var r *reader
		if r, err = f.delimited(t); err == nil {
			err = f.each(r, g.row, g.profile.BadRows.add, g.blank, g.header)
		}
	}
	if err != nil {
		return nil, err
	}
	return g.end(t.encoding())
}

// gathering is the first pass.
type gathering struct {
	file    *file
	profile *Profile
	columns []*column
	names   namer
	keys    func() []string // of the columns of JSON lines
	cells   int64           // of JSON lines, with those that are missing
	sizes   sizes
}

func (g *gathering) blank() { g.profile.BlankLines++ }

func (g *gathering) header(row *record) {
	for i := range row.cells {
		g.name(row.cells[i].text)
	}
}

// name adds the next column.
func (g *gathering) name(name []byte) {
	g.columns = append(g.columns, newColumn(g.names.name(name, len(g.columns)), g.sizes))
}

// row takes in a row that fits.
func (g *gathering) row(row *record) error {
	for at := len(g.columns); at < len(row.cells); at++ {
		var name []byte
		if g.file.json {
			// How many columns there will be is not known: the more there are, the smaller is what
			// is kept of each of the later ones.
			name, g.sizes = []byte(g.keys()[at]), sizesFor(at+1)
		}
		g.name(name)
	}
	g.profile.Rows++
	if !g.file.json {
		for i := range row.cells {
			if err := g.cell(row, i); err != nil {
				return err
			}
		}
		return nil
	}
	for _, i := range row.present {
		if err := g.cell(row, i); err != nil {
			return err
		}
	}
	if g.cells += int64(len(g.columns)); g.cells > maxJSONCells {
		return jobs.Fail(jobs.CodeLimitOutput, "%d rows with %d columns make more cells than are written", g.profile.Rows, len(g.columns))
	}
	return nil
}

func (g *gathering) cell(row *record, i int) error {
	c := &row.cells[i]
	if g.file.isNull(c) {
		return nil
	}
	return g.columns[i].add(*c, row.line)
}

// end makes the profile of what was gathered.
func (g *gathering) end(encoding string) (*Profile, error) {
	p, f := g.profile, g.file
	p.Format, p.Encoding = "jsonl", encoding
	if f.gzip {
		p.Compression = "gzip"
	}
	if !f.json {
		p.Format, p.Dialect = "csv", &f.dialect
		if f.dialect.Delimiter == '\t' && f.columns > 1 {
			p.Format = "tsv"
		}
		for len(g.columns) < f.columns { // of a table without rows
			g.name(nil)
		}
	}
	for i, c := range g.columns {
		column, err := c.summary(p.Rows)
		if err != nil {
			return nil, err
		}
		p.Columns = append(p.Columns, column)
		g.columns[i] = nil
	}
	return p, nil
}

// writeParquet reads the table again and writes the rows that fit.
func (f *file) writeParquet(w io.Writer, columns []ColumnProfile) error {
	t, err := f.open(true)
	if err != nil {
		return err
	}
	p := newWriter(w, columns)
	visit := func(row *record) error { return p.add(row, f.isNull) }
	ignore := func(int64, fault) {}
	if f.json {
		err = f.each(newJSONReader(t), visit, ignore, func() {}, nil)
	} else {
		var r *reader
		if r, err = f.delimited(t); err == nil {
			err = f.each(r, visit, ignore, func() {}, func(*record) {})
		}
	}
	if err != nil {
		return err
	}
	return p.close()
}
