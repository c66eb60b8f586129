// Package embedded is a Redis inside the process, for programs that run without
// one. It is reached through memory alone: no port is opened. Its data ends with
// it, which deliveries may.
//
// Nothing else may import miniredis, and the programs of a cluster must not link
// this package. It imports nothing of ours.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// URL is for the opener that is given Redis.Dial. There is nothing at it.
const URL = "redis://embedded"

// tick is how often the clock of the Redis moves. miniredis can follow the wall
// clock by itself, but then sorts all its keys at every command.
const tick = time.Second

// ErrClosed is what Dial answers after Close.
var ErrClosed = errors.New("embedded: the Redis is closed")

// Redis is a running in-process Redis. It is safe for concurrent use.
type Redis struct {
	server *miniredis.Miniredis

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}

	stop  chan struct{} // closed by Close
	tasks sync.WaitGroup
}

// Start starts a Redis, which is empty. Its keys expire to the second.
func Start() *Redis {
	r := &Redis{server: miniredis.NewMiniRedis(), conns: map[*conn]struct{}{}, stop: make(chan struct{})}
	r.tasks.Go(r.drive)
	return r
}

// drive moves the clock on, by which keys expire.
func (r *Redis) drive() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-r.stop:
			return
		case now := <-ticker.C:
			r.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

// Dial connects to the Redis, whatever the network and address.
func (r *Redis) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	pipe, err := r.server.Dial()
	if err != nil {
		return nil, fmt.Errorf("embedded: dial: %w", err)
	}
	c := newConn(pipe)
	r.conns[c] = struct{}{}
	r.tasks.Go(func() {
		c.pump()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.conns, c)
	})
	return c, nil
}

// Close ends the Redis, its connections and all that it runs.
func (r *Redis) Close() error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.stop)
	}
	var errs []error
	for c := range r.conns {
		errs = append(errs, c.Close())
	}
	r.mu.Unlock()
	r.tasks.Wait()
	r.server.Close()
	return errors.Join(errs...)
}
