package scale_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leat-dev/leat/scale"
)

func TestBudgetPeriods(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		period           scale.BudgetPeriod
		at, begins, ends string
	}{
		{scale.PerDay, "2030-06-03T12:34:56.7Z", "2030-06-03T00:00:00Z", "2030-06-04T00:00:00Z"},
		{scale.PerDay, "2030-06-03T00:00:00Z", "2030-06-03T00:00:00Z", "2030-06-04T00:00:00Z"},
		{scale.PerDay, "2030-06-03T01:00:00+02:00", "2030-06-02T00:00:00Z", "2030-06-03T00:00:00Z"},
		{scale.PerWeek, "2030-06-03T00:00:00Z", "2030-06-03T00:00:00Z", "2030-06-10T00:00:00Z"}, // a Monday
		{scale.PerWeek, "2030-06-09T23:59:59Z", "2030-06-03T00:00:00Z", "2030-06-10T00:00:00Z"}, // a Sunday
		{scale.PerWeek, "2030-01-02T12:00:00Z", "2029-12-31T00:00:00Z", "2030-01-07T00:00:00Z"},
		{scale.PerMonth, "2030-02-28T12:00:00Z", "2030-02-01T00:00:00Z", "2030-03-01T00:00:00Z"},
		{scale.PerMonth, "2030-12-31T23:59:59Z", "2030-12-01T00:00:00Z", "2031-01-01T00:00:00Z"},
	} {
		at := moment(t, c.at)
		if got := c.period.Begins(at); got != moment(t, c.begins) {
			t.Errorf("the %s of %s began at %v, want %s", c.period, c.at, got, c.begins)
		}
		if got := c.period.Ends(at); got != moment(t, c.ends) {
			t.Errorf("the %s of %s ends at %v, want %s", c.period, c.at, got, c.ends)
		}
	}
}

func TestBudgetCeiling(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hours, spent float64
		reserve      time.Duration
		want         int
	}{
		{24, 0, 0, 24},
		{24, 0, 2 * time.Hour, 12},
		{24, 0.1, 0, 23},
		{24, 23.01, 0, 0},
		{24, 23.01, time.Minute, 59},
		{0.3, 0, 6 * time.Minute, 3}, // 2.9999999999999996 in floats
		{24, 24, 0, 0},
		{24, 30, 0, 0},
	} {
		p := scale.Policy{Max: 100, Slots: 10, Budget: &scale.Budget{Hours: c.hours, Period: scale.PerDay, Reserve: c.reserve}}
		o := scale.Observation{At: noon, Fleet: scale.Fleet{Spent: c.spent}}
		d := scale.Decide(p, o, scale.History{})
		i := len(d.Answers) - 1
		if i < 0 || d.Answers[i].Rule != scale.RuleBudget || !d.Answers[i].Ceiling || d.Answers[i].Replicas != c.want {
			t.Errorf("%+v: %+v", c, d.Answers)
		}
	}
	p := scale.Policy{Max: 100, Slots: 10, Budget: &scale.Budget{Hours: 24, Period: scale.PerDay}}
	o := scale.Observation{At: noon, Fleet: scale.Fleet{Spent: 20.5}}
	want := []scale.Answer{{
		Rule: scale.RuleBudget, Replicas: 3, Ceiling: true,
		Why:   "20.5 of the day's 24 replica-hours are spent; what is left lasts 1h0m0s for at most 3.",
		Terms: map[string]float64{"spent": 20.5, "left": 3.5, "hours": 24, "reserve_s": 3600},
	}}
	if diff := cmp.Diff(want, scale.Decide(p, o, scale.History{}).Answers); diff != "" {
		t.Error(diff)
	}
}

func TestBudgetCheck(t *testing.T) {
	t.Parallel()
	if err := (scale.Budget{Hours: 1, Period: scale.PerMonth}).Check(); err != nil {
		t.Error(err)
	}
	for field, b := range map[string]scale.Budget{
		"hours":   {Period: scale.PerDay},
		"period":  {Hours: 1, Period: "year"},
		"reserve": {Hours: 1, Period: scale.PerDay, Reserve: time.Second},
	} {
		if err := b.Check(); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, hours := range []float64{-1, math.NaN(), math.Inf(1)} {
		if (scale.Budget{Hours: hours, Period: scale.PerDay}).Check() == nil {
			t.Errorf("%g hours are accepted", hours)
		}
	}
}
