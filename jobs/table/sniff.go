package table

import (
	"bytes"
	"errors"
	"io"

	"github.com/leat-dev/leat/jobs/spec"
)

// sampleSize is how much of a table is looked at to find its dialect, in bytes of UTF-8.
const sampleSize = 256 << 10

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

// sniffDialect finds the dialect in which the most rows of the sample have the same number of cells.
func sniffDialect(sample []byte, whole bool, params spec.TableParams) (Dialect, int) {
	cr := bytes.IndexByte(sample, '\n') < 0 && bytes.IndexByte(sample, '\r') >= 0
	sample = wholeLines(sample, whole, cr)
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
	case best.first > 0:
		d.Skip = int(best.first - 1)
	}
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

// attempt is what the sample looks like in a dialect.
type attempt struct {
	dialect Dialect
	columns int   // cells of the most frequent kind of row
	good    int   // rows of that kind
	all     int   // rows, but for blank lines
	quoted  int   // cells between quotes
	first   int64 // line of the first good row
}

func try(sample []byte, d Dialect, skip *int) attempt {
	a := attempt{dialect: d}
	counts, firsts := map[int]int{}, map[int]int64{}
	r := newReader(bytes.NewReader(sample), d)
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
		if row.fault != "" {
			continue
		}
		n := len(row.cells)
		if counts[n]++; counts[n] == 1 {
			firsts[n] = row.line
		}
		for i := range row.cells {
			if row.cells[i].form == quoted {
				a.quoted++
			}
		}
	}
	for n, count := range counts {
		if count > a.good || count == a.good && n > a.columns {
			a.columns, a.good = n, count
		}
	}
	a.first = firsts[a.columns]
	return a
}

// better compares two attempts. One that splits most rows is better than one that splits none;
// then counts how many rows fit, then how many quotes explain something, then how many columns
// there are. Of equal ones the first is kept.
func (a *attempt) better(than *attempt) bool {
	switch {
	case than.dialect.Delimiter == 0:
		return true
	case a.splits() != than.splits():
		return a.splits()
	case a.good*than.all != than.good*a.all:
		return a.good*than.all > than.good*a.all
	case a.quoted != than.quoted:
		return a.quoted > than.quoted
	}
	return a.columns > than.columns
}

func (a *attempt) splits() bool { return a.columns > 1 && 2*a.good > a.all }
