package table

import (
	"bytes"
	"errors"
	"io"
)

// lines keeps the part of a text that is being read, from pos to end. Behind its end there is
// always a line end.
type lines struct {
	src      io.Reader
	buf      []byte
	pos, end int
	eof      bool
	eol      byte
	line     int64 // that pos is in, from 1

	// About the row at pos:
	inside  int64 // line ends between its quotes
	open    bool  // its last quote does not close in what was read
	escaped []int // its cells that hold escapes
}

// fill reads more behind what is there. It answers io.EOF when there is no more.
func (l *lines) fill() error {
	if l.eof {
		return io.EOF
	}
	if left := l.end - l.pos; l.pos > 0 {
		copy(l.buf, l.buf[l.pos:l.end])
		l.pos, l.end = 0, left
	}
	if l.end+chunk >= len(l.buf) {
		grown := make([]byte, max(2*len(l.buf), 2*chunk))
		copy(grown, l.buf[:l.end])
		l.buf = grown
	}
	n, err := io.ReadAtLeast(l.src, l.buf[l.end:len(l.buf)-1], 1)
	l.end += n
	l.buf[l.end] = l.eol
	if errors.Is(err, io.EOF) {
		l.eof = true
		return io.EOF
	}
	return err
}

// skipLine steps behind the next line end, however far away it is, keeping nothing of the line.
func (l *lines) skipLine() error {
	for {
		if n := bytes.IndexByte(l.buf[l.pos:l.end], l.eol); n >= 0 {
			l.pos += n + 1
			l.line++
			return nil
		}
		l.pos = l.end
		if err := l.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil // the next call finds it out again
			}
			return err
		}
	}
}

// skipLines steps over lines before the table.
func (l *lines) skipLines(n int) error {
	for range n {
		if err := l.skipLine(); err != nil {
			return err
		}
		if l.eof && l.pos == l.end {
			return nil
		}
	}
	return nil
}
