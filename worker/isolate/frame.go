package isolate

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// The frames that the worker sends.
const (
	frameRun    = 'r' // the run, as a runHead; begins everything
	frameData   = 'd' // bytes of the input, in answer to frameRead
	frameFailed = 'f' // what was asked for failed, as a failure
	frameMade   = 'm' // an artifact was stored, as a jobs.Artifact, or a child was
	frameDrain  = 'x' // the worker is stopping
)

// The frames that the child sends.
const (
	frameRead     = 'R' // wants bytes of the input: an offset of eight bytes and a length of four
	frameProgress = 'P' // a fraction, in JSON
	frameArtifact = 'A' // begins an artifact, as an artifactHead
	frameSpawn    = 'S' // begins a child, as a jobs.Child
	frameChunk    = 'C' // bytes of what the stream's first frame began
	frameEnd      = 'E' // ends it
	frameAbort    = 'B' // ends it: its content could not be read
	frameResult   = 'Z' // what the handler returned, as an outcome; ends everything
)

// maxFrame bounds what one frame carries: a result, of which CheckResult allows less, or a chunk.
const maxFrame = 20 << 20

// chunkSize is how much of an artifact's content is sent at once, and of the input read.
const chunkSize = 256 << 10

// frame is one message.
type frame struct {
	kind    byte
	stream  uint32 // that an answer, or a chunk, belongs to
	payload []byte
}

// wire sends and receives frames. Sending is safe for concurrent use.
type wire struct {
	in *bufio.Reader

	mu  sync.Mutex
	out io.Writer
}

func newWire(in io.Reader, out io.Writer) *wire {
	return &wire{in: bufio.NewReaderSize(in, chunkSize), out: out}
}

// send writes a frame.
func (w *wire) send(kind byte, stream uint32, payload []byte) error {
	head := make([]byte, 0, 9+len(payload))
	head = append(head, kind)
	head = binary.BigEndian.AppendUint32(head, stream)
	head = binary.BigEndian.AppendUint32(head, uint32(len(payload)))
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.out.Write(append(head, payload...))
	return err
}

// sendJSON writes a frame of a value.
func (w *wire) sendJSON(kind byte, stream uint32, value any) error {
	payload, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return w.send(kind, stream, payload)
}

// receive reads the next frame, into memory of its own. It is for one goroutine.
func (w *wire) receive() (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return frame{}, err
	}
	size := binary.BigEndian.Uint32(head[5:])
	if size > maxFrame {
		return frame{}, fmt.Errorf("a frame of %d bytes", size)
	}
	f := frame{kind: head[0], stream: binary.BigEndian.Uint32(head[1:]), payload: make([]byte, size)}
	_, err := io.ReadFull(w.in, f.payload)
	return f, err
}
