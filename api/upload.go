package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/store"
)

// upload takes a form's files, or the raw body as one, and answers once they are durable and
// their jobs committed.
func (a *API) upload(w http.ResponseWriter, r *http.Request) {
	in := &intake{api: a, body: a.newBody(w, r)}
	uploads, accepted, err := in.run(r)
	a.metrics.received.Add(float64(in.body.read))
	if err != nil {
		defer in.discard(r.Context()) // once the client knows
		a.turnAway(w, r, in.body, err)
		return
	}
	a.metrics.accepted.Add(float64(len(uploads)))
	a.logUpload(r.Context(), uploads)
	answers := make([]wire.Upload, len(uploads))
	for i := range uploads {
		answers[i] = wireUpload(&uploads[i], accepted[i].ResultOf)
	}
	if len(answers) > 1 {
		writeBody(w, http.StatusAccepted, "application/json", mustJSON(wire.Uploads{Uploads: answers}))
		return
	}
	w.Header().Set("Location", jobPath(answers[0].JobID))
	writeBody(w, http.StatusAccepted, "application/json", mustJSON(&answers[0]))
}

// intake is one upload while it comes in.
type intake struct {
	api     *API
	body    *body
	choices *choices
	guard   *partGuard // of a form
	files   []store.NewFile
	inline  int        // bytes of content held in memory
	kept    []blob.Key // of blobs that no commit was asked to refer to
}

// run receives the upload and commits it.
func (in *intake) run(r *http.Request) ([]store.Upload, []store.Accepted, error) {
	a := in.api
	boundary, form, err := formBoundary(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, nil, err
	}
	if in.choices, err = a.queryChoices(r, form); err != nil {
		return nil, nil, err
	}
	if err := checkEncoding(r.Header.Get("Content-Encoding"), "Content-Encoding"); err != nil {
		return nil, nil, err
	}
	if r.ContentLength > a.limits.Body {
		return nil, nil, fail(wire.CodeBodyTooLarge, "The limit is %d bytes.", a.limits.Body)
	}
	if !a.slots.take(r.Context(), a.limits.UploadWait) {
		return nil, nil, fail(wire.CodeTooManyUploads, "The limit is %d at a time.", a.limits.Uploads)
	}
	a.metrics.inFlight.Inc()
	defer func() { a.metrics.inFlight.Dec(); a.slots.give() }()

	if form {
		err = in.form(r.Context(), boundary, r.ContentLength)
	} else {
		err = in.raw(r.Context(), r.Header.Get("Content-Type"))
	}
	if err != nil {
		return nil, nil, err
	}
	return in.commit(r.Context())
}

// formBoundary tells whether a body is a form, and what stands between its parts.
func formBoundary(contentType string) (string, bool, error) {
	head, _, _ := strings.Cut(contentType, ";")
	if !strings.EqualFold(strings.TrimSpace(head), "multipart/form-data") {
		return "", false, nil
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return "", false, fail(wire.CodeMalformedMultipart, "The content type names no boundary.")
	}
	return params["boundary"], true, nil
}

// checkEncoding refuses content that is packed for its way: what is kept, hashed and processed
// are the bytes as they came.
func checkEncoding(encoding, header string) error {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity", "binary", "8bit", "7bit":
		return nil
	}
	return fail(wire.CodeUnsupportedEncoding, "Send the plain bytes, without the header %s.", header)
}

// raw takes the whole body as one file.
func (in *intake) raw(ctx context.Context, contentType string) error {
	return in.receive(ctx, in.body, in.choices.filename, contentType)
}

// commit makes the jobs and commits them with their files. From here on the blobs are left to the
// sweep, whatever the store answers: it may have committed without being heard.
func (in *intake) commit(ctx context.Context) ([]store.Upload, []store.Accepted, error) {
	a := in.api
	uploads := make([]store.Upload, len(in.files))
	for i := range in.files {
		job, err := in.choices.job(a, &in.files[i])
		if err != nil {
			return nil, nil, err
		}
		uploads[i] = store.Upload{File: in.files[i], Job: job}
	}
	in.kept = nil
	// The client has sent everything: if it leaves now, its upload is accepted all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.limits.Commit)
	defer cancel()
	accepted, err := a.store.Accept(ctx, tenantOf(ctx), uploads)
	if err != nil {
		return nil, nil, fmt.Errorf("commit an upload: %w", err)
	}
	a.handOver(dueDeliveries(uploads, accepted))
	return uploads, accepted, nil
}

// dueDeliveries picks those of the jobs just committed that may run now.
func dueDeliveries(uploads []store.Upload, accepted []store.Accepted) []store.Delivery {
	due := make([]store.Delivery, 0, len(accepted))
	for i, acc := range accepted {
		if acc.Due {
			due = append(due, store.Delivery{JobID: acc.JobID, Generation: acc.Generation, Queue: uploads[i].Job.Queue})
		}
	}
	return due
}

// What a refused request is still read, so that a client which sends before it listens gets to
// hear why; and how many such requests at a time.
const (
	drainBytes = 64 << 20
	drainTime  = 5 * time.Second
	maxDrains  = 64
)

// turnAway refuses a request whose body may be still on the way: closing the connection at once
// would reset it, and the client might never see the answer.
func (a *API) turnAway(w http.ResponseWriter, r *http.Request, body *body, err error) {
	if body.done || r.ContentLength == 0 {
		a.refuse(w, r, err)
		return
	}
	control := http.NewResponseController(w)
	// Where either is not supported there is no connection whose rest could be in the way.
	_ = control.EnableFullDuplex()
	w.Header().Set("Connection", "close")
	a.refuse(w, r, err)
	_ = control.Flush() // if it fails, the client has gone

	waits := r.Header.Get("Expect") != "" && body.read == 0 // the client has not begun to send
	if waits || body.broken() || !a.drains.take(r.Context(), 0) {
		_ = control.SetReadDeadline(time.Now()) // the server is not to wait for the rest either
		return
	}
	defer a.drains.give()
	_ = control.SetReadDeadline(time.Now().Add(drainTime)) // drainBytes bounds it where this is not supported
	n, err := io.CopyN(io.Discard, r.Body, drainBytes)
	a.metrics.received.Add(float64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		a.log.DebugContext(r.Context(), "drain of a refused body ended", slog.String("request_id", exchangeOf(r.Context()).id), slog.Any("err", err))
	}
}

// discardTime bounds the deletion of what a refused upload has left.
const discardTime = 10 * time.Second

// discard deletes the blobs of an upload that was refused. What cannot be deleted is left to the
// sweep.
func (in *intake) discard(ctx context.Context) {
	if len(in.kept) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	for _, key := range in.kept {
		if err := in.api.blobs.Delete(ctx, key); err != nil {
			in.api.log.WarnContext(ctx, "blob of a refused upload is left to the sweep",
				slog.String("request_id", exchangeOf(ctx).id), slog.String("blob", key.String()), slog.Any("err", err))
		}
	}
}

func (a *API) logUpload(ctx context.Context, uploads []store.Upload) {
	if !a.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	ids := make([]uuid.UUID, len(uploads))
	var size int64
	for i := range uploads {
		ids[i] = uploads[i].Job.ID
		size += uploads[i].File.Size
	}
	c := exchangeOf(ctx)
	a.log.LogAttrs(ctx, slog.LevelInfo, "upload accepted",
		slog.String("request_id", c.id), slog.Any("jobs", ids), slog.Int64("bytes", size),
		slog.Duration("took", a.now().Sub(c.started)), slog.String("client", c.client), slog.String("tenant", string(c.who.tenant)))
}
