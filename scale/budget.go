package scale

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// answer is the ceiling at which what is left lasts for the reserve.
func (b Budget) answer(f Fleet) Answer {
	reserve := cmp.Or(b.Reserve, time.Hour)
	left := max(b.Hours-f.Spent, 0)
	const hair = 1e-9 // sums of floats may be a hair below a whole number
	n := whole(math.Floor(left/reserve.Hours() + hair))
	return Answer{
		Rule: RuleBudget, Replicas: n, Ceiling: true,
		Why: fmt.Sprintf("%.4g of the %s's %.4g replica-hours are spent; what is left lasts %v for at most %d.",
			f.Spent, b.Period, b.Hours, reserve, n),
		Terms: map[string]float64{"spent": f.Spent, "left": left, "hours": b.Hours, "reserve_s": reserve.Seconds()},
	}
}

// Begins is when the period that at falls into began.
func (p BudgetPeriod) Begins(at time.Time) time.Time {
	at = at.UTC()
	year, month, day := at.Date()
	switch p {
	case PerWeek:
		day -= int(at.Weekday()+6) % 7 // days since Monday
	case PerMonth:
		day = 1
	case PerDay:
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// Ends is when it ends and the next one begins.
func (p BudgetPeriod) Ends(at time.Time) time.Time {
	began := p.Begins(at)
	switch p {
	case PerWeek:
		return began.AddDate(0, 0, 7)
	case PerMonth:
		return began.AddDate(0, 1, 0)
	case PerDay:
	}
	return began.AddDate(0, 0, 1)
}

// Check finds what makes no sense. Its error names each field.
func (b Budget) Check() error {
	var errs []error
	if !(b.Hours > 0) || math.IsInf(b.Hours, 0) {
		errs = append(errs, fmt.Errorf("hours: %g is not above 0", b.Hours))
	}
	switch b.Period {
	case PerDay, PerWeek, PerMonth:
	default:
		errs = append(errs, fmt.Errorf("period: %q is none of day, week and month", b.Period))
	}
	if b.Reserve != 0 && (b.Reserve < time.Minute || b.Reserve > 24*time.Hour) {
		errs = append(errs, fmt.Errorf("reserve: %v is not between 1m and 24h", b.Reserve))
	}
	return errors.Join(errs...)
}
