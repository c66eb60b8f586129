package scale

import (
	"slices"
	"time"
)

// Starts is how long the latest replicas took from being made to their worker's first beat, latest
// last.
type Starts []time.Duration

// manyStarts is how many are learned from.
const manyStarts = 50

// After is what is known once another has started.
func (s Starts) After(took time.Duration) Starts {
	s = append(slices.Clone(s), took)
	return s[max(len(s)-manyStarts, 0):]
}

// Delay is what nine in ten took; 0 while nothing is known.
func (s Starts) Delay() time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[(len(sorted)*9+9)/10-1]
}
