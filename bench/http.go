package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"time"
)

// post is a request that is sent again and again over one connection, as it is: the generator must
// not be what is measured.
type post struct {
	addr string
	body []byte // headers and body
}

// form makes the request that a browser would make for one file.
func form(addr, queue, kind string, content []byte) (post, error) {
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for _, field := range [][2]string{{"kind", kind}, {"queue", queue}} {
		if err := m.WriteField(field[0], field[1]); err != nil {
			return post{}, err
		}
	}
	part, err := m.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="file.bin"`}, "Content-Type": {"application/octet-stream"},
	})
	if err != nil {
		return post{}, err
	}
	if _, err := part.Write(content); err != nil {
		return post{}, err
	}
	if err := m.Close(); err != nil {
		return post{}, err
	}
	head := fmt.Sprintf("POST /v1/uploads HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", addr, m.FormDataContentType(), body.Len())
	return post{addr, append([]byte(head), body.Bytes()...)}, nil
}

// answered is one request's fate.
type answered struct {
	at   time.Time // when the answer was there
	took time.Duration
}

// connection sends requests one after the other.
type connection struct {
	net.Conn
	in *bufio.Reader
}

func dial(ctx context.Context, addr string) (*connection, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

// send sends the request and wants 202.
func (c *connection) send(p post) (answered, error) {
	began := time.Now()
	if _, err := c.Write(p.body); err != nil {
		return answered{}, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return answered{}, err
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answered{}, err
	}
	if resp.StatusCode != http.StatusAccepted {
		return answered{}, fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	now := time.Now()
	return answered{now, now.Sub(began)}, resp.Body.Close()
}

// hammer sends the request over n connections for d, and returns every answer.
func hammer(ctx context.Context, p post, n int, d time.Duration) ([]answered, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var all []answered
	var failed error
	var mu sync.Mutex
	var senders sync.WaitGroup
	for range n {
		senders.Go(func() {
			got, err := repeat(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, got...)
			if err != nil {
				failed = err
			}
		})
	}
	senders.Wait()
	return all, failed
}

func repeat(ctx context.Context, p post) ([]answered, error) {
	c, err := dial(ctx, p.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var all []answered
	for ctx.Err() == nil {
		a, err := c.send(p)
		if err != nil {
			return all, err
		}
		all = append(all, a)
	}
	return all, nil
}

// host takes the scheme off an address.
func host(base string) string { return strings.TrimPrefix(base, "http://") }
