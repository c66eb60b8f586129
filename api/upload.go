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
	"github.com/leat-dev/leat/store"
)

// upload takes a form's files, or the raw body as one, and answers once they are durable and
// their jobs committed.
func (a *API) upload(w http.ResponseWriter, r *http.Request) {
	in := &intake{api: a, body: a.newBody(w, r), header: w.Header()}
	defer in.discard(r.Context()) // once the client knows
	answer, err := in.run(r)
	a.metrics.received.Add(float64(in.body.read))
	if err != nil {
		a.turnAway(w, r, in.body, err)
		return
	}
	writeAnswer(w, &answer, in.replayed)
}

// answerUploads is the answer to uploads that were accepted.
func answerUploads(uploads []store.Upload, accepted []store.Accepted) store.Answer {
	answers := make([]wire.Upload, len(uploads))
	for i := range uploads {
		answers[i] = wireUpload(&uploads[i], accepted[i].ResultOf)
	}
	if len(answers) > 1 {
		return store.Answer{Status: http.StatusAccepted, Body: mustJSON(wire.Uploads{Uploads: answers})}
	}
	return store.Answer{Status: http.StatusAccepted, Location: jobPath(answers[0].JobID), Body: mustJSON(&answers[0])}
}

// intake is one upload while it comes in.
type intake struct {
	api     *API
	header  http.Header // of the answer
	key     string      // by which it is accepted once; empty for none
	body    *body
	digest  *digester // of the whole body
	choices *choices

	isForm   bool
	boundary string
	guard    *partGuard // of a form
	files    []store.NewFile
	maxFile  int64       // bytes of each file
	inline   int         // bytes of content held in memory
	kept     []uuid.UUID // keys of blobs that no commit refers to

	replayed bool // it was accepted before, and is given that answer
}

// run receives the upload and commits it.
func (in *intake) run(r *http.Request) (store.Answer, error) {
	a := in.api
	err := in.prepare(r)
	if err != nil {
		return store.Answer{}, err
	}
	if in.maxFile, err = a.admitUpload(r, in.body, in.header, true); err != nil {
		return store.Answer{}, err
	}
	if !a.slots.take(r.Context(), a.limits.UploadWait) {
		return store.Answer{}, fail(wire.CodeTooManyUploads, "The limit is %d at a time.", a.limits.Uploads)
	}
	a.metrics.inFlight.Inc()
	defer func() { a.metrics.inFlight.Dec(); a.slots.give() }()
	err = in.read(r)
	if err == nil {
		err = in.digest.check()
	}
	if err != nil {
		return store.Answer{}, err
	}
	return in.commit(r.Context())
}

// prepare looks at all that stands before the body.
func (in *intake) prepare(r *http.Request) error {
	a := in.api
	var err error
	if in.boundary, in.isForm, err = formBoundary(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	if in.key, err = onceKey(r); err != nil {
		return err
	}
	if in.choices, err = a.queryChoices(r, in.isForm); err != nil {
		return err
	}
	if err := checkEncoding(r.Header.Get("Content-Encoding"), "Content-Encoding"); err != nil {
		return err
	}
	if r.ContentLength > a.limits.Body {
		return fail(wire.CodeBodyTooLarge, "The limit is %d bytes.", a.limits.Body)
	}
	in.digest, err = bodyDigester(r, digestFields...)
	return err
}

func (in *intake) read(r *http.Request) error {
	if in.isForm {
		return in.form(r.Context(), in.boundary, r.ContentLength)
	}
	return in.raw(r.Context(), r.Header.Get("Content-Type"))
}

// admitUpload decides whether the tenant may begin an upload now, and go on with its body, whose bytes
// are charged as they come. It returns the largest file that the tenant may send.
func (a *API) admitUpload(r *http.Request, body *body, header http.Header, begins bool) (maxFile int64, err error) {
	ctx := r.Context()
	s, err := a.quota.of(ctx, tenantOf(ctx))
	if err != nil {
		return 0, err
	}
	if begins {
		if err := a.quota.backlog(ctx, &s); err != nil {
			return 0, err
		}
	}
	body.charge, err = a.quota.body(ctx, header, &s, r.ContentLength)
	return s.FileBytes, err
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
	return in.receive(ctx, in.digest.over(in.body), in.choices.filename, contentType)
}

// commit makes the jobs and commits them with their files. From here on the blobs are left to the
// sweep, unless the store says that it does not refer to them: it may have committed without being
// heard.
func (in *intake) commit(ctx context.Context) (store.Answer, error) {
	a := in.api
	uploads := make([]store.Upload, len(in.files))
	for i := range in.files {
		job, err := in.choices.job(a, &in.files[i])
		if err != nil {
			return store.Answer{}, err
		}
		uploads[i] = store.Upload{File: in.files[i], Job: job}
	}
	in.kept = nil
	// The client has sent everything: if it leaves now, its upload is accepted all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.limits.Commit)
	defer cancel()
	accepted, answer, err := in.accept(ctx, uploads)
	if err != nil {
		return store.Answer{}, fmt.Errorf("commit an upload: %w", err)
	}
	if in.replayed {
		in.kept = keysOf(uploads)
		return answer, nil
	}
	a.accepted(ctx, uploads, accepted)
	return answer, nil
}

// accepted hands over the jobs of uploads that were committed, and tells of them.
func (a *API) accepted(ctx context.Context, uploads []store.Upload, accepted []store.Accepted) {
	a.handOver(dueDeliveries(uploads, accepted))
	a.quota.accepted(tenantOf(ctx), len(uploads))
	a.metrics.accepted.Add(float64(len(uploads)))
	a.logUpload(ctx, uploads)
}

// accept commits uploads, once if the sender has given them a key.
func (in *intake) accept(ctx context.Context, uploads []store.Upload) (accepted []store.Accepted, answer store.Answer, err error) {
	a := in.api
	if in.key == "" {
		if accepted, err = a.store.Accept(ctx, tenantOf(ctx), uploads); err == nil {
			answer = answerUploads(uploads, accepted)
		}
		return accepted, answer, err
	}
	accepted, answer, in.replayed, err = a.store.AcceptOnce(ctx, tenantOf(ctx), in.onceOfUpload(uploads), uploads,
		func(accepted []store.Accepted) store.Answer { return answerUploads(uploads, accepted) })
	if errors.Is(err, store.ErrOtherRequest) {
		in.kept = keysOf(uploads)
	}
	return accepted, answer, err
}

// keysOf are the keys of the blobs in which uploads lie.
func keysOf(uploads []store.Upload) []uuid.UUID {
	var keys []uuid.UUID
	for i := range uploads {
		if key := uploads[i].File.BlobKey; key != uuid.Nil {
			keys = append(keys, key)
		}
	}
	return keys
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
	if r.ProtoMajor == 1 { // over HTTP/2, the rest comes in this stream alone
		w.Header().Set("Connection", "close")
	}
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

// discard deletes the blobs of an upload that was refused.
func (in *intake) discard(ctx context.Context) { in.api.unlink(ctx, in.kept) }

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
