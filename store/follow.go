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
	Ahead   Count // jobs of all tenants that come before it
	RunAt   time.Time
	Due     bool          // its time has come
	Paused  bool          // nothing is started
	Rates   Rates         // of the queue
	Service time.Duration // that a run of the queue takes on average; zero where not known
}

// Estimate is when the job is likely to have ended, from now, if the queue goes on as it did in the last
// minute: those ahead end at the queue's rate, then the job takes as long as the others. Not known
// (false) of a queue that is paused, or from which nothing has ended lately.
func (p *Place) Estimate(now time.Time) (time.Duration, bool) {
	ended := p.Rates.Succeeded + p.Rates.Failed + p.Rates.Cancelled + p.Rates.Retried
	if p.Paused || ended <= 0 || p.Ahead.AtLeast {
		return 0, false
	}
	wait := time.Duration(float64(p.Ahead.N) / ended * float64(time.Second))
	if !p.Due {
		wait = max(wait, p.RunAt.Sub(now))
	}
	return wait + p.Service, true
}
