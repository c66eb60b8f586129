package store

import (
	"cmp"
	"slices"
	"time"
)

// RollupEvery is the time that one roll-up counts.
const RollupEvery = 10 * time.Second

// FirstRollup gives the beginning of the first roll-up of a span: the one in which the span begins, so
// that all of it is covered.
func FirstRollup(now time.Time, span time.Duration) time.Time {
	return now.UTC().Add(-span).Truncate(RollupEvery)
}

// GatherArrivals puts together what a driver reads of the roll-ups day by day: from the first full hour
// since then, but not before the first there is, to the end. It sorts by queue and hour.
func GatherArrivals(since, first, end time.Time, read func(from, to time.Time) ([]HourlyArrivals, error)) ([]HourlyArrivals, error) {
	from := since.UTC().Truncate(time.Hour)
	if from.Before(since) {
		from = from.Add(time.Hour)
	}
	if from.Before(first) {
		from = first
	}
	var all []HourlyArrivals
	for ; from.Before(end); from = from.Add(24 * time.Hour) {
		to := from.Add(24 * time.Hour)
		if to.After(end) {
			to = end
		}
		day, err := read(from, to)
		if err != nil {
			return nil, err
		}
		all = append(all, day...)
	}
	slices.SortFunc(all, func(a, b HourlyArrivals) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), a.Hour.Compare(b.Hour))
	})
	return all, nil
}
