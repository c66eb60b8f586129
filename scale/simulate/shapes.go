package simulate

import (
	"math"
	"math/rand/v2"
	"time"
)

// Shape is a built-in load. Every shape can be kept up with by 20 replicas.
type Shape struct {
	Name  string
	About string
	make  func(rng *rand.Rand, l *Load)
}

// Load makes the shape's load; the same seed makes the same one.
func (s Shape) Load(seed uint64) *Load {
	l := newLoad(s.Name, seed)
	s.make(rand.New(rand.NewPCG(seed, 0)), l)
	sortJobs(l.Jobs)
	return l
}

// newLoad is a load of no jobs, for replicas of ten slots.
func newLoad(name string, seed uint64) *Load {
	return &Load{
		Name: name, Seed: seed, Slots: 10,
		// A node that has the image, and a program that must first reach its servers.
		StartMean: 20 * time.Second, StartDeviation: 5 * time.Second,
		Backoff: DefaultBackoff(),
	}
}

// Shapes are the built-in loads.
func Shapes() []Shape {
	return []Shape{
		{"flat", "20 jobs a second of 4 s each, for two hours", flat},
		{"day-and-week", "a week of jobs of 30 s, up to 2 a second in the day, a tenth of it at night, less at the weekend", week},
		{"burst", "10 jobs a second of 2 s each, 60 in bursts of two to four minutes, about every twelve minutes", bursts},
		{"spike", "5 jobs a second of 2 s each, and 4,000 more within 20 s", spike},
		{"from-zero", "nothing, and then 30 jobs a second of 2 s each for five to ten minutes, again and again", fromZero},
		{"slow-drain", "jobs of five minutes, one at a time in a replica, fewer and fewer over five hours", slowDrain},
		{"retry-storm", "20 jobs a second of 2 s each; for half an hour four in five attempts fail", retryStorm},
	}
}

// add lets jobs arrive whose service time is lognormal, with a deviation as large as the mean.
func (l *Load) add(rng *rand.Rand, until time.Duration, most float64, rate func(time.Duration) float64, service time.Duration) {
	poisson(rng, until, most, rate, func(at time.Duration) {
		l.Jobs = append(l.Jobs, Job{At: at, Service: lognormal(rng, service, 1)})
	})
}

func always(rate float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return rate }
}

func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}

func flat(rng *rand.Rand, l *Load) {
	l.For, l.Initial = 2*time.Hour, 10
	l.add(rng, l.For, 20, always(20), 4*time.Second)
}

func week(rng *rand.Rand, l *Load) {
	l.For, l.Initial = 7*24*time.Hour, 2
	var noise [7 * 24]float64
	for i := range noise {
		noise[i] = math.Exp(0.1 * rng.NormFloat64())
	}
	l.add(rng, l.For, 3, func(at time.Duration) float64 {
		day, hour := int(at/(24*time.Hour)), math.Mod(at.Hours(), 24)
		rate := 0.2 + 1.8*math.Pow(math.Sin(math.Pi*hour/24), 4) // most at noon
		if day >= 5 {
			rate *= 0.4
		}
		return min(rate*noise[int(at/time.Hour)], 3)
	}, 30*time.Second)
}

func bursts(rng *rand.Rand, l *Load) {
	l.For, l.Initial = 90*time.Minute, 3
	type span struct{ from, to time.Duration }
	var high []span
	for at := between(rng, 6*time.Minute, 12*time.Minute); at < l.For-10*time.Minute; at += between(rng, 10*time.Minute, 14*time.Minute) {
		high = append(high, span{at, at + between(rng, 2*time.Minute, 4*time.Minute)})
	}
	l.add(rng, l.For, 60, func(at time.Duration) float64 {
		for _, s := range high {
			if s.from <= at && at < s.to {
				return 60
			}
		}
		return 10
	}, 2*time.Second)
}

func spike(rng *rand.Rand, l *Load) {
	l.For, l.Initial = time.Hour, 2
	from := between(rng, 10*time.Minute, 20*time.Minute)
	l.add(rng, l.For, 205, func(at time.Duration) float64 {
		if from <= at && at < from+20*time.Second {
			return 205
		}
		return 5
	}, 2*time.Second)
}

func fromZero(rng *rand.Rand, l *Load) {
	l.For = 2 * time.Hour
	for at := between(rng, 5*time.Minute, 15*time.Minute); at < l.For-20*time.Minute; {
		began := at
		at += between(rng, 5*time.Minute, 10*time.Minute)
		l.add(rng, at, 30, func(t time.Duration) float64 {
			if t < began {
				return 0
			}
			return 30
		}, 2*time.Second)
		at += between(rng, 12*time.Minute, 25*time.Minute)
	}
}

func slowDrain(rng *rand.Rand, l *Load) {
	const falls = 5 * time.Hour
	l.For, l.Initial, l.Slots = falls+time.Hour, 15, 1
	l.add(rng, falls, 0.05, func(at time.Duration) float64 {
		return 0.05 * (1 - at.Seconds()/falls.Seconds())
	}, 5*time.Minute)
}

func retryStorm(rng *rand.Rand, l *Load) {
	l.For, l.Initial = 90*time.Minute, 5
	l.FailureRatio = func(at time.Duration) float64 {
		if 20*time.Minute <= at && at < 50*time.Minute {
			return 0.8
		}
		return 0
	}
	l.add(rng, l.For, 20, always(20), 2*time.Second)
}
