package sqlite_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/sqlite"
)

// same fails the test when got is not what was wanted. Sums of floats are equal to nine places.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-9), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestLoadByTheStoresClock: horizons are met to the microsecond; spans by the roll-ups that end in
// them, and what these cover is told.
func TestLoadByTheStoresClock(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	worker := register(t, s)
	load := func(horizons, spans []time.Duration) store.QueueLoad {
		t.Helper()
		loads, err := s.Load(t.Context(), horizons, spans)
		if err != nil || len(loads) != 1 {
			t.Fatalf("%+v, %v", loads, err)
		}
		return loads[0]
	}
	up := upload("later")
	up.Job.RunAt = c.now().Add(time.Hour)
	accept(t, s, up)
	edges := []time.Duration{time.Hour - time.Microsecond, time.Hour}
	same(t, "due", []int{0, 1}, load(edges, nil).Due)
	c.pass(time.Hour - time.Microsecond)
	same(t, "due just before its time", []int{1, 1}, load([]time.Duration{time.Microsecond, time.Second}, nil).Due)
	c.pass(time.Microsecond)
	q := load(edges, nil)
	same(t, "due in its time", []int{0, 0}, q.Due)
	same(t, "age in its time", store.QueueLoad{Name: "default", Ready: store.Count{N: 1}, Due: q.Due}, q)
	c.pass(90 * time.Second)
	if q := load(nil, nil); q.Age != 90*time.Second {
		t.Errorf("the oldest job is of %v", q.Age)
	}

	// From here on, the clock stands 7 s into a roll-up.
	c.pass(7 * time.Second)
	first, second := claim(t, s, worker, up.Job.ID), claim(t, s, worker, accept(t, s, upload("a")))
	c.pass(3 * time.Minute)
	third := claim(t, s, worker, accept(t, s, upload("b")))
	if q := load(nil, nil); q.Held != 2*time.Minute || q.Running.N != 3 {
		t.Errorf("%d running jobs were held for %v", q.Running.N, q.Held)
	}
	end(t, s, first, jobs.RunSucceeded)
	c.pass(20 * time.Second)
	end(t, s, second, jobs.RunFailed)
	end(t, s, third, jobs.RunRetry)
	got := load(nil, []time.Duration{7 * time.Second, 8 * time.Second, 18 * time.Second, 30 * time.Second, 10 * time.Minute}).Past
	both := store.Happened{Failed: 1, Retried: 1, Busy: 3*time.Minute + 40*time.Second}
	recent := store.Happened{Arrived: 1, Succeeded: 1, Failed: 1, Retried: 1, Busy: 6*time.Minute + 40*time.Second}
	all := recent
	all.Arrived++
	for i, want := range []struct {
		over time.Duration
		store.Happened
	}{{7 * time.Second, both}, {17 * time.Second, both}, {27 * time.Second, recent}, {37 * time.Second, recent}, {607 * time.Second, all}} {
		want.Over = want.over
		same(t, "what happened", want.Happened, got[i])
	}
}

