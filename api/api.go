package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api/tus"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// API is Leat's HTTP interface. Make it with New; it serves many requests at once.
type API struct {
	store    store.Tenanted
	blobs    blob.Store
	specs    *jobs.Specs
	handOver func([]store.Delivery)
	ready    func(context.Context) []wire.Check
	log      *slog.Logger
	access   slog.Level
	limits   Limits
	inline   int
	types    []string // accepted; empty for all
	version  string
	now      func() time.Time

	proxies proxies
	hsts    string
	origins *origins
	gate    *gate
	quota   *quota
	metrics *metrics
	slots   *slots // uploads under way
	drains  *slots // refused requests whose body is still read
	heads   *buffers
	streams *streams

	transfers *tus.Handler // nil where the blob store takes no uploads in pieces

	follower   *follower
	following  *slots        // streams of events
	closing    chan struct{} // closed when they are to end
	endStreams func()

	defaults map[string]defaultParams // of kinds that need no parameters
	kindList wire.Kinds

	mux     *http.ServeMux
	methods []string        // of all routes
	readers map[string]bool // patterns of the routes that read their body
	scopes  map[string]access.Scope
	docJSON func() []byte // made when it is first asked for
	page    *page
}

// New makes an API. Errors name the option that is wrong.
func New(o Options) (*API, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	a := &API{
		store: o.Store, blobs: o.Blobs, specs: o.Specs,
		handOver: o.HandOver, ready: o.Ready,
		log: o.Logger, access: o.AccessLog,
		limits: o.Limits, inline: o.InlineLimit, types: o.Types, version: o.Version, now: o.Now,
		proxies: o.TrustedProxies, hsts: o.HSTS,
		slots:   newSlots(o.Limits.Uploads),
		drains:  newSlots(maxDrains),
		heads:   newBuffers(o.headSize()),
		streams: &streams{},

		follower:  newFollower(o.Store, o.Logger),
		following: newSlots(o.Limits.Streams),
		closing:   make(chan struct{}),

		mux:     http.NewServeMux(),
		readers: map[string]bool{},
		scopes:  map[string]access.Scope{},
	}
	a.endStreams = sync.OnceFunc(func() {
		close(a.closing)
		if a.transfers != nil {
			a.transfers.Interrupt()
		}
	})
	a.defaults = a.defaultsOf(o.Specs)
	var err error
	if a.transfers, err = a.newTransfers(); err != nil {
		return nil, err
	}
	if a.origins, err = newOrigins(o.CORSOrigins); err != nil {
		return nil, fmt.Errorf("api: CORSOrigins: %w", err)
	}
	if a.gate, err = newGate(&o); err != nil {
		return nil, err
	}
	if a.kindList, err = listKinds(o.Specs); err != nil {
		return nil, err
	}
	routes := a.routes()
	if a.metrics, err = newMetrics(o.Registerer, routes); err != nil {
		return nil, err
	}
	if a.quota, err = newQuota(&o, a.metrics.unlimited.Inc); err != nil {
		return nil, err
	}
	a.mount(routes)
	return a, nil
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	c := a.newExchange(r)
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, c))
	w := a.newResponse(rw)
	defer a.finish(w, r, c)

	h := w.Header()
	h.Set("X-Request-Id", c.id)
	setSecurityHeaders(h)
	if a.hsts != "" && c.https && !isLoopback(r.Host) { // localhost is other programs' host, too
		h.Set("Strict-Transport-Security", a.hsts)
	}
	if err := a.origins.admit(h, r); err != nil {
		a.turnAway(w, r, a.newBody(w, r), err)
		return
	}
	_, pattern := a.mux.Handler(r)
	if pattern != "" {
		r.Pattern = pattern // also of one that is turned away here
		if err := a.gate.admit(c, r, a.scopes[pattern]); err != nil {
			a.turnAway(w, r, a.newBody(w, r), err)
			return
		}
		if a.scopes[pattern] != everybody {
			if err := a.quota.request(r, h, c.who.tenant); err != nil {
				a.turnAway(w, r, a.newBody(w, r), err)
				return
			}
		}
	}
	if r.ContentLength != 0 && !a.readers[pattern] {
		if b := a.newBody(w, r); !b.skip() {
			a.turnAway(w, r, b, b.err)
			return
		}
	}
	if pattern == "" {
		a.unrouted(w, r)
		return
	}
	if r.Method == http.MethodPost && !a.readers[pattern] {
		a.once(w, r, a.mux)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// setSecurityHeaders sets what holds for every answer; handlers that show or give out content
// replace some of it.
func setSecurityHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// unrouted answers a request that no route takes: the path is unknown, or takes other methods.
func (a *API) unrouted(w http.ResponseWriter, r *http.Request) {
	allowed := a.allowed(r)
	switch {
	case len(allowed) == 0:
		a.refuse(w, r, fail(wire.CodeNotFound, "There is nothing at this path."))
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		preflight(w.Header(), allowed)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		a.refuse(w, r, fail(wire.CodeMethodNotAllowed, "Use one of: %s.", strings.Join(allowed, ", ")))
	}
}

// allowed lists the methods that the request's path takes.
func (a *API) allowed(r *http.Request) []string {
	var methods []string
	for _, method := range a.methods {
		if method == http.MethodOptions || method == http.MethodHead && slices.Contains(methods, method) {
			continue // every path has the one, at the end, and what has GET the other
		}
		try := *r
		try.Method = method
		if _, pattern := a.mux.Handler(&try); pattern != "" {
			methods = append(methods, method)
			if method == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
	}
	if len(methods) > 0 {
		methods = append(methods, http.MethodOptions)
	}
	return methods
}

// finish takes a panic back, then logs and counts the request.
func (a *API) finish(w *response, r *http.Request, c *exchange) {
	cause := recover()
	if cause != nil && cause != http.ErrAbortHandler { //nolint:errorlint // net/http too knows only the very value
		a.log.LogAttrs(r.Context(), slog.LevelError, "panic in a request",
			slog.String("request_id", c.id), slog.Any("panic", cause), slog.String("stack", string(debug.Stack())))
		if w.status == 0 {
			a.refuse(w, r, &failure{code: wire.CodeInternal})
			cause = nil
		}
	}
	took := a.now().Sub(c.started)
	a.metrics.answered(r.Pattern, w.status, took)
	a.logAccess(w, r, c, took)
	if cause != nil {
		panic(http.ErrAbortHandler) // the answer is broken off: so is the connection
	}
}

func (a *API) logAccess(w *response, r *http.Request, c *exchange, took time.Duration) {
	level := a.access
	switch {
	case w.status >= 500:
		level = max(level, slog.LevelWarn)
	case w.status >= 400:
		level = max(level, slog.LevelInfo)
	}
	if !a.log.Enabled(r.Context(), level) {
		return
	}
	a.log.LogAttrs(r.Context(), level, "request",
		slog.String("request_id", c.id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", w.status), slog.Int64("bytes", w.sent), slog.Duration("took", took), slog.String("client", c.client),
		slog.String("key", c.who.name), slog.String("tenant", string(c.who.tenant)))
}
