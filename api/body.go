package api

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/leat-dev/leat/api/wire"
)

// body reads a request's body: no more than limit bytes of it, and no slower than the pace that
// the limits ask for. It remembers what stopped it, so that whoever reads through other readers
// learns the cause whatever they made of it.
type body struct {
	src   io.Reader
	limit int64

	control *http.ResponseController
	now     func() time.Time
	chunk   int64
	wait    time.Duration
	renewAt int64

	read int64
	err  error // the first that is not io.EOF, in the client's terms
	done bool  // io.EOF was seen

	charge  func(n int64) error // is told of bytes that came; nil for nobody
	charged int64

	mu      sync.Mutex // of the deadline
	stopped bool
}

func (a *API) newBody(w http.ResponseWriter, r *http.Request) *body {
	return &body{
		src:     r.Body,
		limit:   a.limits.Body,
		control: http.NewResponseController(w),
		now:     time.Now, // deadlines of connections are by the real clock
		chunk:   a.limits.BodyChunk,
		wait:    a.limits.BodyWait,
	}
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.done {
		return 0, io.EOF
	}
	if b.read >= b.renewAt {
		b.renewAt = b.read + b.chunk
		b.renew()
	}
	n, err := b.src.Read(p)
	b.read += int64(n)
	if failed := b.pay(err != nil); failed != nil {
		b.err = failed
		return 0, b.err
	}
	switch {
	case b.read > b.limit:
		b.err = fail(wire.CodeBodyTooLarge, "The limit is %d bytes.", b.limit)
		return 0, b.err
	case err == io.EOF: // a reader promises io.EOF itself
		b.done = true
		return n, io.EOF
	case err != nil:
		b.err = bodyFailure(err)
		return n, b.err
	}
	return n, nil
}

// pay has the bytes charged that came since the last time, once they are many, or the last.
func (b *body) pay(last bool) error {
	due := b.read - b.charged
	if b.charge == nil || due == 0 || due < chargeEvery && !last {
		return nil
	}
	b.charged = b.read
	return b.charge(due)
}

// renew gives the sender time for the next chunk.
func (b *body) renew() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		// Where there is no connection to set a deadline on, there is none to be held either.
		_ = b.control.SetReadDeadline(b.now().Add(b.wait))
	}
}

// stop ends a Read that is under way, and those that are to come. Any goroutine may call it while the
// request is served.
func (b *body) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	_ = b.control.SetReadDeadline(b.now()) // as in renew
}

// bodyFailure tells a sender who was too slow from one who stopped.
func bodyFailure(err error) *failure {
	var f *failure
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &failure{code: wire.CodeRequestTimeout}
	case errors.As(err, &tooLarge):
		return fail(wire.CodeBodyTooLarge, "The limit is %d bytes.", tooLarge.Limit)
	}
	return &failure{code: wire.CodeIncompleteBody}
}

// maxSkipped bounds the body of a call that takes none, in bytes.
const maxSkipped = 64 << 10

// skip reads the body of a call that takes none, so that the server need not wait for it without
// our limits. It reports whether that went well.
func (b *body) skip() bool {
	b.limit = min(b.limit, maxSkipped)
	_, err := io.Copy(io.Discard, b)
	return err == nil
}

// broken reports whether nothing more is to be expected of the connection.
func (b *body) broken() bool {
	var f *failure
	if !errors.As(b.err, &f) {
		return false
	}
	return f.code == wire.CodeIncompleteBody || f.code == wire.CodeRequestTimeout
}
