package scale

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// answers is the floor and the ceiling that hold at a time. A schedule that has not passed Check
// has none.
func (s Schedule) answers(at time.Time) []Answer {
	if on, err := s.active(at); err != nil || !on {
		return nil
	}
	name := "A schedule"
	if s.Name != "" {
		name = fmt.Sprintf("Schedule %q", s.Name)
	}
	var list []Answer
	if s.Floor != nil {
		list = append(list, Answer{
			Rule: RuleSchedule, Name: s.Name, Replicas: *s.Floor,
			Why: fmt.Sprintf("%s asks for at least %d until its end.", name, *s.Floor),
		})
	}
	if s.Ceiling != nil {
		list = append(list, Answer{
			Rule: RuleSchedule, Name: s.Name, Replicas: *s.Ceiling, Ceiling: true,
			Why: fmt.Sprintf("%s allows at most %d until its end.", name, *s.Ceiling),
		})
	}
	return list
}

// active says whether a start came since the last end. An end and a start at the same time are an
// end.
func (s Schedule) active(at time.Time) (bool, error) {
	start, err := parseCron(s.Start)
	if err != nil {
		return false, fmt.Errorf("start: %w", err)
	}
	end, err := parseCron(s.End)
	if err != nil {
		return false, fmt.Errorf("end: %w", err)
	}
	zone, err := s.location()
	if err != nil {
		return false, err
	}
	now := clock(at.In(zone)).Truncate(time.Minute)
	began := start.Next(latest(end, now))
	return !began.IsZero() && !began.After(now), nil
}

// lookBack is how many minutes before a time an end is looked for: as far as cron looks ahead.
const lookBack = 5 * 366 * 24 * 60

// latest is when it was due last, now included, or as long ago as one looks back.
func latest(spec *cron.SpecSchedule, now time.Time) time.Time {
	back := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	n := sort.Search(lookBack, func(i int) bool {
		next := spec.Next(back(i))
		return !next.IsZero() && !next.After(now)
	})
	if n == lookBack {
		return back(n)
	}
	return spec.Next(back(n))
}

// clock is what a clock on the wall shows, as if it were in UTC, but for never going back: what
// falls into an hour that is repeated happens the first time that it comes, and what falls into one
// that is left out happens when that is left out.
func clock(at time.Time) time.Time {
	shown := show(at)
	if since, _ := at.ZoneBounds(); !since.IsZero() {
		if before := show(since.Add(-1)); before.After(shown) {
			return before
		}
	}
	return shown
}

func show(at time.Time) time.Time {
	_, offset := at.Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}

// location is the schedule's zone. Its rules come from the machine, or from package time/tzdata in
// programs that import it.
func (s Schedule) location() (*time.Location, error) {
	if s.Zone == "Local" {
		return nil, errors.New(`zone: "Local" means another zone on each machine`)
	}
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return nil, fmt.Errorf("zone: %w", err)
	}
	return zone, nil
}

// parseCron accepts the five fields, and names such as @daily.
func parseCron(text string) (*cron.SpecSchedule, error) {
	if text == "" {
		return nil, errors.New("is missing")
	}
	if strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=") {
		return nil, fmt.Errorf("%q: a zone belongs into the field zone", text)
	}
	parsed, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%q: is an interval, and a time of the clock is needed", text)
	}
	spec.Location = time.UTC // of the clock's time: see clock
	return spec, nil
}

// Check finds what makes no sense. Its error names each field.
func (s Schedule) Check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, field := range []struct{ name, text string }{{"start", s.Start}, {"end", s.End}} {
		spec, err := parseCron(field.text)
		if err != nil {
			wrong("%s: %w", field.name, err)
			continue
		}
		leapYear := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
		if spec.Next(leapYear).IsZero() {
			wrong("%s: %q never comes", field.name, field.text)
		}
	}
	if s.Start == s.End && s.Start != "" {
		wrong("end: is the same as start")
	}
	if _, err := s.location(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.checkNumbers())...)
}

func (s Schedule) checkNumbers() error {
	switch {
	case s.Floor == nil && s.Ceiling == nil:
		return errors.New("floor: neither it nor ceiling is given")
	case s.Floor != nil && *s.Floor < 0:
		return fmt.Errorf("floor: %d is below 0", *s.Floor)
	case s.Ceiling != nil && *s.Ceiling < 0:
		return fmt.Errorf("ceiling: %d is below 0", *s.Ceiling)
	case s.Floor != nil && s.Ceiling != nil && *s.Floor > *s.Ceiling:
		return fmt.Errorf("floor: %d is above ceiling, which is %d", *s.Floor, *s.Ceiling)
	}
	return nil
}
