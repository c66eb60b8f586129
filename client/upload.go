package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/leat-dev/leat/api/wire"
)

// File is a file to be uploaded. It is read once, as it is sent.
type File struct {
	Name      string
	MediaType string // what it claims to be; "application/octet-stream" when empty
	Content   io.Reader
	Size      int64 // bytes of Content, or negative when not known
}

// UploadOptions are what an upload asks for; zero fields leave it to the server.
type UploadOptions struct {
	Kind   string
	Queue  string
	Params json.RawMessage
	RunAt  time.Time
	Fresh  bool // do the work, even if its result on the same bytes is there already
	// Key names the upload: sent again with it, the same upload is accepted once. It is the header
	// Idempotency-Key; none when empty.
	Key string
	// Progress is told how many bytes of the files have been sent, each time that some were. It is
	// called from another goroutine than the caller's, and never after Upload has returned.
	Progress func(sent int64)
	// Retrying is told why an upload in pieces does not come further, and how long it is until it is
	// tried again, each time before that.
	Retrying func(why error, wait time.Duration)
}

// Upload sends files in one form and returns what was accepted, in their order: all of them or
// none. The files are streamed, never held in memory. An upload is not repeated by itself: after
// an error other than a *wire.Problem it may have been accepted or not. With a key, the caller can
// repeat it. UploadInPieces goes on by itself.
func (c *Client) Upload(ctx context.Context, o UploadOptions, files ...File) ([]wire.Upload, error) {
	if len(files) == 0 {
		return nil, errors.New("upload: no file given")
	}
	form, err := newForm(o, files)
	if err != nil {
		return nil, err
	}
	defer form.stop()
	req, err := c.request(ctx, http.MethodPost, nil, form, "v1", "uploads")
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", form.contentType)
	req.ContentLength = form.length
	if o.Key != "" {
		req.Header.Set("Idempotency-Key", o.Key)
	}
	res, err := c.send(req)
	if err != nil {
		return nil, err
	}
	var answer struct {
		wire.Upload
		wire.Uploads
	}
	if err := decode(res, &answer); err != nil {
		return nil, err
	}
	if answer.Uploads.Uploads != nil {
		return answer.Uploads.Uploads, nil
	}
	return []wire.Upload{answer.Upload}, nil
}

// newForm lays out a form: the options, so that a wrong one is refused before any file is sent,
// then the files, each read when its turn comes.
func newForm(o UploadOptions, files []File) (*form, error) {
	var frame bytes.Buffer
	writer := multipart.NewWriter(&frame)
	f := &form{contentType: writer.FormDataContentType(), progress: o.Progress}
	var readers []io.Reader
	cut := func() { // what was framed since the last cut comes next
		readers = append(readers, bytes.NewReader(bytes.Clone(frame.Bytes())))
		f.add(int64(frame.Len()))
		frame.Reset()
	}
	for _, field := range o.fields() {
		if err := writer.WriteField(field[0], field[1]); err != nil {
			return nil, fmt.Errorf("write the form: %w", err)
		}
	}
	for _, file := range files {
		if _, err := writer.CreatePart(partHeader(file)); err != nil {
			return nil, fmt.Errorf("write the form: %w", err)
		}
		cut()
		readers = append(readers, &counter{file.Content, f})
		f.add(file.Size)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("write the form: %w", err)
	}
	cut()
	f.body = io.MultiReader(readers...)
	return f, nil
}

func (o *UploadOptions) fields() [][2]string {
	var fields [][2]string
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, [2]string{name, value})
		}
	}
	add("kind", o.Kind)
	add("queue", o.Queue)
	add("params", string(o.Params))
	if !o.RunAt.IsZero() {
		add("run_at", o.RunAt.UTC().Format(time.RFC3339Nano))
	}
	if o.Fresh {
		add("fresh", "true")
	}
	return fields
}

func partHeader(file File) textproto.MIMEHeader {
	mediaType := file.MediaType
	if mediaType == "" {
		mediaType = "application/octet-stream"
	}
	return textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("file", file.Name)},
		"Content-Type":        {oneLine(mediaType)},
	}
}

func oneLine(text string) string {
	return strings.NewReplacer("\r", "", "\n", "").Replace(text)
}
