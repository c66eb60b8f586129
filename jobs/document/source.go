package document

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/leat-dev/leat/jobs/input"
)

// chunk is how much of a file is read at once, in bytes.
const chunk = 64 << 10

// source is a run's input.
type source struct {
	*input.Source
	ctx context.Context // lives as long as one call of Handle
}

// stream reads the whole file from its start, and reports each part to meter.
func (s *source) stream(meter *meter) io.Reader {
	return bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(s, 0, s.Size()), meter), chunk)
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

// window reads a source for PDFium, which asks for a few hundred bytes at a time, and mostly for
// those beside the last ones. PDFium may keep it for longer than its run lasts: once src is nil, it
// holds nothing of the run, and reads nothing.
type window struct {
	src   *source
	off   int64
	buf   []byte
	start int64 // where buf begins
}

// Seek implements io.Seeker.
func (w *window) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart || offset < 0 {
		return 0, errors.ErrUnsupported
	}
	w.off = offset
	return offset, nil
}

// Read implements io.Reader.
func (w *window) Read(p []byte) (int, error) {
	if w.src == nil {
		return 0, io.ErrClosedPipe
	}
	if w.off < w.start || w.off >= w.start+int64(len(w.buf)) {
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.buf[w.off-w.start:])
	w.off += int64(n)
	return n, nil
}

func (w *window) fill() error {
	if w.buf == nil {
		w.buf = make([]byte, 0, chunk)
	}
	w.start = w.off - w.off%chunk // so that going backwards costs no more than going forwards
	n, err := w.src.ReadAt(w.buf[:cap(w.buf)], w.start)
	w.buf = w.buf[:n]
	if err != nil && !errors.Is(err, io.EOF) {
		w.buf = w.buf[:0]
		return err
	}
	if w.off >= w.start+int64(n) {
		return io.EOF
	}
	return nil
}
