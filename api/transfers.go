package api

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api/tus"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/sniff"
	"github.com/leat-dev/leat/store"
)

// newTransfers makes the handler of uploads that come in pieces, nil where the blob store cannot take any.
func (a *API) newTransfers() (*tus.Handler, error) {
	blobs, ok := a.blobs.(blob.Appender)
	if !ok {
		return nil, nil //nolint:nilnil // they are not served
	}
	return tus.New(tus.Options{
		Store: a.store, Blobs: blobs, Intake: transferIntake{a},
		MaxSize: a.limits.File, Expiry: a.limits.TransferExpiry, Commit: a.limits.Commit, Now: a.now,
	})
}

// transfer serves one request of an upload that comes in pieces.
func (a *API) transfer(w http.ResponseWriter, r *http.Request) {
	body := a.newBody(w, r)
	err := a.serveTransfer(w, r, body)
	a.metrics.received.Add(float64(body.read))
	if err != nil {
		if failureOf(err).code == wire.CodeMethodNotAllowed {
			w.Header().Set("Allow", strings.Join(a.allowed(r), ", ")) // tusd's has methods that are not served
		}
		a.turnAway(w, r, body, err)
	}
}

func (a *API) serveTransfer(w http.ResponseWriter, r *http.Request, body *body) error {
	ctx := r.Context()
	// Of the whole file a sender speaks when it begins; in each request, of its body.
	digest, err := bodyDigester(r, contentDigest)
	if err != nil {
		return err
	}
	call := tus.Call{Tenant: tenantOf(ctx), Stop: body.stop}
	if digest != nil {
		call.Verify = digest.check
	}
	// Clients give their headers, and so the key, to all requests of an upload; others than the first have
	// their effect once by their offset.
	if r.Method == http.MethodPost && r.PathValue("id") == "" {
		call.Digests = strings.Join(r.Header.Values(reprDigest), ", ")
		if _, err := promises([]string{reprDigest}, r.Header.Values); err != nil {
			return err
		}
		once, earlier, err := a.onceOfTransfer(r)
		if err != nil {
			return err
		}
		if earlier != nil {
			if _, err := io.Copy(io.Discard, body); err != nil {
				return err
			}
			w.Header().Set(replayHeader, "true")
			return a.transfers.Repeat(w, r, call, earlier)
		}
		if call.Once = once; once != nil {
			defer a.letGo(ctx, *once)
		}
	}
	if r.Method == http.MethodPatch || r.Method == http.MethodPost {
		leave, err := a.admitTransfer(w, r, body)
		if err != nil {
			return err
		}
		defer leave()
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{digest.over(body), r.Body}
	err = a.transfers.Serve(w, r, call)
	if body.err != nil && errors.Is(err, tus.ErrInterrupted) {
		return fail(wire.CodeUploadInterrupted, "%s", meaning(failureOf(body.err).code).Meaning)
	}
	return err
}

// admitTransfer lets a request in that may bring bytes. The caller says when they are kept.
func (a *API) admitTransfer(w http.ResponseWriter, r *http.Request, body *body) (leave func(), err error) {
	if _, err := a.admitUpload(r, body, w.Header(), r.PathValue("id") == ""); err != nil {
		return nil, err
	}
	if r.ContentLength == 0 {
		return func() {}, nil
	}
	if err := checkEncoding(r.Header.Get("Content-Encoding"), "Content-Encoding"); err != nil {
		return nil, err
	}
	if !a.slots.take(r.Context(), a.limits.UploadWait) {
		return nil, fail(wire.CodeTooManyUploads, "The limit is %d at a time.", a.limits.Uploads)
	}
	a.metrics.inFlight.Inc()
	return func() { a.metrics.inFlight.Dec(); a.slots.give() }, nil
}

// onceOfTransfer makes a POST with a key the one that begins a transfer, or finds what the one before it
// was answered; both are nil without a key.
func (a *API) onceOfTransfer(r *http.Request) (*store.Once, *store.Answer, error) {
	key, err := onceKey(r)
	if key == "" {
		return nil, nil, err
	}
	about := newRequest()
	about.add("transfer")
	for _, name := range []string{
		"Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Concat", "Upload-Complete", "Upload-Incomplete",
		"Content-Type", "Content-Disposition", reprDigest,
	} {
		about.add(r.Header.Values(name)...)
		about.add("")
	}
	once := about.once(key)
	hold := onceHold
	if r.Header.Get("Upload-Concat") != "" {
		hold = time.Hour // in which parts of any size are joined
	}
	earlier, err := a.beginOnce(r.Context(), once, hold)
	return &once, earlier, err
}

// letGo lets another request with the key be the one, unless this one was answered.
func (a *API) letGo(ctx context.Context, once store.Once) {
	ctx = context.WithoutCancel(ctx)
	if err := a.store.EndOnce(ctx, tenantOf(ctx), once, nil); err != nil {
		a.log.WarnContext(ctx, "could not let go of a key: the same request has to wait", "request_id", exchangeOf(ctx).id, "err", err)
	}
}

// discoverTransfers tells what the server can do with uploads in pieces.
func (a *API) discoverTransfers(w http.ResponseWriter, r *http.Request) {
	allowed := a.allowed(r)
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	preflight(w.Header(), allowed)
	if err := a.transfers.Serve(w, r, tus.Call{}); err != nil {
		a.refuse(w, r, err)
	}
}

// transferIntake makes files and jobs of uploads that came in pieces.
type transferIntake struct{ api *API }

// Check refuses what could not be accepted at the end, as far as it is known.
func (in transferIntake) Check(ctx context.Context, t *store.Transfer) error {
	s, err := in.api.quota.of(ctx, tenantOf(ctx))
	if err != nil {
		return err
	}
	if t.Length > s.FileBytes {
		return fail(wire.CodeFileTooLarge, "The limit is %d bytes.", s.FileBytes)
	}
	if t.Partial {
		return nil
	}
	c, _, err := in.choices(t)
	if err != nil {
		return err
	}
	if spec, ok := in.api.specs.Get(c.kind); ok {
		_, _, err = in.api.canonical(&spec, c.params)
	}
	return err
}

// choices reads what the sender asks for: in its metadata, by the same names as in a form. What else
// there is of it is its own.
func (in transferIntake) choices(t *store.Transfer) (*choices, string, error) {
	meta, err := tus.ParseMetadata(t.Metadata)
	if err != nil {
		return nil, "", err
	}
	c := &choices{kind: jobs.Auto}
	for _, name := range choiceNames {
		if value, ok := meta[name]; ok {
			if err := c.set(in.api, name, value); err != nil {
				return nil, "", err
			}
		}
	}
	c.filename = firstOf(meta, "filename", "name")
	return c, firstOf(meta, "filetype", "type"), nil
}

// firstOf gives the first value that is there: clients differ in how they name things.
func firstOf(meta map[string]string, names ...string) string {
	for _, name := range names {
		if meta[name] != "" {
			return meta[name]
		}
	}
	return ""
}

// Accept makes the file and its job.
func (in transferIntake) Accept(ctx context.Context, t *store.Transfer, info blob.Info) (store.Upload, error) {
	a := in.api
	c, claimed, err := in.choices(t)
	if err != nil {
		return store.Upload{}, err
	}
	if err := in.verify(ctx, t, info); err != nil {
		return store.Upload{}, err
	}
	// Of one whose length was not known, or that was begun before the limit.
	if s, err := a.quota.of(ctx, tenantOf(ctx)); err != nil {
		return store.Upload{}, err
	} else if info.Size > s.FileBytes {
		return store.Upload{}, fail(wire.CodeFileTooLarge, "The limit is %d bytes.", s.FileBytes)
	}
	file := store.NewFile{
		ID: t.ID, Name: jobs.CleanName(c.filename), ClaimedType: claimedType(claimed), Size: info.Size, SHA256: info.SHA256,
	}
	head, err := in.head(ctx, t.BlobKey, max(a.inline, sniff.Limit))
	if err != nil {
		return store.Upload{}, fmt.Errorf("look at a file: %w", err)
	}
	file.MediaType = sniff.Type(head[:min(len(head), sniff.Limit)], file.Name)
	if err := a.checkType(&file); err != nil {
		return store.Upload{}, err
	}
	if info.Size <= int64(a.inline) {
		file.Content = head
	} else {
		file.BlobKey, file.StoredAt = t.BlobKey, time.Now() // by the monotonic clock, as in put
	}
	job, err := c.job(a, &file)
	if err != nil {
		return store.Upload{}, err
	}
	return store.Upload{File: file, Job: job}, nil
}

// head reads the first bytes of an object.
func (in transferIntake) head(ctx context.Context, key uuid.UUID, limit int) (head []byte, err error) {
	object, err := in.api.blobs.Open(ctx, blob.Key(key))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, object.Close()) }()
	return io.ReadAll(io.LimitReader(object, int64(limit)))
}

