// Package tus takes uploads that come in several requests: by tus 1.0 with its extensions, and by the
// drafts of the IETF that came of it (draft-ietf-httpbis-resumable-upload, interop versions 3 to 6).
//
// The protocol is tusd's. What a handler of one process with a folder leaves open is the package's own:
// the offset that a client is told is durable and stands in the store; who writes holds the transfer's
// latest epoch, so that any process can go on with what another began, at once, and reading never
// waits; the file and its job are committed once, with the last offset; checksums are checked before an
// offset moves; and what is not finished expires.
//
// Of Leat's it imports jobs, blob and store.
package tus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	tusd "github.com/tus/tusd/v2/pkg/handler"
	"golang.org/x/exp/slog" // the one that tusd takes

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Path is where transfers are served.
const Path = "/tus/"

// version is that of tus.
const version = "1.0.0"

// JobHeader tells the job of a transfer that was accepted. The file's ID is the transfer's.
const JobHeader = "Leat-Job-Id"

// Store is what the package needs of the store.
type Store interface {
	store.Transfers
	EndOnce(ctx context.Context, tenant jobs.Tenant, once store.Once, answer *store.Answer) error
}

// Intake decides what is taken, and what becomes of it. Its methods run in the goroutine of the request.
type Intake interface {
	// Check refuses a transfer before its first byte.
	Check(ctx context.Context, t *store.Transfer) error
	// Accept makes a file and its job of a transfer that has come in whole, as the object t.BlobKey. The
	// file's ID is the transfer's. An error that Hopeless reports ends the transfer.
	Accept(ctx context.Context, t *store.Transfer, info blob.Info) (store.Upload, error)
	// Hopeless reports whether Accept would refuse the same bytes again.
	Hopeless(err error) bool
	// Accepted is told what was committed.
	Accepted(ctx context.Context, upload store.Upload, accepted store.Accepted)
	// Dropped is told of an object that belongs to no row any more.
	Dropped(ctx context.Context, key uuid.UUID)
}

// Options says what a Handler works with. All are required.
type Options struct {
	Store   Store
	Blobs   blob.Appender
	Intake  Intake
	MaxSize int64         // of a file, in bytes
	Expiry  time.Duration // of a transfer, since its last request
	Commit  time.Duration // waited for the store to commit
	Now     func() time.Time
}

// Handler serves transfers. Its methods may be called from many goroutines at once.
type Handler struct {
	Options
	tusd    http.Handler
	writers *writers
}

// New makes a Handler.
func New(o Options) (*Handler, error) {
	h := &Handler{Options: o, writers: newWriters()}
	composer := tusd.NewStoreComposer()
	composer.UseCore(h)
	composer.UseTerminater(h)
	composer.UseConcater(h)
	composer.UseLengthDeferrer(h)
	composer.UseLocker(h)
	handler, err := tusd.NewHandler(tusd.Config{
		StoreComposer:              composer,
		MaxSize:                    o.MaxSize,
		BasePath:                   Path,
		EnableExperimentalProtocol: true,
		DisableDownload:            true, // GET /v1/files/{id}/content gives out what was accepted
		Cors:                       &tusd.CorsConfig{Disable: true},
		// It logs each request several times; what goes wrong is told to the caller of Serve.
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		// Its context would end that long after the request. What must not break off has its own.
		GracefulRequestCompletionTimeout: time.Millisecond,
		AcquireLockTimeout:               lockWait,
	})
	if err != nil {
		return nil, fmt.Errorf("tus: %w", err)
	}
	h.tusd = http.StripPrefix(strings.TrimSuffix(Path, "/"), handler)
	return h, nil
}

// Interrupt has all transfers that come in kept as far as they are, and answered: clients go on with
// them elsewhere.
func (h *Handler) Interrupt() { h.writers.end() }

