package simulate

import "time"

// backlog is the jobs of one queue that could run, oldest first.
type backlog struct {
	ring  []int
	first int
	n     int
}

func (b *backlog) grow() {
	if b.n < len(b.ring) {
		return
	}
	larger := make([]int, max(2*len(b.ring), 64))
	for i := range b.n {
		larger[i] = b.ring[(b.first+i)%len(b.ring)]
	}
	b.ring, b.first = larger, 0
}

func (b *backlog) pushBack(job int) {
	b.grow()
	b.ring[(b.first+b.n)%len(b.ring)] = job
	b.n++
}

func (b *backlog) pushFront(job int) {
	b.grow()
	b.first = (b.first + len(b.ring) - 1) % len(b.ring)
	b.ring[b.first] = job
	b.n++
}

// head is the job that is next; there must be one.
func (b *backlog) head() int { return b.ring[b.first] }

func (b *backlog) pop() int {
	job := b.ring[b.first]
	b.first = (b.first + 1) % len(b.ring)
	b.n--
	return job
}

// rollup is what happened to a queue in ten seconds, as the store keeps it.
type rollup struct {
	arrived, succeeded, failed, retried int
	busy                                time.Duration
}

func (r *rollup) add(o rollup) {
	r.arrived += o.arrived
	r.succeeded += o.succeeded
	r.failed += o.failed
	r.retried += o.retried
	r.busy += o.busy
}

// rollupOver is how long a roll-up covers.
const rollupOver = 10 * time.Second

// rollups are a queue's latest, enough for the longest time that is looked back to.
type rollups struct {
	ring   [128]rollup
	latest int
}

// at is the roll-up of a time that is not before the latest that was asked for.
func (r *rollups) at(now time.Duration) *rollup {
	i := int(now / rollupOver)
	if i-r.latest >= len(r.ring) {
		*r = rollups{latest: i}
	}
	for r.latest < i {
		r.latest++
		r.ring[r.latest%len(r.ring)] = rollup{}
	}
	return &r.ring[i%len(r.ring)]
}

// since sums up what happened from the beginning of the roll-up in which the span began, and tells
// how long ago that was.
func (r *rollups) since(now, span time.Duration) (rollup, time.Duration) {
	r.at(now)
	from := int((now - span) / rollupOver)
	if now < span {
		from = -int((span - now + rollupOver - 1) / rollupOver)
	}
	var sum rollup
	for i := max(from, 0, r.latest-len(r.ring)+1); i <= r.latest; i++ {
		sum.add(r.ring[i%len(r.ring)])
	}
	return sum, now - time.Duration(from)*rollupOver
}
