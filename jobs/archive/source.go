package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/leat-dev/leat/jobs"
)

// buffer is how much of a file is read at once, in bytes.
const buffer = 64 << 10

// source reads a run's input and keeps two kinds of trouble apart: content that is wrong is its
// reader's to judge, while an input that cannot be read, or a context that has ended, stays here as
// err and ends the run, however its reader took it. It reports progress by the bytes that are read.
type source struct {
	ctx    context.Context // lives as long as one call of Handle
	input  *io.SectionReader
	report func(fraction float64)
	done   int64
	err    error
}

func (s *source) size() int64 { return s.input.Size() }

// ReadAt implements io.ReaderAt, except that it is not safe for concurrent use.
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if err := s.ended(); err != nil {
		return 0, err
	}
	n, err := s.input.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = fmt.Errorf("read the file: %w", err)
		return n, s.err
	}
	s.done += int64(n)
	s.report(min(float64(s.done)/float64(max(s.size(), 1)), 1))
	return n, err
}

// ended answers why the run cannot go on, nil when it can.
func (s *source) ended() error {
	if s.err == nil {
		s.err = context.Cause(s.ctx)
	}
	return s.err
}

// section reads n bytes from an offset on. Both may be anything; what lies outside of the file is
// not there.
func (s *source) section(off, n int64) io.Reader { return io.NewSectionReader(s, off, n) }

// judge makes of an error, met while the content was read, the one that the run ends with: the
// source's own trouble first, then one that has a code already, and all else is the content's fault.
func (s *source) judge(err error) error {
	if err == nil {
		return nil
	}
	if ended := s.ended(); ended != nil {
		return ended
	}
	if spawn, ok := errors.AsType[*spawnError](err); ok {
		return spawn.err
	}
	if _, ok := errors.AsType[*jobs.Error](err); ok {
		return err
	}
	if isWindow(err) {
		return jobs.Fail(jobs.CodeLimitMemory, "to unpack the archive takes more memory than is allowed: %v", err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return jobs.Fail(jobs.CodeMalformed, "the archive is cut short")
	}
	return jobs.Fail(jobs.CodeMalformed, "%v", err)
}

// spawnError is one that Spawn answered, and not the content's fault.
type spawnError struct{ err error }

// Error implements error.
func (e *spawnError) Error() string { return e.err.Error() }

// Unwrap gives what Spawn answered.
func (e *spawnError) Unwrap() error { return e.err }
