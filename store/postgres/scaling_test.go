package postgres_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
)

// same fails the test when got is not what was wanted.
func same(tb testing.TB, what string, want, got any) {
	tb.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestLoadOfOldRollups: of several writers, within each span and in the order of the spans.
func TestLoadOfOldRollups(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	s := opened(t, postgres.Options{URL: url})
	execute(t, url, `
		INSERT INTO queues (name) VALUES ('a'), ('b');
		INSERT INTO rollups (queue, bucket, writer, arrived, succeeded, failed, cancelled, retried, lost, busy_ms)
			SELECT 'a', date_bin('10 seconds', now(), 'epoch'::timestamptz) - ago * interval '1 second', writer,
				1 * n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n, 7 * n
			FROM (VALUES (60, 1, 1), (60, 2, 1), (200, 1, 10), (2000, 1, 100), (20000, 1, 1000), (-60, 1, 10000)) r (ago, writer, n);`)
	spans := []time.Duration{30 * time.Second, 2 * time.Minute, 2 * time.Minute, 10 * time.Minute, time.Hour}
	loads, err := s.Load(t.Context(), nil, spans)
	if err != nil || len(loads) != 2 {
		t.Fatalf("%+v, %v", loads, err)
	}
	for i, n := range []int{0, 2, 2, 12, 112} {
		past := loads[0].Past[i]
		same(t, fmt.Sprint("in ", spans[i]), store.Happened{
			Over: past.Over, Arrived: n, Succeeded: 2 * n, Failed: 3 * n, Cancelled: 4 * n, Retried: 5 * n, Lost: 6 * n,
			Busy: time.Duration(7*n) * time.Millisecond,
		}, past)
		if past.Over < spans[i] || past.Over >= spans[i]+store.RollupEvery {
			t.Errorf("%v are over %v", spans[i], past.Over)
		}
		same(t, "of the other queue", store.Happened{Over: past.Over}, loads[1].Past[i])
	}
}

// TestArrivals: of each full hour since then, from all writers.
func TestArrivals(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	s := opened(t, postgres.Options{URL: url})
	execute(t, url, `SET timezone = 'Asia/Kolkata'; -- half an hour off
		INSERT INTO rollups (queue, bucket, writer, arrived)
			SELECT queue, date_bin('1 hour', now(), 'epoch'::timestamptz) + at * interval '1 second', writer, 1
			FROM (VALUES ('b', -36000), ('b', -35990), ('a', -32410), ('a', -32400), ('b', -180000), ('a', -10), ('a', 0)) r (queue, at),
				generate_series(1, 3) writer;
		INSERT INTO rollups (queue, bucket, writer, succeeded) VALUES ('c', date_bin('1 hour', now(), 'epoch'::timestamptz) - interval '1 hour', 1, 1);`)
	state, err := s.ScalingState(t.Context(), "clock")
	if err != nil {
		t.Fatal(err)
	}
	this := state.Now.Truncate(time.Hour)
	at := func(queue string, ago, jobs int) store.HourlyArrivals {
		return store.HourlyArrivals{Queue: queue, Hour: this.Add(-time.Duration(ago) * time.Hour), Jobs: jobs}
	}
	want := []store.HourlyArrivals{at("a", 10, 3), at("a", 9, 3), at("a", 1, 3), at("b", 50, 3), at("b", 10, 6)}
	got, err := s.Arrivals(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "all arrivals", want, got)
	got, err = s.Arrivals(t.Context(), this.Add(-10*time.Hour+time.Second))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "from amid an hour on", want[1:3], got)
}

