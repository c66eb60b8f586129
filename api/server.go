package api

import (
	"log/slog"
	"net/http"
	"time"
)

// What a connection may take before a request is known. Go answers these itself: headers that are
// too large with 431, and headers that come too slowly by closing the connection.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// What a sender may send over HTTP/2 before it is read, in bytes: so much comes in per round trip, at
// most. Go's 1 MiB would hold an upload to 20 MiB/s where a round trip takes 50 ms. All uploads at a time
// together have windows of 512 MiB, which is what they can hold in memory when they are all faster than
// the disk: 2 MiB each of 256, 40 MiB/s at 50 ms; almost 4 MiB, the most that Go takes, and 80 MiB/s
// each of up to 128. All streams of a connection share one such window.
const (
	windows   = 512 << 20
	minWindow = 64 << 10
	maxWindow = 4<<20 - 1
)

// NewServer returns a server for an API whose limits on headers and idle connections suit an
// upload API. It has no limit on how long a whole request may take, since a large file may well
// take hours: the API itself cuts off senders and readers that make no progress.
//
// The caller listens and serves.
func NewServer(a *API, log *slog.Logger) *http.Server {
	window := min(max(windows/a.limits.Uploads, minWindow), maxWindow)
	server := &http.Server{
		Handler:           a,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     window,
			MaxReceiveBufferPerConnection: window,
			WriteByteTimeout:              a.limits.BodyWait, // a stream's own deadline frees no connection
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(a.EndStreams)
	return server
}
