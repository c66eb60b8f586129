package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/store"
)

// Store is what the loop needs of the store.
type Store interface {
	store.Scaler
	Workers(ctx context.Context) ([]store.Worker, error)
	Cordon(ctx context.Context, worker uuid.UUID, d time.Duration) error
}

// Options are a loop's settings.
type Options struct {
	Policy   scale.Policy
	Queues   []string      // whose jobs count; all when empty
	Every    time.Duration // between two decisions
	Patience time.Duration // how long an observation, and a write, may take
	// Deliverable tells whether jobs can be handed to workers at all; while they cannot, more
	// workers would get none.
	Deliverable func(ctx context.Context) error
	Logger      *slog.Logger
	Metrics     *Metrics
}

// DefaultOptions decides every two seconds.
func DefaultOptions() Options {
	return Options{Policy: scale.Default(), Every: 2 * time.Second, Patience: 5 * time.Second}
}

// Loop sizes one target.
type Loop struct {
	store  Store
	target Target
	opts   Options
	log    *slog.Logger
	meter  *Metrics

	memory  memory
	known   bool            // memory was read
	last    int             // replicas as last seen, for when they cannot be seen
	born    map[string]bool // members whose start was learned from
	leaving emptying
	told    string // the bad news that were told last
}

// New makes a loop. The policy must have passed Check.
func New(s Store, target Target, opts Options) *Loop {
	return &Loop{
		store: s, target: target, opts: opts, meter: opts.Metrics,
		log:  opts.Logger.With("target", target.Name()),
		born: make(map[string]bool),
	}
}

// Run decides until ctx ends, and lifts then the cordons of workers that it was about to give up. It
// may run again after that, and begins with what the store remembers.
func (l *Loop) Run(ctx context.Context) error {
	l.known, l.memory, l.leaving = false, memory{}, emptying{}
	tick := time.NewTicker(l.opts.Every)
	defer tick.Stop()
	defer l.giveBack(ctx)
	for {
		l.turn(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// turn is one decision, from looking to recording. What fails is logged and tried again in the
// next one.
func (l *Loop) turn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*l.opts.Patience)
	defer cancel()
	began := time.Now()
	v := l.observe(ctx)
	l.meter.observed(v, time.Since(began))
	if ctx.Err() != nil {
		return
	}
	d := scale.Decide(l.opts.Policy, v.observation, l.memory.History)
	outcome, why := l.act(ctx, v, d)
	l.meter.decided(d, outcome)
	l.tell(ctx, d, outcome, why)
	l.memory.History = l.memory.History.After(l.opts.Policy, v.observation, d, outcome == store.ScaleApplied)
	if err := l.record(ctx, v, d, outcome, why); err != nil && ctx.Err() == nil {
		l.log.WarnContext(ctx, "decision could not be recorded", "error", err)
	}
}

// act carries a decision out, as far as it can be at once.
func (l *Loop) act(ctx context.Context, v view, d scale.Decision) (store.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Patience)
	defer cancel()
	switch {
	case v.sizeErr != nil:
		return store.ScaleUnchanged, nil // nothing can be written where nothing can be read
	case v.size.Rival != nil:
		l.giveBack(ctx)
		return written(v.size.Rival)
	case d.Replicas > d.Current:
		l.giveBack(ctx)
		return written(l.target.Grow(ctx, d.Replicas))
	case d.Replicas < d.Current:
		return l.shrink(ctx, v, d)
	}
	l.giveBack(ctx)
	return store.ScaleUnchanged, nil
}

func written(err error) (store.Outcome, error) {
	switch {
	case err == nil:
		return store.ScaleApplied, nil
	case errors.Is(err, scale.ErrRival):
		return store.ScaleRefused, err
	}
	return store.ScaleFailed, err
}

// tell says what was done to those who look at the target, and logs it.
func (l *Loop) tell(ctx context.Context, d scale.Decision, outcome store.Outcome, err error) {
	attrs := []any{"from", d.Current, "to", d.Replicas, "rule", string(d.Bound), "why", d.Why}
	switch outcome {
	case store.ScaleApplied:
		l.log.InfoContext(ctx, "scaled", attrs...)
		l.target.Tell(ctx, scale.News{Reason: "Scaled", Message: fmt.Sprintf("From %d to %d replicas: %s", d.Current, d.Replicas, d.Why)})
	case store.ScaleRefused:
		l.bad(ctx, "ScalingRefused", err)
	case store.ScaleFailed:
		l.bad(ctx, "ScalingFailed", err)
	case store.ScaleUnchanged, store.ScalePending:
		if d.Bound == scale.RuleBlind {
			l.bad(ctx, "ScalingHeld", errors.New(d.Why))
			return
		}
		if l.told != "" {
			l.log.InfoContext(ctx, "scaling goes on")
		}
		l.told = ""
	}
}

// bad tells bad news once, until there are others or none.
func (l *Loop) bad(ctx context.Context, reason string, err error) {
	if errors.Is(err, scale.ErrNotLeader) {
		l.log.InfoContext(ctx, "no longer the leader")
		return
	}
	if text := reason + err.Error(); l.told != text {
		l.told = text
		l.log.WarnContext(ctx, "not scaled", "reason", reason, "error", err)
		l.target.Tell(ctx, scale.News{Reason: reason, Message: err.Error(), Bad: true})
	}
}
