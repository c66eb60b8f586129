package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// dial opens a connection on which a test speaks HTTP as no client would.
func (f *fixture) dial() net.Conn {
	f.Helper()
	u, err := url.Parse(f.url)
	f.ok(err)
	var d net.Dialer
	conn, err := d.DialContext(f.Context(), "tcp", u.Host)
	f.ok(err)
	f.ok(conn.SetDeadline(time.Now().Add(patience)))
	f.Cleanup(func() { _ = conn.Close() }) // some tests have closed it
	return conn
}

// head is the beginning of an upload.
func head(path string, headers ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(append(headers, "", ""), "\r\n")
}

// answer reads an answer from a connection.
func (f *fixture) answer(from *bufio.Reader) *reply {
	f.Helper()
	res, err := http.ReadResponse(from, nil)
	f.ok(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	f.ok(err)
	return &reply{f.T, res.StatusCode, res.Header, text, res.Close}
}

// hasty makes an API impatient.
func hasty(reg prometheus.Registerer) func(*api.Options) {
	return func(o *api.Options) {
		o.Registerer = reg
		o.Limits.BodyChunk, o.Limits.BodyWait = 1000, 150*time.Millisecond
	}
}

func TestSlowSenderIsCutOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), hasty(nil))
	for name, sent := range map[string]string{
		"at once":     head("/v1/uploads", "Content-Length: 50000"),
		"in the body": head("/v1/uploads", "Content-Length: 50000") + strings.Repeat("x", 20000),
		"in a form":   head("/v1/uploads", "Content-Length: 50000", formType) + form(file("a", strings.Repeat("x", 20000)))[:15000],
		"in a header": head("/v1/uploads", "Content-Length: 50000", formType) + "--" + boundary + "\r\nContent-Disp",
		"in a chunk":  head("/v1/uploads", "Transfer-Encoding: chunked") + "ffff\r\nabc",
		"behind it":   head("/v1/uploads", "Content-Length: 50000", formType) + form(file("a", "x")),
	} {
		conn := f.dial()
		_, err := io.WriteString(conn, sent)
		f.ok(err)
		from := bufio.NewReader(conn)
		r := f.answer(from)
		if p := into[wire.Problem](r); p.Code != wire.CodeRequestTimeout {
			t.Errorf("stops %s: %s", name, r.body)
		}
		if _, err := from.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("stops %s: the connection is still open: %v", name, err)
		}
	}
	f.keptNothing()
}

// A body that nobody asked for holds nobody up either.
func TestSlowSenderOfABodyThatIsNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), hasty(nil))
	for _, line := range []string{"POST /v1/queues/q/pause", "POST /v1/jobs/cancel?queue=q", "POST /nowhere", "GET /healthz", "PUT /v1/uploads"} {
		conn := f.dial()
		_, err := io.WriteString(conn, line+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
		f.ok(err)
		from := bufio.NewReader(conn)
		f.answer(from).fails(wire.CodeRequestTimeout)
		if _, err := from.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the connection is still open: %v", line, err)
		}
	}
	f.send(http.MethodPost, "/v1/queues/q/pause", strings.NewReader("{}")).is(http.StatusOK)
	f.send(http.MethodPost, "/v1/queues/q/pause", strings.NewReader(strings.Repeat("x", 100<<10))).fails(wire.CodeBodyTooLarge)
	f.send(http.MethodPost, "/nowhere", strings.NewReader("{}")).fails(wire.CodeNotFound)
}

// Over HTTP/2, it is a stream that is cut off, and the connection goes on.
func TestSlowSenderOverHTTP2IsCutOff(t *testing.T) {
	t.Parallel()
	o := plainOptions(t)
	hasty(nil)(&o)
	server := httptest.NewUnstartedServer(nil)
	server.Config, server.EnableHTTP2 = api.NewServer(mustAPI(t, o), o.Logger), true
	server.StartTLS()
	defer server.Close()
	var connections atomic.Int32
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{ConnectDone: func(string, string, error) { connections.Add(1) }})
	for range 3 {
		silent, sender := io.Pipe()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/uploads", silent)
		if err != nil {
			t.Fatal(err)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var p wire.Problem
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.ProtoMajor != 2 || p.Code != wire.CodeRequestTimeout {
			t.Errorf("%s: %+v, %v", res.Proto, p, err)
		}
		_, _ = res.Body.Close(), sender.Close() // both were ended by the other side
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("it took %d connections", n)
	}
}

func TestTricklingSenderIsCutOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), hasty(nil))
	conn := f.dial()
	_, err := io.WriteString(conn, head("/v1/uploads", "Content-Length: 50000"))
	f.ok(err)
	stop := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() { // never silent for long, and never fast enough
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
			case <-stop:
				return
			}
		}
	})
	f.answer(bufio.NewReader(conn)).fails(wire.CodeRequestTimeout)
	close(stop)
	sender.Wait()
}

func TestSteadySenderMayTakeItsTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), limit(func(l *api.Limits) { l.BodyChunk, l.BodyWait = 1000, time.Second }))
	conn := f.dial()
	const chunks = 25
	_, err := io.WriteString(conn, head("/v1/uploads", fmt.Sprintf("Content-Length: %d", chunks*1000)))
	f.ok(err)
	tick := time.NewTicker(60 * time.Millisecond)
	defer tick.Stop()
	for range chunks { // longer than BodyWait altogether
		<-tick.C
		_, err := io.WriteString(conn, strings.Repeat("x", 1000))
		f.ok(err)
	}
	f.answer(bufio.NewReader(conn)).is(http.StatusAccepted)
}

func TestSlowReaderIsCutOff(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	f := newFixture(t, openSQLite(t), hasty(reg))
	u := f.uploadRaw(strings.Repeat("0123456789abcdef", 4<<20), "") // 64 MiB, more than sockets take
	conn := f.dial()
	_, err := fmt.Fprintf(conn, "GET /v1/files/%s/content HTTP/1.1\r\nHost: localhost\r\n\r\n", u.FileID)
	f.ok(err)
	labels := map[string]string{"route": "/v1/files/{id}/content", "method": "GET", "status": "2xx"}
	f.within("the answer is broken off", func() bool {
		return series(t, reg, "leat_http_requests_total", labels).GetCounter().GetValue() == 1
	})
	n, err := io.Copy(io.Discard, conn)
	if n >= 64<<20 {
		t.Errorf("the whole file was sent: %d bytes, %v", n, err)
	}
}

func TestClientThatLeavesMidBodyLeavesNothing(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		reg := prometheus.NewRegistry()
		f := newFixture(t, s, func(o *api.Options) { o.Registerer = reg })
		large := strings.Repeat("x", 200<<10)
		bodies := []string{
			head("/v1/uploads", "Content-Length: 500000") + large,
			head("/v1/uploads", "Transfer-Encoding: chunked") + "fffff\r\n" + large,
			head("/v1/uploads", "Content-Length: 900000", formType) + form(file("a", large), file("b", large))[:300<<10],
			head("/v1/uploads", "Content-Length: 900000", formType) + form(file("a", large)), // all but the padding
		}
		for i, sent := range bodies {
			conn := f.dial()
			_, err := io.WriteString(conn, sent)
			f.ok(err)
			f.ok(conn.Close())
			labels := map[string]string{"route": "/v1/uploads", "method": "POST", "status": "4xx"}
			f.within("the upload is given up", func() bool {
				return series(t, reg, "leat_http_requests_total", labels).GetCounter().GetValue() == float64(i+1)
			})
			f.keptNothing()
		}
	})
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), limit(func(l *api.Limits) { l.Body = 1000 }))
	conn := f.dial()
	from := bufio.NewReader(conn)
	_, err := io.WriteString(conn, head("/v1/uploads", "Content-Length: 5", "Expect: 100-continue"))
	f.ok(err)
	line, err := from.ReadString('\n')
	f.ok(err)
	f.equal("asked to go on", "HTTP/1.1 100 Continue\r\n", line)
	_, err = from.ReadString('\n')
	f.ok(err)
	_, err = io.WriteString(conn, "hello")
	f.ok(err)
	f.answer(from).is(http.StatusAccepted)

	for _, refused := range []string{
		head("/v1/uploads", "Content-Length: 5000", "Expect: 100-continue"),
		head("/v1/uploads?kind=nonsense", "Content-Length: 5", "Expect: 100-continue"),
	} {
		conn := f.dial()
		_, err := io.WriteString(conn, refused)
		f.ok(err)
		from := bufio.NewReader(conn)
		if r := f.answer(from); r.status < 400 {
			t.Errorf("refused with status %d, before the body was asked for", r.status)
		}
		if _, err := from.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("the server waits for a body that it has refused: %v", err)
		}
	}
}

