package simulate

import "time"

// kind tells what an event is.
type kind uint8

const (
	jobEnds   kind = iota // the job's attempt, unless it was interrupted
	jobDue                // a failed job may run again
	podReady              // a replica takes jobs from now on
	podBeats              // a worker hears what it is told
	podKilled             // the time that a worker had to end what it runs is over
	scalerActs
)

// event is something that happens to a job, or to a replica.
type event struct {
	at   time.Duration
	made uint64 // events of the same time happen in the order in which they were made
	kind kind
	id   int
	run  int // of the job
}

func (e event) before(o event) bool {
	return e.at < o.at || e.at == o.at && e.made < o.made
}

// agenda is a binary heap of events, the next one first.
type agenda struct {
	heap []event
	made uint64
}

func (a *agenda) add(e event) {
	a.made++
	e.made = a.made
	h := append(a.heap, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
	a.heap = h
}

// take removes the next event; there must be one.
func (a *agenda) take() event {
	h := a.heap
	next, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	a.heap = h
	if len(h) == 0 {
		return next
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(h) {
			break
		}
		if down+1 < len(h) && h[down+1].before(h[down]) {
			down++
		}
		if !h[down].before(last) {
			break
		}
		h[i] = h[down]
		i = down
	}
	h[i] = last
	return next
}
