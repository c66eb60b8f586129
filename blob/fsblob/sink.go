package fsblob

import (
	"hash"
	"sync"

	"github.com/leat-dev/leat/blob"
)

// A Put begins with one small buffer, and needs no more when the content fits. When it does not,
// the Put gets a ring of large ones and two goroutines, so that a part is hashed and the one before
// it written while the next is read, if there is a ring left; else it goes on as it began. So the
// memory of a Store is bounded: maxRings rings, and one small buffer for each Put.
const (
	smallBuffer = 64 << 10
	largeBuffer = 512 << 10
	ringSize    = 4
	maxRings    = 16
)

// buffers lends buffers to the Puts of a Store.
type buffers struct {
	small, large sync.Pool // of *[]byte, each of one size
	rings        chan struct{}
}

func newBuffers() *buffers {
	return &buffers{rings: make(chan struct{}, maxRings)}
}

// take gives a buffer from a pool, or a new one of the given size when it is empty.
func take(pool *sync.Pool, size int) *[]byte {
	if b, ok := pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, size)
	return &b
}

// sink hashes and writes what one Put or Append reads, and lends it the buffers for that: buffer and
// write are called in turn, then wait, and close in any case.
type sink struct {
	pool  *buffers
	hash  hash.Hash
	temp  *tempFile
	saver *saver // of an Append
	small *[]byte
	ring  *ring // nil until the content has proved large
	calls int   // of buffer
}

func newSink(pool *buffers, sum hash.Hash, temp *tempFile) *sink {
	return &sink{pool: pool, hash: sum, temp: temp, small: take(&pool.small, smallBuffer)}
}

// buffer gives the buffer to fill next, which is the caller's until it gives it to write. Its error
// is that of an earlier write.
func (s *sink) buffer() ([]byte, error) {
	if s.calls++; s.calls == 2 {
		s.ring = newRing(s)
	}
	if s.ring == nil {
		return *s.small, nil
	}
	return s.ring.next()
}

// write takes the last buffer, or its beginning, and has all saved until then if that is wanted.
func (s *sink) write(p []byte, save bool) error {
	part := part{buf: p, save: save}
	if s.ring != nil {
		s.ring.filled <- part
		return nil
	}
	s.add(&part)
	return s.put(part)
}

// part is what is hashed and written at a time.
type part struct {
	buf   []byte
	save  bool
	state []byte // of the hash behind it, if it is to be saved
}

// add hashes a part.
func (s *sink) add(p *part) {
	s.hash.Write(p.buf)
	if p.save {
		p.state = stateOf(s.hash)
	}
}

// put writes a part that was hashed.
func (s *sink) put(p part) error {
	if err := s.temp.write(p.buf); err != nil {
		return err
	}
	if p.save {
		s.saver.save(blob.Progress{Size: s.temp.size, State: p.state})
	}
	return nil
}

// wait waits until all is written, after which the hash is that of all.
func (s *sink) wait() error {
	if s.ring == nil {
		return nil
	}
	return s.ring.wait()
}

// close waits for what is under way, and gives the buffers back.
func (s *sink) close() {
	if s.ring != nil {
		s.ring.close()
	}
	s.pool.small.Put(s.small)
}

// ring is large buffers that go round: the goroutine of a Put fills them, one of the ring hashes
// them, and another writes them.
type ring struct {
	pool   *buffers
	lent   []*[]byte
	filled chan part // to be hashed
	hashed chan part // to be written
	free   chan written
	end    sync.Once
	done   chan struct{}
	err    error // of the first write that failed; to be read once done is closed
}

// written is a buffer that is free again.
type written struct {
	buf []byte
	err error // of its write, or of one before it
}

// newRing gives a ring, or nil when all are in use.
func newRing(s *sink) *ring {
	select {
	case s.pool.rings <- struct{}{}:
	default:
		return nil
	}
	r := &ring{
		pool:   s.pool,
		filled: make(chan part, ringSize),
		hashed: make(chan part, ringSize),
		free:   make(chan written, ringSize),
		done:   make(chan struct{}),
	}
	go func() {
		defer close(r.hashed)
		for p := range r.filled {
			s.add(&p)
			r.hashed <- p
		}
	}()
	go func() {
		defer close(r.done)
		for p := range r.hashed {
			if r.err == nil {
				r.err = s.put(p)
			}
			r.free <- written{p.buf[:largeBuffer], r.err}
		}
	}()
	return r
}

// next gives a buffer that has been written, or while there is none and the ring is not full, a new
// one: content that comes slower than it is hashed and written takes one.
func (r *ring) next() ([]byte, error) {
	select {
	case w := <-r.free:
		return w.buf, w.err
	default:
	}
	if len(r.lent) == ringSize {
		w := <-r.free
		return w.buf, w.err
	}
	b := take(&r.pool.large, largeBuffer)
	r.lent = append(r.lent, b)
	return *b, nil
}

// wait waits until all is hashed and written. No more may be filled then.
func (r *ring) wait() error {
	r.end.Do(func() { close(r.filled) })
	<-r.done
	return r.err
}

// close waits for what is under way, and gives the buffers back.
func (r *ring) close() {
	r.wait() //nolint:errcheck // next and wait told of it, or something else went wrong first
	for _, b := range r.lent {
		r.pool.large.Put(b)
	}
	<-r.pool.rings
}
