// Package table is the kind of work that profiles tables in text, CSV, TSV and JSON lines, and makes
// typed Parquet of them.
//
// It reads a file twice, in memory that does not depend on the file's length: the first pass finds
// out the columns' types and all that is in the profile, the second one writes the Parquet, whose
// schema comes before its rows in all that writes it. A sample could not do instead of the first
// pass: the one cell that makes a column text may be the last one, and then either the rows before
// it or its own would have to be written again. Two passes over the same bytes cannot disagree.
//
// It imports package jobs, jobs/sniff and jobs/spec, and nothing else of Leat.
package table

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
	"github.com/leat-dev/leat/jobs/spec"
)

// The artifacts of a run.
const (
	ProfileName = "profile.json"
	DataName    = "data.parquet"
)

// New returns the handler of the kind table.
func New() jobs.Handler { return &handler{maxUnpacked: maxUnpacked} }

type handler struct {
	maxUnpacked int64
}

// Handle answers with a *Result. Content that is no table fails for good; an error in reading it is
// tried again.
func (h *handler) Handle(ctx context.Context, run *jobs.Run) (any, error) {
	params, err := jobs.DecodeParams[spec.TableParams](run)
	if err != nil {
		return nil, err
	}
	src := &source{ctx: ctx, input: run.Input, progress: run.Progress, total: run.Input.Size()}
	withData := params.Parquet == nil || *params.Parquet
	if withData {
		src.total *= 2
	}
	result, err := h.handle(ctx, run, &file{source: src, params: params, maxUnpacked: h.maxUnpacked}, withData)
	switch {
	case src.err != nil:
		return nil, src.err // whatever a reader made of it
	case err != nil:
		return nil, err
	}
	return result, nil
}

func (h *handler) handle(ctx context.Context, run *jobs.Run, f *file, withData bool) (*Result, error) {
	if err := f.sniff(run.File); err != nil {
		return nil, err
	}
	profile, err := f.profile()
	if err != nil {
		return nil, err
	}
	if err := store(ctx, run, ProfileName, "application/json", profile.writeTo); err != nil {
		return nil, err
	}
	if withData && len(profile.Columns) > 0 {
		err := store(ctx, run, DataName, "application/vnd.apache.parquet", func(w io.Writer) error {
			return f.writeParquet(w, profile.Columns)
		})
		if err != nil {
			return nil, err
		}
	}
	return resultOf(profile), nil
}

// file is the table that a run works on, and how it is read.
type file struct {
	source      *source
	params      spec.TableParams
	maxUnpacked int64
	gzip        bool
	json        bool // JSON lines
	dialect     Dialect
	columns     int // of delimited text
}

// open gives the file's text from its start.
func (f *file) open(counts bool) (*text, error) {
	raw := f.source.pass(counts)
	if f.gzip {
		unpacked, err := unpack(raw, f.maxUnpacked)
		if err != nil {
			return nil, err
		}
		raw = unpacked
	}
	return newText(raw, f.params.Encoding)
}

// sniff finds out how the table is written.
func (f *file) sniff(info jobs.File) error {
	head := make([]byte, sniff.Limit)
	n, err := io.ReadFull(f.source.pass(false), head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	mediaType := sniff.Type(head[:n], info.Name)
	f.gzip = mediaType == "application/gzip"
	if !f.gzip && mediaType != sniff.Unknown && !sniff.IsText(mediaType) { // a NUL makes text unknown
		return jobs.Fail(jobs.CodeUnsupported, "the file is %s, which is no table", mediaType)
	}
	t, err := f.open(false)
	if err != nil {
		return err
	}
	sample, whole, err := readSample(t)
	if err != nil {
		return err
	}
	if f.params.Delimiter == "" {
		var document bool
		if f.json, document = isJSONLines(sample); document {
			return jobs.Fail(jobs.CodeUnsupported, "the file is a JSON document, not an object in each line")
		}
	}
	if !f.json {
		f.dialect, f.columns = sniffDialect(sample, whole, f.params)
		if f.columns > maxColumns {
			return jobs.Fail(jobs.CodeLimitMemory, "the table has more than %d columns", maxColumns)
		}
	}
	return nil
}

// isNull tells whether a cell stands for no value. In JSON, which has a null of its own, an empty
// string is a value unless the parameters say that it is none.
func (f *file) isNull(c *cell) bool {
	switch {
	case c.form == missing:
		return true
	case f.params.Null != nil:
		return c.form != composite && slices.ContainsFunc(f.params.Null, func(null string) bool { return string(c.text) == null })
	}
	return len(c.text) == 0 && !f.json
}
