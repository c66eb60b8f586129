package api

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Limiter counts what may be used only so fast, for all processes together; queue.Limiter is one. Of
// burst units that belong to a key n are taken; as many as burst come back within period. When there are
// not n, none is taken, and wait is how long it takes until there are.
type Limiter interface {
	Take(ctx context.Context, key string, burst int64, period time.Duration, n int64) (left int64, wait time.Duration, err error)
}

// Settings is what the API needs of the store to know what was set for tenants, and what all of them
// have waiting.
type Settings interface {
	TenantSettings(ctx context.Context, tenant jobs.Tenant) (store.TenantSettings, error)
	Pressure(ctx context.Context) (store.Pressure, error)
}

// nothingSet is Settings of which there are none.
type nothingSet struct{}

func (nothingSet) TenantSettings(_ context.Context, tenant jobs.Tenant) (store.TenantSettings, error) {
	return store.DefaultTenantSettings(tenant), nil
}

func (nothingSet) Pressure(context.Context) (store.Pressure, error) { return store.Pressure{}, nil }

// TenantLimits hold for each tenant for which nothing else was set. Zero is no limit.
type TenantLimits struct {
	RequestsPerSecond float64
	Burst             int   // requests that may come at once; of a second when zero
	BytesPerDay       int64 // of bodies of uploads
	JobsWaiting       int   // ready to run, in all queues
	// DrainWithin bounds the backlog of all tenants: while the workers would take longer than this for
	// what is ready, tenants that have more of it than their share can upload nothing.
	DrainWithin time.Duration
}

const (
	// settingsMemory is how long the API goes by what the store said of a tenant's settings, and
	// pressureMemory by what it said of the jobs that wait. What this process has accepted since is
	// added to them.
	settingsMemory = 10 * time.Second
	pressureMemory = time.Second
	maxTenants     = 10_000 // remembered at a time
	// limiterRest is how long nothing is limited after the limiter has failed: requests are not to wait
	// for a Redis that is away.
	limiterRest = time.Second
	// chargeEvery is how many bytes of a body are taken from a day's at a time.
	chargeEvery = 1 << 20
	day         = 24 * time.Hour
	// The times after which a tenant is told to come again, at the least and at the most.
	minComeBack, maxComeBack = time.Second, time.Hour
)

// quota holds tenants to their limits.
type quota struct {
	store     store.Admissions
	settings  Settings
	limiter   Limiter
	defaults  TenantLimits
	fileBytes int64
	now       func() time.Time
	log       *slog.Logger
	unlimited func() // is told of a request that could not be limited

	known     *otter.Cache[jobs.Tenant, store.TenantSettings]
	ready     *otter.Cache[jobs.Tenant, *ready]
	pressure  *otter.Cache[struct{}, store.Pressure]
	restUntil atomic.Int64 // in Unix nanoseconds
	complain  sync.Mutex   // held by the one who logs
}

// ready is how many jobs of a tenant are ready to run.
type ready struct {
	counted int
	since   atomic.Int64 // were accepted since
}

func newQuota(o *Options, unlimited func()) (*quota, error) {
	q := &quota{
		store: o.Store, settings: o.Settings, limiter: o.Limiter, defaults: o.TenantLimits, fileBytes: o.Limits.File,
		now: o.Now, log: o.Logger, unlimited: unlimited,
	}
	inline := func(task func()) { task() }
	var err error
	q.known, err = otter.New(&otter.Options[jobs.Tenant, store.TenantSettings]{
		MaximumSize: maxTenants, ExpiryCalculator: otter.ExpiryWriting[jobs.Tenant, store.TenantSettings](settingsMemory),
		Clock: gateClock(o.Now), Executor: inline,
	})
	if err != nil {
		return nil, fmt.Errorf("api: memory of tenants: %w", err)
	}
	q.ready, err = otter.New(&otter.Options[jobs.Tenant, *ready]{
		MaximumSize: maxTenants, ExpiryCalculator: otter.ExpiryWriting[jobs.Tenant, *ready](pressureMemory),
		Clock: gateClock(o.Now), Executor: inline,
	})
	if err != nil {
		return nil, fmt.Errorf("api: memory of what is ready: %w", err)
	}
	q.pressure, err = otter.New(&otter.Options[struct{}, store.Pressure]{
		MaximumSize: 1, ExpiryCalculator: otter.ExpiryWriting[struct{}, store.Pressure](pressureMemory),
		Clock: gateClock(o.Now), Executor: inline,
	})
	if err != nil {
		return nil, fmt.Errorf("api: memory of what waits: %w", err)
	}
	return q, nil
}

