package scale

import (
	"fmt"
	"math"
	"time"
)

// limit keeps the number within the rates and the bounds, the current number being within the
// bounds.
func (b Behavior) limit(p *path, at time.Time, current, lowest, highest int, changes []Change) {
	switch {
	case p.number > current:
		limit, why := b.ScaleUp.ceiling(at, current, changes)
		if highest <= limit {
			p.atMost(RuleMax, highest, fmt.Sprintf("The most is %d.", highest))
			return
		}
		p.atMost(RuleRate, limit, why)
	case p.number < current:
		limit, why := b.ScaleDown.floor(at, current, changes)
		if lowest >= limit {
			p.atLeast(RuleMin, lowest, fmt.Sprintf("The fewest is %d.", lowest))
			return
		}
		p.atLeast(RuleRate, limit, why)
	}
}

func (p *path) atMost(rule Rule, number int, why string) { p.to(rule, min(p.number, number), why) }

func (p *path) atLeast(rule Rule, number int, why string) { p.to(rule, max(p.number, number), why) }

// ceiling is how far growth may go now, and why no further.
func (r Rules) ceiling(at time.Time, current int, changes []Change) (int, string) {
	switch {
	case r.Select == SelectDisabled:
		return current, "Growing is disabled."
	case len(r.Policies) == 0:
		return math.MaxInt32, ""
	}
	best := r.pick(at, current, changes, Rate.up, func(a, b int) bool { return a > b })
	limit := max(best.limit, current)
	return limit, fmt.Sprintf("No more than %d yet: at most %s more within %v, and there were %d.", limit, best.rate, best.rate.Period, best.start)
}

// floor is how far shrinking may go now, and why no further.
func (r Rules) floor(at time.Time, current int, changes []Change) (int, string) {
	switch {
	case r.Select == SelectDisabled:
		return current, "Shrinking is disabled."
	case len(r.Policies) == 0:
		return math.MinInt32, ""
	}
	best := r.pick(at, current, changes, Rate.down, func(a, b int) bool { return a < b })
	limit := min(best.limit, current)
	return limit, fmt.Sprintf("No fewer than %d yet: at most %s fewer within %v, and there were %d.", limit, best.rate, best.rate.Period, best.start)
}

// choice is a rate with the limit that it gives, from what there was at the start of its period.
type choice struct {
	rate         Rate
	start, limit int
}

// pick finds the rate that goes furthest, or least far where Select says so.
func (r Rules) pick(at time.Time, current int, changes []Change, limit func(Rate, int) int, further func(a, b int) bool) choice {
	var best choice
	for i, rate := range r.Policies {
		c := choice{rate: rate, start: current - net(at, rate.Period, changes)}
		c.limit = limit(rate, c.start)
		if better := further(c.limit, best.limit); i == 0 || c.limit != best.limit && better != (r.Select == SelectMin) {
			best = c
		}
	}
	return best
}

// net is by how much the number was changed within the period.
func net(at time.Time, period time.Duration, changes []Change) int {
	sum := 0
	for _, c := range changes {
		if within(at, c.At, period) {
			sum += c.By
		}
	}
	return sum
}

// up rounds up, so that few replicas can grow at all. As in Kubernetes the factor is a float64,
// which can add one: 100 and 10 % are 111.
func (r Rate) up(start int) int {
	if r.Type == Percent {
		return whole(math.Ceil(float64(start) * (1 + float64(r.Value)/100)))
	}
	return start + r.Value
}

// down rounds towards 0: 10 less 90 % are 0, the factor being a hair below a tenth.
func (r Rate) down(start int) int {
	if r.Type == Percent {
		return whole(math.Trunc(float64(start) * (1 - float64(r.Value)/100)))
	}
	return start - r.Value
}

// whole keeps what fits into 32 bits, which is what a number of replicas is in Kubernetes.
func whole(f float64) int {
	return int(min(max(f, math.MinInt32), math.MaxInt32))
}

func (r Rate) String() string {
	if r.Type == Percent {
		return fmt.Sprintf("%d %%", r.Value)
	}
	return fmt.Sprint(r.Value)
}
