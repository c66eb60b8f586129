package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Auth says who may call an API.
type Auth string

const (
	// AuthKeys asks everybody for a key, which says whose files and jobs the request is about, and
	// what it may do with them.
	AuthKeys Auth = "keys"
	// AuthLoopback asks nobody, and is for a server that only this machine can reach. Requests that
	// name another host are refused: they are of a page that has given its own name this machine's
	// address, to get behind the rules of browsers.
	AuthLoopback Auth = "loopback"
	// AuthOff asks nobody: something in front of the server does.
	AuthOff Auth = "off"
)

// Keys is what the API needs of the store to know keys.
type Keys interface {
	Key(ctx context.Context, name string) (store.Key, error)
	TouchKey(ctx context.Context, name string) error
}

const (
	// keyMemory is how long the API goes by what the store said of a key: so long, at most, does a key
	// work on that was revoked.
	keyMemory = 10 * time.Second
	// keyTouch is how exactly the store knows when a key was used last.
	keyTouch = time.Minute
	maxKeys  = 10_000 // remembered at a time
	keyLimit = 5 * time.Second
)

// gate lets in who may come in.
type gate struct {
	auth  Auth
	keys  Keys
	known *otter.Cache[string, *store.Key] // nil for names that no key has
	now   func() time.Time
	log   *slog.Logger
}

// gateClock is a clock of the cache without ticks: what is over is removed as it is met, or as room is
// needed.
type gateClock func() time.Time

func (c gateClock) NowNano() int64                      { return c().UnixNano() }
func (c gateClock) Tick(time.Duration) <-chan time.Time { return nil }

func newGate(o *Options) (*gate, error) {
	g := &gate{auth: o.Auth, keys: o.Keys, now: o.Now, log: o.Logger}
	var err error
	g.known, err = otter.New(&otter.Options[string, *store.Key]{
		MaximumSize:      maxKeys,
		ExpiryCalculator: otter.ExpiryWriting[string, *store.Key](keyMemory),
		Clock:            gateClock(o.Now),
		Executor:         func(task func()) { task() },
	})
	if err != nil {
		return nil, fmt.Errorf("api: memory of keys: %w", err)
	}
	return g, nil
}

// identity is on whose behalf a request is, and what it may do.
type identity struct {
	tenant jobs.Tenant
	scopes access.Scopes
	name   string // of the key, or one of the store's actors
}

// identify finds out who calls.
func (g *gate) identify(r *http.Request) (identity, error) {
	if g.auth != AuthKeys {
		if g.auth == AuthLoopback && !isLoopback(r.Host) {
			return identity{}, fail(wire.CodeForbiddenHost, "This server asks nobody for a key, and so takes requests to localhost only.")
		}
		return identity{tenant: jobs.DefaultTenant, scopes: access.All(), name: store.ActorAnonymous}, nil
	}
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme == "" {
		return identity{}, fail(wire.CodeUnauthorized, "Send a key, as Authorization: Bearer leat_...")
	}
	name, hash, err := access.ParseKey(strings.TrimSpace(text))
	if err != nil || !strings.EqualFold(scheme, "Bearer") {
		return identity{}, fail(wire.CodeUnauthorized, "The Authorization header does not hold a key, as Bearer leat_...")
	}
	key, err := g.known.Get(r.Context(), name, otter.LoaderFunc[string, *store.Key](g.load))
	switch {
	case err != nil:
		return identity{}, fmt.Errorf("look up a key: %w", err)
	case key == nil, !key.Hash.Equal(hash), !key.Valid(g.now()):
		return identity{}, fail(wire.CodeUnauthorized, "The key is unknown, revoked or expired.")
	}
	return identity{tenant: key.Tenant, scopes: key.Scopes, name: key.Name}, nil
}

// load asks the store for a key, and notes there that it is in use. Others may wait for the answer, so
// it does not end with the request that asks first.
func (g *gate) load(ctx context.Context, name string) (*store.Key, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyLimit)
	defer cancel()
	key, err := g.keys.Key(ctx, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil //nolint:nilnil // that there is none is worth remembering, too
	case err != nil:
		return nil, err
	}
	if now := g.now(); key.Valid(now) && now.Sub(key.UsedAt) >= keyTouch {
		if err := g.keys.TouchKey(ctx, name); err != nil {
			g.log.WarnContext(ctx, "could not note that a key is in use", slog.String("key", name), slog.Any("err", err))
		}
	}
	return &key, nil
}

// admit identifies the caller of a route that needs a scope, for everything that follows.
func (g *gate) admit(c *exchange, r *http.Request, need access.Scope) error {
	if need == everybody {
		return nil
	}
	who, err := g.identify(r)
	if err != nil {
		return err
	}
	if !who.scopes.Has(need) {
		return fail(wire.CodeMissingScope, "The call needs a key with the scope %s; that of %s has %s.", need, who.name, who.scopes)
	}
	c.who = who
	return nil
}

// everybody is the scope of what needs none.
const everybody access.Scope = ""

// isLoopback tells whether a Host header names this machine as only itself can.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
