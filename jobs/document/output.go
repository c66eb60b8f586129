package document

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/leat-dev/leat/jobs"
)

// output makes a run's artifacts, several at a time. It is used by one goroutine.
type output struct {
	ctx   context.Context // lives as long as one call of Handle
	run   *jobs.Run
	open  []*artifact
	names []string
}

// artifact is written to, while a goroutine of its own stores it.
type artifact struct {
	*bufio.Writer
	pipe   *io.PipeWriter
	stored chan error
}

// errUnfinished ends the artifacts of a run that ends otherwise before they do.
var errUnfinished = errors.New("the run ended before the artifact did")

// create starts an artifact, which close finishes.
func (o *output) create(name, mediaType string) *artifact {
	r, w := io.Pipe()
	a := &artifact{Writer: bufio.NewWriterSize(w, chunk), pipe: w, stored: make(chan error, 1)}
	go func() {
		_, err := o.run.Artifact(o.ctx, name, mediaType, r)
		_ = r.CloseWithError(cmp.Or(err, io.ErrClosedPipe)) // never fails; writes fail with the error from now on
		a.stored <- err
	}()
	o.open, o.names = append(o.open, a), append(o.names, name)
	return a
}

// close ends all artifacts and waits until they are stored. When the run has failed with err, it
// stores none of them and gives err back.
func (o *output) close(err error) error {
	for _, a := range o.open {
		if err == nil {
			err = a.Flush()
		}
		_ = a.pipe.CloseWithError(endOf(err)) // never fails
		stored := <-a.stored
		err = cmp.Or(err, stored)
	}
	if err != nil {
		if ended := context.Cause(o.ctx); ended != nil {
			return ended
		}
	}
	return err
}

// endOf gives what the reader of an artifact sees behind its last byte.
func endOf(err error) error {
	if err == nil {
		return io.EOF
	}
	return errUnfinished
}

// textWriter writes text.txt, and counts. NUL is in no text, so it becomes U+FFFD.
type textWriter struct {
	to         *artifact
	left       int64 // bytes that may still be written
	characters int64
	words      int64
	inWord     bool
}

func newTextWriter(out *output, limit int64) *textWriter {
	return &textWriter{to: out.create(textName, "text/plain; charset=utf-8"), left: limit}
}

// write adds a character.
func (w *textWriter) write(r rune) error {
	if r == 0 {
		r = replacement
	}
	space := isSpace(r)
	if !space && !w.inWord {
		w.words++
	}
	w.inWord = !space
	w.characters++
	return w.put(r)
}

// writeString adds text.
func (w *textWriter) writeString(s string) error {
	for _, r := range s {
		if err := w.write(r); err != nil {
			return err
		}
	}
	return nil
}

// breakPage ends a page. The form feed is not of the text, and not counted.
func (w *textWriter) breakPage() error {
	w.inWord = false
	return w.put('\f')
}

func (w *textWriter) put(r rune) error {
	n, err := w.to.WriteRune(r)
	if w.left -= int64(n); w.left < 0 {
		return jobs.Fail(jobs.CodeLimitOutput, "the document holds more text than is allowed")
	}
	return err
}

// count puts what was counted into the result.
func (w *textWriter) count(result *Result) *Result {
	result.Characters, result.Words = w.characters, w.words
	return result
}

// clip shortens a title, and leaves out of it what is not text.
func clip(title string) string {
	runes := make([]rune, 0, min(len(title), maxTitle))
	space := false
	for _, r := range title {
		if isSpace(r) || r < ' ' || r == 0x7F {
			space = len(runes) > 0
			continue
		}
		if space {
			runes, space = append(runes, ' '), false
		}
		if runes = append(runes, r); len(runes) >= maxTitle {
			break
		}
	}
	return string(runes)
}
