package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/queue"
	"github.com/leat-dev/leat/store"
)

// limited makes an API hold tenants to limits, which it counts in Redis.
func limited(t *testing.T, s store.Store, limits api.TenantLimits) func(*api.Options) {
	t.Helper()
	conn, err := queue.Open(testserver.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(o *api.Options) { o.Settings, o.Limiter, o.TenantLimits = s, conn.Limiter(), limits }
}

// comeBack is what a refused request is told to wait, in seconds.
func (r *reply) comeBack() int {
	r.Helper()
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil {
		r.Fatalf("Retry-After %q", r.header.Get("Retry-After"))
	}
	return seconds
}

func TestRequestsAreLimitedByTenant(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	f := newFixture(t, s, withKeys, limited(t, s, api.TenantLimits{RequestsPerSecond: 0.01, Burst: 3}))
	acme, other, free := f.key("acme", access.Read), f.key("other", access.Read), f.key("free", access.Read)
	_, err := s.SetTenant(t.Context(), store.TenantSettings{Tenant: "free", Weight: 1, RequestsPerSecond: 1e6, Burst: 1000}, store.Actor{Name: "operator"})
	f.ok(err)
	for left := 2; left >= 0; left-- {
		r := f.get("/v1/jobs", acme).is(http.StatusOK)
		f.equal("RateLimit-Policy", `"requests";q=3;w=300`, r.header.Get("RateLimit-Policy"))
		f.equal("RateLimit", fmt.Sprintf(`"requests";r=%d`, left), r.header.Get("RateLimit"))
	}
	for _, path := range []string{"/v1/jobs", "/v1/queues", "/v1/files/" + jobs.NewID().String()} {
		r := f.get(path, acme).is(http.StatusTooManyRequests)
		r.fails(wire.CodeRateLimited)
		if wait := r.comeBack(); wait < 95 || wait > 100 { // one comes back in 100 seconds
			t.Errorf("told to wait %d s", wait)
		}
		if got := r.header.Get("RateLimit"); !strings.HasPrefix(got, `"requests";r=0;t=`) {
			t.Errorf("RateLimit %q", got)
		}
	}
	f.get("/v1/jobs", other).is(http.StatusOK)
	for range 10 {
		f.get("/v1/jobs", free).is(http.StatusOK)
	}
	f.get("/healthz").is(http.StatusOK) // which needs no key
}

func TestBytesAreLimitedByTenant(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	f := newFixture(t, s, limited(t, s, api.TenantLimits{BytesPerDay: 4 << 20}))
	post := func(body io.Reader) *reply { return f.send(http.MethodPost, "/v1/uploads", body) }
	first := post(strings.NewReader(strings.Repeat("x", 3<<20))).is(http.StatusAccepted)
	f.equal("RateLimit-Policy", `"bytes";q=4194304;w=86400;qu="content-bytes"`, first.header.Get("RateLimit-Policy"))
	f.equal("RateLimit", `"bytes";r=4194304`, first.header.Get("RateLimit"))

	// One that says how long it is, is refused before its first byte; another in its midst.
	refused := post(strings.NewReader(strings.Repeat("y", 2<<20))).is(http.StatusTooManyRequests)
	refused.fails(wire.CodeBytesExhausted)
	f.equal("Retry-After, at the most", 3600, refused.comeBack()) // a MiB takes 6 hours
	post(chunked{strings.NewReader(strings.Repeat("y", 3<<20))}).is(http.StatusTooManyRequests).fails(wire.CodeBytesExhausted)
	f.equal("jobs", 1, len(into[wire.Jobs](f.get("/v1/jobs")).Jobs))
	f.get("/v1/jobs").is(http.StatusOK)

	// An upload in pieces keeps what came before the limit.
	path := f.begin(length(8 << 20))
	f.patch(path, 0, strings.NewReader(strings.Repeat("z", 8<<20))).is(http.StatusTooManyRequests).fails(wire.CodeBytesExhausted)
	f.stands(path, 0)
}

func TestFileSizeIsLimitedByTenant(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	f := newFixture(t, s, limited(t, s, api.TenantLimits{}))
	_, err := s.SetTenant(t.Context(), store.TenantSettings{Tenant: jobs.DefaultTenant, Weight: 1, FileBytes: 100}, store.Actor{Name: "operator"})
	f.ok(err)
	f.uploadRaw(strings.Repeat("x", 100), "")
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader(strings.Repeat("x", 101))).is(http.StatusRequestEntityTooLarge).fails(wire.CodeFileTooLarge)
	f.send(http.MethodPost, "/tus/", nil, tusVersion, length(101)).is(http.StatusRequestEntityTooLarge).fails(wire.CodeFileTooLarge)
	path := f.begin("Upload-Defer-Length: 1")
	f.piece(path, 0, strings.Repeat("x", 60)).is(http.StatusNoContent)
	f.piece(path, 60, strings.Repeat("x", 60), "Upload-Length: 120").is(http.StatusRequestEntityTooLarge).fails(wire.CodeFileTooLarge)
	f.hasBlobs(0)
}

