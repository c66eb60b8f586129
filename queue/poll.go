package queue

import "time"

const (
	// DefaultCheckInterval is how often an idle server asks for work.
	DefaultCheckInterval = 100 * time.Millisecond
	// DefaultPollBudget is how many polls a second a whole fleet may send to Redis
	// when it is idle. A poll takes Redis about 20 µs, so that is 4 % of its time.
	DefaultPollBudget = 2000
)

// pace returns how long a process leaves a queue alone that it found empty, so that
// an idle fleet of that many processes, which serve that many queues each, keeps
// within its budget of polls a second:
//
//	processes × queues / budget
//
// It is 0 for no budget. A worker waits half of it on average before it starts a
// job.
func pace(processes, queues int, budget float64) time.Duration {
	if budget <= 0 {
		return 0
	}
	seconds := float64(max(processes, 1)) * float64(queues) / budget
	return time.Duration(min(seconds*float64(time.Second), float64(maxCheckInterval)))
}
