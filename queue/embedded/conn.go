package embedded

import (
	"net"
	"sync"
)

// conn is the client's end of a pipe. A write to a pipe waits for its reader, and
// the reader answers each command before it reads the next; a client that sends
// several commands before it reads would wait for ever. So writes are kept here,
// and pump passes them on.
type conn struct {
	net.Conn

	mu      sync.Mutex
	changed sync.Cond // of what follows
	unsent  []byte
	err     error // why writing is over
}

func newConn(pipe net.Conn) *conn {
	c := &conn{Conn: pipe}
	c.changed.L = &c.mu
	return c
}

// Write keeps p to be sent. That a former write was not sent is an error of this.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	c.unsent = append(c.unsent, p...)
	c.changed.Signal()
	return len(p), nil
}

// Close ends the connection; what has not been sent is dropped.
func (c *conn) Close() error {
	c.fail(net.ErrClosed)
	return c.Conn.Close()
}

func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	c.changed.Signal()
}

// pump sends what is written until the connection ends.
func (c *conn) pump() {
	for {
		p, ok := c.take()
		if !ok {
			return
		}
		if _, err := c.Conn.Write(p); err != nil {
			c.fail(err)
		}
	}
}

// take waits for something to send.
func (c *conn) take() ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.unsent) == 0 && c.err == nil {
		c.changed.Wait()
	}
	if c.err != nil {
		return nil, false
	}
	p := c.unsent
	c.unsent = nil
	return p, true
}