func TestWaitingJobsAreLimitedByTenant(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s, withKeys, limited(t, s, api.TenantLimits{JobsWaiting: 3}))
		acme, other := f.key("acme", access.Upload, access.Read, access.Operate), f.key("other", access.Upload)
		post := func(key string) *reply {
			return f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), key)
		}
		for range 3 { // within the time for which the count is remembered
			post(acme).is(http.StatusAccepted)
		}
		refused := post(acme).is(http.StatusTooManyRequests)
		refused.fails(wire.CodeTooManyWaiting)
		f.equal("Retry-After of a fleet that does nothing", 60, refused.comeBack())
		f.send(http.MethodPost, "/tus/", nil, tusVersion, length(1), acme).is(http.StatusTooManyRequests).fails(wire.CodeTooManyWaiting)
		post(other).is(http.StatusAccepted)
		f.send(http.MethodPost, "/v1/jobs/cancel?state=pending", nil, acme).is(http.StatusOK)
		f.within("there is room again", func() bool { return post(acme).status == http.StatusAccepted })
	})
}

// pressed is a store under a pressure of the test's choice.
type pressed struct {
	store.Store
	all   store.Pressure
	ready map[jobs.Tenant]int
}

func (p *pressed) Pressure(context.Context) (store.Pressure, error) { return p.all, nil }

func (p *pressed) Ready(_ context.Context, tenant jobs.Tenant) (int, error) {
	return p.ready[tenant], nil
}

// TestBacklogIsBounded: while there is more to do than the workers can do in time, those who have more
// than their share in it come later, and are told when.
func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		all   store.Pressure
		wait  int // of a tenant of weight 1 that has 2,000 ready; 0 when it is not refused
		heavy int // of one of weight 3 that has 9,000
	}{
		// 10 a second are 6,000 in ten minutes: 1,500 for a weight of 1 of 4. 501 too many take it 200 s.
		{"too much", store.Pressure{Jobs: 11_000, Weights: 4, Ended: 10}, 201, 601},
		{"no more than can be done", store.Pressure{Jobs: 6000, Weights: 4, Ended: 10}, 0, 0},
		{"at a pace that nobody knows", store.Pressure{Jobs: 11_000, Weights: 4}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &pressed{Store: openSQLite(t), all: c.all, ready: map[jobs.Tenant]int{"light": 2000, "heavy": 9000}}
			if _, err := s.SetTenant(t.Context(), store.TenantSettings{Tenant: "heavy", Weight: 3}, store.Actor{}); err != nil {
				t.Fatal(err)
			}
			f := newFixture(t, s, withKeys, limited(t, s, api.TenantLimits{DrainWithin: 10 * time.Minute}))
			for tenant, wait := range map[jobs.Tenant]int{"light": c.wait, "heavy": c.heavy, "new": 0} {
				answer := f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), f.key(tenant, access.Upload))
				if wait == 0 {
					answer.is(http.StatusAccepted)
					continue
				}
				answer.is(http.StatusTooManyRequests).fails(wire.CodeBacklogFull)
				f.equal("Retry-After of "+string(tenant), wait, answer.comeBack())
			}
		})
	}
}

// brokenLimiter is a Redis that is away.
type brokenLimiter struct{ asked atomic.Int64 }

func (b *brokenLimiter) Take(context.Context, string, int64, time.Duration, int64) (int64, time.Duration, error) {
	b.asked.Add(1)
	return 0, 0, errors.New("nobody answers")
}

// TestP1UploadsGoOnWithoutLimits: a limit that cannot be counted holds nobody up, and is not asked for
// at each request.
func TestP1UploadsGoOnWithoutLimits(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	broken := &brokenLimiter{}
	now := time.Now()
	f := newFixture(t, s, func(o *api.Options) {
		o.Settings, o.Limiter, o.TenantLimits = s, broken, api.TenantLimits{RequestsPerSecond: 1, BytesPerDay: 1}
		o.Now = func() time.Time { return now }
	})
	for range 20 {
		f.uploadRaw("many more bytes", "")
	}
	f.equal("times that it was asked", int64(1), broken.asked.Load())
}

// TestOnlyTypesOnTheListAreAccepted: by what the bytes are, whatever their sender calls them.
func TestOnlyTypesOnTheListAreAccepted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), func(o *api.Options) { o.Types = []string{"image/*", "application/pdf"} })
	const png, pdf = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "%PDF-1.7\n"
	f.uploadRaw(png, "filename=a.txt")
	f.uploadRaw(pdf, "")
	script := "#!/bin/sh\necho " + strings.Repeat("x", 100_000)
	for _, body := range []string{"text", script} {
		f.send(http.MethodPost, "/v1/uploads?filename=a.png", strings.NewReader(body), "Content-Type: image/png").is(http.StatusUnsupportedMediaType).fails(wire.CodeTypeNotAccepted)
		f.send(http.MethodPost, "/v1/uploads", strings.NewReader(form(file("a.png", png), file("b.png", body))), formType).is(http.StatusUnsupportedMediaType).fails(wire.CodeTypeNotAccepted)
		path := f.begin(length(len(body)), metadata("filename", "a.png", "filetype", "image/png"))
		f.piece(path, 0, body).is(http.StatusUnsupportedMediaType).fails(wire.CodeTypeNotAccepted)
		f.send(http.MethodHead, path, nil, tusVersion).is(http.StatusNotFound)
	}
	f.equal("jobs", 2, len(into[wire.Jobs](f.get("/v1/jobs")).Jobs))
	f.hasBlobs(0)
}
