package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/leat-dev/leat/api/tus"
	"github.com/leat-dev/leat/api/wire"
)

// origins decides what pages of other origins may do in a browser.
type origins struct {
	list []string
	all  bool
	// guard refuses changes that a browser sends for a page of another origin. Without it, any
	// page could upload to, or cancel jobs of, a server that its visitor can reach.
	guard *http.CrossOriginProtection
}

func newOrigins(list []string) (*origins, error) {
	o := &origins{list: list, all: slices.Contains(list, "*"), guard: http.NewCrossOriginProtection()}
	if o.all {
		return o, nil
	}
	for _, origin := range list {
		if err := o.guard.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// The headers that matter to a page: those it may send, and those it may see.
const (
	corsRequestHeaders = "Authorization, Content-Type, Content-Digest, Repr-Digest, Idempotency-Key, Last-Event-ID, Want-Repr-Digest, X-Request-Id, Range, If-Range, If-Match, If-None-Match, " +
		"Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Upload-Defer-Length, Upload-Concat, Upload-Checksum, Upload-Complete, Upload-Incomplete, Upload-Draft-Interop-Version, X-HTTP-Method-Override"
	corsResponseHeaders = "Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, ETag, Repr-Digest, Idempotent-Replayed, Content-Disposition, Content-Range, Accept-Ranges, Allow, " +
		"Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Defer-Length, Upload-Concat, Upload-Expires, Upload-Complete, Upload-Incomplete, Upload-Limit, Upload-Draft-Interop-Version, " + tus.JobHeader
	corsMaxAge = "600" // seconds
)

// admit sets the headers that the request's origin calls for, and refuses what it may not do.
func (o *origins) admit(h http.Header, r *http.Request) error {
	origin := r.Header.Get("Origin")
	if len(o.list) > 0 {
		h.Add("Vary", "Origin")
	}
	if origin != "" && (o.all || slices.Contains(o.list, origin)) {
		allow := origin
		if o.all {
			allow = "*"
		}
		h.Set("Access-Control-Allow-Origin", allow)
		h.Set("Access-Control-Expose-Headers", corsResponseHeaders)
	}
	if o.all {
		return nil
	}
	if err := o.guard.Check(r); err != nil {
		return fail(wire.CodeCrossOrigin, "This server takes no changes from pages of other origins than those it was told of.")
	}
	return nil
}

// preflight adds what a browser wants to know before it sends what a page asked for.
func preflight(h http.Header, methods []string) {
	if h.Get("Access-Control-Allow-Origin") == "" {
		return
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
	h.Set("Access-Control-Max-Age", corsMaxAge)
}