// Call is what the caller of Serve knows of a request.
type Call struct {
	Tenant  jobs.Tenant
	Digests string       // of the whole file, to be kept with a new transfer
	Verify  func() error // called when the body has come, before an offset moves; nil when there is nothing to check
	Once    *store.Once  // of a POST with a key, which was begun; nil for none
	Stop    func()       // ends the reading of the body, now and from now on
}

// Error is a request that the protocol refuses.
type Error struct {
	Status int
	Code   string // tusd's name of it, such as ERR_MISMATCHED_OFFSET
}

func (e *Error) Error() string { return "tus: " + e.Code }

var (
	// ErrExpired: nobody has asked for the transfer for too long.
	ErrExpired = errors.New("tus: the transfer has expired")
	// ErrLocked: another request writes to the transfer.
	ErrLocked = errors.New("tus: another request writes to the transfer")
	// ErrInterrupted: the body broke off, or the server is about to end. What came is kept.
	ErrInterrupted = errors.New("tus: the body broke off")
	// ErrAccepted: the transfer has become a file.
	ErrAccepted = errors.New("tus: the transfer is finished")
	// ErrBlobs: the blob store failed.
	ErrBlobs = errors.New("tus: the blob store failed")
	// ErrBadChecksum: the bytes do not add up to the Upload-Checksum.
	ErrBadChecksum = errors.New("tus: the checksum does not match")
)

// HeaderError is a header that cannot be understood.
type HeaderError struct{ Header, Reason string }

func (e *HeaderError) Error() string { return "tus: " + e.Header + ": " + e.Reason }

// Serve answers a request, or returns why it is refused; then nothing has been written.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, call Call) error {
	q := &request{Call: call, method: method(r), length: r.ContentLength, offset: -1}
	q.body = &receiver{src: r.Body, request: q}
	if !isDraft(r) {
		w.Header().Set("Tus-Resumable", version) // also where tusd is not asked
	}
	if err := q.read(r); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), requestKey{}, q))
	defer cancel() // tusd waits for it
	r = r.WithContext(ctx)
	r.Body = q.body
	answer := &response{ResponseWriter: w, handler: h, request: q, http1: r.ProtoMajor == 1}
	h.tusd.ServeHTTP(answer, r)
	return answer.failure()
}

// Repeat answers a POST with a key once more: where the transfer is that it began, and how far that has
// come. Its body was read.
func (h *Handler) Repeat(w http.ResponseWriter, r *http.Request, call Call, answer *store.Answer) error {
	q := &request{Call: call, method: http.MethodPost}
	out := &response{ResponseWriter: w, handler: h, request: q}
	id, err := uuid.Parse(strings.TrimPrefix(answer.Location, Path))
	if err != nil {
		return fmt.Errorf("tus: %q was answered to a POST: %w", answer.Location, err)
	}
	q.transfer, err = h.Store.Transfer(r.Context(), call.Tenant, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) { // which the client finds out by itself
		return err
	}
	w.Header().Set("Tus-Resumable", version)
	w.Header().Set("Location", answer.Location)
	if q.transfer.ID != uuid.Nil {
		w.Header().Set("Upload-Offset", strconv.FormatInt(q.transfer.Offset, 10))
	}
	out.WriteHeader(answer.Status)
	return nil
}

// method is that of the request, or the one that a client means which can send no other than POST.
func method(r *http.Request) string {
	if meant := r.Header.Get("X-HTTP-Method-Override"); meant != "" && r.Method == http.MethodPost {
		return meant
	}
	return r.Method
}

// isDraft reports whether tusd takes the request for one of the drafts of the IETF.
func isDraft(r *http.Request) bool {
	switch r.Header.Get("Upload-Draft-Interop-Version") {
	case "3", "4", "5", "6":
		return true
	}
	return false
}

// request is what is known of a request while it is served. One goroutine uses it, but for writer.
type request struct {
	Call
	method   string
	length   int64 // of the body; -1 for unknown
	body     *receiver
	offset   int64  // that its sender believes in; -1 for none
	metadata string // of a new transfer

	transfer store.Transfer // as it stands; its ID is uuid.Nil until it is known
	owned    bool           // the transfer's latest epoch is this request's
	writer   *writer        // nil unless it may write
	err      error          // what it failed with in this package
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	return ctx.Value(requestKey{}).(*request) //nolint:errcheck,forcetypeassert // tusd is called by Serve only
}

