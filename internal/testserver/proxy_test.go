package testserver_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/leat-dev/leat/internal/testserver"
)

func TestProxyFaults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	link := testserver.Proxy(t, testserver.Redis(t))
	c := redisClient(t, link.URL())
	answers := func() {
		t.Helper()
		if err := c.Ping(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	}
	answers()

	link.Cut()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Fatal("an answer over a link that is cut")
	}
	link.Restore()
	answers()

	link.Cut()
	var lc net.ListenConfig
	other, err := lc.Listen(ctx, "tcp", link.Addr())
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	link.Restore() // waits until its port is free
	answers()

	link.Silence()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	var timeout net.Error
	if err := c.Ping(short).Err(); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("over a silent link: %v; want no answer", err)
	}
	link.Restore()
	answers()

	const delay = 100 * time.Millisecond
	link.Latency(delay, 0)
	began := time.Now()
	answers()
	if took := time.Since(began); took < delay {
		t.Fatalf("over a slow link: an answer after %v; want %v or more", took, delay)
	}
	link.Restore()
	answers()
}

func TestProxyOfAnAddress(t *testing.T) {
	t.Parallel()
	s := testserver.NewRedis(t)
	byURL := testserver.Proxy(t, s.URL())
	byAddr := testserver.Proxy(t, byURL.Addr())
	if err := redisClient(t, "redis://"+byAddr.Addr()).Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if url := byAddr.URL(); url != "" {
		t.Fatalf("URL is %q; want none for an address", url)
	}
}