// verify holds the whole against what its sender has said of it.
func (in transferIntake) verify(ctx context.Context, t *store.Transfer, info blob.Info) error {
	list, err := promises([]string{reprDigest}, func(string) []string {
		if t.Digests == "" {
			return nil
		}
		return []string{t.Digests}
	})
	if err != nil {
		return err
	}
	var sum512 []byte
	if slices.ContainsFunc(list, func(p promised) bool { return p.algorithm == sha512Name }) {
		if sum512, err = in.sum512(ctx, t.BlobKey); err != nil {
			return err
		}
	}
	for _, p := range list {
		got := info.SHA256[:]
		if p.algorithm == sha512Name {
			got = sum512
		}
		if err := p.check(got); err != nil {
			return err
		}
	}
	return nil
}

// sum512 reads an object once more, for those who ask for that hash.
func (in transferIntake) sum512(ctx context.Context, key uuid.UUID) (sum []byte, err error) {
	object, err := in.api.blobs.Open(ctx, blob.Key(key))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, object.Close()) }()
	hash := sha512.New()
	if _, err := io.Copy(hash, object); err != nil {
		return nil, err
	}
	return hash.Sum(nil), nil
}

// Hopeless: the bytes are not those that were meant, too many, or of a type that is not taken.
func (in transferIntake) Hopeless(err error) bool {
	var f *failure
	return errors.As(err, &f) && slices.Contains([]wire.Code{wire.CodeDigestMismatch, wire.CodeFileTooLarge, wire.CodeTypeNotAccepted}, f.code)
}

