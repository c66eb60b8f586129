package scale

import "time"

// Observation is what is known of the work and of the fleet at one moment. Durations are in
// nanoseconds in JSON, as package time has them.
type Observation struct {
	At time.Time `json:"at"`
	// Blind says why the work or the fleet could not be observed. Nothing else is to be believed
	// then, but for Replicas as they were last seen.
	Blind   string  `json:"blind,omitempty"`
	Queues  []Queue `json:"queues,omitempty"` // by name
	Fleet   Fleet   `json:"fleet"`
	Command Command `json:"command,omitzero"`
}

// Queue is the work of one queue.
type Queue struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused,omitempty"` // its waiting jobs are not handed out; running ones go on

	Ready   int           `json:"ready"`             // jobs that could run now, were there a slot
	Running int           `json:"running"`           // jobs that run
	Age     time.Duration `json:"age,omitempty"`     // how long the oldest ready job could have run
	Held    time.Duration `json:"held,omitempty"`    // mean time for which running jobs have been running
	Due     []Due         `json:"due,omitempty"`     // jobs that wait for their time, soonest first
	Windows []Window      `json:"windows,omitempty"` // what happened lately, shortest first
}

// Due is how many jobs may run only later, but within a time.
type Due struct {
	In   time.Duration `json:"in"` // from Observation.At on
	Jobs int           `json:"jobs"`
}

// Window is what happened to a queue in the time before an observation. Arrived counts jobs that
// became known, whenever they may run, and attempts that will be made again.
type Window struct {
	Span      time.Duration `json:"span"`
	Arrived   int           `json:"arrived"`
	Succeeded int           `json:"succeeded"`
	Failed    int           `json:"failed"`  // for good
	Retried   int           `json:"retried"` // failed and to be tried again
	Lost      int           `json:"lost"`    // their worker died
	Busy      time.Duration `json:"busy"`    // of all slots together, by attempts that ended
}

// Spans are the times into the past that an observer gives windows of.
func Spans() []time.Duration {
	return []time.Duration{10 * time.Second, 20 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute}
}

// Horizons are the times ahead within which an observer counts jobs that fall due.
func Horizons() []time.Duration {
	return []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}
}

// Fleet is the workers, and the resource that makes them.
type Fleet struct {
	Replicas int        `json:"replicas"`           // what the resource is told to have
	Starting []Starting `json:"starting,omitempty"` // replicas without a worker yet
	Workers  []Workers  `json:"workers,omitempty"`
	// StartDelay is what nine in ten replicas take from being made to their worker's first beat;
	// 0 while nothing is known.
	StartDelay time.Duration `json:"start_delay,omitempty"`
	// Spent is the replica-hours of the budget's present period so far.
	Spent float64 `json:"spent,omitempty"`
}

// Starting is replicas that were made some time ago and have no worker yet.
type Starting struct {
	For      time.Duration `json:"for"`
	Replicas int           `json:"replicas"`
}

// Workers is processes that take jobs and are alike.
type Workers struct {
	Count   int  `json:"count"`
	Slots   int  `json:"slots"`             // of each
	Busy    int  `json:"busy"`              // slots in use, of each
	Leaving bool `json:"leaving,omitempty"` // cordoned or draining: they take nothing new
}

// Command is what an operator wants.
type Command struct {
	Paused bool      `json:"paused,omitempty"` // change nothing
	Pin    *int      `json:"pin,omitempty"`    // exactly so many replicas
	Until  time.Time `json:"until,omitzero"`   // when the pin ends
}

// Slots is what one replica brings: the mean of the workers there are, or otherwise.
func (f Fleet) Slots(otherwise int) float64 {
	total, n := 0, 0
	for _, w := range f.Workers {
		total += w.Count * w.Slots
		n += w.Count
	}
	if total == 0 {
		return float64(max(otherwise, 1))
	}
	return float64(total) / float64(n)
}

// Alive counts the workers, Idle those of them that hold nothing, and Taking those that take jobs.
func (f Fleet) Alive() int { return f.count(func(Workers) bool { return true }) }

// Idle is described at Alive.
func (f Fleet) Idle() int { return f.count(func(w Workers) bool { return w.Busy == 0 }) }

// Taking is described at Alive.
func (f Fleet) Taking() int { return f.count(func(w Workers) bool { return !w.Leaving }) }

func (f Fleet) count(which func(Workers) bool) int {
	n := 0
	for _, w := range f.Workers {
		if which(w) {
			n += w.Count
		}
	}
	return n
}