// A client that sends all it has before it listens gets to hear why it was refused.
func TestEarlyRefusalReachesAClientThatStillSends(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), limit(func(l *api.Limits) { l.Body, l.File = 1<<20, 1<<20 }))
	const size = 32 << 20
	for name, start := range map[string]string{
		"before the body":       head("/v1/uploads?kind=nonsense", fmt.Sprintf("Content-Length: %d", size)),
		"for its length":        head("/v1/uploads", fmt.Sprintf("Content-Length: %d", size)),
		"in a form's field":     head("/v1/uploads", fmt.Sprintf("Content-Length: %d", size), formType) + "--" + boundary + "\r\n" + field("colour", ""),
		"for a file, in chunks": head("/v1/uploads", "Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n", size),
	} {
		conn := f.dial()
		_, err := io.WriteString(conn, start)
		f.ok(err)
		block := bytes.Repeat([]byte("x"), 1<<20)
		for sent := 0; sent < size-len(block); sent += len(block) {
			if _, err := conn.Write(block); err != nil {
				t.Errorf("%s: after %d bytes: %v", name, sent, err)
				break
			}
		}
		if r := f.answer(bufio.NewReader(conn)); r.status < 400 || !r.last {
			t.Errorf("%s: status %d, the last answer: %v", name, r.status, r.last)
		}
	}
	f.keptNothing()
}

func TestConnectionGoesOnAfterAnUploadAndAfterASmallRefusal(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	conn := f.dial()
	from := bufio.NewReader(conn)
	for _, test := range []struct {
		text   string
		status int
	}{
		{head("/v1/uploads", "Content-Length: 5") + "hello", http.StatusAccepted},
		{head("/v1/uploads", "Content-Length: 0"), http.StatusAccepted},
		{head("/v1/uploads?bogus=1", "Content-Length: 0"), http.StatusBadRequest},
		{head("/v1/uploads", formType, fmt.Sprintf("Content-Length: %d", len(form()))) + form(), http.StatusBadRequest},
		{head("/v1/uploads", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n", http.StatusAccepted},
	} {
		_, err := io.WriteString(conn, test.text)
		f.ok(err)
		f.answer(from).is(test.status)
	}
}

// strangeStore panics.
type strangeStore struct{ store.Tenanted }

func (strangeStore) Job(context.Context, jobs.Tenant, uuid.UUID) (*jobs.Job, error) {
	panic("a strange secret")
}

func (strangeStore) File(context.Context, jobs.Tenant, uuid.UUID) (jobs.File, store.Content, error) {
	panic(http.ErrAbortHandler)
}

func TestPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	f := newFixture(t, openSQLite(t), func(o *api.Options) {
		o.Store = strangeStore{o.Store}
		o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	})
	r := f.get("/v1/jobs/" + jobs.NewID().String())
	p := r.fails(wire.CodeInternal)
	if strings.Contains(string(r.body), "secret") {
		t.Errorf("the answer tells what only the log may: %s", r.body)
	}
	for _, want := range []string{"a strange secret", p.RequestID, "connection_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log.String())
		}
	}
	// One that means to break off does.
	res, err := http.DefaultTransport.RoundTrip(mustRequest(f, "/v1/files/"+jobs.NewID().String()))
	if err == nil {
		_ = res.Body.Close() // the test has failed already
		t.Errorf("http.ErrAbortHandler was answered with status %d", res.StatusCode)
	}
	f.get("/healthz").is(http.StatusOK)
}

func mustRequest(f *fixture, path string) *http.Request {
	req, err := http.NewRequestWithContext(f.Context(), http.MethodGet, f.url+path, nil)
	f.ok(err)
	return req
}

// safeBuffer is a buffer that several goroutines may use.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
