package table

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/leat-dev/leat/jobs/spec"
)

// sampleSize is how much of a table is looked at to find its dialect, in bytes of UTF-8.
const sampleSize = 256 << 10

// maxSniffedSkip bounds how many lines before a table are taken for no part of it. They are blank, or
// split into one cell. More of them, and any others, are rows that do not fit.
const maxSniffedSkip = 50

// delimiters lists the characters that may stand between cells, the likeliest first.
const delimiters = ",\t;|"

// readSample reads the start of a text; whole says that this is all of it.
func readSample(t io.Reader) (sample []byte, whole bool, err error) {
	sample = make([]byte, sampleSize)
	n, err := io.ReadFull(t, sample)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return sample[:n], true, nil
	}
	return sample[:n], false, err
}

// sniffDialect finds the dialect in which the most rows of the sample have the same number of cells,
// and that number, which is above maxColumns for a table that is too wide.
func sniffDialect(sample []byte, whole bool, params spec.TableParams) (Dialect, int) {
	cr := bytes.IndexByte(sample, '\n') < 0 && bytes.IndexByte(sample, '\r') >= 0
	sample = append(slices.Clone(wholeLines(sample, whole, cr)), Dialect{CR: cr}.lineEnd())
	var best attempt
	for _, d := range dialects(params, delimiters, cr) {
		if a := try(sample, d, params.Skip); a.better(&best) {
			best = a
		}
	}
	d := best.dialect
	switch {
	case params.Skip != nil:
		d.Skip = *params.Skip
	case best.start > 0 && best.start <= maxSniffedSkip+1:
		d.Skip = int(best.start - 1)
	}
	d.ShortHeader = lacksLastCell(sample, d, best.columns)
	d.Header = params.Header == "yes" || params.Header != "no" && sniffHeader(sample, d, best.columns)
	return d, best.columns
}

// wholeLines cuts off the line that the sample's end cuts.
func wholeLines(sample []byte, whole, cr bool) []byte {
	if at := bytes.LastIndexByte(sample, Dialect{CR: cr}.lineEnd()); !whole && at >= 0 {
		return sample[:at+1]
	}
	return sample
}

// newSampleReader reads text in memory that ends with a line end which is not its own.
func newSampleReader(sample []byte, d Dialect) *reader {
	r := newReader(nil, d)
	r.buf, r.end, r.eof = sample, len(sample)-1, true
	return r
}

// attempt is what the sample looks like in a dialect.
type attempt struct {
	dialect Dialect
	columns int   // cells of the most frequent kind of row
	good    int   // rows of that kind
	all     int   // rows, but for blank lines
	quoted  int   // rows that have no fault, with a cell between quotes
	over    int   // rows with too many cells for any table
	start   int64 // line of the first row that may be of the table, be it good or not
}

func try(sample []byte, d Dialect, skip *int) attempt {
	a := attempt{dialect: d}
	counts, firsts := map[int]int{}, map[int]int64{}
	split := int64(0) // line of the first row that is more than one cell
	r := newSampleReader(sample, d)
	if skip != nil && r.skipLines(*skip) != nil {
		return a
	}
	for {
		row, err := r.next()
		if err != nil {
			break // the end: the sample is in memory
		}
		if row.blank() {
			continue
		}
		a.all++
		if split == 0 && (row.fault != "" || len(row.cells) > 1) {
			split = row.line
		}
		if row.fault == faultManyCells {
			a.over++
		}
		if row.fault != "" {
			continue
		}
		n := len(row.cells)
		if counts[n]++; counts[n] == 1 {
			firsts[n] = row.line
		}
		if slices.ContainsFunc(row.cells, func(c cell) bool { return c.form == quoted }) {
			a.quoted++
		}
	}
	a.count(counts)
	a.start = firsts[a.columns]
	if split > 0 {
		a.start = min(a.start, split)
	}
	return a
}

// count chooses the most frequent kind of row.
func (a *attempt) count(counts map[int]int) {
	for n, count := range counts {
		if count > a.good || count == a.good && n > a.columns {
			a.columns, a.good = n, count
		}
	}
	if a.over > a.good {
		a.columns, a.good = maxColumns+1, a.over
	}
}

// score is higher for an attempt in which more rows fit, and in which quotes are quotes: without
// that, one stray quote would speak against all of them.
func (a *attempt) score() int { return a.good + a.quoted }

// better compares two attempts. One that splits most rows is better than one that splits none;
// then counts the score, then how many columns there are. Of equal ones the first is kept.
func (a *attempt) better(than *attempt) bool {
	switch {
	case than.dialect.Delimiter == 0:
		return true
	case a.splits() != than.splits():
		return a.splits()
	case a.score()*than.all != than.score()*a.all:
		return a.score()*than.all > than.score()*a.all
	}
	return a.columns > than.columns
}

func (a *attempt) splits() bool { return a.columns > 1 && 2*a.good > a.all }
