package store

import (
	"context"
	"time"

	"github.com/leat-dev/leat/jobs"
)

// Admissions tells how much waits to be run, so that no more is taken in than can be done. Bound to a
// tenant.
type Admissions interface {
	// Ready counts the tenant's jobs that are ready to run, in all queues that are not paused. The count
	// of a queue is bounded by CountLimit.
	Ready(ctx context.Context, tenant jobs.Tenant) (int, error)
}

// Pressure is how much all tenants have ready to run.
type Pressure struct {
	Jobs    int     // bounded as those of Ready
	Weights int     // of the tenants that they belong to, see TenantSettings; of MaxPressure at most
	Ended   float64 // jobs that ended per second, over RateWindow
}

// MaxPressure bounds the tenants of a queue whose weights are added up.
const MaxPressure = 1000

// Share is how many jobs a tenant of that weight may have ready if all are to be run within the time
// given, while every tenant gets its share of the workers.
func (p *Pressure) Share(weight int, within time.Duration) int {
	return int(p.pace(weight) * within.Seconds())
}

// Wait is how long the workers take for n jobs of a tenant of that weight, at the pace of its share;
// zero when nobody knows.
func (p *Pressure) Wait(weight, n int) time.Duration {
	pace := p.pace(weight)
	if n <= 0 || pace <= 0 {
		return 0
	}
	return time.Duration(float64(n) / pace * float64(time.Second))
}

// pace is what a tenant's share comes to, in jobs per second. A tenant that has only just got some ready
// may not be among those whose weights were added up.
func (p *Pressure) pace(weight int) float64 {
	return p.Ended * float64(weight) / float64(max(p.Weights, weight))
}
