package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// Follow tells those who wait for a tenant's jobs what happens to them. Bound to a tenant.
type Follow interface {
	// Marks tells how the jobs stand, those that are the tenant's, in no order. It is cheap, to be
	// asked often: of at most MaxMarks at a time.
	Marks(ctx context.Context, tenant jobs.Tenant, ids []uuid.UUID) ([]Mark, error)
	// Place tells what comes before a job that waits for its turn. Errors: ErrNotFound, also for a
	// job that does not wait.
	Place(ctx context.Context, tenant jobs.Tenant, id uuid.UUID) (Place, error)
	// TenantEvents returns at most limit events of all the tenant's jobs after the position, in an order
	// that never skips one, and the position to go on from, which may move on without an event. The
	// empty position is now: it gives no events. Errors: ErrBadPosition.
	TenantEvents(ctx context.Context, tenant jobs.Tenant, position string, limit int) ([]Event, string, error)
}

// MaxMarks bounds one call of Marks.
const MaxMarks = 1000

// ErrBadPosition: the text is not a position among events that was given out.
var ErrBadPosition = errors.New("store: not a position in the events")

// Mark is how far a job has come.
type Mark struct {
	ID            uuid.UUID
	State         jobs.State
	Events        int // the number of its latest event
	Progress      float64
	ProgressKnown bool
}

// Place is where a job stands in its queue.
type Place struct {
	Queue   string
	Ahead   Count // jobs that come before it; see PlaceTenants
	RunAt   time.Time
	Due     bool          // its time has come
	Paused  bool          // nothing is started
	Running int           // of the queue, of all tenants
	Rates   Rates         // of the queue
	Service time.Duration // that a run of the queue took on average, of those that ended in the last minute; zero without one
}

// PlaceTenants bounds the tenants of a queue that Place counts. Before a job come those of its tenant that
// were due earlier, and of each other tenant that has jobs ready as many as its weight lets begin meanwhile,
// as dispatch shares queues: one more or less of each, if runs of all take alike.
const PlaceTenants = 200

// Estimate is when the job is likely to have ended, from now: those ahead end at the queue's rate, then
// the job takes as long as others did. The rate is that of the last minute, or what those that run now
// come to, whichever is more: the former is too low after a pause, or when workers have joined. Not known
// (false) of a queue that is paused, or from which nothing has ended lately.
func (p *Place) Estimate(now time.Time) (time.Duration, bool) {
	rate := p.Rates.Succeeded + p.Rates.Failed + p.Rates.Cancelled + p.Rates.Retried
	if p.Service > 0 {
		rate = max(rate, float64(p.Running)/p.Service.Seconds())
	}
	if p.Paused || rate <= 0 || p.Ahead.AtLeast {
		return 0, false
	}
	wait := time.Duration(float64(p.Ahead.N) / rate * float64(time.Second))
	if !p.Due {
		wait = max(wait, p.RunAt.Sub(now))
	}
	return wait + p.Service, true
}
