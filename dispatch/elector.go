package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

// LeaseName is the lease under which dispatch, reaper and sweeper run.
const LeaseName = "dispatch"

// The lease's times. A leader that dies is followed after LeaseTTL at the latest; together with
// DeadAfter this keeps a job's recovery under 20 s even when its worker and the leader die at once.
const (
	LeaseTTL    = 3 * time.Second
	renewEvery  = LeaseTTL / 3
	leaseMargin = 250 * time.Millisecond // duties stop this long before the lease ends
	retryEvery  = 500 * time.Millisecond
)

// Duty is work that only the leader does. It returns when ctx ends, which is before the lease
// does; an error from it ends the term, and another begins soon. fence is for the writes that only
// a leader may make.
type Duty func(ctx context.Context, fence store.Lease) error

// Elector takes part in the election of a leader and runs the duties while it is the one.
type Elector struct {
	leases store.Leases
	log    *slog.Logger
	duties map[string]Duty
	holder uuid.UUID
}

// NewElector makes an elector with an identity of its own. The names of the duties stand in the
// log.
func NewElector(leases store.Leases, log *slog.Logger, duties map[string]Duty) *Elector {
	return &Elector{leases: leases, log: log, duties: duties, holder: uuid.New()}
}

// Run takes part until ctx ends. Then it gives the lease back, so that another process follows at
// once. It returns nil.
func (e *Elector) Run(ctx context.Context) error {
	reported := false
	for ctx.Err() == nil {
		asked := time.Now()
		lease, free, err := e.acquire(ctx)
		switch {
		case err == nil:
			reported = false
			e.lead(ctx, lease, asked)
			free = retryEvery
		case errors.Is(err, store.ErrLeaseLost):
			reported = false
		default:
			if !reported && ctx.Err() == nil {
				e.log.WarnContext(ctx, "cannot ask for the dispatch lease, will go on trying", "error", err)
				reported = true
			}
			free = retryEvery
		}
		pause(ctx, min(max(free, 10*time.Millisecond), retryEvery))
	}
	return nil
}

func (e *Elector) acquire(ctx context.Context) (store.Lease, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, LeaseTTL)
	defer cancel()
	return e.leases.Acquire(ctx, LeaseName, e.holder, LeaseTTL)
}

// lead runs the duties for as long as the lease is renewed, and returns when they all have ended.
// The term is counted from before the request that won it, on the monotonic clock.
func (e *Elector) lead(ctx context.Context, lease store.Lease, asked time.Time) {
	log := e.log.With("epoch", lease.Epoch)
	log.InfoContext(ctx, "leading: this process now dispatches, reaps and sweeps")
	term, end := context.WithCancelCause(ctx)
	defer end(nil)

	var duties sync.WaitGroup
	for name, duty := range e.duties {
		duties.Go(func() {
			if err := duty(term, lease); err != nil && term.Err() == nil {
				end(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	e.renew(term, end, lease, asked)
	duties.Wait()

	if ctx.Err() == nil {
		log.WarnContext(ctx, "no longer leading", "error", context.Cause(term))
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := e.leases.Release(release, lease); err != nil {
		log.InfoContext(ctx, "could not give the lease back; it ends by itself", "error", err)
	}
}

// renew extends the term until it cannot, and ends it in time.
func (e *Elector) renew(term context.Context, end context.CancelCauseFunc, lease store.Lease, asked time.Time) {
	lapse := time.AfterFunc(time.Until(asked)+LeaseTTL-leaseMargin, func() {
		end(errors.New("the lease could not be renewed in time"))
	})
	defer lapse.Stop()
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-term.Done():
			return
		case <-ticker.C:
		}
		asked = time.Now()
		renewed, _, err := e.acquire(term)
		switch {
		case err == nil && renewed.Epoch == lease.Epoch:
			lapse.Reset(time.Until(asked) + LeaseTTL - leaseMargin)
		case err == nil:
			end(errors.New("the lease had ended before it was renewed"))
		case errors.Is(err, store.ErrLeaseLost):
			end(err)
		default:
			e.log.WarnContext(term, "could not renew the dispatch lease, will try again", "error", err)
		}
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
