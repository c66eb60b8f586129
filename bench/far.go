package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

const (
	farFile   = 128 << 20
	roundTrip = 50 * time.Millisecond
)

// far measures an upload over HTTP/2 where a round trip takes 50 ms, beside a server with Go's own
// windows, which keeps nothing, and beside HTTP/1.1.
func (b *bench) far() {
	authority := testserver.NewAuthority(b)
	s := b.install()
	cert, key := authority.IssueFiles(b.folder("leat-tls-"))
	api := b.api(s, system.With("LEAT_TLS_CERT", cert), system.With("LEAT_TLS_KEY", key))
	path := "/v1/uploads?kind=work&queue=" + s.Queue

	usual := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the sender tells when it fails
		w.WriteHeader(http.StatusAccepted)
	}))
	usual.EnableHTTP2 = true
	usual.StartTLS()
	defer usual.Close()
	pool := authority.Pool()
	pool.AddCert(usual.Certificate())

	ours, theirs := b.away(host(api.URL)), b.away(usual.Listener.Addr().String())
	second := b.sendFar(ours+path, pool, true)
	b.compare("HTTP/2, 50 ms away, 128 MiB", second, "MiB/s", "Go's own windows", b.sendFar(theirs, pool, true), false, 1.5)
	b.compare("… the same", second, "MiB/s", "HTTP/1.1", b.sendFar(ours+path, pool, false), false, 0)
}

// away is the address of a server as it is from far away.
func (b *bench) away(addr string) string {
	link := testserver.Proxy(b, addr)
	link.Latency(roundTrip, 0)
	return "https://" + link.Addr()
}

// sendFar uploads a file, and tells how fast that was in MiB/s.
func (b *bench) sendFar(url string, pool *x509.CertPool, two bool) float64 {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: two, WriteBufferSize: 1 << 20,
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, io.LimitReader(zeros{}, farFile))
	if err != nil {
		b.Fatalf("upload: %v", err)
	}
	req.ContentLength = farFile
	began := time.Now()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		b.Fatalf("upload: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted || (resp.ProtoMajor == 2) != two {
		b.Fatalf("upload: status %d by %s", resp.StatusCode, resp.Proto)
	}
	return mib(farFile) / time.Since(began).Seconds()
}