// TestArrivals: of each full hour since then.
func TestArrivals(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	start := c.now()
	inQueue := func(queue string) {
		up := upload("a")
		up.Job.Queue = queue
		accept(t, s, up)
	}
	inQueue("b")
	c.pass(59*time.Minute + 59*time.Second)
	inQueue("b")
	inQueue("a")
	c.pass(time.Second)
	inQueue("b")
	arrivals := func(since time.Time) []store.HourlyArrivals {
		t.Helper()
		got, err := s.Arrivals(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	early := []store.HourlyArrivals{{Queue: "a", Hour: start, Jobs: 1}, {Queue: "b", Hour: start, Jobs: 2}}
	same(t, "while the second hour lasts", early, arrivals(start))
	c.pass(48 * time.Hour)
	inQueue("a") // in the present hour
	want := append(early, store.HourlyArrivals{Queue: "b", Hour: start.Add(time.Hour), Jobs: 1})
	same(t, "two days later", want, arrivals(time.Time{}))
	same(t, "from amid the first hour on", want[2:], arrivals(start.Add(time.Microsecond)))
	same(t, "of the last hours", []store.HourlyArrivals(nil), arrivals(c.now().Add(-24*time.Hour)))
}

// TestUsageByDays: replica-hours count in the day, the week and the month in which they were used.
func TestUsageByDays(t *testing.T) {
	t.Parallel()
	c := newClock() // a Sunday, the first of March
	s := open(t, c.set)
	record := func(current int) {
		t.Helper()
		d := store.NewDecision{At: c.now(), Current: current, Outcome: store.ScaleUnchanged, Memory: json.RawMessage(`{}`)}
		if _, err := s.RecordDecision(t.Context(), "t", d); err != nil {
			t.Fatal(err)
		}
	}
	used := func(what string, day, week, month float64) {
		t.Helper()
		state, err := s.ScalingState(t.Context(), "t")
		if err != nil || !state.Now.Equal(c.now()) {
			t.Fatalf("%+v, %v", state, err)
		}
		same(t, "replica-hours "+what, [3]float64{day, week, month}, [3]float64{state.Day, state.Week, state.Month})
	}
	record(60)
	used("at first", 0, 0, 0)
	c.pass(30 * time.Second)
	record(120) // it had 60
	used("in half a minute", 0.5, 0.5, 0.5)
	c.pass(10 * time.Minute)
	record(60) // of which a minute counts
	used("in a long time", 2.5, 2.5, 2.5)
	c.pass(c.now().Truncate(24 * time.Hour).Add(24*time.Hour - 20*time.Second).Sub(c.now()))
	record(60)
	used("before midnight", 3.5, 3.5, 3.5)
	c.pass(30 * time.Second)
	record(60) // 20 s of Sunday, 10 s of Monday
	used("on Monday", 1./6, 1./6, 4)
	c.pass(24 * time.Hour)
	record(0)
	used("on Tuesday", 0, 1./6+1, 5)
	c.pass(31 * 24 * time.Hour)
	used("in April", 0, 0, 0)
}

// TestSameDecisionForAMinute: after that, it is written anew.
func TestSameDecisionForAMinute(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	var ids []uuid.UUID
	for range 13 { // at 0, 20, … 240 s
		id, err := s.RecordDecision(t.Context(), "t", store.NewDecision{At: c.now(), Outcome: store.ScaleUnchanged, Same: "x"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		c.pass(20 * time.Second)
	}
	list, err := s.Decisions(t.Context(), jobs.DefaultTenant, "t", uuid.Nil, 10)
	if err != nil || len(list) != 5 || list[0].ID != ids[12] || list[0].Until != list[0].At {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, d := range list[1:] {
		if d.Until.Sub(d.At) != 40*time.Second || d.ID != ids[9-3*i] {
			t.Errorf("decision %d lasts from %v to %v", i, d.At, d.Until)
		}
	}
}

// TestPruneDecisionsByAge: and replica-hours after two months, both in batches.
func TestPruneDecisionsByAge(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	for range 5 {
		for range 2 { // so that each of the five hours is used
			if _, err := s.RecordDecision(t.Context(), "t", store.NewDecision{At: c.now(), Current: 1, Outcome: store.ScaleUnchanged}); err != nil {
				t.Fatal(err)
			}
			c.pass(time.Minute)
		}
		c.pass(58 * time.Minute)
	}
	c.pass(-time.Hour) // to 4:00 after the start
	prune := func(age time.Duration, want int) {
		t.Helper()
		if n, err := s.PruneDecisions(t.Context(), age, 3); n != want || err != nil {
			t.Errorf("pruned %d older than %v, %v; want %d", n, age, err, want)
		}
	}
	hours := func(want int) {
		t.Helper()
		var n int
		if err := s.Writer().QueryRowContext(t.Context(), `SELECT count(*) FROM replica_hours`).Scan(&n); err != nil || n != want {
			t.Errorf("%d hours are left, %v; want %d", n, err, want)
		}
	}
	prune(5*time.Hour, 0)
	prune(4*time.Hour, 0)
	prune(4*time.Hour-time.Millisecond, 1)
	prune(2*time.Hour, 3)
	prune(2*time.Hour, 0)
	hours(5)
	c.pass(store.KeepUsage)
	prune(0, 3)
	hours(2)
	prune(0, 3)
	hours(1) // the last one began just KeepUsage ago
	prune(0, 0)
}

// TestPinEndsByTheStoresClock: in its last moment it holds.
func TestPinEndsByTheStoresClock(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, c.set)
	if err := s.PinScaling(t.Context(), jobs.DefaultTenant, "t", 3, time.Hour); err != nil {
		t.Fatal(err)
	}
	pin := &store.Pin{Replicas: 3, Until: c.now().Add(time.Hour)}
	for _, step := range []struct {
		pass time.Duration
		want *store.Pin
	}{{0, pin}, {time.Hour - time.Microsecond, pin}, {time.Microsecond, nil}} {
		c.pass(step.pass)
		state, stateErr := s.ScalingState(t.Context(), "t")
		targets, err := s.Targets(t.Context(), jobs.DefaultTenant)
		if err := errors.Join(err, stateErr); err != nil {
			t.Fatal(err)
		}
		same(t, "pin", step.want, state.Pin)
		same(t, "targets", []store.Target{{Name: "t", Pin: step.want}}, targets)
	}
}

// TestScalingConstraints: the schema itself refuses what contradicts itself.
func TestScalingConstraints(t *testing.T) {
	t.Parallel()
	s := open(t)
	if _, err := s.RecordDecision(t.Context(), "t", store.NewDecision{At: time.Now(), Current: 1, Outcome: store.ScaleApplied}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`UPDATE scalings SET pinned = 3`,
		`UPDATE scalings SET pinned_until = 3`,
		`UPDATE scalings SET pinned = -1, pinned_until = 3`,
		`UPDATE scalings SET last_at = NULL`,
		`UPDATE scalings SET memory = 'no JSON'`,
		`UPDATE scaling_decisions SET outcome = 'lost'`,
		`UPDATE scaling_decisions SET replicas = -1`,
		`UPDATE scaling_decisions SET until = at - 1`,
		`UPDATE scaling_decisions SET target = 'other'`,
		`INSERT INTO replica_hours (target, hour, hours) VALUES ('t', 1, 1)`,
		`INSERT INTO replica_hours (target, hour, hours) VALUES ('t', 0, -1)`,
		`DELETE FROM scalings`,
	} {
		if _, err := s.Writer().ExecContext(t.Context(), text); err == nil {
			t.Errorf("taken: %s", text)
		}
	}
}

// BenchmarkLoad: 50 queues with 100,000 jobs that wait, half of them for a time to come, and an hour
// of roll-ups.
func BenchmarkLoad(b *testing.B) {
	s := open(b)
	ctx := b.Context()
	const numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) `
	for _, step := range []struct {
		n    int
		text string
	}{
		{50, `INSERT INTO queues (name) SELECT 'queue-' || (i % 50) FROM n`},
		{1, `INSERT INTO files (id, tenant, name, size, sha256, media_type, claimed_type, content, created_at)
			SELECT zeroblob(16), 'default', 'f', 0, zeroblob(32), 't', '', zeroblob(0), i FROM n`},
		{100_000, `INSERT INTO jobs (id, tenant, file_id, kind, kind_version, queue, params_hash, max_attempts, run_at, created_at)
			SELECT randomblob(16), 'default', zeroblob(16), 'inspect', 1, 'queue-' || (i % 50), zeroblob(32), 5,
				unixepoch() * 1000000 + iif(i % 100 < 50, -i, i * 6000), 1 FROM n`},
		{360 * 50, `INSERT INTO rollups (bucket, queue, arrived) SELECT (unixepoch() / 10 - i / 50) * 10000000, 'queue-' || (i % 50), 1 FROM n`},
	} {
		if _, err := s.Writer().ExecContext(ctx, numbers+step.text, step.n); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		loads, err := s.Load(ctx, horizons, spans)
		if err != nil || len(loads) != 50 || loads[7].Due[2] == 0 || loads[7].Past[3].Arrived == 0 {
			b.Fatalf("%+v, %v", loads, err)
		}
	}
}

// What a scaler may ask for.
var (
	horizons = []time.Duration{30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}
	spans    = []time.Duration{10 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute}
)

// callScaling calls what the scaler and its operators do.
func callScaling(t *testing.T, s *sqlite.Store) {
	t.Helper()
	ctx, tenant := t.Context(), jobs.DefaultTenant
	d := store.NewDecision{At: time.Now(), Current: 1, Outcome: store.ScaleUnchanged, Same: "x"}
	for name, call := range map[string]func() error{
		"load":      func() error { _, err := s.Load(ctx, horizons, spans); return err },
		"arrivals":  func() error { _, err := s.Arrivals(ctx, time.Now().Add(-72*time.Hour)); return err },
		"decisions": func() error { _, err := s.Decisions(ctx, tenant, "t", uuid.Nil, 10); return err },
		"targets":   func() error { _, err := s.Targets(ctx, tenant); return err },
		"pause": func() error {
			return errors.Join(s.PauseScaling(ctx, tenant, "t", true), s.PauseScaling(ctx, tenant, "t", false))
		},
		"pin": func() error {
			return errors.Join(s.PinScaling(ctx, tenant, "t", 1, time.Hour), s.PinScaling(ctx, tenant, "t", -1, 0))
		},
		"record": func() error {
			for range 2 {
				if _, err := s.RecordDecision(ctx, "t", d); err != nil {
					return err
				}
			}
			_, err := s.ScalingState(ctx, "t")
			return err
		},
		"prune": func() error { _, err := s.PruneDecisions(ctx, time.Hour, 10); return err },
	} {
		if err := call(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}
