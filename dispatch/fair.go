package dispatch

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// Tenants share each queue by start-time fair queueing. A queue has a virtual time, which goes on as
// jobs are taken from it, and each job is due at one: a tenant's next job after its last by that
// one's cost divided by the tenant's weight, and at the earliest now. Whoever is due first is first.
// So between two tenants that both have jobs waiting, what each got by its weight never differs by
// more than one job's of each; and the job of a tenant that had none waiting stands before those of
// all who had. Times here count from the queue's now, so that they stay small.

// turn is a job in its place.
type turn struct {
	store.Head
	weight int
	cost   time.Duration
	due    time.Duration
}

// step is by how much the job puts off its tenant's next. It is never nothing, so that the order
// within a tenant is kept.
func (t *turn) step() time.Duration { return max(t.cost/time.Duration(max(t.weight, 1)), 1) }

// lane is what one tenant has ready.
type lane struct {
	ahead time.Duration // when the first is due
	turns []turn        // oldest first
	more  bool          // there may be more than these
}

// choose puts the jobs of lanes in fair order, and divides them into the window, the first n, and the
// rest. Where a lane may have more that would be due before others, these others are of the rest.
func choose(lanes []lane, n int) (window, rest []turn) {
	var all []turn
	known := time.Duration(math.MaxInt64) // until when it is known what is due
	for _, l := range lanes {
		due := l.ahead
		for _, t := range l.turns {
			t.due = due
			due += t.step()
			all = append(all, t)
		}
		if l.more {
			known = min(known, due)
		}
	}
	slices.SortFunc(all, func(a, b turn) int { // jobs of one tenant are never due at the same time
		return cmp.Or(cmp.Compare(a.due, b.due), bytes.Compare(a.JobID[:], b.JobID[:]))
	})
	end, _ := slices.BinarySearchFunc(all, known, func(t turn, known time.Duration) int { return cmp.Compare(t.due, known) })
	n = min(n, end)
	return all[:n], all[n:]
}

// share is the relay's memory of one queue. Losing it costs tenants their places within the window.
type share struct {
	weights map[jobs.Tenant]int           // of those who have jobs ready, as the looks have found
	round   map[jobs.Tenant]int           // of those whom this round of looks has found
	after   jobs.Tenant                   // up to whom it has come
	partial bool                          // a look does not see all of them
	ahead   map[jobs.Tenant]time.Duration // when each one's next job is due; 0 where there is no entry
	window  []turn                        // as chosen last, in fair order
	cut     bool                          // more may be ready than what it was chosen from
}

func newShare() *share {
	return &share{weights: map[jobs.Tenant]int{}, round: map[jobs.Tenant]int{}, ahead: map[jobs.Tenant]time.Duration{}}
}

// see takes in a look at the queue's lanes that had room for limit of them.
func (s *share) see(lanes []store.LaneState, limit int) {
	for _, l := range lanes {
		if l.Ready {
			s.round[l.Tenant] = l.Weight
		}
	}
	if len(lanes) >= limit {
		maps.Copy(s.weights, s.round)
		s.after, s.partial = lanes[len(lanes)-1].Tenant, true
		return
	}
	s.partial = s.after != ""
	s.weights, s.round, s.after = s.round, map[jobs.Tenant]int{}, ""
}

// limits tells how many jobs of whom to look at for a window of that size: those who are due first,
// each its part of the window, and twice what each has in it now, so that who has more jobs than the
// others soon gets what they leave. These are at most four windows of jobs.
func (s *share) limits(size int) map[jobs.Tenant]int {
	limits := map[jobs.Tenant]int{}
	for i := range s.window {
		tenant := s.window[i].Tenant
		limits[tenant] = min(limits[tenant]+2, size)
	}
	tenants := slices.SortedFunc(maps.Keys(s.weights), func(a, b jobs.Tenant) int {
		return cmp.Or(cmp.Compare(s.ahead[a], s.ahead[b]), cmp.Compare(min(limits[b], 1), min(limits[a], 1)), cmp.Compare(a, b))
	})
	tenants = tenants[:min(len(tenants), size)]
	sum := 0
	for _, tenant := range tenants {
		sum += s.weights[tenant]
	}
	for _, tenant := range tenants {
		part := math.Ceil(float64(size) * float64(s.weights[tenant]) / float64(sum))
		limits[tenant] = max(limits[tenant], int(part))
	}
	return limits
}

// fill chooses the window anew from what limits has found ready, and returns those jobs that were in
// it, wait on and are not any more. What was in it and does not wait any more was taken.
func (s *share) fill(heads []store.Head, limits map[jobs.Tenant]int, size int, cost func(kind string) time.Duration) (gone []jobs.Delivery) {
	before := make(map[uuid.UUID]turn, len(s.window))
	for _, t := range s.window {
		before[t.JobID] = t
	}
	taken, waiting := maps.Clone(before), map[jobs.Tenant]bool{}
	lanes := map[jobs.Tenant]*lane{}
	for _, head := range heads {
		if _, ok := before[head.JobID]; ok {
			delete(taken, head.JobID)
			waiting[head.Tenant] = true
		}
		if lanes[head.Tenant] == nil {
			lanes[head.Tenant] = &lane{}
		}
		t := turn{Head: head, weight: s.weights[head.Tenant], cost: cost(head.Kind)}
		lanes[head.Tenant].turns = append(lanes[head.Tenant].turns, t)
	}
	s.pass(taken, waiting)
	list := make([]lane, 0, len(lanes))
	s.cut = s.partial || len(s.weights) > size
	for tenant, l := range lanes {
		l.ahead = s.ahead[tenant]
		l.more = len(l.turns) == limits[tenant]
		s.cut = s.cut || l.more
		list = append(list, *l)
	}
	var rest []turn
	s.window, rest = choose(list, size)
	for i := range rest {
		if _, ok := before[rest[i].JobID]; ok {
			gone = append(gone, rest[i].Delivery)
		}
	}
	if len(heads) == 0 {
		clear(s.ahead) // there is nothing to be ahead of
	}
	return gone
}

// pass lets time go on by the jobs that were taken: to when the last of them was due, but not past
// what still waits. Who has nothing waiting stays as far ahead as it is, and never gets behind.
func (s *share) pass(taken map[uuid.UUID]turn, waiting map[jobs.Tenant]bool) {
	var now time.Duration
	for _, t := range taken {
		s.ahead[t.Tenant] += t.step()
		now = max(now, t.due)
	}
	for tenant := range waiting {
		now = min(now, s.ahead[tenant])
	}
	for tenant, ahead := range s.ahead {
		s.ahead[tenant] = ahead - now
		if ahead <= now {
			delete(s.ahead, tenant)
		}
	}
}

// overtaking returns the first of the window up to the last job that is not delivered yet, though one
// of another tenant that comes after it is: those that must be put before all others.
func (s *share) overtaking(delivered func(*turn) bool) []turn {
	var behind jobs.Tenant // who has a delivered job further back
	several := false
	for i := len(s.window) - 1; i >= 0; i-- {
		t := &s.window[i]
		switch {
		case delivered(t):
			several = several || behind != "" && behind != t.Tenant
			behind = t.Tenant
		case several || behind != "" && behind != t.Tenant:
			return s.window[:i+1]
		}
	}
	return nil
}

// contended reports whether several tenants have jobs ready.
func (s *share) contended() bool { return len(s.weights) > 1 }
