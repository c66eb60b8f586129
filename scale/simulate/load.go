package simulate

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Load is work that arrives over time, and the workers' part of it: how many jobs one takes at once,
// and how long one takes to start. The same load can be run many times.
type Load struct {
	Name string
	Jobs []Job         // by arrival
	For  time.Duration // how long is simulated; what arrives later is left out
	Seed uint64        // of what is drawn while it runs: failures, backoff, start delays

	Slots   int // of a replica
	Initial int // replicas that are there at the beginning
	// StartMean and StartDeviation are of the lognormal time from when a replica is made until it
	// takes jobs.
	StartMean, StartDeviation time.Duration
	// FailureRatio is the share of attempts begun at a time that fail at their end; nil for none.
	FailureRatio func(at time.Duration) float64
	Backoff      Backoff
}

// Job is one piece of work.
type Job struct {
	At, Service time.Duration
	Queue       string
}

// Backoff is how failed attempts are repeated.
type Backoff struct {
	Base, Cap time.Duration // the first delay, doubled for each further one, and the longest
	Jitter    float64       // share of the delay by which it is longer or shorter, at most
	Attempts  int           // after which a job has failed for good
}

// DefaultBackoff is that of a kind that says nothing else.
func DefaultBackoff() Backoff {
	return Backoff{Base: 10 * time.Second, Cap: time.Hour, Jitter: 0.2, Attempts: 5}
}

// after is the delay behind the n-th failed attempt; u is a draw from [0, 1).
func (b Backoff) after(n int, u float64) time.Duration {
	d := min(float64(b.Base)*math.Pow(2, float64(n-1)), float64(b.Cap))
	return time.Duration(d * (1 + b.Jitter*(2*u-1)))
}

// queues names the queues in the order in which they first have a job.
func (l *Load) queues() []string {
	var names []string
	last := ""
	for i := range l.Jobs {
		if name := l.Jobs[i].Queue; (name != last || len(names) == 0) && !slices.Contains(names, name) {
			names = append(names, name)
		}
		last = l.Jobs[i].Queue
	}
	return names
}

// starts is how long the n-th replica takes to start.
func (l *Load) starts(n int) time.Duration {
	if l.StartDeviation <= 0 {
		return l.StartMean
	}
	rng := rand.New(rand.NewPCG(l.Seed, 0x5741525400000000|uint64(n)))
	return lognormal(rng, l.StartMean, l.StartDeviation.Seconds()/l.StartMean.Seconds())
}

// Draws that belong to a job's attempt.
const (
	drawFailure = iota
	drawJitter
)

// draw is a number in [0, 1) that belongs to a job's attempt, whenever it is made and by whichever
// scaler: the finalizer of SplitMix64 over what names it.
func (l *Load) draw(job, attempt, what int) float64 {
	z := l.Seed ^ uint64(job)<<16 ^ uint64(attempt)<<4 ^ uint64(what)
	for range 2 {
		z += 0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
	}
	return float64(z>>11) / (1 << 53)
}

// lognormal draws a time with that mean, whose standard deviation is cv times as large.
func lognormal(rng *rand.Rand, mean time.Duration, cv float64) time.Duration {
	variance := math.Log(1 + cv*cv)
	return time.Duration(float64(mean) * math.Exp(math.Sqrt(variance)*rng.NormFloat64()-variance/2))
}

// poisson draws arrivals of a Poisson process whose rate, in jobs per second, is never above most.
func poisson(rng *rand.Rand, until time.Duration, most float64, rate func(at time.Duration) float64, arrive func(at time.Duration)) {
	for at := 0.0; ; {
		at += rng.ExpFloat64() / most
		t := time.Duration(at * float64(time.Second))
		if t >= until {
			return
		}
		if rng.Float64()*most < rate(t) {
			arrive(t)
		}
	}
}

func sortJobs(jobs []Job) {
	slices.SortStableFunc(jobs, func(a, b Job) int { return cmp.Compare(a.At, b.At) })
}
