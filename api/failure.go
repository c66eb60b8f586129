package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/leat-dev/leat/api/tus"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// failure is why a request is refused: what the client is told, and what only the log is.
type failure struct {
	code   wire.Code
	detail string
	fields []wire.FieldError
	cause  error
	wait   time.Duration // until the same may succeed, where that is known better than by code
}

func (f *failure) Error() string {
	text := string(f.code)
	if f.detail != "" {
		text += ": " + f.detail
	}
	if f.cause != nil {
		text += ": " + f.cause.Error()
	}
	return text
}

func (f *failure) Unwrap() error { return f.cause }

func fail(code wire.Code, format string, args ...any) *failure {
	return &failure{code: code, detail: fmt.Sprintf(format, args...)}
}

// failField blames one field.
func failField(code wire.Code, field, message string) *failure {
	return &failure{code: code, fields: []wire.FieldError{{Field: field, Message: message}}}
}

// failureOf finds what the client is told about err. What it does not know is internal: told
// without a word, and logged.
func failureOf(err error) *failure {
	var (
		f     *failure
		state *store.StateError
		param *jobs.ParamError

		refused *tus.Error
		header  *tus.HeaderError
	)
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &state):
		return fail(wire.CodeStateConflict, "Cannot %s a job that is %s.", state.Want, state.State)
	case errors.As(err, &refused):
		return transferFailure(refused)
	case errors.As(err, &header):
		return failField(wire.CodeInvalidParameter, header.Header, header.Reason)
	case errors.As(err, &param):
		field := "params"
		if param.Field != "" {
			field += "." + param.Field
		}
		return failField(wire.CodeInvalidParams, field, param.Reason)
	case errors.Is(err, store.ErrBadCursor):
		return failField(wire.CodeInvalidCursor, "cursor", "not a cursor of this list")
	case errors.Is(err, store.ErrStale):
		return &failure{code: wire.CodeRequestTimeout, detail: "The form took longer than its first file may wait.", cause: err}
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal.err) {
			return &failure{code: refusal.code}
		}
	}
	for _, fault := range faults {
		if errors.Is(err, fault.err) {
			return &failure{code: fault.code, cause: err}
		}
	}
	return &failure{code: wire.CodeInternal, cause: err}
}

// knownError is an error that a code says all of.
type knownError struct {
	err  error
	code wire.Code
}

// refusals are the client's affair, faults the operator's too; of more than one that fit, the first counts.
var (
	refusals = []knownError{
		{store.ErrNotFound, wire.CodeNotFound},
		{store.ErrInUse, wire.CodeFileInUse},
		{store.ErrOtherRequest, wire.CodeKeyReused},
		{store.ErrOnceBusy, wire.CodeRequestInProgress},
		{tus.ErrExpired, wire.CodeUploadExpired},
		{tus.ErrLocked, wire.CodeUploadLocked},
		{tus.ErrInterrupted, wire.CodeUploadInterrupted},
		{tus.ErrAccepted, wire.CodeUploadFinished},
		{tus.ErrBadChecksum, wire.CodeChecksumMismatch},
	}
	faults = []knownError{
		{store.ErrNoSpace, wire.CodeInsufficientStorage},
		{blob.ErrNoSpace, wire.CodeInsufficientStorage},
		{store.ErrUnavailable, wire.CodeStoreUnavailable},
		{context.DeadlineExceeded, wire.CodeStoreUnavailable},
		{context.Canceled, wire.CodeRequestTimeout}, // the client went away; nobody reads this
		{blob.ErrNotExist, wire.CodeContentMissing},
		{tus.ErrBlobs, wire.CodeBlobUnavailable},
	}
)

// retryAfter is what a client is told to wait, by code.
func retryAfter(code wire.Code) time.Duration {
	switch code {
	case wire.CodeTooManyUploads, wire.CodeTooManyStreams, wire.CodeRequestInProgress, wire.CodeUploadLocked, wire.CodeUploadInterrupted:
		return time.Second
	case wire.CodeStoreUnavailable, wire.CodeBlobUnavailable:
		return 3 * time.Second
	case wire.CodeInsufficientStorage, wire.CodeTooManyWaiting, wire.CodeBacklogFull:
		return time.Minute
	default:
		return 0
	}
}

// problem is the answer to a failed request. huma takes it as an error of its own making.
type problem struct {
	*wire.Problem
	headers http.Header
}

// problemType is where a code is explained: on the API's own page.
func problemType(code wire.Code) string { return "/docs#error-" + string(code) }

func newProblem(ctx context.Context, f *failure) *problem {
	row := meaning(f.code)
	p := &problem{
		Problem: &wire.Problem{
			Type:      problemType(f.code),
			Title:     row.Meaning,
			Status:    row.Status,
			Code:      f.code,
			Detail:    f.detail,
			RequestID: exchangeOf(ctx).id,
			Errors:    f.fields,
		},
		headers: http.Header{},
	}
	if f.code == wire.CodeUnauthorized {
		p.headers.Set("WWW-Authenticate", `Bearer realm="leat"`)
	}
	wait := retryAfter(f.code)
	if f.wait > 0 {
		wait = min(max(f.wait, minComeBack), maxComeBack)
	}
	if wait > 0 {
		p.headers.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	return p
}

// GetStatus, GetHeaders and ContentType tell huma how to answer.
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) GetHeaders() http.Header   { return p.headers }
func (p *problem) ContentType(string) string { return wire.ProblemType }

// explain turns err into the answer, and logs what the client is not told.
func (a *API) explain(ctx context.Context, err error) *problem {
	f := failureOf(err)
	if f.cause != nil {
		level := slog.LevelError
		if status := meaning(f.code).Status; status < 500 {
			level = slog.LevelInfo
		} else if status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
		a.log.LogAttrs(ctx, level, "request failed",
			slog.String("request_id", exchangeOf(ctx).id), slog.String("code", string(f.code)), slog.Any("err", f.cause))
	}
	return newProblem(ctx, f)
}

// refuse answers a request with why it failed.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	writeProblem(w, a.explain(r.Context(), err))
}

func writeProblem(w http.ResponseWriter, p *problem) {
	maps.Copy(w.Header(), p.headers)
	writeBody(w, p.Status, wire.ProblemType, mustJSON(p.Problem))
}

// mustJSON encodes one of our own types, which cannot fail.
func mustJSON(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("api: encode %T: %w", v, err))
	}
	return append(body, '\n')
}

// writeBody sends a whole answer. A write that fails is the client's going away, which the
// connection notices by itself. The body is JSON, which no browser takes for a page because of
// X-Content-Type-Options, or a page that html/template escaped.
func writeBody(w http.ResponseWriter, status int, mediaType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // see above
}
