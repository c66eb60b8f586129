package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/store"
)

type fileInput struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"Of the file."`
}

func (a *API) getFile(ctx context.Context, in *fileInput) (*answer[wire.File], error) {
	file, _, err := a.store.File(ctx, tenantOf(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[wire.File]{wireFile(&file)}, nil
}

// deletePart is how many jobs of a file are deleted in one transaction.
const deletePart = 200

// deleteFile deletes a file and all that was made of it. Broken off, it is gone on with by the next call.
func (a *API) deleteFile(ctx context.Context, in *fileInput) (*struct{}, error) {
	c := exchangeOf(ctx)
	by := store.Actor{Name: c.who.name, Client: c.client, RequestID: c.id}
	for {
		deleted, err := a.store.DeleteFile(ctx, c.who.tenant, in.ID, by, deletePart)
		if err != nil {
			return nil, err
		}
		a.unlink(ctx, deleted.Freed)
		if deleted.Done {
			a.log.InfoContext(ctx, "file deleted", slog.String("request_id", c.id), slog.String("file", in.ID.String()),
				slog.String("key", c.who.name), slog.String("tenant", string(c.who.tenant)))
			return nil, nil
		}
	}
}

// unlink deletes blobs whose rows are gone. It does not end with the request: their keys are known only
// here. What cannot be deleted is left to the sweep.
func (a *API) unlink(ctx context.Context, keys []uuid.UUID) {
	if len(keys) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlinkTime)
	defer cancel()
	for _, key := range keys {
		if err := a.blobs.Delete(ctx, blob.Key(key)); err != nil {
			a.log.WarnContext(ctx, "a blob that belongs to nobody is left to the sweep",
				slog.String("request_id", exchangeOf(ctx).id), slog.String("blob", key.String()), slog.Any("err", err))
		}
	}
}

// unlinkTime bounds the deletion of blobs behind a request.
const unlinkTime = 10 * time.Second

// fileContent gives out a file's bytes.
func (a *API) fileContent(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	file, content, err := a.store.File(r.Context(), tenantOf(r.Context()), id)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	a.serve(w, r, download{file.Name, file.MediaType, file.SHA256, content})
}

// artifactContent gives out the bytes of a file that a job made.
func (a *API) artifactContent(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	art, content, err := a.store.Artifact(r.Context(), tenantOf(r.Context()), id, r.PathValue("name"))
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	a.serve(w, r, download{art.Name, art.MediaType, art.SHA256, content})
}

func pathID(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return uuid.Nil, failField(wire.CodeInvalidParameter, "id", "not a UUID")
	}
	return id, nil
}

// download is something to be given out.
type download struct {
	name      string
	mediaType string
	sha256    [32]byte
	content   store.Content
}

// serve gives out bytes that never change under their address, whole or in ranges. They are
// somebody's upload: a browser is told to save them, and to run nothing in them.
func (a *API) serve(w http.ResponseWriter, r *http.Request, d download) {
	ctx := r.Context()
	opened, err := a.open(ctx, d.content)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	content := &watched{ReadSeekCloser: opened}
	defer func() {
		if err := errors.Join(content.err, content.Close()); err != nil {
			a.log.ErrorContext(ctx, "read a blob", slog.String("request_id", exchangeOf(ctx).id), slog.Any("err", err))
		}
	}()
	h := w.Header()
	h.Set("Content-Type", d.mediaType)
	h.Set("Content-Disposition", attachment(d.name))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "private, immutable, max-age=31536000")
	h.Set("ETag", `"`+hex.EncodeToString(d.sha256[:])+`"`)
	answerDigest(w, r, d.sha256)
	http.ServeContent(&problemWriter{ResponseWriter: w, request: r}, r, "", time.Time{}, content)
}

func (a *API) open(ctx context.Context, c store.Content) (io.ReadSeekCloser, error) {
	if c.BlobKey == uuid.Nil {
		return inlineContent{bytes.NewReader(c.Inline)}, nil
	}
	object, err := a.blobs.Open(ctx, blob.Key(c.BlobKey))
	if err != nil {
		return nil, fmt.Errorf("open a blob: %w", err)
	}
	return object, nil
}

// watched remembers why content could not be read: http.ServeContent keeps it to itself, and breaks
// the answer off.
type watched struct {
	io.ReadSeekCloser
	err error
}

func (c *watched) Read(p []byte) (int, error) {
	n, err := c.ReadSeekCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // a reader promises io.EOF itself; wrapped, it is a failure
		c.err = err
	}
	return n, err
}

type inlineContent struct{ *bytes.Reader }

func (inlineContent) Close() error { return nil }

// problemWriter puts a problem in the place of the plain text with which http.ServeContent
// refuses a range or a precondition.
type problemWriter struct {
	http.ResponseWriter
	request *http.Request
	refused bool
}

// Unwrap lets http.ResponseController find what it controls.
func (w *problemWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *problemWriter) WriteHeader(status int) {
	var code wire.Code
	switch status {
	case http.StatusRequestedRangeNotSatisfiable:
		code = wire.CodeRangeNotSatisfiable
	case http.StatusPreconditionFailed:
		code = wire.CodePreconditionFailed
	default:
		if status >= http.StatusBadRequest {
			code = wire.CodeInternal
		}
	}
	if code == "" {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.refused = true
	h := w.Header()
	h.Del("Content-Disposition")
	h.Del("Repr-Digest")
	h.Set("Cache-Control", "no-store")
	writeProblem(w.ResponseWriter, newProblem(w.request.Context(), &failure{code: code}))
}

func (w *problemWriter) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil // the plain text
	}
	return w.ResponseWriter.Write(p)
}

// attachment makes the header that has a browser save a file under its name: in ASCII for those
// who know no better, and as RFC 8187 has it.
func attachment(name string) string {
	var ascii, extended strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c < ' ' || c > '~' || c == '"' || c == '\\' || c == '%':
			ascii.WriteByte('_')
		default:
			ascii.WriteByte(c)
		}
		if isAttrChar(c) {
			extended.WriteByte(c)
		} else {
			fmt.Fprintf(&extended, "%%%02X", c)
		}
	}
	return `attachment; filename="` + ascii.String() + `"; filename*=UTF-8''` + extended.String()
}

// isAttrChar tells whether RFC 8187 lets a byte stand for itself.
func isAttrChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0
}
