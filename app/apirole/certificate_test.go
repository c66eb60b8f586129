package apirole

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// mount is a folder whose files are swapped as Kubernetes swaps a secret's: by a link to another
// folder.
type mount struct {
	*testing.T
	dir       string
	cert, key string
}

func newMount(t *testing.T, cert, key []byte) *mount {
	t.Helper()
	m := &mount{T: t, dir: t.TempDir()}
	m.cert, m.key = filepath.Join(m.dir, "tls.crt"), filepath.Join(m.dir, "tls.key")
	m.swap(cert, key)
	for _, path := range []string{m.cert, m.key} {
		m.ok(os.Symlink(filepath.Join("..data", filepath.Base(path)), path))
	}
	return m
}

func (m *mount) ok(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *mount) swap(cert, key []byte) {
	m.Helper()
	fresh, err := os.MkdirTemp(m.dir, "data-")
	m.ok(err)
	m.ok(os.WriteFile(filepath.Join(fresh, "tls.crt"), cert, 0o600))
	m.ok(os.WriteFile(filepath.Join(fresh, "tls.key"), key, 0o600))
	m.ok(os.Symlink(filepath.Base(fresh), filepath.Join(m.dir, "..next")))
	m.ok(os.Rename(filepath.Join(m.dir, "..next"), filepath.Join(m.dir, "..data")))
}

// journal keeps what is logged until it is taken.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.text.Reset()
	return j.text.String()
}

func TestServerSpeaksTLS(t *testing.T) {
	t.Parallel()
	authority := testserver.NewAuthority(t)
	first, second := time.Now().Add(time.Hour).Truncate(time.Second), time.Now().Add(2*time.Hour).Truncate(time.Second)
	m := newMount(t, issue(authority, first)[0], nil)
	if _, err := openCertificate(m.cert, m.key, quiet); !isUsage(err, "tls-key (LEAT_TLS_KEY)") {
		t.Errorf("a certificate without its key: %v", err)
	}
	pair := issue(authority, first)
	m.swap(pair[0], pair[1])
	cert, err := openCertificate(m.cert, m.key, quiet)
	m.ok(err)
	addr := serve(t, cert)

	for version, works := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		config := &tls.Config{RootCAs: authority.Pool(), MinVersion: version, MaxVersion: version, NextProtos: []string{"h2"}}
		state, err := handshake(t, addr, config)
		var alert *net.OpError
		switch {
		case works && (err != nil || state.NegotiatedProtocol != "h2" || !state.PeerCertificates[0].NotAfter.Equal(first)):
			t.Errorf("%s: %v, %+v", tls.VersionName(version), err, state)
		case !works && (!errors.As(err, &alert) || alert.Op != "remote error"):
			t.Errorf("%s: %v, want an alert", tls.VersionName(version), err)
		}
	}

	res, err := http.Get("http://" + addr)
	m.ok(err)
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "HTTPS") {
		t.Errorf("plain HTTP is answered with %d %s (%v)", res.StatusCode, text, err)
	}
	http.DefaultClient.CloseIdleConnections()

	pair = issue(authority, second)
	m.swap(pair[0], pair[1])
	if changed, err := cert.look(); !changed || err != nil {
		t.Errorf("a renewed certificate: changed %t, %v", changed, err)
	}
	state, err := handshake(t, addr, &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12})
	if err != nil || !state.PeerCertificates[0].NotAfter.Equal(second) {
		t.Errorf("the old certificate is still shown, or none: %v", err)
	}
}

func TestRenewedCertificateIsTaken(t *testing.T) {
	t.Parallel()
	authority := testserver.NewAuthority(t)
	synctest.Test(t, func(t *testing.T) {
		day := func(n int) time.Time { return time.Now().AddDate(0, 0, n).UTC().Truncate(time.Second) }
		first, second := day(100), day(200)
		pair, next := issue(authority, first), issue(authority, second)
		m := newMount(t, pair[0], pair[1])
		var log journal
		cert, err := openCertificate(m.cert, m.key, slog.New(slog.NewTextHandler(&log, nil)))
		m.ok(err)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- cert.run(ctx) }()
		// after lets some looks pass, and tells what was logged and when the certificate expires.
		after := func() (logged string, expires time.Time) {
			<-time.After(5 * certificateEvery)
			synctest.Wait()
			return log.take(), expiryOf(m, cert)
		}
		if logged, expires := after(); logged != "" || !expires.Equal(first) {
			t.Errorf("nothing has changed: expires %v, log %q", expires, logged)
		}
		for name, spoil := range map[string]func(){
			"a half":   func() { m.swap(next[0], pair[1]) },
			"not PEM":  func() { m.swap([]byte("x"), []byte("y")) },
			"no files": func() { m.ok(os.Remove(filepath.Join(m.dir, "..data"))) },
		} {
			spoil()
			if logged, expires := after(); strings.Count(logged, "level=WARN") != 1 || strings.Contains(logged, "INFO") || !expires.Equal(first) {
				t.Errorf("%s: expires %v, log %q, want the old one and one warning", name, expires, logged)
			}
		}
		m.swap(next[0], next[1])
		if logged, expires := after(); strings.Count(logged, "level=INFO") != 1 || strings.Contains(logged, "WARN") || !expires.Equal(second) {
			t.Errorf("renewed: expires %v, log %q", expires, logged)
		}
		stop()
		m.ok(<-done)
	})
}

// issue is a certificate and its key.
func issue(a *testserver.Authority, expires time.Time) [2][]byte {
	cert, key := a.Issue(expires)
	return [2][]byte{cert, key}
}

func isUsage(err error, names string) bool {
	var exit *app.ExitError
	return errors.As(err, &exit) && exit.Code == 2 && strings.Contains(err.Error(), names)
}

// serve serves nothing by TLS, until the test is over.
func serve(t *testing.T, cert *certificate) (addr string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: cert.config(), ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelInfo)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.HTTPService("api", server, listener, 0).Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}

func handshake(t *testing.T, addr string, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	plain, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer plain.Close()
	config.ServerName = "localhost"
	conn := tls.Client(plain, config)
	err = conn.HandshakeContext(t.Context())
	return conn.ConnectionState(), err
}

// expiryOf is when the certificate expires, by its metric.
func expiryOf(m *mount, cert *certificate) time.Time {
	m.Helper()
	registry := prometheus.NewRegistry()
	m.ok(registry.Register(cert.expiry()))
	families, err := registry.Gather()
	m.ok(err)
	return time.Unix(int64(families[0].GetMetric()[0].GetGauge().GetValue()), 0)
}