// Accepted hands the job over.
func (in transferIntake) Accepted(ctx context.Context, upload store.Upload, accepted store.Accepted) {
	in.api.accepted(ctx, []store.Upload{upload}, []store.Accepted{accepted})
}

// Dropped deletes an object.
func (in transferIntake) Dropped(ctx context.Context, key uuid.UUID) {
	in.api.unlink(ctx, []uuid.UUID{key})
}

// blamed is the header that a request is refused for, by tusd's name of the error.
var blamed = map[string]string{
	"ERR_INVALID_OFFSET":              "Upload-Offset",
	"ERR_INVALID_UPLOAD_LENGTH":       "Upload-Length",
	"ERR_AMBIGUOUS_UPLOAD_LENGTH":     "Upload-Length",
	"ERR_INVALID_UPLOAD_LENGTH_DEFER": "Upload-Defer-Length",
	"ERR_INVALID_CONTENT_TYPE":        "Content-Type",
	"ERR_INVALID_CONCAT":              "Upload-Concat",
}

// transferFailure is what the client is told when tusd refuses its request.
func transferFailure(e *tus.Error) *failure {
	switch e.Status {
	case http.StatusBadRequest:
		if header, ok := blamed[e.Code]; ok {
			return failField(wire.CodeInvalidParameter, header, "missing, or not what the protocol asks for")
		}
		if e.Code == "ERR_UPLOAD_NOT_FINISHED" {
			return &failure{code: wire.CodePartsUnfinished}
		}
		return &failure{code: wire.CodeMalformedRequest}
	case http.StatusForbidden:
		return &failure{code: wire.CodeUploadFromParts}
	case http.StatusNotFound:
		return &failure{code: wire.CodeNotFound}
	case http.StatusMethodNotAllowed:
		return &failure{code: wire.CodeMethodNotAllowed}
	case http.StatusConflict:
		return &failure{code: wire.CodeOffsetMismatch}
	case http.StatusPreconditionFailed:
		return &failure{code: wire.CodeUnsupportedTus}
	case http.StatusRequestEntityTooLarge:
		return &failure{code: wire.CodeFileTooLarge}
	}
	return &failure{code: wire.CodeInternal, cause: e}
}

