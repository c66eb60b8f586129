package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Off switches an address off.
const Off = "off"

const adminTimeout = 10 * time.Second

// AdminService listens on the admin address, at once so that a taken one is an error at start, and
// gives the service of /metrics, /healthz, /readyz and /debug/pprof; none when it is Off. Ready
// means that the store answers.
func (r *Resources) AdminService(ctx context.Context) ([]Service, error) {
	if r.Options.AdminListen == Off {
		return nil, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.Options.AdminListen)
	if err != nil {
		return nil, fmt.Errorf("admin-listen: %w (another address, or \"off\", will do)", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r.Registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(r.Log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError, Registry: r.Registry,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), 2*time.Second)
		defer cancel()
		if err := r.Store.Ping(ctx); err != nil {
			r.Log.WarnContext(ctx, "not ready: the store does not answer", "error", err)
			answer(w, http.StatusServiceUnavailable, "the store does not answer")
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: adminTimeout, ErrorLog: slog.NewLogLogger(r.Log.Handler(), slog.LevelWarn)}
	r.Log.InfoContext(ctx, "admin is listening", "address", listener.Addr().String())
	return []Service{HTTPService("admin", server, listener, 0)}, nil
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // the client has gone if this fails
}

// HTTPService serves on listener, by TLS if the server is configured for it, until its context ends;
// then requests that are under way may go on for grace.
func HTTPService(name string, server *http.Server, listener net.Listener, grace time.Duration) Service {
	return Service{Name: name, Run: func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() {
			if server.TLSConfig != nil {
				served <- server.ServeTLS(listener, "", "")
				return
			}
			served <- server.Serve(listener)
		}()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
		}
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		err := server.Shutdown(limit)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, serveErr)
		}
		return err
	}}
}