// of returns what holds for a tenant, the server's defaults where nothing was set.
func (q *quota) of(ctx context.Context, tenant jobs.Tenant) (store.TenantSettings, error) {
	s, err := q.known.Get(ctx, tenant, otter.LoaderFunc[jobs.Tenant, store.TenantSettings](
		func(ctx context.Context, tenant jobs.Tenant) (store.TenantSettings, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyLimit) // others may wait for it
			defer cancel()
			return q.settings.TenantSettings(ctx, tenant)
		}))
	if err != nil {
		return s, fmt.Errorf("look up a tenant: %w", err)
	}
	s.RequestsPerSecond = cmp.Or(s.RequestsPerSecond, q.defaults.RequestsPerSecond)
	s.Burst = cmp.Or(s.Burst, q.defaults.Burst, int(math.Ceil(s.RequestsPerSecond)))
	s.BytesPerDay = cmp.Or(s.BytesPerDay, q.defaults.BytesPerDay)
	s.JobsWaiting = cmp.Or(s.JobsWaiting, q.defaults.JobsWaiting)
	s.FileBytes = min(cmp.Or(s.FileBytes, q.fileBytes), q.fileBytes)
	return s, nil
}

// take takes n units of what belongs to a tenant. Where the limiter fails it reports false, and
// everything is allowed: a limit is not worth an upload.
func (q *quota) take(ctx context.Context, what string, tenant jobs.Tenant, burst int64, period time.Duration, n int64) (left int64, wait time.Duration, ok bool) {
	if q.limiter == nil || q.now().UnixNano() < q.restUntil.Load() {
		q.unlimited()
		return 0, 0, false
	}
	left, wait, err := q.limiter.Take(ctx, what+":"+string(tenant), burst, period, n)
	if err == nil {
		return left, wait, true
	}
	q.unlimited()
	if ctx.Err() == nil && q.complain.TryLock() {
		defer q.complain.Unlock()
		q.restUntil.Store(q.now().Add(limiterRest).UnixNano())
		q.log.WarnContext(ctx, "tenants' limits are not enforced while Redis cannot be asked", slog.Any("err", err))
	}
	return 0, 0, false
}

// request counts a request, and refuses one that comes too soon.
func (q *quota) request(r *http.Request, h http.Header, tenant jobs.Tenant) error {
	ctx := r.Context()
	s, err := q.of(ctx, tenant)
	if err != nil || s.RequestsPerSecond <= 0 {
		return err
	}
	period := time.Duration(float64(s.Burst) / s.RequestsPerSecond * float64(time.Second))
	left, wait, ok := q.take(ctx, "requests", tenant, int64(s.Burst), period, 1)
	if !ok {
		return nil
	}
	tellLimit(h, "requests", "", int64(s.Burst), period, left, wait)
	if wait > 0 {
		return &failure{code: wire.CodeRateLimited, wait: wait, detail: fmt.Sprintf("The limit is %g requests a second, and %d at once.", s.RequestsPerSecond, s.Burst)}
	}
	return nil
}

// body decides whether a tenant may send a body now: bytes is what it announces, negative when it does
// not. It returns what takes the bytes from the tenant's as they come; nil for a tenant without a limit.
func (q *quota) body(ctx context.Context, h http.Header, s *store.TenantSettings, bytes int64) (charge func(int64) error, err error) {
	if s.BytesPerDay <= 0 || bytes == 0 {
		return nil, nil
	}
	left, wait, ok := q.take(ctx, "bytes", s.Tenant, s.BytesPerDay, day, 0)
	if !ok {
		return nil, nil
	}
	tellLimit(h, "bytes", "content-bytes", s.BytesPerDay, day, left, wait)
	if least := max(bytes, 1); left < least {
		return nil, bytesGone(s, min(least, s.BytesPerDay)-left)
	}
	limit := *s
	return func(n int64) error {
		if _, wait, _ := q.take(ctx, "bytes", limit.Tenant, limit.BytesPerDay, day, n); wait > 0 {
			return bytesGone(&limit, int64(wait.Seconds()/day.Seconds()*float64(limit.BytesPerDay)))
		}
		return nil
	}, nil
}

