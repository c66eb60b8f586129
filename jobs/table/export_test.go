package table

import (
	"errors"
	"io"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/spec"
)

// The bounds that tests reach just beyond.
const (
	MaxColumns = maxColumns
	MaxRecord  = maxRecord
)

// NewLimited is New with another limit on what is unpacked, in bytes.
func NewLimited(maxUnpacked int64) jobs.Handler { return &handler{maxUnpacked: maxUnpacked} }

// Row is a row of a delimited text.
type Row struct {
	Line  int64
	Cells []string
	Fault string
}

// ReadRows reads all rows in a dialect.
func ReadRows(src io.Reader, d Dialect) ([]Row, error) {
	r := newReader(src, d)
	var all []Row
	for {
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		copied := Row{Line: row.line, Fault: string(row.fault)}
		for _, c := range row.cells {
			copied.Cells = append(copied.Cells, string(c.text))
		}
		if row.fault != "" {
			copied.Cells = nil
		}
		all = append(all, copied)
	}
}

// Sniff finds the dialect of a sample, and how many columns there are.
func Sniff(sample []byte, whole bool) (Dialect, int) {
	return sniffDialect(sample, whole, spec.TableParams{})
}
