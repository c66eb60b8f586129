package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/leat-dev/leat/jobs"
)

const (
	// MaxServers is how many asynq servers a Server can be made of.
	MaxServers = 4
	// MaxWeight bounds a queue's weight. asynq draws lots for each poll, as many as
	// the weights' sum.
	MaxWeight = 100

	maxCheckInterval = time.Minute
)

// Handler is given each delivery and returns when it is done with it: the job was
// run, or may not be run. Either way the task then leaves Redis. A panic is logged,
// and counts as done.
//
// ctx carries no deadline and does not end, whatever asynq thinks of the task; how
// long a job may run, and when it must stop, is for the handler to say. asynq frees
// the task's slot before the handler returns when Redis was away for over thirty
// seconds, or when a shutdown took too long. So more than Slots handlers can run
// then, and two on the same delivery.
type Handler func(ctx context.Context, d Delivery)

// ServerOptions say what a Server takes and how.
type ServerOptions struct {
	// Queues are the queues to serve, with their weights from 1 to MaxWeight: with
	// 6, 3 and 1, and work in each, these shares of the deliveries are taken.
	Queues map[string]int
	// Slots is how many deliveries may be taken and not done at a time.
	Slots int
	// Servers is how many asynq servers share the slots, from 1 to MaxServers;
	// 0 means 1. Each takes one task at a time from Redis, so more take faster, and
	// each polls.
	Servers int
	// CheckInterval is how often a server asks when there was nothing, give or take
	// half of it; 0 means DefaultCheckInterval.
	CheckInterval time.Duration
	// PollBudget is how many polls a second a whole fleet may send when it is idle;
	// beyond it each process asks less often, once SetFleet has told it how many
	// they are. 0 means no bound.
	PollBudget float64
	// DrainTimeout is how long the handlers may take to end after a shutdown has
	// begun. Ten seconds later their tasks are given back to Redis.
	DrainTimeout time.Duration
	// Handler is called for each delivery, concurrently.
	Handler Handler
	// Logger is nil for none.
	Logger *slog.Logger
}

// withDefaults fills in what may be left out, and refuses what asynq would change
// or ignore without a word.
func (o ServerOptions) withDefaults() (ServerOptions, error) {
	if o.Servers == 0 {
		o.Servers = 1
	}
	if o.CheckInterval == 0 {
		o.CheckInterval = DefaultCheckInterval
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, o.validate()
}

func (o ServerOptions) validate() error {
	if len(o.Queues) == 0 {
		return errors.New("queue: server: no queues")
	}
	for name, weight := range o.Queues {
		if err := jobs.CheckName(name); err != nil {
			return fmt.Errorf("queue: server: queues: %w", err)
		}
		if weight < 1 || weight > MaxWeight {
			return fmt.Errorf("queue: server: queue %q: weight %d is not from 1 to %d", name, weight, MaxWeight)
		}
	}
	switch {
	case o.Slots < 1:
		return fmt.Errorf("queue: server: %d slots, need at least 1", o.Slots)
	case o.Servers < 1 || o.Servers > MaxServers:
		return fmt.Errorf("queue: server: %d servers, may be 1 to %d", o.Servers, MaxServers)
	case o.CheckInterval < time.Millisecond || o.CheckInterval > maxCheckInterval:
		return fmt.Errorf("queue: server: check interval %v is not from 1ms to %v", o.CheckInterval, maxCheckInterval)
	case !(o.PollBudget >= 0): // NaN too
		return fmt.Errorf("queue: server: poll budget %v is negative", o.PollBudget)
	case o.DrainTimeout < 0:
		return fmt.Errorf("queue: server: drain timeout %v is negative", o.DrainTimeout)
	case o.Handler == nil:
		return errors.New("queue: server: no handler")
	}
	return nil
}

// share returns the slots of the i-th of n servers; none gets 0, which asynq would
// take for the number of processors.
func share(slots, n, i int) int {
	return slots/n + min(1, max(0, slots%n-i))
}
