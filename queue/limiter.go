package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// Limiter counts in Redis what may be used only so fast, by the generic cell rate algorithm (GCRA).
// It counts for all processes together; what Redis loses is forgotten. Its methods may be called from
// many goroutines at once.
type Limiter struct{ rate *redis_rate.Limiter }

// Limiter counts in the Redis of the connection.
func (c *Conn) Limiter() *Limiter { return &Limiter{redis_rate.NewLimiter(c.redis)} }

// limiterTimeout bounds a call: who is to be limited waits for it.
const limiterTimeout = 250 * time.Millisecond

// Take takes n units from what belongs to the key, of which there are burst after a while without use,
// and as many come back, evenly, within period. left is how many could be taken at once now. When there
// are not n, none is taken, and wait is above 0: after it there will be.
func (l *Limiter) Take(ctx context.Context, key string, burst int64, period time.Duration, n int64) (left int64, wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, limiterTimeout)
	defer cancel()
	limit := redis_rate.Limit{Rate: int(burst), Burst: int(burst), Period: period}
	result, err := l.rate.AllowN(ctx, "leat:"+key, limit, int(n))
	if err != nil {
		return 0, 0, fmt.Errorf("queue: count what may be used: %w", err)
	}
	if result.RetryAfter >= 0 {
		return 0, max(result.RetryAfter, time.Millisecond), nil
	}
	return int64(result.Remaining), 0, nil
}
