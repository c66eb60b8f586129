package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/store"
)

const (
	onceHeader   = "Idempotency-Key"
	replayHeader = "Idempotent-Replayed"
	// onceHold is how long a call that changes something may take before another with its key is let
	// through: longer than any statement of the store.
	onceHold = time.Minute
	// onceWait is how long a call waits for one with the same key that is under way, asking each onceAsk.
	onceWait = 10 * time.Second
	onceAsk  = 50 * time.Millisecond
)

// onceKey reads the key that a sender has given its request, empty when none.
func onceKey(r *http.Request) (string, error) {
	lines := r.Header.Values(onceHeader)
	if len(lines) == 0 {
		return "", nil
	}
	const limit = 255
	key := lines[0]
	unfit := func(c rune) bool { return c < ' ' || c > '~' }
	if len(lines) > 1 || key == "" || len(key) > limit || strings.ContainsFunc(key, unfit) {
		return "", failField(wire.CodeInvalidParameter, onceHeader, fmt.Sprintf("want one of 1 to %d printable ASCII characters", limit))
	}
	return key, nil
}

// request hashes what a request is about, field by field.
type request struct{ hash.Hash }

func newRequest() request { return request{sha256.New()} }

func (r request) add(parts ...string) {
	for _, part := range parts {
		fmt.Fprintf(r, "%d:%s", len(part), part) // a hash takes everything
	}
}

func (r request) once(key string) store.Once {
	o := store.Once{Key: key, Holder: uuid.New()}
	r.Sum(o.Request[:0])
	return o
}

// onceOfUpload is what an upload asks for: the boundary of its form does not count, nor in which order
// the choices come, nor under which path.
func (in *intake) onceOfUpload(uploads []store.Upload) store.Once {
	r := newRequest()
	c := in.choices
	r.add("upload", c.kind, c.queue, string(c.params), c.asked, fmt.Sprint(c.fresh))
	for i := range uploads {
		file := &uploads[i].File
		r.add(file.Name, file.ClaimedType, hex.EncodeToString(file.SHA256[:]))
	}
	return r.once(in.key)
}

// once has a call that changes something take effect once for each key that its sender gives, and
// answers the same again. An answer that says that something was in the way just now is not kept.
func (a *API) once(w http.ResponseWriter, r *http.Request, next http.Handler) {
	key, err := onceKey(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	if key == "" {
		next.ServeHTTP(w, r)
		return
	}
	ctx := r.Context()
	about := newRequest()
	about.add(r.Method, r.URL.Path, r.URL.Query().Encode())
	once := about.once(key)
	earlier, err := a.beginOnce(ctx, once, onceHold)
	switch {
	case err != nil:
		a.refuse(w, r, err)
	case earlier != nil:
		writeAnswer(w, earlier, true)
	default:
		a.answerOnce(w, r, once, next)
	}
}

// beginOnce waits until the call is the one, for hold, or there is an answer.
func (a *API) beginOnce(ctx context.Context, once store.Once, hold time.Duration) (*store.Answer, error) {
	wait := time.NewTimer(onceWait)
	defer wait.Stop()
	ask := time.NewTicker(onceAsk)
	defer ask.Stop()
	for {
		answer, err := a.store.BeginOnce(ctx, tenantOf(ctx), once, hold)
		if !errors.Is(err, store.ErrOnceBusy) {
			return answer, err
		}
		select {
		case <-ask.C:
		case <-wait.C:
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// answerOnce lets the call through and keeps its answer.
func (a *API) answerOnce(w http.ResponseWriter, r *http.Request, once store.Once, next http.Handler) {
	// A client that leaves now has asked all the same.
	ctx := context.WithoutCancel(r.Context())
	rec := &recording{header: w.Header()}
	var kept *store.Answer
	defer func() { // also of a panic
		if err := a.store.EndOnce(ctx, tenantOf(ctx), once, kept); err != nil {
			a.log.WarnContext(ctx, "could not keep an answer: the same request may have its effect again",
				slog.String("request_id", exchangeOf(ctx).id), slog.Any("err", err))
		}
	}()
	next.ServeHTTP(rec, r.WithContext(ctx))
	answer := rec.answer()
	if answer.Status < http.StatusInternalServerError && answer.Status != http.StatusTooManyRequests {
		kept = answer
	}
	writeAnswer(w, answer, false)
}

// recording holds a short answer back until it is kept.
type recording struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recording) Header() http.Header { return r.header }

func (r *recording) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recording) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

func (r *recording) answer() *store.Answer {
	return &store.Answer{Status: max(r.status, http.StatusOK), Location: r.header.Get("Location"), Body: r.body.Bytes()}
}

// writeAnswer sends an answer, perhaps once more.
func writeAnswer(w http.ResponseWriter, answer *store.Answer, again bool) {
	mediaType := "application/json"
	if answer.Status >= http.StatusBadRequest {
		mediaType = wire.ProblemType
	}
	if answer.Location != "" {
		w.Header().Set("Location", answer.Location)
	}
	if again {
		w.Header().Set(replayHeader, "true")
	}
	writeBody(w, answer.Status, mediaType, answer.Body)
}
