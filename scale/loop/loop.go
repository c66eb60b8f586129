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
	born    map[string]bool // members of whose start nothing more is to be learned; nil before the first look
	leaving emptying
	given   map[string]*victim // members that were given up and are still there
	pressed time.Time          // since when the number presses, see scale.Decision.Presses; zero: it does not
	told    string             // the bad news that were told last
}

// New makes a loop. The policy must have passed Check.
func New(s Store, target Target, opts Options) *Loop {
	return &Loop{
		store: s, target: target, opts: opts, meter: opts.Metrics,
		log: opts.Logger.With("target", target.Name()),
	}
}

// Run decides until ctx ends, and lifts then the cordons of workers that it was about to give up,
// unless another leads by then. It may run again after that, and begins with what the store
// remembers.
func (l *Loop) Run(ctx context.Context) error {
	l.known, l.memory, l.born = false, memory{}, nil
	l.leaving, l.given, l.pressed = emptying{}, make(map[string]*victim), time.Time{}
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
	r := l.act(ctx, v, d)
	l.meter.decided(d, r.outcome)
	l.tell(ctx, d, r)
	l.memory.History = l.memory.History.After(l.opts.Policy, v.observation, d, r.told)
	if err := l.record(ctx, v, d, r); err != nil && ctx.Err() == nil {
		l.log.WarnContext(ctx, "decision could not be recorded", "error", err)
	}
}

// result is what became of a decision.
type result struct {
	outcome store.Outcome
	told    int // replicas that the target is told to have now
	err     error
}

// act carries a decision out, as far as it can be at once.
func (l *Loop) act(ctx context.Context, v view, d scale.Decision) result {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Patience)
	defer cancel()
	l.settle(ctx, v)
	l.press(d)
	switch {
	case v.sizeErr != nil: // nothing can be written where nothing can be read
		return result{outcome: store.ScaleUnchanged, told: d.Current}
	case v.size.Rival != nil:
		l.giveBack(ctx)
		return written(d, d.Current, v.size.Rival)
	case d.Replicas > d.Current:
		l.giveBack(ctx)
		return written(d, d.Replicas, l.target.Grow(ctx, d.Replicas))
	case d.Replicas < d.Current:
		return l.shrink(ctx, v, d)
	}
	l.giveBack(ctx)
	return result{outcome: store.ScaleUnchanged, told: d.Current}
}

// written is what became of a write of that number.
func written(d scale.Decision, replicas int, err error) result {
	switch {
	case err == nil:
		return result{outcome: store.ScaleApplied, told: replicas}
	case errors.Is(err, scale.ErrRival):
		return result{outcome: store.ScaleRefused, told: d.Current, err: err}
	}
	return result{outcome: store.ScaleFailed, told: d.Current, err: err}
}

// tell says what was done to those who look at the target, and logs it.
func (l *Loop) tell(ctx context.Context, d scale.Decision, r result) {
	switch r.outcome {
	case store.ScaleApplied:
		l.log.InfoContext(ctx, "scaled",
			"from", d.Current, "to", r.told, "wanted", d.Replicas, "rule", string(d.Bound), "why", d.Why)
		further := ""
		if r.told != d.Replicas {
			further = fmt.Sprintf(", on the way to %d", d.Replicas)
		}
		l.target.Tell(ctx, scale.News{
			Reason: "Scaled", Message: fmt.Sprintf("From %d to %d replicas%s: %s", d.Current, r.told, further, d.Why),
		})
	case store.ScaleRefused:
		l.bad(ctx, "ScalingRefused", r.err)
	case store.ScaleFailed:
		l.bad(ctx, "ScalingFailed", r.err)
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
