package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func TestUploadWithAKeyIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s, func(o *api.Options) { o.InlineLimit = 100 })
		large := strings.Repeat("large ", 1000)
		post := func(path, body string, headers ...string) *reply {
			return f.send(http.MethodPost, path, strings.NewReader(body), append(headers, "Idempotency-Key: k-1")...)
		}
		first := post("/v1/uploads?kind=inspect&filename=a.txt", large).is(http.StatusAccepted)
		again := post("/upload?filename=a.txt&kind=inspect", large).is(http.StatusAccepted)
		f.equal("answer", string(first.body), string(again.body))
		f.equal("Location", first.header.Get("Location"), again.header.Get("Location"))
		f.equal("replayed", "true", again.header.Get("Idempotent-Replayed"))
		f.equal("first replayed", "", first.header.Get("Idempotent-Replayed"))
		// A form says the same in other words.
		post("/v1/uploads", form(field("kind", "inspect"), file("a.txt", large)), formType).is(http.StatusAccepted)
		for _, other := range []string{
			"?kind=inspect&filename=b.txt", "?kind=auto&filename=a.txt", "?kind=inspect&filename=a.txt&queue=q",
			"?kind=inspect&filename=a.txt&fresh=true", "?kind=inspect&filename=a.txt&run_at=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		} {
			post("/v1/uploads"+other, large).is(http.StatusUnprocessableEntity).fails(wire.CodeKeyReused)
		}
		post("/v1/uploads?kind=inspect&filename=a.txt", large+"x").is(http.StatusUnprocessableEntity).fails(wire.CodeKeyReused)
		f.equal("jobs", 1, len(into[wire.Jobs](f.get("/v1/jobs")).Jobs))
		f.equal("blobs", 1, f.countBlobs())
		f.equal("handed over", 1, len(f.over))
	})
}

func TestWhatIsRefusedLeavesTheKeyFree(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), "Idempotency-Key: k", "Content-Digest: "+sha256Digest("y")).is(http.StatusBadRequest)
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader("z"), "Idempotency-Key: k").is(http.StatusAccepted)
	for _, bad := range []string{"", strings.Repeat("k", 256), "k\u00fc"} {
		f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), "Idempotency-Key: "+bad).is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
		f.send(http.MethodPost, "/v1/queues/default/pause", nil, "Idempotency-Key: "+bad).is(http.StatusBadRequest).fails(wire.CodeInvalidParameter)
	}
	f.send(http.MethodPost, "/v1/queues/default/pause", nil, "Idempotency-Key: a", "Idempotency-Key: b").is(http.StatusBadRequest)
}

// A hundred at once: one job, one answer.
func TestUploadsWithOneKeyAtOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s)
		const calls = 100
		answers := make([]*reply, calls)
		var wait sync.WaitGroup
		for i := range calls {
			wait.Go(func() {
				answers[i] = f.send(http.MethodPost, "/v1/uploads", strings.NewReader("the same"), "Idempotency-Key: k")
			})
		}
		wait.Wait()
		fresh := 0
		for _, r := range answers {
			f.equal("answer", string(answers[0].body), string(r.is(http.StatusAccepted).body))
			if r.header.Get("Idempotent-Replayed") == "" {
				fresh++
			}
		}
		f.equal("accepted", 1, fresh)
		f.equal("jobs", 1, len(into[wire.Jobs](f.get("/v1/jobs")).Jobs))
	})
}

// countingStore counts what is changed, and fails when told to.
type countingStore struct {
	store.Tenanted
	cancels atomic.Int64
	away    atomic.Bool
	entered chan struct{} // told of each Cancel, when not nil
	leave   chan struct{}
}

func (c *countingStore) CancelJobs(ctx context.Context, tenant jobs.Tenant, filter store.JobFilter, limit int) (int, error) {
	c.cancels.Add(1)
	if c.away.Load() {
		return 0, fmt.Errorf("%w: refused", store.ErrUnavailable)
	}
	if c.entered != nil {
		c.entered <- struct{}{}
		<-c.leave
	}
	return c.Tenanted.CancelJobs(ctx, tenant, filter, limit)
}

