package client

import (
	"errors"
	"io"
	"sync"
)

// form is the body of an upload. The transport reads it in a goroutine of its own, which may still
// be about to read when the answer has come: stop sees to it that the files and the callback are
// the caller's again.
type form struct {
	contentType string
	length      int64 // negative when not known
	body        io.Reader

	mu       sync.Mutex
	stopped  bool
	sent     int64
	progress func(int64)
}

var errStopped = errors.New("the upload has been answered")

// add adds to the length of the form.
func (f *form) add(n int64) {
	if n < 0 || f.length < 0 {
		f.length = -1
		return
	}
	f.length += n
}

func (f *form) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return 0, errStopped
	}
	return f.body.Read(p)
}

// stop waits for a Read that is under way and refuses those to come.
func (f *form) stop() {
	f.mu.Lock()
	f.stopped = true
	f.mu.Unlock()
}

// counter counts the bytes of one file on their way.
type counter struct {
	src  io.Reader
	form *form
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	if n > 0 && c.form.progress != nil {
		c.form.sent += int64(n)
		c.form.progress(c.form.sent)
	}
	return n, err
}
