package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/store"
)

// emptying is members that are being emptied, by name.
type emptying struct {
	members map[string]*victim
	since   time.Time
}

type victim struct {
	worker   uuid.UUID // uuid.Nil while it has none
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

// cordon tells the chosen ones to take nothing new, and those that are not chosen any more that
// they may.
func (l *Loop) cordon(ctx context.Context, chosen []member, at time.Time) error {
	wanted := make(map[string]member, len(chosen))
	for _, m := range chosen {
		wanted[m.Name] = m
	}
	for name, v := range l.leaving.members {
		if m, ok := wanted[name]; !ok || m.worker == nil || m.worker.ID != v.worker {
			l.uncordon(ctx, l.leaving.members, name)
		}
	}
	for _, m := range chosen {
		if m.worker == nil {
			continue
		}
		v := l.leaving.members[m.Name]
		if v == nil {
			v = &victim{worker: m.worker.ID}
			l.leaving.members[m.Name] = v
		}
		if err := l.hold(ctx, v, at); err != nil {
			return fmt.Errorf("cordon %s: %w", m.Name, err)
		}
	}
	return nil
}

// hold tells a worker to take nothing new, unless it was told so lately.
func (l *Loop) hold(ctx context.Context, v *victim, at time.Time) error {
	if v.worker == uuid.Nil || at.Sub(v.cordoned) < scale.CordonAgain {
		return nil
	}
	err := l.store.Cordon(ctx, v.worker, scale.CordonFor)
	if errors.Is(err, store.ErrWorkerGone) {
		return nil // the next look will not find it
	}
	if err == nil {
		v.cordoned = at
	}
	return err
}

// settle holds members that were given up until they are gone, as they may be long after the number
// was lowered. Those that stay, since no member is left to be removed, take jobs again.
func (l *Loop) settle(ctx context.Context, v view) {
	if v.sizeErr == nil {
		there := make(map[string]bool, len(v.size.Members))
		for _, m := range v.size.Members {
			there[m.Name] = true
		}
		for name := range l.given {
			switch {
			case !there[name]:
				delete(l.given, name)
			case len(v.size.Members) <= v.size.Replicas:
				l.uncordon(ctx, l.given, name)
			}
		}
	}
	for _, m := range v.members {
		if g := l.given[m.Name]; g != nil && m.worker != nil && m.worker.ID != g.worker {
			*g = victim{worker: m.worker.ID}
		}
	}
	for name, g := range l.given {
		if err := l.hold(ctx, g, v.observation.At); err != nil {
			l.log.DebugContext(ctx, "cordon could not be renewed", "worker", name, "error", err)
			return // the store is away, which is told of already
		}
	}
}

// giveBack lets every worker that was about to be given up take jobs again. Once another process
// leads, the cordons may be that one's.
func (l *Loop) giveBack(ctx context.Context) {
	if len(l.leaving.members) == 0 {
		return
	}
	if l.target.Leading() != nil {
		clear(l.leaving.members)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.opts.Patience)
	defer cancel()
	for name := range l.leaving.members {
		l.uncordon(ctx, l.leaving.members, name)
	}
}

func (l *Loop) uncordon(ctx context.Context, of map[string]*victim, name string) {
	worker := of[name].worker
	delete(of, name)
	if worker == uuid.Nil {
		return
	}
	if err := l.store.Cordon(ctx, worker, 0); err != nil && !errors.Is(err, store.ErrWorkerGone) {
		l.log.WarnContext(ctx, "cordon could not be lifted; it ends by itself",
			"worker", name, "within", scale.CordonFor, "error", err)
	}
}