// bytesGone refuses a body of which so many bytes are missing from what the tenant may send.
func bytesGone(s *store.TenantSettings, missing int64) error {
	wait := time.Duration(float64(missing) / float64(s.BytesPerDay) * float64(day))
	return &failure{code: wire.CodeBytesExhausted, wait: wait, detail: fmt.Sprintf("The limit is %d bytes a day.", s.BytesPerDay)}
}

// backlog refuses an upload that has too much before it.
func (q *quota) backlog(ctx context.Context, s *store.TenantSettings) error {
	within := q.defaults.DrainWithin
	if s.JobsWaiting <= 0 && within <= 0 {
		return nil
	}
	mine, err := q.waiting(ctx, s.Tenant)
	if err != nil {
		return err
	}
	tooMany := s.JobsWaiting > 0 && mine >= s.JobsWaiting
	if !tooMany && (within <= 0 || mine == 0) {
		return nil
	}
	p, err := q.pressure.Get(ctx, struct{}{}, otter.LoaderFunc[struct{}, store.Pressure](
		func(ctx context.Context, _ struct{}) (store.Pressure, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyLimit)
			defer cancel()
			return q.settings.Pressure(ctx)
		}))
	if err != nil {
		return fmt.Errorf("look up what waits: %w", err)
	}
	if tooMany {
		return &failure{
			code: wire.CodeTooManyWaiting, wait: p.Wait(s.Weight, mine-s.JobsWaiting+1),
			detail: fmt.Sprintf("%d jobs are ready to run, and %d may be.", mine, s.JobsWaiting),
		}
	}
	if p.Ended <= 0 || float64(p.Jobs) <= p.Ended*within.Seconds() { // nobody knows the pace of a fleet that starts
		return nil
	}
	if share := max(p.Share(s.Weight, within), 1); mine >= share {
		return &failure{code: wire.CodeBacklogFull, wait: p.Wait(s.Weight, mine-share+1), detail: fmt.Sprintf(
			"%d of your jobs are ready to run; the workers can do %d of them within %v.", mine, share, within)}
	}
	return nil
}

// waiting counts the jobs of a tenant that are ready to run, with what this process has accepted since
// the store was asked.
func (q *quota) waiting(ctx context.Context, tenant jobs.Tenant) (int, error) {
	known, err := q.ready.Get(ctx, tenant, otter.LoaderFunc[jobs.Tenant, *ready](
		func(ctx context.Context, tenant jobs.Tenant) (*ready, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyLimit)
			defer cancel()
			n, err := q.store.Ready(ctx, tenant)
			return &ready{counted: n}, err
		}))
	if err != nil {
		return 0, fmt.Errorf("look up what is ready: %w", err)
	}
	return known.counted + int(known.since.Load()), nil
}

// accepted notes jobs that a tenant has now.
func (q *quota) accepted(tenant jobs.Tenant, n int) {
	if known, ok := q.ready.GetIfPresent(tenant); ok {
		known.since.Add(int64(n))
	}
}

// tellLimit tells of a limit in the headers of draft-ietf-httpapi-ratelimit-headers-10: the quota and
// its window, then what is left of it, and in how many seconds there is more.
func tellLimit(h http.Header, name, unit string, burst int64, period time.Duration, left int64, wait time.Duration) {
	policy := fmt.Sprintf(`"%s";q=%d;w=%d`, name, burst, max(1, int64(math.Ceil(period.Seconds()))))
	if unit != "" {
		policy += `;qu="` + unit + `"`
	}
	state := fmt.Sprintf(`"%s";r=%d`, name, left)
	if wait > 0 {
		state += fmt.Sprintf(";t=%d", int64(math.Ceil(wait.Seconds())))
	}
	for header, value := range map[string]string{"RateLimit-Policy": policy, "RateLimit": state} {
		if other := h.Get(header); other != "" {
			value = strings.Join([]string{other, value}, ", ")
		}
		h.Set(header, value)
	}
}
