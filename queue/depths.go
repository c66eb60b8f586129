package queue

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Lengths are how many tasks a queue has in Redis, by asynq's states.
type Lengths struct {
	Pending, Active, Scheduled, Retry, Archived int64
}

// Depths returns the lengths of queues in Redis, in one round trip. They are a
// diagnostic: the backlog is in the store, and Redis holds its head only. A queue
// that Redis does not know has no tasks.
func (c *Conn) Depths(ctx context.Context, queues []string) (map[string]Lengths, error) {
	type answers struct{ pending, active, scheduled, retry, archived *redis.IntCmd }
	asked := make(map[string]answers, len(queues))
	_, err := c.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, queue := range queues {
			key := "asynq:{" + queue + "}:"
			asked[queue] = answers{
				pending:   p.LLen(ctx, key+"pending"),
				active:    p.LLen(ctx, key+"active"),
				scheduled: p.ZCard(ctx, key+"scheduled"),
				retry:     p.ZCard(ctx, key+"retry"),
				archived:  p.ZCard(ctx, key+"archived"),
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("queue: read lengths: %w", err)
	}
	lengths := make(map[string]Lengths, len(queues))
	for queue, a := range asked {
		lengths[queue] = Lengths{
			Pending:   a.pending.Val(),
			Active:    a.active.Val(),
			Scheduled: a.scheduled.Val(),
			Retry:     a.retry.Val(),
			Archived:  a.archived.Val(),
		}
	}
	return lengths, nil
}
