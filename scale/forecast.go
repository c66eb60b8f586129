package scale

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// The model is Holt and Winters' with an additive season, in the component form of Hyndman and
// Athanasopoulos, "Forecasting: Principles and Practice", section 8.3. The constants are ours, not
// fitted: an hour is one of 168 in a season, so that it must say little about the level and next to
// nothing about the trend, and more about its own hour of the week. A day without arrivals costs
// the level a fifth of itself. Growth by the same number each week is expected nearly exactly; by
// the same share it is followed some weeks behind, as far as the season's height is concerned.
const (
	levelWeight  = 0.01
	trendWeight  = 0.001
	seasonWeight = 0.3 // and in the first weeks their mean: one half, one third

	season = 24 * 7
	// stale is how long ago the last hour may be. After that nothing is expected, and learning
	// begins anew, which also bounds how many hours without arrivals are filled in.
	stale = 4 * season * time.Hour
	// mostArrivals of an hour are believed.
	mostArrivals = 1e12
)

// Learn is the model after one more hour, which began at hour; s, which may be nil, stays as it
// is. Hours between what was seen and this one had no arrivals; an hour that was seen already
// changes nothing.
//
// The first week is taken as it comes: the level is its mean, the season is what each hour differs
// from that, and there is no trend yet.
func (s *Season) Learn(hour time.Time, arrivals float64) *Season {
	hour = hour.UTC().Truncate(time.Hour)
	next := Season{Until: hour}
	if s != nil && hour.Before(s.Until.Add(stale)) {
		if hour.Before(s.Until) {
			return s
		}
		next = *s
	}
	for next.Until.Before(hour) {
		next.see(0)
	}
	if !(arrivals > 0) { // NaN as well
		arrivals = 0
	}
	next.see(min(arrivals, mostArrivals))
	return &next
}

// see learns the hour that begins at Until.
func (s *Season) see(arrivals float64) {
	at := hourOfWeek(s.Until)
	s.Until = s.Until.Add(time.Hour)
	s.Seen++
	if s.Seen <= season {
		s.Hours[at] = arrivals
		s.Level += (arrivals - s.Level) / float64(s.Seen)
		if s.Seen == season {
			for i := range s.Hours {
				s.Hours[i] -= s.Level
			}
		}
		return
	}
	weeks := (s.Seen - 1) / season // that were seen in full before
	weight := max(seasonWeight, 1/float64(weeks+1))
	level, trend := s.Level, s.Trend
	s.Level = levelWeight*(arrivals-s.Hours[at]) + (1-levelWeight)*(level+trend)
	s.Trend = trendWeight*(s.Level-level) + (1-trendWeight)*trend
	s.Hours[at] = weight*(arrivals-level-trend) + (1-weight)*s.Hours[at]
}

func hourOfWeek(at time.Time) int {
	at = at.UTC()
	return int(at.Weekday()+6)%7*24 + at.Hour()
}

// ready says whether a full week was seen, the last hour of it not too long before at.
func (s *Season) ready(at time.Time) bool {
	return s != nil && s.Seen >= season && at.Before(s.Until.Add(stale))
}

// Expect is how many jobs the hour that at falls into is expected to bring, as far as a model can
// say that has seen a full week, and not too long ago: otherwise 0. It is never negative.
func (s *Season) Expect(at time.Time) float64 {
	if !s.ready(at) {
		return 0
	}
	ahead := math.Floor(at.Sub(s.Until).Hours()) + 1
	ahead = min(max(ahead, 0), season)
	return max(s.Level+ahead*s.Trend+s.Hours[hourOfWeek(at)], 0)
}

// answer asks for what the greater of two hours is expected to need: the present one, and the one
// in which a replica that is made now takes jobs. service is in seconds, as measured; while it was
// not, the policy's own counts.
func (f Forecast) answer(o Observation, s *Season, service, slots float64) []Answer {
	expected := max(s.Expect(o.At), s.Expect(o.At.Add(o.Fleet.StartDelay)))
	if expected <= 0 {
		return nil
	}
	if f.Service > 0 && !o.measured() {
		service = f.Service.Seconds()
	}
	n := ceilDiv(expected/3600*service*(1+f.Headroom), slots)
	return []Answer{{
		Rule: RuleForecast, Replicas: n,
		Why: fmt.Sprintf("%.0f jobs an hour are expected at this time of the week, of %.3g s each: %d replicas with %.0f %% to spare.",
			expected, service, n, 100*f.Headroom),
		Terms: map[string]float64{"expected_per_hour": expected, "service_s": service, "headroom": f.Headroom, "slots": slots},
	}}
}

// measured says whether a queue that has work ended any lately, so that its service time is known.
func (o Observation) measured() bool {
	for i := range o.Queues {
		q := &o.Queues[i]
		work, ended := q.Ready+q.Running, 0
		for _, w := range q.Windows {
			work += w.Arrived + w.Retried + w.Lost
			ended += w.Succeeded + w.Failed + w.Retried
		}
		if work > 0 && ended > 0 {
			return true
		}
	}
	return false
}

// Check finds what makes no sense. Its error names each field.
func (f Forecast) Check() error {
	var errs []error
	if !(f.Headroom >= 0 && f.Headroom <= 10) {
		errs = append(errs, fmt.Errorf("headroom: %g is not between 0 and 10", f.Headroom))
	}
	if f.Service < 0 {
		errs = append(errs, fmt.Errorf("service: %v is below 0", f.Service))
	}
	return errors.Join(errs...)
}
