package testserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"syscall"
)

// Servers listen below the ports that the kernel gives to outgoing connections,
// where one could take the port of a server that is stopped for a while.
const (
	firstPort = 15000
	lastPort  = 32000
)

// onFreePort calls start with a port that nobody listens on. As another process
// may take the port at the same moment, it tries again with other ports when the
// port was taken, or the server ended at once.
func onFreePort[T any](ctx context.Context, start func(port int) (T, error)) (started T, err error) {
	for range 5 {
		port, err := freePort(ctx)
		if err != nil {
			return started, err
		}
		started, err = start(port)
		if !errors.Is(err, errEnded) && !errors.Is(err, syscall.EADDRINUSE) {
			return started, err
		}
	}
	return started, err
}

// FreeAddr gives an address of 127.0.0.1 that nobody listens on, for a server that the test starts
// itself and may stop for a while.
func FreeAddr(tb TB) string {
	tb.Helper()
	port, err := freePort(tb.Context())
	if err != nil {
		tb.Fatalf("testserver: %v", err)
	}
	return loopback(port)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func freePort(ctx context.Context) (int, error) {
	var last error
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(lastPort-firstPort))
		if err != nil {
			return 0, err
		}
		port := firstPort + int(n.Int64())
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", loopback(port))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("no free port: %w", last)
}
