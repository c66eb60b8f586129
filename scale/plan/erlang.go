package plan

import "math"

// late is the share of jobs that may begin later than the target.
const late = 0.05

// slots is how many it takes so that no more than that share of jobs waits for longer than target,
// in units of the service time, where load is arrivals by service time: the least number for which
// Erlang's C of M/M/c has P(wait > t) = C·exp(−(c − load)·t) there.
func slots(load, target float64) float64 {
	if load <= 0 {
		return 0
	}
	// Beyond this the sum is long, and the square-root rule with 2 (about 3 in 100 jobs wait at all)
	// differs by less than one in a hundred.
	const many = 100_000
	if load > many {
		return math.Ceil(load + 2*math.Sqrt(load))
	}
	blocked := 1.0 // Erlang's B, from no slot on
	for c := 1.0; ; c++ {
		blocked = load * blocked / (c + load*blocked)
		if c <= load {
			continue
		}
		waits := c * blocked / (c - load*(1-blocked))
		if waits*math.Exp(-(c-load)*target) <= late {
			return c
		}
	}
}
