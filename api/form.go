package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"sync"

	"github.com/leat-dev/leat/api/wire"
)

// Forms of which more than smallForm bytes are to come, or an unknown number, are read streamSize
// bytes at a time; the form's own reader asks for 4 KiB.
const (
	smallForm  = 32 << 10
	streamSize = 128 << 10
	partRead   = 4 << 10 // what the form's reader asks for at most
	maxTail    = 64 << 10
)

// form takes a form apart: files are stored as they come, fields are choices. What a form asks
// for may stand behind its files, so nothing is committed before its end.
func (in *intake) form(ctx context.Context, boundary string, length int64) error {
	src := in.digest.over(in.body)
	if length < 0 || length > smallForm {
		buffered := in.api.streams.get(src)
		defer in.api.streams.put(buffered)
		src = buffered
	}
	guard := &partGuard{src: src, limit: in.api.limits.PartHeader}
	in.guard = guard
	reader := multipart.NewReader(guard, boundary)
	for n := 1; ; n++ {
		guard.close()
		part, err := reader.NextRawPart()
		if err == io.EOF { // io.EOF itself is the end of the form; wrapped, it is the body's
			break
		}
		if err != nil {
			return in.formCause(err)
		}
		guard.closed = false
		if n > in.api.limits.Files+len(choiceNames) { // such as files that were not chosen
			return in.tooMany()
		}
		if err := in.part(ctx, part); err != nil {
			return err
		}
	}
	guard.closed = false
	if err := in.tail(guard); err != nil {
		return err
	}
	if len(in.files) == 0 {
		return &failure{code: wire.CodeNoFile}
	}
	return nil
}

func (in *intake) tooMany() error {
	return fail(wire.CodeTooManyParts, "The limit is %d files.", in.api.limits.Files)
}

// part takes one part: a file or a choice.
func (in *intake) part(ctx context.Context, part *multipart.Part) error {
	disposition, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil || disposition != "form-data" || params["name"] == "" {
		return fail(wire.CodeMalformedMultipart, "A part of the form has no name.")
	}
	if err := checkEncoding(part.Header.Get("Content-Transfer-Encoding"), "Content-Transfer-Encoding"); err != nil {
		return err
	}
	name := params["name"]
	if name != "file" {
		return in.field(part, name)
	}
	if len(in.files) == in.api.limits.Files {
		return in.tooMany()
	}
	filename, named := params["filename"]
	list, err := promises(digestFields, func(field string) []string { return part.Header[field] })
	if err != nil {
		return err
	}
	digest := newDigester(list)
	before := len(in.files)
	if err := in.receive(ctx, digest.over(part), filename, part.Header.Get("Content-Type")); err != nil {
		return err
	}
	if err := digest.check(); err != nil {
		return err
	}
	if named && filename == "" && in.files[before].Size == 0 {
		in.files = in.files[:before] // what a page's form sends when no file was chosen
	}
	return nil
}

func (in *intake) field(part *multipart.Part, name string) error {
	if !slices.Contains(choiceNames, name) {
		return failUnknown(name)
	}
	limit := in.api.limits.Field
	value, err := io.ReadAll(io.LimitReader(part, limit+1))
	if err != nil {
		return in.formCause(err)
	}
	if int64(len(value)) > limit {
		return failTooLong(name, limit)
	}
	return in.choices.set(in.api, name, string(value))
}

// tail reads what follows the form, which means nothing, so that a form counts only once its whole
// body has come.
func (in *intake) tail(src io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(src, maxTail+1))
	switch {
	case err != nil:
		return in.formCause(err)
	case n > maxTail:
		return fail(wire.CodeMalformedMultipart, "The body goes on behind the form's end.")
	}
	return nil
}

// formCause finds out why a form could not be read: because of the body, or of its own making.
func (in *intake) formCause(err error) error {
	switch {
	case in.body.err != nil:
		return in.body.err
	case in.guard.err != nil:
		return in.guard.err
	}
	return formFailure(err)
}

func formFailure(err error) error {
	switch {
	case errors.Is(err, multipart.ErrMessageTooLarge):
		return &failure{code: wire.CodePartHeaderTooLarge, cause: err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fail(wire.CodeIncompleteBody, "The body ended before the form did.")
	}
	return &failure{code: wire.CodeMalformedMultipart, cause: err}
}

// partGuard bounds what is read while the form's reader looks for the next part and takes its
// headers, which it would hold in memory up to 10 MiB. It remembers that it has refused: the reader
// may complain of the half line that it got.
type partGuard struct {
	src    io.Reader
	limit  int64
	closed bool
	left   int64
	err    error
}

// close bounds what is read from here on.
func (g *partGuard) close() {
	g.closed = true
	g.left = g.limit + partRead
}

func (g *partGuard) Read(p []byte) (int, error) {
	if g.closed {
		if g.left <= 0 {
			g.err = fail(wire.CodePartHeaderTooLarge, "The limit is %d bytes.", g.limit)
			return 0, g.err
		}
		p = p[:min(int64(len(p)), g.left)]
	}
	n, err := g.src.Read(p)
	g.left -= int64(n)
	return n, err
}

// streams is a pool of readers with large buffers.
type streams struct{ pool sync.Pool }

func (s *streams) get(src io.Reader) *bufio.Reader {
	if r, ok := s.pool.Get().(*bufio.Reader); ok {
		r.Reset(src)
		return r
	}
	return bufio.NewReaderSize(src, streamSize)
}

func (s *streams) put(r *bufio.Reader) {
	r.Reset(nil)
	s.pool.Put(r)
}
