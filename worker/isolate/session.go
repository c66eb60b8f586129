package isolate

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/leat-dev/leat/jobs"
)

// session is the worker's side of one run in a child.
type session struct {
	wire *wire
	run  *jobs.Run

	streams   map[uint32]*incoming
	receivers sync.WaitGroup
}

// incoming is content on its way to the recorder.
type incoming struct {
	*io.PipeWriter
}

var errAborted = errors.New("isolate: the handler could not read what it was storing")

// serve gives the run to the child and answers it until it has told the outcome.
func (s *session) serve(ctx context.Context) (outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer s.receivers.Wait()
	defer s.abort()
	defer cancel()
	head := runHead{JobID: s.run.JobID, Attempt: s.run.Attempt, File: s.run.File, Params: s.run.Params, Size: s.run.Input.Size()}
	if err := s.wire.sendJSON(frameRun, 0, head); err != nil {
		return outcome{}, err
	}
	s.receivers.Go(func() { s.tellDrain(ctx) })
	for {
		f, err := s.wire.receive()
		if err != nil {
			return outcome{}, err
		}
		if f.kind == frameResult {
			var o outcome
			if err := json.Unmarshal(f.payload, &o); err != nil {
				return outcome{}, fmt.Errorf("isolate: the child's result: %w", err)
			}
			return o, nil
		}
		if err := s.answer(ctx, f); err != nil {
			return outcome{}, err
		}
	}
}

// abort ends what the child has begun to send.
func (s *session) abort() {
	for _, in := range s.streams {
		_ = in.CloseWithError(errAborted) // never fails
	}
}

func (s *session) tellDrain(ctx context.Context) {
	select {
	case <-s.run.Draining:
		// A child that is gone needs not be told.
		_ = s.wire.send(frameDrain, 0, nil)
	case <-ctx.Done():
	}
}

// answer does what a frame asks for. An error ends the session: the child does not keep to the rules,
// or is gone.
func (s *session) answer(ctx context.Context, f frame) error {
	switch f.kind {
	case frameRead:
		return s.read(f)
	case frameProgress:
		var fraction float64
		if err := json.Unmarshal(f.payload, &fraction); err != nil {
			return fmt.Errorf("isolate: progress: %w", err)
		}
		s.run.Progress(fraction)
		return nil
	case frameArtifact, frameSpawn:
		return s.begin(ctx, f)
	case frameChunk, frameEnd, frameAbort:
		return s.feed(f)
	}
	return fmt.Errorf("isolate: a child sends a frame of kind %q", f.kind)
}

// read answers with bytes of the input, fewer at its end.
func (s *session) read(f frame) error {
	if len(f.payload) != 12 {
		return fmt.Errorf("isolate: a child asks with %d bytes where to read", len(f.payload))
	}
	off := int64(binary.BigEndian.Uint64(f.payload))
	n := binary.BigEndian.Uint32(f.payload[8:])
	if off < 0 || n > chunkSize {
		return fmt.Errorf("isolate: a child asks for %d bytes at %d", n, off)
	}
	p := make([]byte, n)
	got, err := s.run.Input.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return s.wire.sendJSON(frameFailed, f.stream, failureOf(err))
	}
	return s.wire.send(frameData, f.stream, p[:got])
}

// maxStreams is how many artifacts and children a child may send side by side.
const maxStreams = 64

// begin lets the recorder take what the stream will bring.
func (s *session) begin(ctx context.Context, f frame) error {
	if _, ok := s.streams[f.stream]; ok || len(s.streams) >= maxStreams {
		return errors.New("isolate: a child sends too much at once")
	}
	take, err := s.taker(ctx, f)
	if err != nil {
		return fmt.Errorf("isolate: what a child begins to send: %w", err)
	}
	reader, writer := io.Pipe()
	s.streams[f.stream] = &incoming{writer}
	s.receivers.Go(func() {
		made, err := take(reader)
		_ = reader.CloseWithError(errors.Join(errTaken, err)) // never fails; what still comes is dropped
		// A child that is gone needs no answer.
		if err != nil {
			_ = s.wire.sendJSON(frameFailed, f.stream, failureOf(err))
			return
		}
		_ = s.wire.sendJSON(frameMade, f.stream, made)
	})
	return nil
}

var errTaken = errors.New("isolate: taken already")

// taker gives the call of the recorder that a frame asks for.
func (s *session) taker(ctx context.Context, f frame) (func(io.Reader) (jobs.Artifact, error), error) {
	if f.kind == frameSpawn {
		var child jobs.Child
		if err := json.Unmarshal(f.payload, &child); err != nil {
			return nil, err
		}
		return func(content io.Reader) (jobs.Artifact, error) {
			return jobs.Artifact{}, s.run.Spawn(ctx, child, content)
		}, nil
	}
	var head artifactHead
	if err := json.Unmarshal(f.payload, &head); err != nil {
		return nil, err
	}
	return func(content io.Reader) (jobs.Artifact, error) {
		return s.run.Artifact(ctx, head.Name, head.MediaType, content)
	}, nil
}

// feed passes a stream's bytes on. What the recorder does not want any more is dropped.
func (s *session) feed(f frame) error {
	in, ok := s.streams[f.stream]
	if !ok {
		return errors.New("isolate: a child sends more of what it never began")
	}
	switch f.kind {
	case frameChunk:
		_, err := in.Write(f.payload)
		if err != nil && !errors.Is(err, errTaken) {
			return err
		}
		return nil
	case frameAbort:
		delete(s.streams, f.stream)
		return in.CloseWithError(errAborted)
	}
	delete(s.streams, f.stream)
	return in.Close()
}
