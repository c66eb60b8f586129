package scale

import (
	"fmt"
	"math"
	"slices"
)

// Decide says how many replicas there should be. It asks every policy, takes the greatest answer,
// and lets bounds and brakes have their say, each named in the decision. The policy must have
// passed Check.
func Decide(p Policy, o Observation, h History) Decision {
	d := Decision{At: o.At, Current: o.Fleet.Replicas, Replicas: o.Fleet.Replicas}
	if pin := o.Command.Pin; pin != nil && o.At.Before(o.Command.Until) {
		return d.pinned(p, *pin)
	}
	if o.Blind != "" {
		return d.hold(RuleBlind, "Held: "+o.Blind+".")
	}
	if o.Command.Paused {
		return d.hold(RulePaused, "Held: an operator paused scaling.")
	}
	d.ask(p, o, h)
	d.brake(p.Brakes, o, h)
	d.steady(p, h)
	d.ceil(RuleSchedule)
	d.ceil(RuleBudget)
	return d.named()
}

func (d Decision) hold(rule Rule, why string) Decision {
	d.Bound, d.Why, d.Raw = rule, why, d.Current
	return d
}

// pinned is the operator's number, which only the hard maximum bounds.
func (d Decision) pinned(p Policy, pin int) Decision {
	d.Raw = pin
	d.Replicas, d.Bound = pin, RulePin
	d.Why = fmt.Sprintf("An operator pinned %d.", pin)
	if pin > p.Max {
		d.step(RuleMax, p.Max, fmt.Sprintf("An operator pinned %d, and the most is %d.", pin, p.Max))
		d.Bound, d.Why = RuleMax, d.Steps[0].Why
	}
	return d
}

// ask collects the policies' answers, and takes the greatest of those that ask for at least so many.
func (d *Decision) ask(p Policy, o Observation, h History) {
	w := work{policy: p, seen: o}
	w.measure()
	if p.Depth != nil {
		d.answer(w.depth(0))
	}
	if p.Drain != nil {
		d.answer(w.drain(0))
	}
	if p.Due != nil {
		d.answer(w.due()...)
	}
	for _, s := range p.Schedule {
		d.answer(s.answers(o.At)...)
	}
	if p.Forecast != nil {
		d.answer(p.Forecast.answer(o, h.Season, w.service(), w.slots)...)
	}
	d.answer(w.awake()...)
	if p.Budget != nil {
		d.answer(p.Budget.answer(o.Fleet))
	}
	for _, a := range d.Answers {
		if !a.Ceiling {
			d.Raw = max(d.Raw, a.Replicas)
		}
	}
	d.Replicas = d.Raw
}

func (d *Decision) answer(list ...Answer) { d.Answers = append(d.Answers, list...) }

// step changes the number, and notes that it did.
func (d *Decision) step(rule Rule, to int, why string) {
	if to != d.Replicas {
		d.Steps = append(d.Steps, Step{Rule: rule, From: d.Replicas, To: to, Why: why})
		d.Replicas = to
	}
}

// brake stops growth that does not help. The first replica is always granted.
func (d *Decision) brake(b Brakes, o Observation, h History) {
	d.Braked = b.reason(o, h)
	if limit := max(d.Current, 1); d.Braked != "" && d.Replicas > limit {
		d.step(RuleBrake, limit, d.Braked)
	}
}

// ceil applies the ceilings that a rule gave.
func (d *Decision) ceil(rule Rule) {
	for _, a := range d.Answers {
		if a.Ceiling && a.Rule == rule && d.Replicas > a.Replicas {
			d.step(rule, a.Replicas, a.Why)
		}
	}
}

// steady bounds the number and how fast it changes.
func (d *Decision) steady(p Policy, h History) {
	asked := h.Asked
	if len(asked) == 0 {
		asked = []Asked{{At: d.At, Replicas: d.Current}}
	}
	to, steps := p.Behavior.Normalize(d.At, d.Current, d.Replicas, p.Min, p.Max, asked, h.Changes)
	d.Steps = append(d.Steps, steps...)
	d.Replicas = to
}

// named says which rule gave the number.
func (d Decision) named() Decision {
	if n := len(d.Steps); n > 0 {
		last := d.Steps[n-1]
		d.Bound, d.Why = last.Rule, last.Why
		return d
	}
	d.Bound, d.Why = RuleNone, "Nothing asks for a worker."
	for _, a := range d.Answers {
		if !a.Ceiling && a.Replicas == d.Raw && d.Raw > 0 {
			d.Bound, d.Why = a.Rule, a.Why
			break
		}
	}
	return d
}

// ceilDiv is how many of size hold amount. Sums of floats may be a hair above a whole number.
func ceilDiv(amount, size float64) int {
	const hair = 1e-9
	n := math.Ceil(amount/size - hair)
	switch {
	case math.IsNaN(n), n <= 0:
		return 0
	case n > math.MaxInt32:
		return math.MaxInt32
	}
	return int(n)
}

// After is what the next decision needs to know of this one, and of how many replicas the target was
// told to have then: d.Current where nothing was written.
func (h History) After(p Policy, o Observation, d Decision, told int) History {
	next := History{Asked: h.Asked, Changes: slices.Clone(h.Changes), Throughput: h.Throughput, Season: h.Season}
	if told != d.Current {
		next.Changes = append(next.Changes, Change{At: d.At, By: told - d.Current})
	}
	next.Changes = p.Behavior.Forget(d.At, next.Changes)
	if d.Bound == RuleBlind || d.Bound == RulePaused || d.Bound == RulePin {
		return next
	}
	if len(next.Asked) == 0 {
		next.Asked = []Asked{{At: d.At, Replicas: d.Current}}
	}
	next.Asked = p.Behavior.Remember(d.At, next.Asked, d.Raw)
	next.Throughput = p.Brakes.learn(h.Throughput, o)
	return next
}
