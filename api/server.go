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

// NewServer returns a server for an API whose limits on headers and idle connections suit an
// upload API. It has no limit on how long a whole request may take, since a large file may well
// take hours: the API itself cuts off senders and readers that make no progress.
//
// The caller listens and serves.
func NewServer(a *API, log *slog.Logger) *http.Server {
	server := &http.Server{
		Handler:           a,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(a.EndStreams)
	return server
}
