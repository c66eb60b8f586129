package scale_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/scale"
)

const week = 7 * 24 * time.Hour

// shape is the arrivals of an hour: high by day, low at night, less on weekends. Each week they grow
// by a share of the first, and by a number.
func shape(at time.Time, share, number float64) float64 {
	day := 1 + 0.8*math.Sin(2*math.Pi*float64(at.Hour()-8)/24)
	if w := at.Weekday(); w == time.Saturday || w == time.Sunday {
		day *= 0.4
	}
	weeks := at.Sub(noon).Hours() / week.Hours()
	return 1000*day*(1+share*weeks) + number*weeks
}

// taught is a model of the hours from noon on, with a standard deviation of noise of each one's own.
func taught(weeks int, noise float64, arrivals func(time.Time) float64) *scale.Season {
	rnd := rand.New(rand.NewPCG(1, 2))
	var s *scale.Season
	for at := noon; at.Before(noon.Add(time.Duration(weeks) * week)); at = at.Add(time.Hour) {
		s = s.Learn(at, arrivals(at)*max(1+noise*rnd.NormFloat64(), 0))
	}
	return s
}

// miss is the mean error of what is expected of each hour of a week, each seen one hour ahead, as a
// share of the week's mean.
func miss(s *scale.Season, arrivals func(time.Time) float64) float64 {
	wrong, all := 0.0, 0.0
	for end := s.Until.Add(week); s.Until.Before(end); {
		at := s.Until
		wrong += math.Abs(s.Expect(at.Add(time.Minute)) - arrivals(at))
		all += arrivals(at)
		s = s.Learn(at, arrivals(at))
	}
	return wrong / all
}

func TestForecastLearnsTheWeek(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                 string
		noise, share, number float64
		weeks                int
		within               float64
	}{
		{"plain", 0, 0, 0, 1, 0.001},
		{"plain", 0, 0, 0, 3, 0.001},
		{"noise of a fifth", 0.2, 0, 0, 3, 0.10},
		{"noise of a fifth", 0.2, 0, 0, 8, 0.08},
		{"50 jobs an hour more each week", 0, 0, 50, 3, 0.04},
		{"50 jobs an hour more each week", 0, 0, 50, 8, 0.01},
		{"50 jobs an hour more each week", 0, 0, 50, 20, 0.002},
		{"5 % more each week", 0, 0.05, 0, 8, 0.07},
		{"5 % less each week", 0, -0.05, 0, 8, 0.16},
		{"5 % more each week, noise of a fifth", 0.2, 0.05, 0, 20, 0.10},
	} {
		arrivals := func(at time.Time) float64 { return shape(at, c.share, c.number) }
		got := miss(taught(c.weeks, c.noise, arrivals), arrivals)
		t.Logf("%s, %d weeks: %.4f", c.name, c.weeks, got)
		if got > c.within {
			t.Errorf("%s, after %d weeks: wrong by %.3f, want at most %.3f", c.name, c.weeks, got, c.within)
		}
	}
}

func TestForecastOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	arrivals := func(at time.Time) float64 { return shape(at, 0, 0) }
	s := taught(4, 0, arrivals)
	outage := s.Until.Add(24 * time.Hour)
	byHand := s
	for at := s.Until; at.Before(outage); at = at.Add(time.Hour) {
		byHand = byHand.Learn(at, 0)
	}
	byHand = byHand.Learn(outage, arrivals(outage))
	byGap := s.Learn(outage, arrivals(outage))
	if diff := cmp.Diff(byHand, byGap); diff != "" {
		t.Errorf("hours that were left out are not the same as hours without arrivals:\n%s", diff)
	}
	for _, c := range []struct {
		after  time.Duration
		within float64
	}{{0, 0.20}, {week, 0.06}, {6 * week, 0.02}} {
		s := byGap
		for end := s.Until.Add(c.after); s.Until.Before(end); {
			s = s.Learn(s.Until, arrivals(s.Until))
		}
		got := miss(s, arrivals)
		t.Logf("%v after: %.4f", c.after, got)
		if got > c.within {
			t.Errorf("%v after the outage: wrong by %.3f, want at most %.3f", c.after, got, c.within)
		}
	}
}

func TestForecastIsSilentWhileItKnowsTooLittle(t *testing.T) {
	t.Parallel()
	var s *scale.Season
	for i := range 7 * 24 {
		at := noon.Add(time.Duration(i) * time.Hour)
		if got := s.Expect(at); got != 0 {
			t.Fatalf("%g expected after %d hours", got, i)
		}
		s = s.Learn(at, 100)
	}
	if got := s.Expect(s.Until); math.Abs(got-100) > 1e-9 {
		t.Errorf("%g expected after a week of 100", got)
	}
	if got := s.Expect(s.Until.Add(4 * week)); got != 0 {
		t.Errorf("%g expected of an hour four weeks ahead", got)
	}
	if anew := s.Learn(s.Until.Add(4*week), 7); anew.Seen != 1 || anew.Level != 7 {
		t.Errorf("after four weeks it goes on with %d hours, at %g", anew.Seen, anew.Level)
	}
}