// transferRoutes are tus's, and so those of the drafts of the IETF.
func (a *API) transferRoutes() []route {
	if a.transfers == nil {
		return nil
	}
	const one = tus.Path + "{id}"
	common := with(wire.CodeInvalidParameter, wire.CodeMalformedRequest, wire.CodeUnsupportedTus, wire.CodeCrossOrigin)
	writing := append(slices.Clone(common), wire.CodeDigestMismatch, wire.CodeChecksumMismatch, wire.CodeFileTooLarge, wire.CodeBodyTooLarge,
		wire.CodeUploadInterrupted, wire.CodeUploadLocked, wire.CodeUnsupportedEncoding, wire.CodeTypeNotAccepted, wire.CodeBytesExhausted, wire.CodeTooManyUploads, wire.CodeBlobUnavailable, wire.CodeInsufficientStorage)
	byID := func(codes []wire.Code) []wire.Code {
		return append(slices.Clone(codes), wire.CodeNotFound, wire.CodeUploadExpired)
	}
	id := pathParam("id", "uuid", "Of the upload, and of the file that it becomes.")
	body := &huma.RequestBody{Content: map[string]*huma.MediaType{"application/offset+octet-stream": {Schema: text("binary")}}}
	bare := func(status, description string) map[string]*huma.Response {
		return map[string]*huma.Response{status: {Description: description}}
	}
	begin := route{
		Method: http.MethodPost, Path: tus.Path, ID: "begin-upload", Scope: access.Upload, Tag: tagUploads, raw: a.transfer,
		Brief: "Begin an upload that comes in pieces",
		Text: "tus 1.0 with the extensions creation, creation-with-upload, creation-defer-length, checksum, expiration, termination and " +
			"concatenation, and the resumable uploads of the IETF's drafts by the interop versions 3 to 6. Upload-Metadata takes filename, filetype and the choices " +
			"of POST /v1/uploads. With the last byte the upload becomes a file of the same ID, and its job is in the header " + tus.JobHeader + ".",
		Curl: "curl -i -X POST -H 'Tus-Resumable: 1.0.0' -H 'Upload-Length: 1048576' -H \"Upload-Metadata: filename $(printf photo.jpg | base64)\" {base}" + tus.Path,
		Params: []*huma.Param{
			headerParam("Tus-Resumable", "1.0.0"), headerParam("Upload-Length", "Bytes in all."), headerParam("Upload-Defer-Length", "1: the length is told later."),
			headerParam("Upload-Metadata", "Names, each with its value in Base64, with commas between them."), headerParam("Upload-Concat", "partial, or final; and the URLs of the parts."),
			headerParam("Upload-Checksum", "What the body adds up to: one of "+tus.Algorithms+", and the sum in Base64."),
			headerParam(contentDigest, "The same as RFC 9530 has it, by sha-256 or sha-512."), headerParam(reprDigest, "What the whole file adds up to, as RFC 9530 has it."),
		},
		Body: body, Answers: bare("201", "Begun; Location is where it goes on, Upload-Expires until when."),
		Codes: append(writing, wire.CodeInvalidParams, wire.CodeUnknownKind, wire.CodeFieldTooLarge, wire.CodeTooManyWaiting, wire.CodeBacklogFull, wire.CodePartsUnfinished, wire.CodeNotFound),
	}
	short := begin
	short.Path, short.ID, short.Brief, short.Text, short.Curl = strings.TrimSuffix(tus.Path, "/"), "begin-upload-short", "The same without the slash", "The same as POST "+tus.Path+".", ""
	patch := route{
		Method: http.MethodPatch, Path: one, ID: "continue-upload", Scope: access.Upload, Tag: tagUploads, raw: a.transfer,
		Brief: "Add the next bytes to an upload",
		Text:  "At Upload-Offset, which must be where the upload stands. 204 means that the bytes are durable; the last ones also that the file and its job are.",
		Curl:  "curl -i -X PATCH -H 'Tus-Resumable: 1.0.0' -H 'Upload-Offset: 0' -H 'Content-Type: application/offset+octet-stream' --data-binary @photo.jpg {base}" + tus.Path + sampleFileID,
		Params: []*huma.Param{
			id, headerParam("Tus-Resumable", "1.0.0"), headerParam("Upload-Offset", "Where the body begins, in bytes."), headerParam("Upload-Length", "Bytes in all, if that was deferred."),
			headerParam("Upload-Checksum", "What the body adds up to."), headerParam(contentDigest, "The same as RFC 9530 has it."),
		},
		Body: body, Answers: bare("204", "Kept; Upload-Offset is where the upload stands."),
		Codes: append(byID(writing), wire.CodeOffsetMismatch, wire.CodeUploadFromParts),
	}
	discover := route{
		Method: http.MethodOptions, Path: tus.Path, ID: "discover-uploads", Scope: everybody, Tag: tagUploads, raw: a.discoverTransfers,
		Brief: "Ask what uploads in pieces can do", Text: "Versions, extensions, the largest size and the algorithms of checksums, in the headers.",
		Curl: "curl -i -X OPTIONS {base}" + tus.Path, Answers: bare("200", "What is supported, in the headers."),
	}
	discoverShort, discoverOne := discover, discover
	discoverShort.Path, discoverShort.ID, discoverShort.Brief = short.Path, "discover-uploads-short", short.Brief
	discoverShort.Text, discoverShort.Curl = "The same as OPTIONS "+tus.Path+".", ""
	discoverOne.Path, discoverOne.ID, discoverOne.Brief, discoverOne.Curl = one, "discover-upload", "Ask the same of one upload", ""
	discoverOne.Text, discoverOne.Params = "The same as OPTIONS "+tus.Path+", whether or not there is such an upload.", []*huma.Param{id}
	override := patch
	override.Method, override.ID, override.Brief, override.Curl = http.MethodPost, "override-upload", "The same for clients that know no PATCH", ""
	override.Text = "With X-HTTP-Method-Override: PATCH, or DELETE or HEAD."
	override.Codes = append(slices.Clone(patch.Codes), wire.CodeUploadFinished)
	return []route{
		begin, short, patch, override,
		{
			Method: http.MethodHead, Path: one, ID: "resume-upload", Scope: access.Upload, Tag: tagUploads, raw: a.transfer,
			Brief: "Ask where an upload stands", Codes: byID(with()),
			Text:   "Upload-Offset is the bytes that are durable: go on from there. Once the upload is a file, " + tus.JobHeader + " is its job.",
			Curl:   "curl -I -H 'Tus-Resumable: 1.0.0' {base}" + tus.Path + sampleFileID,
			Params: []*huma.Param{id}, Answers: bare("200", "Where it stands, in the headers."),
		},
		{
			Method: http.MethodDelete, Path: one, ID: "end-upload", Scope: access.Upload, Tag: tagUploads, raw: a.transfer,
			Brief: "Give an upload up", Codes: append(byID(common), wire.CodeUploadFinished),
			Text:   "What came of it is deleted. An upload that has become a file is deleted by DELETE /v1/files/{id}.",
			Curl:   "curl -X DELETE -H 'Tus-Resumable: 1.0.0' {base}" + tus.Path + sampleFileID,
			Params: []*huma.Param{id}, Answers: bare("204", "Gone."),
		},
		discover, discoverShort, discoverOne,
	}
}
