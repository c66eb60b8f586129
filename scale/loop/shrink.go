package loop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/store"
)

// emptying is members that are being emptied, by name.
type emptying struct {
	members map[string]*victim
	since   time.Time
}

type victim struct {
	worker   store.Worker
	cordoned time.Time // when it was last told
}

func (e *emptying) names() []string {
	names := make([]string, 0, len(e.members))
	for name := range e.members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// shrink empties workers, and gives up those that have said that they are empty: that they take
// nothing more, and hold nothing.
func (l *Loop) shrink(ctx context.Context, v view, d scale.Decision) (store.Outcome, error) {
	at, surplus := v.observation.At, d.Current-d.Replicas
	if len(l.leaving.members) == 0 {
		l.leaving = emptying{members: make(map[string]*victim), since: at}
	}
	chosen := l.choose(v.members, surplus, at)
	if err := l.cordon(ctx, chosen, at); err != nil {
		return store.ScaleFailed, err
	}
	waited := at.Sub(l.leaving.since)
	ready := empty(chosen, d.Forces(waited))
	if !scale.GoNow(len(ready), surplus, waited) {
		return store.ScalePending, nil
	}
	left := make(map[string]time.Duration, len(v.members))
	for _, m := range v.members {
		left[m.Name] = time.Duration(m.busy) * longestRun(v.observation)
	}
	for _, name := range ready {
		delete(left, name)
	}
	if err := l.target.Shrink(ctx, d.Current-len(ready), ready, left); err != nil {
		return written(err)
	}
	l.meter.shrunk(len(ready))
	for _, name := range ready {
		delete(l.leaving.members, name) // its cordon ends by itself, should it stay
	}
	l.leaving.since = at
	return store.ScaleApplied, nil
}

// choose picks as many members as there are too many.
func (l *Loop) choose(members []member, surplus int, at time.Time) []member {
	stuck := scale.StuckAfter(l.memory.Starts.Delay())
	candidates := slices.DeleteFunc(slices.Clone(members), func(m member) bool {
		return m.worker == nil && at.Sub(m.Made) < stuck // it is about to take jobs
	})
	slices.SortStableFunc(candidates, func(a, b member) int {
		return cmp.Or(l.victim(a).Compare(l.victim(b)), cmp.Compare(a.Name, b.Name))
	})
	return candidates[:min(surplus, len(candidates))]
}

func (l *Loop) victim(m member) scale.Victim {
	_, leaving := l.leaving.members[m.Name]
	return scale.Victim{Busy: m.busy, Leaving: leaving, Made: m.Made}
}

// cordon tells the chosen ones to take nothing new, and those that are not chosen any more that
// they may.
func (l *Loop) cordon(ctx context.Context, chosen []member, at time.Time) error {
	wanted := make(map[string]member, len(chosen))
	for _, m := range chosen {
		wanted[m.Name] = m
	}
	for name, v := range l.leaving.members {
		if m, ok := wanted[name]; !ok || m.worker == nil || m.worker.ID != v.worker.ID {
			l.uncordon(ctx, name)
		}
	}
	for _, m := range chosen {
		if m.worker == nil {
			continue
		}
		v := l.leaving.members[m.Name]
		if v == nil {
			v = &victim{worker: *m.worker}
			l.leaving.members[m.Name] = v
		}
		if at.Sub(v.cordoned) < scale.CordonAgain {
			continue
		}
		err := l.store.Cordon(ctx, m.worker.ID, scale.CordonFor)
		if errors.Is(err, store.ErrWorkerGone) {
			continue // the next look will not find it
		}
		if err != nil {
			return fmt.Errorf("cordon %s: %w", m.Name, err)
		}
		v.cordoned = at
	}
	return nil
}

// empty names those of the chosen that hold nothing and will take nothing, or all that are forced.
func empty(chosen []member, forced bool) []string {
	var ready []string
	for _, m := range chosen {
		if m.worker == nil || m.worker.Cordoned && m.busy == 0 || forced {
			ready = append(ready, m.Name)
		}
	}
	return ready
}

// giveBack lets every worker that was about to be given up take jobs again.
func (l *Loop) giveBack(ctx context.Context) {
	if len(l.leaving.members) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.opts.Patience)
	defer cancel()
	for name := range l.leaving.members {
		l.uncordon(ctx, name)
	}
}

func (l *Loop) uncordon(ctx context.Context, name string) {
	v := l.leaving.members[name]
	delete(l.leaving.members, name)
	if err := l.store.Cordon(ctx, v.worker.ID, 0); err != nil && !errors.Is(err, store.ErrWorkerGone) {
		l.log.WarnContext(ctx, "cordon could not be lifted; it ends by itself", "worker", name, "within", scale.CordonFor, "error", err)
	}
}

// longestRun is the time that a job of the slowest queue takes, for comparing how much is left.
func longestRun(o scale.Observation) time.Duration {
	longest := time.Second
	for i := range o.Queues {
		longest = max(longest, o.Queues[i].Held)
	}
	return longest
}
