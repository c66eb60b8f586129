package isolate

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"github.com/leat-dev/leat/jobs"
)

// Serve is the child: it takes one run from in, lets the handler do it, answers on out, and returns.
// When in ends before, the worker is gone, and Serve returns an error at once, whatever the handler
// still does: its caller must end the process.
func Serve(ctx context.Context, handler jobs.Handler, in io.Reader, out io.Writer) error {
	c := &child{wire: newWire(in, out), answers: make(map[uint32]chan frame), drain: make(chan struct{})}
	first, err := c.wire.receive()
	if err != nil {
		return fmt.Errorf("isolate: receive the run: %w", err)
	}
	var head runHead
	if err := json.Unmarshal(first.payload, &head); err != nil || first.kind != frameRun {
		return fmt.Errorf("isolate: no run in frame %q: %w", first.kind, err)
	}
	done := make(chan error, 2)
	go func() { done <- c.listen() }()
	go func() { done <- c.wire.sendJSON(frameResult, 0, c.handle(ctx, handler, head)) }()
	return <-done
}

type child struct {
	wire  *wire
	drain chan struct{} // closed when the worker is stopping

	mu      sync.Mutex
	last    uint32                // stream
	answers map[uint32]chan frame // by stream
}

// listen passes answers on to those who wait for them, until there will be no more.
func (c *child) listen() error {
	for {
		f, err := c.wire.receive()
		if err != nil {
			return fmt.Errorf("isolate: the worker is gone: %w", err)
		}
		if f.kind == frameDrain {
			close(c.drain)
			continue
		}
		c.mu.Lock()
		answer := c.answers[f.stream]
		delete(c.answers, f.stream)
		c.mu.Unlock()
		if answer != nil {
			answer <- f
		}
	}
}

// open begins a stream, and gives the place for the answer.
func (c *child) open() (uint32, <-chan frame) {
	answer := make(chan frame, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.answers[c.last] = answer
	return c.last, answer
}

// handle calls the handler. A panic is told as an error, like the worker does it.
func (c *child) handle(ctx context.Context, handler jobs.Handler, head runHead) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = outcome{Failed: &failure{Code: jobs.CodePanic, Message: fmt.Sprintf("the handler panicked: %v\n%s", p, debug.Stack())}}
		}
	}()
	result, err := handler.Handle(ctx, &jobs.Run{
		JobID: head.JobID, Attempt: head.Attempt, File: head.File, Params: head.Params,
		Input:    io.NewSectionReader(input{c}, 0, head.Size),
		Recorder: recorder{c}, Draining: c.drain,
	})
	if err != nil {
		return outcome{Failed: failureOf(err)}
	}
	text, err := json.Marshal(result)
	if err != nil {
		return outcome{Failed: failureOf(jobs.Fail(jobs.CodeInvalidResult, "the handler's result is not JSON: %v", err))}
	}
	return outcome{Result: text}
}

// input reads the run's input, which the worker has.
type input struct{ *child }

// ReadAt implements io.ReaderAt.
func (in input) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		want := min(len(p)-n, chunkSize)
		stream, answer := in.open()
		ask := binary.BigEndian.AppendUint64(nil, uint64(off)+uint64(n))
		ask = binary.BigEndian.AppendUint32(ask, uint32(want))
		if err := in.wire.send(frameRead, stream, ask); err != nil {
			return n, err
		}
		f := <-answer
		if err := f.failed(); err != nil {
			return n, err
		}
		got := copy(p[n:], f.payload)
		if n += got; got < want {
			return n, io.EOF
		}
	}
	return n, nil
}

// failed is the error that a frame carries.
func (f frame) failed() error {
	if f.kind != frameFailed {
		return nil
	}
	var why failure
	if err := json.Unmarshal(f.payload, &why); err != nil {
		return fmt.Errorf("isolate: an error that cannot be read: %w", err)
	}
	return why.error()
}

// recorder tells the worker what the run reports.
type recorder struct{ *child }

// Progress implements jobs.Recorder.
func (r recorder) Progress(fraction float64) {
	// Should the worker be gone, the process is about to end.
	_ = r.wire.sendJSON(frameProgress, 0, fraction)
}

// Artifact implements jobs.Recorder.
func (r recorder) Artifact(_ context.Context, name, mediaType string, content io.Reader) (jobs.Artifact, error) {
	var made jobs.Artifact
	f, err := r.stream(frameArtifact, artifactHead{name, mediaType}, content)
	if err == nil {
		err = json.Unmarshal(f.payload, &made)
	}
	return made, err
}

// Spawn implements jobs.Recorder.
func (r recorder) Spawn(_ context.Context, child jobs.Child, content io.Reader) error {
	_, err := r.stream(frameSpawn, child, content)
	return err
}

// stream sends content under a head, and waits until the worker has it.
func (r recorder) stream(kind byte, head any, content io.Reader) (frame, error) {
	stream, answer := r.open()
	if err := r.wire.sendJSON(kind, stream, head); err != nil {
		return frame{}, err
	}
	buffer := make([]byte, chunkSize)
	for {
		n, readErr := io.ReadFull(content, buffer)
		if n > 0 {
			if err := r.wire.send(frameChunk, stream, buffer[:n]); err != nil {
				return frame{}, err
			}
		}
		end := byte(frameEnd)
		switch {
		case readErr == nil:
			select {
			case f := <-answer: // the worker wants no more
				return f, f.failed()
			default:
				continue
			}
		case !errors.Is(readErr, io.EOF) && !errors.Is(readErr, io.ErrUnexpectedEOF):
			end = frameAbort
		default:
			readErr = nil
		}
		if err := r.wire.send(end, stream, nil); err != nil {
			return frame{}, err
		}
		f := <-answer
		return f, errors.Join(readErr, f.failed())
	}
}
