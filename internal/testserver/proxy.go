package testserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Link is a network between a client and a server that fails on demand. A method
// that fails ends the test. Methods may be called from several goroutines.
type Link struct {
	tb    TB
	addr  string
	url   string
	mu    sync.Mutex
	proxy *toxiproxy.Proxy
}

// Proxy opens a way to a server, given as host:port or as a URL, that can be cut,
// silenced and slowed down. It ends with the test.
func Proxy(tb TB, target string) *Link {
	tb.Helper()
	upstream, u, err := parseTarget(target)
	if err != nil {
		tb.Fatalf("testserver: proxy to %q: %v", target, err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy, err := onFreePort(tb.Context(), func(port int) (*toxiproxy.Proxy, error) {
		p := toxiproxy.NewProxy(server, "link", loopback(port), upstream)
		return p, p.Start()
	})
	if err != nil {
		tb.Fatalf("testserver: proxy: %v", err)
	}
	l := &Link{tb: tb, addr: proxy.Listen, proxy: proxy}
	if u != nil {
		u.Host = l.addr
		l.url = u.String()
	}
	tb.Cleanup(l.Cut)
	return l
}

// parseTarget returns the host:port of a target, and its URL if it is one.
func parseTarget(target string) (string, *url.URL, error) {
	if !strings.Contains(target, "://") {
		return target, nil, nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return "", nil, err
	}
	if u.Port() == "" {
		return "", nil, errors.New("the URL names no port")
	}
	return u.Host, u, nil
}

// Addr returns the host:port to connect to instead of the server's.
func (l *Link) Addr() string { return l.addr }

// URL returns the URL to connect to instead of the server's, or "" if Proxy was
// not given a URL.
func (l *Link) URL() string { return l.url }

// Cut closes all connections and refuses new ones.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Stop()
}

// Silence swallows all that is sent in either direction, as a network does that
// drops packets: connections stay open and can be made, and nothing comes.
func (l *Link) Silence() {
	l.tb.Helper()
	l.add("timeout", "upstream", `{"timeout": 0}`)
	l.add("timeout", "downstream", `{"timeout": 0}`)
}

// Latency delays what the server sends by d, give or take jitter.
func (l *Link) Latency(d, jitter time.Duration) {
	l.tb.Helper()
	l.add("latency", "downstream", fmt.Sprintf(`{"latency": %d, "jitter": %d}`, d.Milliseconds(), jitter.Milliseconds()))
}

func (l *Link) add(kind, stream, attributes string) {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	toxic := fmt.Sprintf(`{"type": %q, "stream": %q, "attributes": %s}`, kind, stream, attributes)
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		l.tb.Fatalf("testserver: proxy: %s: %v", kind, err)
	}
}

// Restore ends all faults. Connections that were silenced are closed, as bytes
// are missing from them.
func (l *Link) Restore() {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Toxics.ResetToxics(context.WithoutCancel(l.tb.Context()))
	ctx, cancel := context.WithTimeout(l.tb.Context(), relistenLimit)
	defer cancel()
	err := poll(ctx, time.Millisecond, func() (bool, error) {
		switch err := l.proxy.Start(); {
		case errors.Is(err, syscall.EADDRINUSE):
			return false, nil
		case errors.Is(err, toxiproxy.ErrProxyAlreadyStarted):
			return true, nil
		default:
			return err == nil, err
		}
	})
	if err != nil {
		l.tb.Fatalf("testserver: proxy: restore: %v", err)
	}
}

// relistenLimit is for how long Restore asks for its port. A process that this one forks holds what
// was open, the closed listener too, until it becomes another program.
const relistenLimit = 10 * time.Second
