package api

import (
	"net/http"
	"time"
)

// response keeps account of an answer, and cuts off a reader that takes none of it.
type response struct {
	http.ResponseWriter
	control *http.ResponseController

	status int   // 0 until the header is written
	sent   int64 // bytes of the body

	// The deadline moves on with every chunk bytes, wait from then.
	chunk   int64
	wait    time.Duration
	now     func() time.Time
	renewAt int64
}

func (a *API) newResponse(w http.ResponseWriter) *response {
	return &response{
		ResponseWriter: w,
		control:        http.NewResponseController(w),
		chunk:          a.limits.BodyChunk,
		wait:           a.limits.BodyWait,
		now:            time.Now, // deadlines of connections are by the real clock
	}
}

// Unwrap lets http.ResponseController find what it controls.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.sent >= w.renewAt {
		w.renewAt = w.sent + w.chunk
		// Where there is no connection to set a deadline on, there is none to be held either.
		_ = w.control.SetWriteDeadline(w.now().Add(w.wait))
	}
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}
