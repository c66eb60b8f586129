package scale_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that the zones below are the same everywhere

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/scale"
)

// answersAt is what a schedule says at a time, by Decide.
func answersAt(s scale.Schedule, at time.Time) []scale.Answer {
	d := scale.Decide(scale.Policy{Max: 100, Slots: 10, Schedule: []scale.Schedule{s}}, scale.Observation{At: at}, scale.History{})
	var list []scale.Answer
	for _, a := range d.Answers {
		if a.Rule == scale.RuleSchedule {
			list = append(list, a)
		}
	}
	return list
}

func between(start, end, zone string) scale.Schedule {
	return scale.Schedule{Start: start, End: end, Zone: zone, Floor: new(3)}
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestScheduleIsActive(t *testing.T) {
	t.Parallel()
	day := between("0 8 * * *", "0 18 * * *", "")
	night := between("0 22 * * *", "0 6 * * *", "")
	office := between("0 8 * * 1-5", "0 18 * * *", "") // ends on more days than it starts
	often := between("0 8-10 * * *", "0 18 * * *", "") // starts more often than it ends
	tokyo := between("0 8 * * *", "0 18 * * *", "Asia/Tokyo")
	newYear := between("0 0 31 12 *", "0 0 2 1 *", "")
	leap := between("0 0 29 2 *", "0 0 1 3 *", "")
	midnight := between("@daily", "30 0 * * *", "")
	// In Berlin 2:00 to 3:00 is left out on 2030-03-31, at 1:00 UTC, and repeated on 2030-10-27, from
	// 1:00 UTC on.
	early := between("30 2 * * *", "0 6 * * *", "Europe/Berlin")
	late := between("0 22 * * *", "30 2 * * *", "Europe/Berlin")
	for _, c := range []struct {
		s    scale.Schedule
		at   string
		want bool
	}{
		{day, "2030-06-03T07:59:59.999Z", false},
		{day, "2030-06-03T08:00:00Z", true},
		{day, "2030-06-03T17:59:59.999Z", true},
		{day, "2030-06-03T18:00:00Z", false},
		{night, "2030-06-03T21:59:59Z", false},
		{night, "2030-06-03T23:00:00Z", true},
		{night, "2030-06-04T05:59:00Z", true},
		{night, "2030-06-04T06:00:00Z", false},
		{office, "2030-06-07T12:00:00Z", true},
		{office, "2030-06-08T12:00:00Z", false}, // a Saturday, although an end is due before a start
		{office, "2030-06-10T08:00:00Z", true},
		{often, "2030-06-03T08:30:00Z", true},
		{often, "2030-06-03T12:00:00Z", true},
		{often, "2030-06-03T18:30:00Z", false},
		{tokyo, "2030-06-02T22:59:00Z", false},
		{tokyo, "2030-06-02T23:00:00Z", true},
		{tokyo, "2030-06-03T09:00:00Z", false},
		{newYear, "2030-12-30T23:59:00Z", false},
		{newYear, "2031-01-01T12:00:00Z", true},
		{newYear, "2031-01-02T00:00:00Z", false},
		{leap, "2028-02-29T12:00:00Z", true},
		{leap, "2031-02-28T12:00:00Z", false},
		{midnight, "2030-06-03T00:10:00Z", true},
		{midnight, "2030-06-03T00:30:00Z", false},

		{early, "2030-03-31T00:59:59Z", false}, // 1:59
		{early, "2030-03-31T01:00:00Z", true},  // 3:00
		{early, "2030-03-31T03:59:00Z", true},  // 5:59
		{early, "2030-03-31T04:00:00Z", false}, // 6:00
		{late, "2030-03-31T00:59:59Z", true},   // 1:59
		{late, "2030-03-31T01:00:00Z", false},  // 3:00
		{late, "2030-03-31T12:00:00Z", false},
		{early, "2030-10-27T00:29:59Z", false}, // 2:29
		{early, "2030-10-27T00:30:00Z", true},  // 2:30
		{early, "2030-10-27T01:10:00Z", true},  // 2:10 again
		{early, "2030-10-27T01:30:00Z", true},  // 2:30 again
		{early, "2030-10-27T04:59:00Z", true},  // 5:59
		{early, "2030-10-27T05:00:00Z", false}, // 6:00
		{late, "2030-10-27T00:29:59Z", true},   // 2:29
		{late, "2030-10-27T00:30:00Z", false},  // 2:30
		{late, "2030-10-27T01:10:00Z", false},  // 2:10 again
		{late, "2030-10-27T02:00:00Z", false},  // 3:00
		{between("0 3 * * *", "0 6 * * *", "Europe/Berlin"), "2030-10-27T01:10:00Z", false},
		{between("0 3 * * *", "0 6 * * *", "Europe/Berlin"), "2030-10-27T02:00:00Z", true},
	} {
		if err := c.s.Check(); err != nil {
			t.Errorf("%+v: %v", c.s, err)
		}
		if got := len(answersAt(c.s, moment(t, c.at))) > 0; got != c.want {
			t.Errorf("%s to %s %s at %s: %v", c.s.Start, c.s.End, c.s.Zone, c.at, got)
		}
	}
}

// In every zone a schedule is on once a day without a break, also when clocks are changed.
func TestScheduleIsOnOnceADay(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo"}
	rapid.Check(t, func(t *rapid.T) {
		// Of an hour and a half at least, on and off, so that no change of the clock swallows it.
		start := rapid.IntRange(0, 24*60-1).Draw(t, "start")
		end := (start + rapid.IntRange(90, 24*60-90).Draw(t, "minutes")) % (24 * 60)
		cron := func(minute int) string { return fmt.Sprintf("%d %d * * *", minute%60, minute/60) }
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		s := between(cron(start), cron(end), zone.String())
		_, change := time.Date(2030, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 1, 0, 0, 0, 0, zone).ZoneBounds()
		const step, days = 30 * time.Minute, 3
		at := change.Add(-2 * 24 * time.Hour)
		on, began := len(answersAt(s, at)) > 0, 0
		for range days * 24 * time.Hour / step {
			at = at.Add(step)
			now := len(answersAt(s, at)) > 0
			if now && !on {
				began++
			}
			on = now
		}
		if began < days-1 || began > days+1 {
			t.Fatalf("%s to %s in %s began %d times in %d days", s.Start, s.End, s.Zone, began, days)
		}
	})
}

func TestScheduleAnswers(t *testing.T) {
	t.Parallel()
	s := scale.Schedule{Name: "office hours", Start: "0 8 * * *", End: "0 18 * * *", Floor: new(2), Ceiling: new(5)}
	want := []scale.Answer{
		{Rule: scale.RuleSchedule, Name: "office hours", Replicas: 2, Why: `Schedule "office hours" asks for at least 2 until its end.`},
		{Rule: scale.RuleSchedule, Name: "office hours", Replicas: 5, Ceiling: true, Why: `Schedule "office hours" allows at most 5 until its end.`},
	}
	if diff := cmp.Diff(want, answersAt(s, noon)); diff != "" {
		t.Error(diff)
	}
	s = scale.Schedule{Start: "0 8 * * *", End: "0 18 * * *", Ceiling: new(0)}
	want = []scale.Answer{{Rule: scale.RuleSchedule, Ceiling: true, Why: "A schedule allows at most 0 until its end."}}
	if diff := cmp.Diff(want, answersAt(s, noon)); diff != "" {
		t.Error(diff)
	}
}

func TestScheduleCheck(t *testing.T) {
	t.Parallel()
	const start, end = "0 8 * * *", "0 18 * * *"
	for _, c := range []struct {
		field string
		s     scale.Schedule
	}{
		{"start", between("", end, "")},
		{"start", between("0 25 * * *", end, "")},
		{"start", between("0 0 8 * * *", end, "")},
		{"start", between("@every 1h", end, "")},
		{"start", between("TZ=", end, "")},
		{"start", between("CRON_TZ=Asia/Tokyo 0 8 * * *", end, "")},
		{"start", between("0 0 30 2 *", end, "")},
		{"end", between(start, "noon", "")},
		{"end", between(start, start, "")},
		{"zone", between(start, end, "Europe/Atlantis")},
		{"zone", between(start, end, "Local")},
		{"zone", between(start, end, "../../etc/passwd")},
		{"floor", scale.Schedule{Start: start, End: end}},
		{"floor", scale.Schedule{Start: start, End: end, Floor: new(-1)}},
		{"ceiling", scale.Schedule{Start: start, End: end, Ceiling: new(-1)}},
		{"floor", scale.Schedule{Start: start, End: end, Floor: new(4), Ceiling: new(3)}},
	} {
		if err := c.s.Check(); err == nil || !strings.HasPrefix(err.Error(), c.field+": ") {
			t.Errorf("%+v: %v, want an error of %s", c.s, err, c.field)
		}
		answersAt(c.s, noon) // must not panic
	}
}

// Whatever passes Check can be asked, and says the same during a whole minute.
func FuzzSchedule(f *testing.F) {
	f.Add("0 8 * * 1-5", "0 18 * * *", "Europe/Berlin", int64(0))
	f.Add("@weekly", "30 2 */2 * *", "America/New_York", int64(1_900_000_000))
	f.Add("TZ=", "CRON_TZ=", "Local", int64(-1))
	f.Fuzz(func(t *testing.T, start, end, zone string, unix int64) {
		s := between(start, end, zone)
		if s.Check() != nil || unix < 1<<27 || unix > 1<<33 {
			return
		}
		at := time.Unix(unix, 0)
		if diff := cmp.Diff(answersAt(s, at.Truncate(time.Minute)), answersAt(s, at)); diff != "" {
			t.Errorf("%+v at %v and at its minute's begin: %s", s, at, diff)
		}
	})
}

func BenchmarkSchedule(b *testing.B) {
	s := between("0 8 * * 1-5", "0 18 * * 1-5", "Europe/Berlin")
	for b.Loop() {
		answersAt(s, noon)
	}
}