// recorder records decisions on one target.
func recorder(t *testing.T, s store.Store) func(current int, same string) uuid.UUID {
	return func(current int, same string) uuid.UUID {
		t.Helper()
		d := store.NewDecision{At: time.Now(), Current: current, Outcome: store.ScaleUnchanged, Same: same}
		id, err := s.RecordDecision(t.Context(), "t", d)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
}

// TestUsageOverTheHour: what is used on both sides of it counts on both, and a long silence for a
// minute.
func TestUsageOverTheHour(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	s := opened(t, postgres.Options{URL: url})
	record := recorder(t, s)
	record(120, "")
	execute(t, url, `UPDATE scalings SET last_at = date_trunc('hour', now(), 'UTC') - interval '2 hours 30 seconds'`)
	record(60, "x")
	execute(t, url, `UPDATE scalings SET last_at = date_trunc('hour', now(), 'UTC') - interval '2 hours 15 seconds'`)
	record(0, "x")
	rows, err := direct(t, url).Query(t.Context(), `SELECT hours FROM replica_hours ORDER BY hour`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []float64
	for rows.Next() {
		var hours float64
		if err := rows.Scan(&hours); err != nil {
			t.Fatal(err)
		}
		got = append(got, math.Round(hours*1000)/1000)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	same(t, "replica-hours by hour", []float64{1.25, 1.75}, got)
}

// TestUsageByDays: replica-hours count in the day, the week and the month in which they were used.
func TestUsageByDays(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	s := opened(t, postgres.Options{URL: url})
	execute(t, url, `SET timezone = 'Pacific/Auckland';
		INSERT INTO scalings (target) VALUES ('t'), ('other');
		INSERT INTO replica_hours SELECT 'other', date_trunc('day', now(), 'UTC'), 1000;
		INSERT INTO replica_hours SELECT 't', hour, sum(n) FROM (
			SELECT date_trunc(unit, now(), 'UTC') + at * interval '1 hour', n
			FROM (VALUES ('day', 0, 1), ('day', -1, 2), ('week', 0, 4), ('week', -1, 8), ('month', 0, 16), ('month', -1, 32)) r (unit, at, n)
		) u (hour, n) GROUP BY hour`)
	state, err := s.ScalingState(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	year, month, date := state.Now.Date()
	day := time.Date(year, month, date, 0, 0, 0, 0, time.UTC)
	week, first := day.AddDate(0, 0, -(int(day.Weekday())+6)%7), time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	sum := func(since time.Time) (sum float64) {
		for i, at := range []time.Time{
			day, day.Add(-time.Hour), week, week.Add(-time.Hour), first, first.Add(-time.Hour),
		} {
			if !at.Before(since) {
				sum += float64(int(1) << i)
			}
		}
		return sum
	}
	same(t, "replica-hours", [3]float64{sum(day), sum(week), sum(first)}, [3]float64{state.Day, state.Week, state.Month})
}

// TestSameDecisionForAMinute: after that, it is written anew.
func TestSameDecisionForAMinute(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	s := opened(t, postgres.Options{URL: url})
	record := recorder(t, s)
	first := record(1, "x")
	age := func(id uuid.UUID, d time.Duration) uuid.UUID {
		t.Helper()
		aged := store.IDAt(time.Now().Add(-d), uuid.New())
		execute(t, url, fmt.Sprintf(`UPDATE scaling_decisions SET id = '%[1]v' WHERE id = '%[2]v';
			UPDATE scalings SET last_decision = '%[1]v' WHERE last_decision = '%[2]v'`, aged, id))
		return aged
	}
	young := age(first, 30*time.Second)
	if again := record(1, "x"); again != young {
		t.Errorf("the same decision half a minute later has ID %v, want %v", again, young)
	}
	old := age(young, 61*time.Second)
	if again := record(1, "x"); again == old {
		t.Error("the same decision is not written anew after a minute")
	}
	list, err := s.Decisions(t.Context(), jobs.DefaultTenant, "t", uuid.Nil, 10)
	if err != nil || len(list) != 2 || list[1].ID != old || list[1].Until.Before(list[1].At) {
		t.Errorf("%+v, %v", list, err)
	}
	if n, err := s.PruneDecisions(t.Context(), time.Hour, 10); n != 0 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	if n, err := s.PruneDecisions(t.Context(), time.Minute, 10); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	if n, err := s.PruneDecisions(t.Context(), math.MaxInt64, 10); n != 0 || err != nil {
		t.Errorf("pruned %d older than anything, %v", n, err)
	}
}

// TestOldUsageIsPruned: after two months, in batches.
func TestOldUsageIsPruned(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	s := opened(t, postgres.Options{URL: url})
	execute(t, url, `INSERT INTO scalings (target) VALUES ('a'), ('b');
		INSERT INTO replica_hours SELECT target, date_trunc('hour', now(), 'UTC') - days * interval '1 day', 1
			FROM scalings, (VALUES (0), (32), (61), (63), (64), (400)) d (days)`)
	conn := direct(t, url)
	for _, want := range []int{8, 6, 6} {
		if n, err := s.PruneDecisions(t.Context(), time.Hour, 4); n != 0 || err != nil {
			t.Errorf("pruned %d decisions, %v", n, err)
		}
		var left int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM replica_hours`).Scan(&left); err != nil || left != want {
			t.Errorf("%d hours are left, %v; want %d", left, err, want)
		}
	}
}

// TestScalingConstraints: the schema itself refuses what contradicts itself.
func TestScalingConstraints(t *testing.T) {
	t.Parallel()
	url := fresh(t)
	recorder(t, opened(t, postgres.Options{URL: url}))(1, "")
	conn := direct(t, url)
	for _, sql := range []string{
		`UPDATE scalings SET pinned = 3`,
		`UPDATE scalings SET pinned_until = now()`,
		`UPDATE scalings SET pinned = -1, pinned_until = now()`,
		`UPDATE scalings SET last_at = NULL`,
		`UPDATE scaling_decisions SET outcome = 'lost'`,
		`UPDATE scaling_decisions SET replicas = -1`,
		`UPDATE scaling_decisions SET until = at - interval '1 second'`,
		`UPDATE scaling_decisions SET target = 'other'`,
		`INSERT INTO replica_hours VALUES ('t', date_trunc('hour', now(), 'UTC') + interval '1 second', 1)`,
		`INSERT INTO replica_hours VALUES ('t', date_trunc('hour', now(), 'UTC'), -1)`,
		`DELETE FROM scalings`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err == nil {
			t.Errorf("taken: %s", sql)
		}
	}
}

// BenchmarkLoad: 50 queues with 100,000 jobs that wait, half of them for a time to come, and an hour
// of roll-ups of four writers.
func BenchmarkLoad(b *testing.B) {
	url := fresh(b)
	s := opened(b, postgres.Options{URL: url})
	execute(b, url, `
		INSERT INTO queues (name) SELECT 'queue-' || n FROM generate_series(0, 49) n;
		INSERT INTO files (id, tenant, name, size, sha256, media_type, claimed_type, content)
			VALUES ('00000000-0000-0000-0000-000000000001', 'default', 'f', 0, decode(repeat('00', 32), 'hex'), 't', '', '');
		INSERT INTO jobs (id, tenant, file_id, kind, kind_version, queue, params_hash, max_attempts, run_at)
			SELECT gen_random_uuid(), 'default', '00000000-0000-0000-0000-000000000001', 'inspect', 1, 'queue-' || n % 50, '', 5,
				now() + CASE WHEN n % 100 < 50 THEN -n * interval '1 microsecond' ELSE n * interval '6 milliseconds' END
			FROM generate_series(1, 100000) n;
		INSERT INTO rollups (queue, bucket, writer, arrived)
			SELECT 'queue-' || q, date_bin('10 seconds', now(), 'epoch'::timestamptz) - n * interval '10 seconds', w, 1
			FROM generate_series(0, 49) q, generate_series(0, 359) n, generate_series(1, 4) w;`)
	horizons := []time.Duration{30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}
	spans := []time.Duration{10 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute}
	load := func(b *testing.B) {
		b.Helper()
		for b.Loop() {
			loads, err := s.Load(context.WithoutCancel(b.Context()), horizons, spans)
			if err != nil || len(loads) != 50 || loads[7].Due[2] == 0 || loads[7].Past[3].Arrived == 0 {
				b.Fatalf("%+v, %v", loads, err)
			}
		}
	}
	b.Run("fresh", load)
	execute(b, url, "VACUUM ANALYZE")
	b.Run("vacuumed", load)
}
