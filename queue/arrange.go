package queue

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Arrange puts deliveries of a queue that wait in Redis before all others, in this order, and takes
// those that are gone out of it. What does not wait any more, because a worker has taken it, is left
// as it is. Redis does nothing else meanwhile, for a time in proportion to how many wait. Arrange takes
// as long as Enqueue at most.
//
// Which end of asynq's list is the front, and that a task is in it and in a hash of its own, are
// asynq's to change; a test with its server says so when they do.
func (c *Conn) Arrange(ctx context.Context, queue string, first, gone []Delivery) error {
	ctx, cancel := context.WithTimeoutCause(ctx, enqueueTimeout, errTimeout)
	defer cancel()
	key := "asynq:{" + queue + "}:"
	args := make([]any, 0, 2+len(first)+len(gone))
	args = append(args, key+"t:", len(first))
	for _, list := range [][]Delivery{first, gone} {
		for _, d := range list {
			args = append(args, taskID(d))
		}
	}
	if err := arrange.Run(ctx, c.redis, []string{key + "pending"}, args...).Err(); err != nil {
		return fmt.Errorf("queue: arrange %s: %w", queue, err)
	}
	return nil
}

// arrange writes the list of what waits anew: asynq adds at its left end and takes from its right.
// In pieces, since Lua hands over no more than some thousand values at once.
var arrange = redis.NewScript(`
local named, list = {}, {}
for i = 3, #ARGV do named[ARGV[i]] = 0 end
for _, id in ipairs(redis.call("LRANGE", KEYS[1], 0, -1)) do
	if named[id] then named[id] = 1 else list[#list + 1] = id end
end
local last = 2 + tonumber(ARGV[2])
for i = last, 3, -1 do
	if named[ARGV[i]] == 1 then list[#list + 1] = ARGV[i] end
end
redis.call("DEL", KEYS[1])
for i = 1, #list, 1000 do
	redis.call("RPUSH", KEYS[1], unpack(list, i, math.min(i + 999, #list)))
end
for i = last + 1, #ARGV do
	if named[ARGV[i]] == 1 then redis.call("DEL", ARGV[1] .. ARGV[i]) end
end
return #list`)