func TestOtherCallsWithAKeyTakeEffectOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		counted := &countingStore{Tenanted: s}
		f := newFixture(t, s, func(o *api.Options) { o.Store = counted })
		f.uploadRaw("1", "queue=a")
		call := func(path, key string) *reply { return f.send(http.MethodPost, path, nil, "Idempotency-Key: "+key) }
		counted.away.Store(true)
		call("/v1/jobs/cancel?queue=a", "k").is(http.StatusServiceUnavailable)
		counted.away.Store(false)
		first := call("/v1/jobs/cancel?queue=a&state=pending", "k2").is(http.StatusOK)
		f.equal("changed", wire.Changed{Changed: 1}, into[wire.Changed](first))
		f.uploadRaw("2", "queue=a")
		again := call("/v1/jobs/cancel?state=pending&queue=a", "k2").is(http.StatusOK)
		f.equal("answer", string(first.body), string(again.body))
		f.equal("replayed", "true", again.header.Get("Idempotent-Replayed"))
		f.equal("content type", "application/json", again.header.Get("Content-Type"))
		f.equal("calls", int64(2), counted.cancels.Load())
		call("/v1/jobs/cancel?queue=b", "k2").is(http.StatusUnprocessableEntity).fails(wire.CodeKeyReused)
		call("/v1/jobs/retry?queue=a&state=pending", "k2").is(http.StatusUnprocessableEntity).fails(wire.CodeKeyReused)
		// What failed for the server's sake may be tried again.
		f.equal("again", wire.Changed{Changed: 1}, into[wire.Changed](call("/v1/jobs/cancel?queue=a", "k").is(http.StatusOK)))

		// A refusal is an answer, too.
		missing := "/v1/jobs/" + jobs.NewID().String() + "/cancel"
		refused := call(missing, "k3").is(http.StatusNotFound)
		f.equal("refused again", string(refused.body), string(call(missing, "k3").is(http.StatusNotFound).body))
		f.equal("as a problem", wire.ProblemType, call(missing, "k3").header.Get("Content-Type"))
	})
}

func TestCallsWithOneKeyAtOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		counted := &countingStore{Tenanted: s, entered: make(chan struct{}), leave: make(chan struct{})}
		f := newFixture(t, s, func(o *api.Options) { o.Store = counted })
		f.uploadRaw("1", "queue=a")
		const calls = 20
		answers := make([]*reply, calls)
		var wait sync.WaitGroup
		for i := range calls {
			wait.Go(func() {
				answers[i] = f.send(http.MethodPost, "/v1/jobs/cancel?queue=a", nil, "Idempotency-Key: k")
			})
		}
		<-counted.entered
		close(counted.leave)
		wait.Wait()
		for _, r := range answers {
			f.equal("answer", "{\"changed\":1,\"more\":false}\n", string(r.is(http.StatusOK).body))
		}
		f.equal("calls", int64(1), counted.cancels.Load())
	})
}

// A handler that panics must not leave its key taken.
func TestPanicLeavesTheKeyFree(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	panics := &panickingStore{Tenanted: s}
	panics.once.Store(true)
	f := newFixture(t, s, func(o *api.Options) { o.Store = panics })
	r := f.send(http.MethodPost, "/v1/queues/default/pause", nil, "Idempotency-Key: k")
	r.is(http.StatusInternalServerError).fails(wire.CodeInternal)
	f.send(http.MethodPost, "/v1/queues/default/pause", nil, "Idempotency-Key: k").is(http.StatusOK)
}

type panickingStore struct {
	store.Tenanted
	once atomic.Bool
}

func (p *panickingStore) PauseQueue(ctx context.Context, tenant jobs.Tenant, queue string) error {
	if p.once.Swap(false) {
		panic(errors.New("out of order"))
	}
	return p.Tenanted.PauseQueue(ctx, tenant, queue)
}