// read takes what the package itself wants to know of the headers.
func (q *request) read(r *http.Request) error {
	if offset, err := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64); err == nil {
		q.offset = offset
	}
	if q.method == http.MethodPost {
		q.metadata = strings.Join(r.Header.Values("Upload-Metadata"), ",")
		if _, err := ParseMetadata(q.metadata); err != nil {
			return err
		}
		if err := checkDescription(r); err != nil {
			return err
		}
	}
	sum, err := parseChecksum(r)
	if err != nil || sum == nil {
		return err
	}
	q.body.src = readCloser{sum.over(q.body.src), q.body.src}
	verify := q.Verify
	q.Verify = func() error {
		if err := sum.check(); err != nil || verify == nil {
			return err
		}
		return verify()
	}
	return nil
}

// checkDescription refuses what tusd cannot read of a draft's description of its file, and would call an
// error of the server's.
func checkDescription(r *http.Request) error {
	if !isDraft(r) {
		return nil
	}
	for _, header := range []string{"Content-Type", "Content-Disposition"} {
		if value := r.Header.Get(header); value != "" {
			if _, _, err := mime.ParseMediaType(value); err != nil {
				return &HeaderError{header, "cannot be read"}
			}
		}
	}
	return nil
}

// fail notes why the request fails, and gives tusd an error that it can answer.
func (q *request) fail(err error) error {
	if q.err == nil {
		q.err = err
	}
	return tusd.NewError("ERR_LEAT", "refused", http.StatusInternalServerError)
}

// failed tells tusd of an error of the store: as one that it knows, if it does.
func (q *request) failed(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return tusd.ErrNotFound
	case errors.Is(err, store.ErrTransferLost):
		q.err = nil // that the body broke off comes of it
		return q.fail(ErrLocked)
	}
	return q.fail(err)
}

// failedBlob notes an error of the blob store, or of what it was given to read or to call.
func (q *request) failedBlob(err error) error { return q.fail(fmt.Errorf("%w: %w", ErrBlobs, err)) }

// receiver is a body, of which it is known how much came, and whether that was all. tusd's own reader
// hides that from those who store the bytes.
type receiver struct {
	src     io.ReadCloser
	request *request
	n       int64
	end     bool // it came whole
}

func (b *receiver) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	b.n += int64(n)
	if err == io.EOF { //nolint:errorlint // a reader promises io.EOF itself
		b.end = true
	} else if err != nil {
		err = b.request.fail(b.request.writer.why())
	}
	return n, err
}

func (b *receiver) Close() error { return b.src.Close() }

type readCloser struct {
	io.Reader
	io.Closer
}

// urlOf is the path of a transfer.
func urlOf(id uuid.UUID) string { return Path + id.String() }

// ParseMetadata reads an Upload-Metadata header: pairs of a key and its value in Base64, with commas.
// Unlike tusd it refuses what it cannot read, rather than leave it out.
func ParseMetadata(header string) (map[string]string, error) {
	bad := func(reason string) error { return &HeaderError{"Upload-Metadata", reason} }
	if len(header) > maxMetadata {
		return nil, bad("too long")
	}
	meta := map[string]string{}
	for pair := range strings.SplitSeq(header, ",") {
		pair = strings.TrimSpace(pair)
		if pair == "" {
			continue
		}
		key, text, _ := strings.Cut(pair, " ")
		if _, twice := meta[key]; twice {
			return nil, bad("a key is given more than once")
		}
		value, err := decodeBase64(text)
		if err != nil {
			return nil, bad("a value is not in Base64")
		}
		meta[key] = string(value)
	}
	return meta, nil
}

// maxMetadata bounds the metadata of a transfer, in bytes.
const maxMetadata = 16 << 10
