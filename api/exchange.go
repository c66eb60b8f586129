package api

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/leat-dev/leat/jobs"
)

// exchange is what is known of a request from its beginning.
type exchange struct {
	id      string // given by the client or made here
	client  string // its address
	https   bool   // as the client sees it
	who     identity
	started time.Time
}

type exchangeKey struct{}

// exchangeOf returns what is known of a request; an empty one outside of a request.
func exchangeOf(ctx context.Context) *exchange {
	if c, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return c
	}
	return &exchange{}
}

func (a *API) newExchange(r *http.Request) *exchange {
	c := &exchange{id: r.Header.Get("X-Request-Id"), started: a.now()}
	if !cleanRequestID(c.id) {
		c.id = jobs.NewID().String()
	}
	c.client, c.https = a.proxies.origin(r)
	return c
}

// cleanRequestID tells whether a client's ID is fit for a log and a header.
func cleanRequestID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// proxies are the networks whose word on who the client is counts.
type proxies []netip.Prefix

func (p proxies) trust(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// origin returns the client's address and whether it speaks HTTPS. The headers of a trusted proxy
// are believed, from the nearest hop outwards to the first that is not trusted.
func (p proxies) origin(r *http.Request) (string, bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr, r.TLS != nil
	}
	client := peer.Addr().Unmap()
	if len(p) == 0 || !p.trust(client) {
		return client.String(), r.TLS != nil
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trust(client); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		client = hop.Unmap()
	}
	proto, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return client.String(), r.TLS != nil || strings.EqualFold(strings.TrimSpace(proto), "https")
}

// tenantOf returns whose files and jobs a request is about: nobody's, where nobody was let in.
func tenantOf(ctx context.Context) jobs.Tenant { return exchangeOf(ctx).who.tenant }
