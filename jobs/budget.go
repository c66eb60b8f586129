package jobs

import "time"

// Budget bounds what a job may spawn, and all that is spawned below it: an archive within archives
// ends, however many there are of them.
type Budget struct {
	Depth int       `json:"depth"`          // how many generations may follow
	Jobs  int       `json:"jobs"`           // how many jobs there may be below
	Bytes int64     `json:"bytes"`          // of the files that they are on, together
	Until time.Time `json:"until,omitzero"` // nothing is spawned after that; zero for no such time
}

// SpawnFor is how long a job that nobody has spawned, and all below it, may go on spawning.
const SpawnFor = 24 * time.Hour

// DefaultBudget is that of a job that nobody has spawned, begun at a time.
func DefaultBudget(began time.Time) Budget {
	return Budget{Depth: 5, Jobs: 10_000, Bytes: 64 << 30, Until: began.Add(SpawnFor)}
}

// Spawn takes a job off the budget, at a time. What is not allowed is a permanent error, and takes
// nothing.
func (b *Budget) Spawn(now time.Time) error {
	switch {
	case b.Depth < 1:
		return Fail(CodeLimitOutput, "the job is so many jobs deep that it may spawn no more")
	case b.Jobs < 1:
		return Fail(CodeLimitOutput, "the job spawns more jobs than it may")
	case !b.Until.IsZero() && now.After(b.Until):
		return Fail(CodeLimitTime, "the time in which the job may spawn others is over")
	}
	b.Jobs--
	return nil
}

// Write takes bytes of a spawned job's file off the budget. What is not allowed is a permanent error.
func (b *Budget) Write(n int64) error {
	if n > b.Bytes {
		return Fail(CodeLimitOutput, "the files of the jobs that the job spawns are larger than allowed")
	}
	b.Bytes -= n
	return nil
}

// Share is what each of so many children gets of what is left: all of it is theirs together.
func (b Budget) Share(children int) Budget {
	n := max(children, 1)
	return Budget{Depth: b.Depth - 1, Jobs: b.Jobs / n, Bytes: b.Bytes / int64(n), Until: b.Until}
}
