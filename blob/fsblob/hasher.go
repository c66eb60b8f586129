package fsblob

import (
	"crypto/sha256"
	"hash"
	"sync"
)

// A Put begins with one small buffer, and needs no more when the content fits. When it does not,
// the Put gets a ring of large ones and a goroutine that hashes while the next part is read and
// written, if there is a ring left; else it goes on as it began. So the memory of a Store is
// bounded: maxRings rings, and one small buffer for each Put.
const (
	smallBuffer = 64 << 10
	largeBuffer = 256 << 10
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

// hasher hashes what one Put writes, and lends it the buffers for that: buffer and write are called
// in turn, then sum, and close in any case.
type hasher struct {
	pool  *buffers
	hash  hash.Hash
	small *[]byte
	ring  *ring // nil until the content has proved large
	calls int   // of buffer
}

func newHasher(pool *buffers) *hasher {
	return &hasher{pool: pool, hash: sha256.New(), small: take(&pool.small, smallBuffer)}
}

// buffer gives the buffer to fill next. It is the caller's until the following call.
func (h *hasher) buffer() []byte {
	if h.calls++; h.calls == 2 {
		h.ring = newRing(h.pool, h.hash)
	}
	if h.ring == nil {
		return *h.small
	}
	return h.ring.next()
}

// write adds p, which is the last buffer or its beginning. It may still be read after the return,
// until the buffer is given out again.
func (h *hasher) write(p []byte) {
	if h.ring == nil {
		h.hash.Write(p)
		return
	}
	h.ring.filled <- p
}

// sum gives the hash of all that was written.
func (h *hasher) sum() (sum [32]byte) {
	h.close()
	h.hash.Sum(sum[:0])
	return sum
}

// close gives the buffers back. It may be called again.
func (h *hasher) close() {
	if h.ring != nil {
		h.ring.close()
		h.ring = nil
	}
	if h.small != nil {
		h.pool.small.Put(h.small)
		h.small = nil
	}
}

// ring is large buffers that go round between the goroutine of a Put, which fills them, and one of
// its own, which hashes them.
type ring struct {
	pool   *buffers
	lent   []*[]byte
	filled chan []byte // to be hashed, in order
	free   chan []byte // hashed
	done   chan struct{}
}

// newRing gives a ring, or nil when all are in use.
func newRing(pool *buffers, to hash.Hash) *ring {
	select {
	case pool.rings <- struct{}{}:
	default:
		return nil
	}
	r := &ring{
		pool:   pool,
		filled: make(chan []byte, ringSize),
		free:   make(chan []byte, ringSize),
		done:   make(chan struct{}),
	}
	go func() {
		defer close(r.done)
		for p := range r.filled {
			to.Write(p)
			r.free <- p[:largeBuffer]
		}
	}()
	return r
}

// next gives a buffer that has been hashed, or while there is none and the ring is not full, a new
// one: content that comes slower than it is hashed takes one.
func (r *ring) next() []byte {
	select {
	case b := <-r.free:
		return b
	default:
	}
	if len(r.lent) == ringSize {
		return <-r.free
	}
	b := take(&r.pool.large, largeBuffer)
	r.lent = append(r.lent, b)
	return *b
}

// close waits until all is hashed, and gives the buffers back.
func (r *ring) close() {
	close(r.filled)
	<-r.done
	for _, b := range r.lent {
		r.pool.large.Put(b)
	}
	<-r.pool.rings
}
