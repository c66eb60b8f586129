package api

import (
	"context"
	"sync"
	"time"
)

// slots bounds how many do something at the same time.
type slots struct{ free chan struct{} }

func newSlots(n int) *slots {
	s := &slots{free: make(chan struct{}, n)}
	for range n {
		s.free <- struct{}{}
	}
	return s
}

// take waits for a slot until wait has passed or ctx ends, and reports whether it got one.
func (s *slots) take(ctx context.Context, wait time.Duration) bool {
	select {
	case <-s.free:
		return true
	default:
	}
	if wait <= 0 {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-s.free:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// give returns a slot that was taken.
func (s *slots) give() { s.free <- struct{}{} }

// buffers is a pool of byte slices of one size.
type buffers struct {
	size int
	pool sync.Pool
}

func newBuffers(size int) *buffers { return &buffers{size: size} }

func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, b.size)
	return &p
}

func (b *buffers) put(p *[]byte) { b.pool.Put(p) }