func TestLearnIsPure(t *testing.T) {
	t.Parallel()
	s := taught(2, 0, func(at time.Time) float64 { return shape(at, 0, 0) })
	before := *s
	s.Learn(s.Until, 5)
	s.Learn(s.Until.Add(5*time.Hour), 5)
	if *s != before {
		t.Error("learning changed the model that it began with")
	}
	again := s.Learn(s.Until.Add(-time.Hour), 1e6)
	if *again != before {
		t.Error("an hour that was seen already was learned again")
	}
}

func TestSeasonRoundTrip(t *testing.T) {
	t.Parallel()
	h := scale.History{Season: taught(2, 0.3, func(at time.Time) float64 { return shape(at, 0, 0) })}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var got scale.History
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever arrives, and whenever it is said, what is expected is a number that can be stored.
func TestForecastIsAlwaysANumber(t *testing.T) {
	t.Parallel()
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, math.MaxFloat64}
	rapid.Check(t, func(t *rapid.T) {
		var s *scale.Season
		at := noon
		for range rapid.IntRange(1, 400).Draw(t, "hours") {
			at = at.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 1, 1, -3, 30, 500, 1000}).Draw(t, "step")) * time.Hour)
			s = s.Learn(at, rapid.OneOf(rapid.Float64Range(0, 1e6), rapid.SampledFrom(odd)).Draw(t, "arrivals"))
			got := s.Expect(at.Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(t, "ahead")) * time.Hour))
			if !(got >= 0) || math.IsInf(got, 0) {
				t.Fatalf("%g expected", got)
			}
		}
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
	})
}

func TestForecastAnswers(t *testing.T) {
	t.Parallel()
	// 36,000 jobs an hour from Monday noon to 13:00, and 3,600 in every other hour.
	s := taught(2, 0, func(at time.Time) float64 {
		if at.Weekday() == time.Monday && at.Hour() == 12 {
			return 36_000
		}
		return 3600
	})
	of := func(o scale.Observation, s *scale.Season) []scale.Answer {
		p := scale.Policy{Max: 100, Slots: 10, Forecast: &scale.Forecast{Headroom: 0.5, Service: 4 * time.Second}}
		var list []scale.Answer
		for _, a := range scale.Decide(p, o, scale.History{Season: s}).Answers {
			if a.Rule == scale.RuleForecast {
				list = append(list, a)
			}
		}
		return list
	}
	monday := s.Until // at noon
	measured := []scale.Queue{{Name: "default", Windows: []scale.Window{{Span: time.Minute, Arrived: 60, Succeeded: 60, Busy: 2 * time.Minute}}}}
	for _, c := range []struct {
		name string
		o    scale.Observation
		want int
	}{
		{"at the peak, by the policy's service time", scale.Observation{At: monday}, 6},
		{"at its end", scale.Observation{At: monday.Add(59 * time.Minute)}, 6},
		{"at its end, replicas coming too late", scale.Observation{At: monday.Add(59 * time.Minute), Fleet: scale.Fleet{StartDelay: time.Minute}}, 6},
		{"after it", scale.Observation{At: monday.Add(time.Hour)}, 1},
		{"before it", scale.Observation{At: monday.Add(-time.Minute)}, 1},
		{"before it, by as much as replicas take", scale.Observation{At: monday.Add(-time.Minute), Fleet: scale.Fleet{StartDelay: time.Minute}}, 6},
		{"by a service time that was measured", scale.Observation{At: monday, Queues: measured}, 3},
	} {
		got := of(c.o, s)
		if len(got) != 1 || got[0].Replicas != c.want || got[0].Ceiling {
			t.Errorf("%s: %+v, want %d", c.name, got, c.want)
		}
	}
	a := of(scale.Observation{At: monday}, s)[0]
	if want := "36000 jobs an hour are expected at this time of the week, of 4 s each: 6 replicas with 50 % to spare."; a.Why != want {
		t.Errorf("%q, want %q", a.Why, want)
	}
	if got := of(scale.Observation{At: monday}, nil); got != nil {
		t.Errorf("without a model: %+v", got)
	}
}

func TestForecastCheck(t *testing.T) {
	t.Parallel()
	if err := (scale.Forecast{Headroom: 0.2}).Check(); err != nil {
		t.Error(err)
	}
	for field, f := range map[string]scale.Forecast{
		"headroom": {Headroom: math.NaN()},
		"service":  {Service: -1},
	} {
		if err := f.Check(); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
