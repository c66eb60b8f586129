package jobs

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Retry says how often a failing job is tried, and how long it waits in between.
//
// The wait after the n-th failure (n from 1) is Base · Factor^(n-1), at most Cap, then moved by up
// to ±Jitter of itself. The jitter comes after the cap, so that jobs which have reached the cap do
// not come back together.
type Retry struct {
	Base        time.Duration
	Factor      float64
	Cap         time.Duration
	Jitter      float64 // share of the wait, 0 to 1
	MaxAttempts int     // 1 means: never tried again
}

// DefaultRetry is used by kinds that name no policy: 10 s, doubled each time up to 1 h, ±20 %,
// five attempts.
func DefaultRetry() Retry {
	return Retry{Base: 10 * time.Second, Factor: 2, Cap: time.Hour, Jitter: 0.2, MaxAttempts: 5}
}

// Validate reports the first field that makes no sense.
func (r Retry) Validate() error {
	switch {
	case r.Base < 0:
		return errors.New("retry base is negative")
	case r.Factor < 1 || math.IsNaN(r.Factor) || math.IsInf(r.Factor, 0):
		return fmt.Errorf("retry factor %v is not a number of at least 1", r.Factor)
	case r.Cap < r.Base:
		return fmt.Errorf("retry cap %v is below the base %v", r.Cap, r.Base)
	case r.Jitter < 0 || r.Jitter > 1 || math.IsNaN(r.Jitter):
		return fmt.Errorf("retry jitter %v is not between 0 and 1", r.Jitter)
	case r.MaxAttempts < 1 || r.MaxAttempts > 1000:
		return fmt.Errorf("retry attempts %d are not between 1 and 1000", r.MaxAttempts)
	}
	return nil
}

// Delay is the wait after the given number of failures (at least 1). random is a number in [0, 1)
// that decides the jitter: 0.5 gives none.
func (r Retry) Delay(failures int, random float64) time.Duration {
	growth := min(math.Pow(r.Factor, float64(max(failures, 1)-1)), math.MaxFloat64) // 0 · Inf is NaN
	wait := min(float64(r.Base)*growth, float64(r.Cap))
	wait *= 1 + r.Jitter*(2*random-1)
	if wait >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(wait)
}

// AfterFailure decides what a handler's failure means for its job: tried again after a delay, or
// failed. failures counts the one at hand; maxAttempts is the job's own, since the kind's may have
// changed since the job was made.
func (r Retry) AfterFailure(failures, maxAttempts int, err error, random float64) (Outcome, time.Duration) {
	if IsPermanent(err) || failures >= maxAttempts {
		return RunFailed, 0
	}
	if after, ok := RetryDelay(err); ok {
		return RunRetry, after
	}
	return RunRetry, r.Delay(failures, random)
}
