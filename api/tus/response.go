package tus

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// response is tusd's answer, to which it adds what tusd does not know, and from which it takes the
// texts of errors: they are the caller's to write.
type response struct {
	http.ResponseWriter
	handler *Handler
	request *request
	http1   bool

	refused int    // status of an answer that is held back
	text    []byte // of it
}

// Unwrap lets http.ResponseController find what it controls.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetReadDeadline and SetWriteDeadline leave the deadlines to the body, and to the writer below.
func (w *response) SetReadDeadline(time.Time) error  { return nil }
func (w *response) SetWriteDeadline(time.Time) error { return nil }

func (w *response) WriteHeader(status int) {
	w.spend()
	if status >= http.StatusBadRequest {
		w.refused = status
		return
	}
	h := w.Header()
	q := w.request
	if q.transfer.ID != uuid.Nil && h.Get("Location") != "" {
		h.Set("Location", urlOf(q.transfer.ID)) // wherever the client has found the server
	}
	if status >= http.StatusOK {
		w.complete(h)
	}
	w.ResponseWriter.WriteHeader(status)
}

// spend ends the connection with the answer to a request that was interrupted. net/http goes on reading
// behind a body's end, and takes what ends that for the end of the connection.
func (w *response) spend() {
	if w.http1 && w.request.writer.interrupted() {
		w.Header().Set("Connection", "close")
	}
}

// complete adds the headers of the extensions that tusd does not have.
func (w *response) complete(h http.Header) {
	q := w.request
	if q.method == http.MethodOptions {
		h.Set("Tus-Extension", h.Get("Tus-Extension")+",checksum,checksum-trailer,expiration")
		h.Set("Tus-Checksum-Algorithm", Algorithms)
		return
	}
	t := &q.transfer
	switch {
	case t.ID == uuid.Nil || q.method == http.MethodDelete:
		return
	case t.JobID != uuid.Nil:
		h.Set(JobHeader, t.JobID.String())
	default:
		h.Set("Upload-Expires", t.TouchedAt.Add(w.handler.Expiry).UTC().Format(http.TimeFormat))
	}
	if q.method == http.MethodHead {
		h.Del("Content-Length") // there is no GET whose length it would be
		if h.Get("Upload-Metadata") != "" {
			h.Set("Upload-Metadata", t.Metadata) // in the order of its sender
		}
	}
}

func (w *response) Write(p []byte) (int, error) {
	if w.refused == 0 {
		return w.ResponseWriter.Write(p)
	}
	const enough = 256 // tusd's are shorter
	if len(w.text) < enough {
		w.text = append(w.text, p...)
	}
	return len(p), nil
}

// failure is why the request was refused, nil if it was not.
func (w *response) failure() error {
	if w.refused == 0 {
		return nil
	}
	w.spend()
	for _, name := range []string{"Content-Type", "Content-Length", "Location"} {
		w.Header().Del(name)
	}
	if err := w.request.err; err != nil {
		return err
	}
	code, _, _ := strings.Cut(string(w.text), ":")
	return &Error{Status: w.refused, Code: code}
}
