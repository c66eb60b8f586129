package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// chunk is how much of a file is read at once when all of it is read, in bytes.
const chunk = 128 << 10

// source reads a run's input and keeps two kinds of trouble apart: a file that ends too early is
// its reader's to judge, while an input that cannot be read, or a context that has ended, stays
// here as err and ends the run, however its reader took it.
type source struct {
	ctx   context.Context // lives as long as one call of Handle
	input *io.SectionReader
	err   error
}

func (s *source) size() int64 { return s.input.Size() }

// ReadAt implements io.ReaderAt, except that it is not safe for concurrent use.
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if s.err == nil {
		s.err = context.Cause(s.ctx)
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.input.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = fmt.Errorf("read the file: %w", err)
		err = s.err
	}
	return n, err
}

// stream reads the whole file from its start. It hides that it can do more, so that copies from it
// use the buffer they are given.
func (s *source) stream() io.Reader {
	return struct{ io.Reader }{io.NewSectionReader(s, 0, s.size())}
}

// head reads the first limit bytes, or all of a shorter file.
func (s *source) head(limit int) ([]byte, error) {
	head := make([]byte, limit)
	n, err := s.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head[:n], nil
}

// cursor walks through a part of a file and looks at a few bytes of it at a time. Whatever lengths
// a format declares, it only jumps over them, and it stops at its part's end.
type cursor struct {
	src    io.ReaderAt
	off    int64 // where it stands
	end    int64 // where its part ends
	window []byte
	start  int64 // where window begins
}

// windowSize is how much a cursor reads at once: enough for files on a disk, and for those that
// are farther away not too much for a look at a header.
const windowSize = 32 << 10

func newCursor(src io.ReaderAt, off, end int64) *cursor {
	return &cursor{src: src, off: off, end: end, window: make([]byte, 0, windowSize)}
}

// take returns the next n bytes, at most windowSize, which are good until the next call, and steps
// behind them. Its error is io.ErrUnexpectedEOF when there are fewer, whatever the cause.
func (c *cursor) take(n int) ([]byte, error) {
	p, err := c.peek(n)
	c.off += int64(len(p))
	return p, err
}

// peek is take without the step.
func (c *cursor) peek(n int) ([]byte, error) {
	if n > windowSize || int64(n) > c.end-c.off {
		return nil, io.ErrUnexpectedEOF
	}
	if c.off < c.start || c.off+int64(n) > c.start+int64(len(c.window)) {
		c.fill()
	}
	at := int(c.off - c.start)
	if len(c.window)-at < n {
		return nil, io.ErrUnexpectedEOF
	}
	return c.window[at : at+n], nil
}

func (c *cursor) fill() {
	size := min(windowSize, c.end-c.off)
	n, err := c.src.ReadAt(c.window[:size], c.off)
	if err != nil && !errors.Is(err, io.EOF) {
		n = 0 // the source remembers why
	}
	c.window, c.start = c.window[:n], c.off
}

// skip steps over n bytes. It is false, and the cursor stands at its end, when there are fewer.
func (c *cursor) skip(n int64) bool { return c.moveTo(c.off + n) }

// moveTo steps to an offset of the file. It is false, and the cursor stands at its end, when the
// offset lies outside of the file.
func (c *cursor) moveTo(off int64) bool {
	if off < 0 || off > c.end {
		c.off = c.end
		return false
	}
	c.off = off
	return true
}

// Read implements io.Reader.
func (c *cursor) Read(p []byte) (int, error) {
	n := int(min(int64(len(p)), c.end-c.off, windowSize))
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	if left := c.start + int64(len(c.window)) - c.off; c.off >= c.start && left > 0 {
		n = int(min(int64(n), left))
	}
	q, err := c.take(n)
	return copy(p, q), err
}

// Seek implements io.Seeker, forwards from where the cursor stands.
func (c *cursor) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || offset < 0 {
		return 0, errors.ErrUnsupported
	}
	if !c.skip(offset) {
		return 0, io.ErrUnexpectedEOF
	}
	return c.off, nil
}

// meter reports progress: it is written all that is read.
type meter struct {
	report      func(fraction float64)
	done, total int64 // bytes
}

// Write implements io.Writer.
func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	m.report(float64(m.done) / float64(max(m.total, 1)))
	return len(p), nil
}
