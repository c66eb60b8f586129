package input

import (
	"errors"
	"io"
)

// Cursor walks through a part of a file and looks at a few bytes of it at a time. Whatever lengths
// a format declares, it only jumps over them, and it stops at its part's end. It is for one
// goroutine.
type Cursor struct {
	src    io.ReaderAt
	Off    int64 // where it stands
	End    int64 // where its part ends
	window []byte
	start  int64 // where window begins
}

// WindowSize is how much a cursor reads at once: enough for files on a disk, and for those that
// are farther away not too much for a look at a header.
const WindowSize = 32 << 10

// NewCursor makes a cursor over the part of a file between two offsets, where it stands at the first.
func NewCursor(src io.ReaderAt, off, end int64) *Cursor {
	return &Cursor{src: src, Off: off, End: end, window: make([]byte, 0, WindowSize)}
}

// Take returns the next n bytes, at most WindowSize, which are good until the next call, and steps
// behind them. Its error is io.ErrUnexpectedEOF when there are fewer, whatever the cause.
func (c *Cursor) Take(n int) ([]byte, error) {
	p, err := c.Peek(n)
	c.Off += int64(len(p))
	return p, err
}

// Peek is Take without the step.
func (c *Cursor) Peek(n int) ([]byte, error) {
	if n > WindowSize || int64(n) > c.End-c.Off {
		return nil, io.ErrUnexpectedEOF
	}
	if c.Off < c.start || c.Off+int64(n) > c.start+int64(len(c.window)) {
		c.fill()
	}
	at := int(c.Off - c.start)
	if len(c.window)-at < n {
		return nil, io.ErrUnexpectedEOF
	}
	return c.window[at : at+n], nil
}

func (c *Cursor) fill() {
	size := min(WindowSize, c.End-c.Off)
	n, err := c.src.ReadAt(c.window[:size], c.Off)
	if err != nil && !errors.Is(err, io.EOF) {
		n = 0 // the source remembers why
	}
	c.window, c.start = c.window[:n], c.Off
}

// Skip steps over n bytes. It is false, and the cursor stands at its end, when there are fewer.
func (c *Cursor) Skip(n int64) bool { return c.MoveTo(c.Off + n) }

// MoveTo steps to an offset of the file. It is false, and the cursor stands at its end, when the
// offset lies outside of the file.
func (c *Cursor) MoveTo(off int64) bool {
	if off < 0 || off > c.End {
		c.Off = c.End
		return false
	}
	c.Off = off
	return true
}

// Read implements io.Reader.
func (c *Cursor) Read(p []byte) (int, error) {
	n := int(min(int64(len(p)), c.End-c.Off, WindowSize))
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	if left := c.start + int64(len(c.window)) - c.Off; c.Off >= c.start && left > 0 {
		n = int(min(int64(n), left))
	}
	q, err := c.Take(n)
	return copy(p, q), err
}

// Seek implements io.Seeker, forwards from where the cursor stands.
func (c *Cursor) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || offset < 0 {
		return 0, errors.ErrUnsupported
	}
	if !c.Skip(offset) {
		return 0, io.ErrUnexpectedEOF
	}
	return c.Off, nil
}
