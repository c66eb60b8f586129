// Package input reads a run's input for its handler: it keeps the file's faults apart from those of
// reading it, and walks through files at offsets in memory that does not depend on the file.
//
// It imports nothing else of Leat.
package input

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Source reads a run's input and keeps two kinds of trouble apart: a file that ends too early is
// its reader's to judge, while an input that cannot be read, or a context that has ended, stays
// here as Err and ends the run, however its reader took it.
type Source struct {
	ctx   context.Context // lives as long as one call of Handle
	input *io.SectionReader
	err   error
}

// NewSource makes a source of a run's input, for as long as ctx is one call of Handle's.
func NewSource(ctx context.Context, input *io.SectionReader) *Source {
	return &Source{ctx: ctx, input: input}
}

// Err is why the input could not be read, or the cause for which its context ended.
func (s *Source) Err() error { return s.err }

// Ended is Err, asked anew: a reader that works for long on little of the file calls it at times.
func (s *Source) Ended() error {
	if s.err == nil {
		s.err = context.Cause(s.ctx)
	}
	return s.err
}

// Size is that of the whole file, in bytes.
func (s *Source) Size() int64 { return s.input.Size() }

// ReadAt implements io.ReaderAt, except that it is not safe for concurrent use.
func (s *Source) ReadAt(p []byte, off int64) (int, error) {
	if err := s.Ended(); err != nil {
		return 0, err
	}
	n, err := s.input.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = fmt.Errorf("read the file: %w", err)
		err = s.err
	}
	return n, err
}

// Stream reads the whole file from its start. It hides that it can do more, so that copies from it
// use the buffer they are given.
func (s *Source) Stream() io.Reader {
	return struct{ io.Reader }{io.NewSectionReader(s, 0, s.Size())}
}

// Whole walks over the whole file.
func (s *Source) Whole() *Cursor { return NewCursor(s, 0, s.Size()) }

// Head reads the first limit bytes, or all of a shorter file.
func (s *Source) Head(limit int) ([]byte, error) {
	head := make([]byte, limit)
	n, err := s.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head[:n], nil
}
