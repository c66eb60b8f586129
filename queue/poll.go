package queue

import "time"

const (
	// DefaultCheckInterval is how often an idle server asks for work.
	DefaultCheckInterval = 100 * time.Millisecond
	// DefaultPollBudget is how many polls a second a whole fleet may send to Redis
	// when it is idle. A poll takes Redis about 20 µs, so that is 4 % of its time.
	DefaultPollBudget = 2000
)

// Polling describes the idle polls of a fleet.
type Polling struct {
	Base      time.Duration // the interval that is wanted
	Processes int           // worker processes of the fleet
	Servers   int           // asynq servers in each
	Queues    int           // queues that each serves
	Budget    float64       // polls a second that the fleet may send; none if not positive
}

// PollInterval returns the interval for [ServerOptions.CheckInterval] that keeps
// an idle fleet within its budget of polls. Every server asks for each of its
// queues once per interval, so the fleet sends
//
//	processes × servers × queues / interval
//
// and the interval is the larger of Base and processes × servers × queues / Budget.
// A worker waits half of it on average before it starts a job, and up to one and
// a half of it when it is shut down.
func PollInterval(p Polling) time.Duration {
	if p.Budget <= 0 {
		return p.Base
	}
	polls := float64(max(p.Processes, 1)) * float64(max(p.Servers, 1)) * float64(max(p.Queues, 1))
	needed := polls / p.Budget * float64(time.Second)
	return max(p.Base, time.Duration(min(needed, float64(maxCheckInterval))))
}
