package loop

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/store"
)

// press notes since when decisions press.
func (l *Loop) press(d scale.Decision) {
	switch {
	case !d.Presses():
		l.pressed = time.Time{}
	case l.pressed.IsZero():
		l.pressed = d.At
	}
}

// shrink empties workers, and gives up those that have said that they are empty: that they take
// nothing more, and hold nothing. Replicas without a worker need no emptying.
func (l *Loop) shrink(ctx context.Context, v view, d scale.Decision) result {
	if v.observation.Blind != "" { // a pin is heard, but nobody knows who is empty
		l.giveBack(ctx)
		return result{outcome: store.ScalePending, told: d.Current}
	}
	at, surplus := v.observation.At, d.Current-d.Replicas
	if len(l.leaving.members) == 0 {
		l.leaving = emptying{members: make(map[string]*victim), since: at}
	}
	chosen := l.choose(v, d)
	if err := l.cordon(ctx, chosen, at); err != nil {
		return result{outcome: store.ScaleFailed, told: d.Current, err: err}
	}
	missing := surplus - len(chosen)
	ready := empty(chosen, d.Forces(at.Sub(l.pressed)), v.size.Ordered)
	gone := missing + len(ready)
	if !scale.GoNow(gone, surplus, at.Sub(l.leaving.since)) {
		return result{outcome: store.ScalePending, told: d.Current}
	}
	victims := l.victims(ready, at)
	r := written(d, d.Current-gone, l.target.Shrink(ctx, d.Current-gone, victims, left(v, victims)))
	if r.err == nil {
		l.giveUp(ready, at)
	}
	return r
}

// choose picks the members that are too many, those first that go first. What is left of the surplus
// are replicas that do not exist.
func (l *Loop) choose(v view, d scale.Decision) []member {
	surplus := d.Current - d.Replicas
	there := slices.DeleteFunc(slices.Clone(v.members), func(m member) bool { return l.given[m.Name] != nil })
	if v.size.Ordered {
		return there[:min(surplus, max(len(there)-d.Replicas, 0))]
	}
	var workers, others []member
	for _, m := range there {
		if m.worker != nil {
			workers = append(workers, m)
		} else {
			others = append(others, m)
		}
	}
	slices.SortStableFunc(workers, func(a, b member) int {
		return cmp.Or(l.victim(a).Compare(l.victim(b)), cmp.Compare(a.Name, b.Name))
	})
	n := min(surplus, max(len(workers)-d.Replicas, 0))
	return append(others[:min(surplus-n, len(others))], workers[:n]...)
}

func (l *Loop) victim(m member) scale.Victim {
	_, leaving := l.leaving.members[m.Name]
	return scale.Victim{Busy: m.busy, Leaving: leaving, Made: m.Made}
}

// empty picks those of the chosen that hold nothing and will take nothing, or all that are forced.
// Where members go in order, none goes before the one that is ahead of it.
func empty(chosen []member, forced, ordered bool) []member {
	var ready []member
	for _, m := range chosen {
		switch {
		case m.worker == nil, m.worker.Cordoned && m.busy == 0, forced:
			ready = append(ready, m)
		case ordered:
			return ready
		}
	}
	return ready
}

// victims names those that are ready, and those that were given up before and are still there. A
// replica that is still starting is none: it may have taken a job by now. It goes if it is not ready.
func (l *Loop) victims(ready []member, at time.Time) []string {
	stuck := scale.StuckAfter(l.memory.Starts.Delay())
	var names []string
	for name := range l.given {
		names = append(names, name)
	}
	for _, m := range ready {
		if m.worker != nil || at.Sub(m.Made) >= stuck {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}

// left is how much work the workers have that are no victims: as many jobs as they hold, each taken
// to last as long as those of the slowest queue have been running.
func left(v view, victims []string) map[string]time.Duration {
	longest := time.Second
	for i := range v.observation.Queues {
		longest = max(longest, v.observation.Queues[i].Held)
	}
	work := make(map[string]time.Duration, len(v.members))
	for _, m := range v.members {
		if m.worker != nil && !slices.Contains(victims, m.Name) {
			work[m.Name] = time.Duration(m.busy) * longest
		}
	}
	return work
}

// giveUp moves members from those that are being emptied to those that are on their way out.
func (l *Loop) giveUp(ready []member, at time.Time) {
	workers := 0
	for _, m := range ready {
		given := l.leaving.members[m.Name]
		delete(l.leaving.members, m.Name)
		if m.worker != nil {
			workers++
		}
		if given == nil {
			given = &victim{}
		}
		l.given[m.Name] = given
	}
	l.leaving.since = at
	l.meter.shrunk(workers)
}
