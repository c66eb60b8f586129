package fsblob

import (
	"crypto/sha256"
	"hash"
	"sync"
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

// sink hashes and writes what one Put reads, and lends it the buffers for that: buffer and write
// are called in turn, then sum, and close in any case.
type sink struct {
	pool  *buffers
	hash  hash.Hash
	temp  *tempFile
	small *[]byte
	ring  *ring // nil until the content has proved large
	calls int   // of buffer
}

func newSink(pool *buffers, temp *tempFile) *sink {
	return &sink{pool: pool, hash: sha256.New(), temp: temp, small: take(&pool.small, smallBuffer)}
}

// buffer gives the buffer to fill next, which is the caller's until it gives it to write. Its error
// is that of an earlier write.
func (s *sink) buffer() ([]byte, error) {
	if s.calls++; s.calls == 2 {
		s.ring = newRing(s.pool, s.hash, s.temp)
	}
	if s.ring == nil {
		return *s.small, nil
	}
	return s.ring.next()
}

// write takes the last buffer, or its beginning.
func (s *sink) write(p []byte) error {
	if s.ring == nil {
		s.hash.Write(p)
		return s.temp.write(p)
	}
	s.ring.filled <- p
	return nil
}

// sum waits until all is written, and gives the hash of it.
func (s *sink) sum() (sum [32]byte, err error) {
	if s.ring != nil {
		err = s.ring.wait()
	}
	s.hash.Sum(sum[:0])
	return sum, err
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
	filled chan []byte // to be hashed
	hashed chan []byte // to be written
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
func newRing(pool *buffers, hash hash.Hash, temp *tempFile) *ring {
	select {
	case pool.rings <- struct{}{}:
	default:
		return nil
	}
	r := &ring{
		pool:   pool,
		filled: make(chan []byte, ringSize),
		hashed: make(chan []byte, ringSize),
		free:   make(chan written, ringSize),
		done:   make(chan struct{}),
	}
	go func() {
		defer close(r.hashed)
		for p := range r.filled {
			hash.Write(p)
			r.hashed <- p
		}
	}()
	go func() {
		defer close(r.done)
		for p := range r.hashed {
			if r.err == nil {
				r.err = temp.write(p)
			}
			r.free <- written{p[:largeBuffer], r.err}
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
