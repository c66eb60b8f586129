package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
)

// Source is a file that can be read from any place, so that an upload of it can be gone on with.
type Source struct {
	Name      string
	MediaType string // what it claims to be; none when empty
	Content   io.ReaderAt
	Size      int64 // bytes
}

// How often an upload is tried again that comes no further, and what lies between two tries: from the
// first wait on, each twice the one before it. All of them together take four minutes.
const (
	transferTries    = 30
	firstTransferTry = 200 * time.Millisecond
	maxTransferTry   = 10 * time.Second
)

// UploadInPieces sends a file by the tus protocol and returns what was accepted. When the connection
// breaks, or the server is away for a while, it goes on where the server stands; so does a later call
// with the same key, options and file, also of another process. again says that a call before this one
// had uploaded it to its end, and that this one sent nothing. It gives up once nothing has come further
// for about four minutes; what came is kept by the server for a time of its own.
//
// An upload without a key is given one of its own. What is not known of the accepted file, because the
// client's key may not read, is left out.
func (c *Client) UploadInPieces(ctx context.Context, o UploadOptions, src Source) (up wire.Upload, again bool, err error) {
	if o.Key == "" {
		o.Key = uuid.NewString()
	}
	t := &transfer{client: c, options: o, src: src}
	if err := t.retry(ctx, t.begin); err != nil {
		return wire.Upload{}, false, fmt.Errorf("begin the upload: %w", err)
	}
	again = t.job != ""
	if err := t.retry(ctx, t.goOn); err != nil {
		return wire.Upload{}, false, err
	}
	up = wire.Upload{Status: wire.StatusProcessing, Size: src.Size}
	if up.FileID, err = uuid.Parse(t.id); err != nil {
		return up, again, fmt.Errorf("the server's answer names no upload: %w", err)
	}
	if up.JobID, err = uuid.Parse(t.job); err != nil {
		return up, again, fmt.Errorf("the server's answer names no job: %w", err)
	}
	file, err := c.File(ctx, up.FileID)
	var problem *wire.Problem
	switch {
	case errors.As(err, &problem) && problem.Code == wire.CodeMissingScope:
		return up, again, nil
	case err != nil:
		return up, again, fmt.Errorf("read what was accepted: %w", err)
	}
	up.SHA256, up.MediaType = file.SHA256, file.MediaType
	return up, again, nil
}

// transfer is an upload in pieces.
type transfer struct {
	client  *Client
	options UploadOptions
	src     Source
	id      string // that the server gave it
	offset  int64  // where it stands, by the server's word
	job     string // once it is accepted
	broken  bool   // the offset is to be asked for
}

// retry calls step until it has done its work, waiting in between, as long as that may help.
func (t *transfer) retry(ctx context.Context, step func(context.Context) error) error {
	wait, left, stood := firstTransferTry, transferTries, t.offset
	for {
		err := step(ctx)
		if err == nil {
			return nil
		}
		if t.offset > stood {
			wait, left, stood = firstTransferTry, transferTries, t.offset
		}
		if left--; left < 0 || ctx.Err() != nil || !passes(err) {
			return err
		}
		pause := wait
		if busy, ok := errors.AsType[*busyError](err); ok {
			pause = max(wait, busy.pause())
		}
		if t.options.Retrying != nil {
			t.options.Retrying(err, pause)
		}
		if err := t.client.sleep(ctx, pause); err != nil {
			return err
		}
		wait = min(2*wait, maxTransferTry)
	}
}

// passes reports whether the same request may succeed later: nobody answered, or somebody in between,
// or another request of ours is not over yet.
func passes(err error) bool {
	if busy, ok := errors.AsType[*busyError](err); ok {
		return !busy.later()
	}
	var problem *wire.Problem
	if !errors.As(err, &problem) {
		return true
	}
	mine := []wire.Code{wire.CodeUploadLocked, wire.CodeOffsetMismatch, wire.CodeRequestInProgress, wire.CodeRequestTimeout, wire.CodeIncompleteBody}
	return problem.Status >= 500 || slices.Contains(mine, problem.Code)
}

// begin has the server make an upload, or tell where the one stands that it has made.
func (t *transfer) begin(ctx context.Context) error {
	req, err := t.request(ctx, http.MethodPost, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Idempotency-Key", t.options.Key)
	req.Header.Set("Upload-Length", strconv.FormatInt(t.src.Size, 10))
	req.Header.Set("Upload-Metadata", t.metadata())
	header, err := t.send(req)
	if err != nil {
		return err
	}
	t.id = path.Base(header.Get("Location"))
	return nil
}

// metadata names the file and says what is asked for.
func (t *transfer) metadata() string {
	fields := append([][2]string{{"filename", t.src.Name}, {"filetype", t.src.MediaType}}, t.options.fields()...)
	var pairs []string
	for _, f := range fields {
		if f[1] != "" {
			pairs = append(pairs, f[0]+" "+base64.StdEncoding.EncodeToString([]byte(f[1])))
		}
	}
	return strings.Join(pairs, ",")
}

// goOn sends what is missing.
func (t *transfer) goOn(ctx context.Context) error {
	if t.broken {
		req, err := t.request(ctx, http.MethodHead, nil)
		if err != nil {
			return err
		}
		if _, err := t.send(req); err != nil {
			return fmt.Errorf("ask where the upload stands: %w", err)
		}
		t.broken = false
	}
	if t.job != "" {
		return nil
	}
	t.broken = true // until it is known to be over
	rest := t.src.Size - t.offset
	body := &form{sent: t.offset, progress: t.options.Progress}
	body.body = &counter{io.NewSectionReader(t.src.Content, t.offset, rest), body}
	defer body.stop()
	req, err := t.request(ctx, http.MethodPatch, body)
	if err != nil {
		return err
	}
	req.ContentLength = rest
	req.Header.Set("Content-Type", "application/offset+octet-stream")
	req.Header.Set("Upload-Offset", strconv.FormatInt(t.offset, 10))
	if _, err := t.send(req); err != nil {
		return err
	}
	if t.job == "" {
		return fmt.Errorf("the server took %d bytes of %d and said no more", t.offset, t.src.Size)
	}
	return nil
}

func (t *transfer) request(ctx context.Context, method string, body io.Reader) (*http.Request, error) {
	at := []string{"tus"}
	if t.id != "" {
		at = append(at, t.id)
	}
	req, err := t.client.request(ctx, method, nil, body, at...)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	return req, nil
}

// send sends a request, notes where the upload stands then, and returns the answer's headers.
func (t *transfer) send(req *http.Request) (http.Header, error) {
	res, err := t.client.send(req)
	if err != nil {
		return nil, err
	}
	if err := res.Body.Close(); err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	if text := res.Header.Get("Upload-Offset"); text != "" {
		if t.offset, err = strconv.ParseInt(text, 10, 64); err != nil || t.offset < 0 || t.offset > t.src.Size {
			return nil, fmt.Errorf("the server says that the upload stands at %q", text)
		}
	}
	t.job = res.Header.Get("Leat-Job-Id")
	return res.Header, nil
}
