package scale

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Normalize makes of what is asked for the number that is to be set, as Kubernetes 1.34 does with
// a behavior: a current number outside of the bounds goes to the bound at once; otherwise what was
// asked for within the windows holds back, then the rates do, then the bounds. The number after
// the last step is the result; without a step it is the one asked for.
//
// Asked must hold {at, current} before anything else was asked for, and else what Remember left;
// changes are the writes that were made. A controller of Kubernetes leaves a target of 0 replicas
// alone unless its minimum is 0 (see HPADisabled); Normalize gives the minimum then.
func (b Behavior) Normalize(at time.Time, current, desired, lowest, highest int, asked []Asked, changes []Change) (int, []Step) {
	p := path{number: desired}
	if !p.bypass(current, lowest, highest) {
		b.stabilize(&p, at, current, asked)
		b.limit(&p, at, current, lowest, highest, changes)
	}
	return p.number, p.steps
}

// path is a number on its way through the rules.
type path struct {
	number int
	steps  []Step
}

func (p *path) to(rule Rule, number int, why string) {
	if number != p.number {
		p.steps = append(p.steps, Step{Rule: rule, From: p.number, To: number, Why: why})
		p.number = number
	}
}

// bypass goes straight to a bound that the current number is beyond.
func (p *path) bypass(current, lowest, highest int) bool {
	switch {
	case current > highest:
		p.to(RuleMax, highest, fmt.Sprintf("There are %d, and the most is %d.", current, highest))
	case current < lowest:
		p.to(RuleMin, lowest, fmt.Sprintf("There are %d, and the fewest is %d.", current, lowest))
	default:
		return false
	}
	return true
}

// stabilize moves the current number only as far as everything that was asked for within the window
// of its direction agrees with.
func (b Behavior) stabilize(p *path, at time.Time, current int, asked []Asked) {
	desired := Asked{At: at, Replicas: p.number}
	least, most := desired, desired
	for _, a := range asked {
		if within(at, a.At, b.ScaleUp.Window) && a.Replicas < least.Replicas {
			least = a
		}
		if within(at, a.At, b.ScaleDown.Window) && a.Replicas > most.Replicas {
			most = a
		}
	}
	switch {
	case current < least.Replicas: // then least holds growing back
		p.to(RuleStabilize, least.Replicas, least.why(at, b.ScaleUp.Window))
	case current > most.Replicas:
		p.to(RuleStabilize, most.Replicas, most.why(at, b.ScaleDown.Window))
	case desired.Replicas > current:
		p.to(RuleStabilize, current, least.why(at, b.ScaleUp.Window))
	default:
		p.to(RuleStabilize, current, most.why(at, b.ScaleDown.Window))
	}
}

func (a Asked) why(at time.Time, window time.Duration) string {
	were := "were"
	if a.Replicas == 1 {
		were = "was"
	}
	return fmt.Sprintf("%d %s asked for %v ago, within the window of %v.", a.Replicas, were, at.Sub(a.At).Round(time.Second), window)
}

// within says whether then was less than span before now.
func within(now, then time.Time, span time.Duration) bool {
	return then.After(now.Add(-span))
}

// Remember adds what was asked for now to what was before. It keeps what can still hold back a
// later number: whatever is within the longer window and not outdone, in both directions, by
// something later. So there is mostly little of it, and never more than was asked within an hour.
// A time after at, as another machine's clock may have written it, counts as at.
func (b Behavior) Remember(at time.Time, asked []Asked, desired int) []Asked {
	window := max(b.ScaleUp.Window, b.ScaleDown.Window)
	return remember(at, asked, desired, func(a Asked) bool { return within(at, a.At, window) })
}

func remember(at time.Time, asked []Asked, desired int, counts func(Asked) bool) []Asked {
	all := make([]Asked, 0, len(asked)+1)
	for _, a := range asked {
		if a.At.After(at) {
			a.At = at
		}
		if counts(a) {
			all = append(all, a)
		}
	}
	all = append(all, Asked{At: at, Replicas: desired})
	slices.SortStableFunc(all, func(a, b Asked) int { return a.At.Compare(b.At) })

	least, most := math.MaxInt, math.MinInt
	kept := all[:0:0]
	for _, a := range slices.Backward(all) {
		if a.Replicas < least || a.Replicas > most {
			kept = append(kept, a)
			least, most = min(least, a.Replicas), max(most, a.Replicas)
		}
	}
	slices.Reverse(kept)
	return kept
}

// Forget drops the changes that no rate looks back to. A time after at counts as at.
func (b Behavior) Forget(at time.Time, changes []Change) []Change {
	var longest time.Duration
	for _, r := range slices.Concat(b.ScaleUp.Policies, b.ScaleDown.Policies) {
		longest = max(longest, r.Period)
	}
	var kept []Change
	for _, c := range changes {
		if c.At.After(at) {
			c.At = at
		}
		if within(at, c.At, longest) {
			kept = append(kept, c)
		}
	}
	return kept
}

// Check finds what Kubernetes would refuse as well, but for rules without rates and windows or
// periods of broken seconds. Its error names each field.
func (b Behavior) Check() error {
	return errors.Join(b.ScaleUp.check("scale-up"), b.ScaleDown.check("scale-down"))
}

func (r Rules) check(name string) error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", name, field, fmt.Sprintf(format, args...)))
	}
	if r.Window < 0 || r.Window > time.Hour {
		wrong("window", "%v is not between 0 and 1h", r.Window)
	}
	switch cmp.Or(r.Select, SelectMax) {
	case SelectMax, SelectMin, SelectDisabled:
	default:
		wrong("select", "%q is none of Max, Min and Disabled", r.Select)
	}
	for i, rate := range r.Policies {
		field := func(part string) string { return fmt.Sprintf("policies[%d].%s", i, part) }
		if rate.Type != Pods && rate.Type != Percent {
			wrong(field("type"), "%q is neither Pods nor Percent", rate.Type)
		}
		if rate.Value < 1 || rate.Value > math.MaxInt32 {
			wrong(field("value"), "%d is not between 1 and %d", rate.Value, math.MaxInt32)
		}
		if rate.Period < time.Second || rate.Period > 30*time.Minute {
			wrong(field("period"), "%v is not between 1s and 30m", rate.Period)
		}
	}
	return errors.Join(errs...)
}
