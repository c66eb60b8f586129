// Package apirole makes the services of the api role: the upload API, and the shortcut that hands
// fresh jobs over. It links no handler, so no decoder.
package apirole

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/app"
	"github.com/leat-dev/leat/config"
	"github.com/leat-dev/leat/dispatch"
	"github.com/leat-dev/leat/jobs"
)

// Services listens on the API's address, at once so that a taken one is an error at start, and
// gives the services that serve it.
func Services(ctx context.Context, res *app.Resources, specs *jobs.Specs) ([]app.Service, net.Addr, error) {
	log := res.Log.With("part", "api")
	shortcut := dispatch.NewShortcut(res.Store, res.Queue, log)
	opts, err := options(res, specs, shortcut, log)
	if err != nil {
		return nil, nil, err
	}
	handler, err := api.New(opts)
	if err != nil {
		return nil, nil, err
	}
	server := api.NewServer(handler, log)
	services := []app.Service{{Name: "shortcut", Run: shortcut.Run}}
	if res.Options.TLSCert != "" {
		cert, err := openCertificate(res.Options.TLSCert, res.Options.TLSKey, log)
		if err != nil {
			return nil, nil, err
		}
		if err := res.Registry.Register(cert.expiry()); err != nil {
			return nil, nil, fmt.Errorf("register metrics: %w", err)
		}
		server.TLSConfig = cert.config()
		services = append(services, app.Service{Name: "certificate", Run: cert.run})
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", res.Options.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	if err := checkReach(opts.Auth, listener.Addr(), log); err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	return append(services, app.HTTPService("api", server, listener, res.Options.ShutdownTimeout)), listener.Addr(), nil
}

// checkReach refuses to ask nobody where more than this machine can reach the address.
func checkReach(auth api.Auth, addr net.Addr, log *slog.Logger) error {
	tcp, ok := addr.(*net.TCPAddr)
	local := ok && tcp.IP.IsLoopback()
	switch {
	case auth == api.AuthLoopback && !local:
		return &app.ExitError{Code: 2, Err: fmt.Errorf("auth (%s): others than this machine can reach %s, and nobody would be asked for a key: "+
			"give --auth keys (leat keys create makes one), or --auth off if something in front asks", config.EnvName("auth"), addr)}
	case auth == api.AuthOff && !local:
		log.Warn("nobody is asked for a key: whoever reaches the address can upload, read and delete", "address", addr.String())
	}
	return nil
}

func options(res *app.Resources, specs *jobs.Specs, shortcut *dispatch.Shortcut, log *slog.Logger) (api.Options, error) {
	proxies, err := prefixes(res.Options.TrustedProxies)
	if err != nil {
		return api.Options{}, err
	}
	opts := api.DefaultOptions()
	opts.Store, opts.Blobs, opts.Specs = res.Store, res.Blobs, specs
	opts.Auth, opts.Keys = api.Auth(res.Options.Auth), res.Store
	opts.Settings, opts.Limiter = res.Store, res.Queue.Limiter()
	opts.TenantLimits = api.TenantLimits{
		RequestsPerSecond: res.Options.TenantRate, Burst: res.Options.TenantBurst, BytesPerDay: int64(res.Options.TenantBytesPerDay),
		JobsWaiting: res.Options.TenantJobsWaiting, DrainWithin: res.Options.MaxBacklog,
	}
	opts.HandOver = shortcut.HandOver
	opts.Ready = ready(res.Store, res.Queue)
	opts.Logger, opts.Registerer = log, res.Registry
	opts.Limits.Body = int64(res.Options.MaxUploadSize)
	opts.Limits.File = int64(res.Options.MaxUploadSize)
	opts.Limits.Files = res.Options.MaxUploadFiles
	opts.Limits.Uploads = res.Options.MaxUploads
	opts.Limits.TransferExpiry = res.Options.UploadExpiry
	opts.Limits.BodyWait = res.Options.UploadStall
	opts.InlineLimit = int(res.Options.InlineLimit)
	opts.Types = res.Options.AcceptTypes
	opts.CORSOrigins = res.Options.CORSOrigins
	opts.TrustedProxies = proxies
	opts.HSTS = hsts(&res.Options)
	opts.Version = app.Version()
	return opts, nil
}

// hsts is what browsers are told about HTTPS.
func hsts(o *config.Options) string {
	if o.HSTS == 0 {
		return ""
	}
	text := fmt.Sprintf("max-age=%.0f", time.Duration(o.HSTS).Seconds())
	if o.HSTSSubdomains {
		text += "; includeSubDomains"
	}
	return text
}

// redisPing is how long a Redis that hangs may hold up the answer whether this process is ready. It is
// well below what probes wait: uploads go on without Redis.
const redisPing = 500 * time.Millisecond

// ready says how the parts are: the store is needed, while uploads go on without Redis.
func ready(store, redis pinger) func(context.Context) []wire.Check {
	return func(ctx context.Context) []wire.Check {
		checks := []wire.Check{{Name: "store", Required: true}, {Name: "redis"}}
		var pings sync.WaitGroup
		pings.Go(func() { checks[0].OK = store.Ping(ctx) == nil })
		pings.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, redisPing)
			defer cancel()
			checks[1].OK = redis.Ping(ctx) == nil
		})
		pings.Wait()
		return checks
	}
}

type pinger interface {
	Ping(ctx context.Context) error
}

// prefixes reads addresses and networks.
func prefixes(texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil {
				return nil, fmt.Errorf("trusted-proxies: %q is neither an address nor a network", text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		list = append(list, prefix)
	}
	return list, nil
}
