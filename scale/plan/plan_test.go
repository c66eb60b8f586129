package plan_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/scale/plan"
)

func months(t *testing.T, in plan.Input) []plan.Month {
	t.Helper()
	list, err := plan.Months(in)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// 1,000 a second that grow by a fifth each month are 2,985.984 after six, which take 20 workers of 150
// a second each, and 4 more as a buffer of a fifth.
func TestGrowth(t *testing.T) {
	t.Parallel()
	in := plan.Default()
	in.Rate, in.Growth, in.Months, in.PerWorker, in.Headroom = 1000, 0.2, 6, 150, 0.2
	list := months(t, in)
	if len(list) != 7 {
		t.Fatalf("%d months, want now and six more", len(list))
	}
	if now := list[0]; now.Month != 0 || now.Rate != 1000 || now.Workers != 7 || now.Buffer != 2 {
		t.Errorf("now: %+v", now)
	}
	last := list[6]
	if math.Abs(last.Rate-2985.984) > 1e-6 || last.Workers != 20 || last.Buffer != 4 {
		t.Errorf("after six months: %v/s, %d workers and %d; want 2985.984, 20 and 4", last.Rate, last.Workers, last.Buffer)
	}
}

// By hand: 100 a second of half a second each keep 50 slots busy, so 51 are enough for a target that
// is long: 6 workers of 10 slots, and 2 more.
func TestMonthByHand(t *testing.T) {
	t.Parallel()
	in := plan.Default()
	in.Rate, in.Months, in.Service, in.Queues = 100, 0, 500*time.Millisecond, 2
	in.FileSize, in.ArtifactSize, in.Keep = 1<<20, 1<<10, 10*24*time.Hour
	const jobs = 100 * 10 * 24 * 3600
	want := []plan.Month{{
		Rate: 100, Workers: 6, Buffer: 2, APIs: 3,
		RedisBytes:          1_186_632 + (2*500+80)*557 + 13*20*32<<10,
		PostgresConnections: 13 * 16,
		PostgresBytes:       1<<30 + jobs*2122,
		BlobBytesPerDay:     jobs / 10 * (1<<20 + 1<<10),
		BlobBytes:           jobs * (1<<20 + 1<<10),
	}}
	if diff := cmp.Diff(want, months(t, in)); diff != "" {
		t.Error(diff)
	}
}

// Erlang's C for two jobs under way and three slots is 4/9: by chance one in twenty waits for longer
// than 2.185 times the service time. With four it is 4/23.
func TestTarget(t *testing.T) {
	t.Parallel()
	for target, want := range map[time.Duration]int{
		2190 * time.Millisecond: 3, 2180 * time.Millisecond: 4, 630 * time.Millisecond: 4, 620 * time.Millisecond: 5,
	} {
		in := plan.Default()
		in.Rate, in.Months, in.Slots, in.Target = 2, 0, 1, target
		if m := months(t, in)[0]; m.Workers != want {
			t.Errorf("%d workers for a target of %v, want %d", m.Workers, target, want)
		}
	}
}

// Small files lie in Postgres.
func TestInline(t *testing.T) {
	t.Parallel()
	in := plan.Default()
	in.Rate, in.Months, in.FileSize = 1, 0, in.InlineLimit
	small := months(t, in)[0]
	in.FileSize++
	large := months(t, in)[0]
	if small.BlobBytes != 0 || large.BlobBytes == 0 || small.PostgresBytes <= large.PostgresBytes {
		t.Errorf("up to the limit %+v, above %+v", small, large)
	}
}

// The window, and with it Redis, grows with the slots and not with the backlog.
func TestRedisGrowsWithTheSlots(t *testing.T) {
	t.Parallel()
	in := plan.Default()
	in.Rate, in.Months, in.Slots, in.MinAPI, in.Scalers = 995, 0, 100, 1, 0
	m := months(t, in)[0] // 10 workers and 2: 1,200 slots
	if want := int64(1_186_632 + (4*1200+1200)*557 + 13*20*32<<10); m.RedisBytes != want {
		t.Errorf("%d bytes, want %d", m.RedisBytes, want)
	}
}

func TestErrorsNameTheInput(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*plan.Input){
		"rate":         func(in *plan.Input) { in.Rate = -1 },
		"growth":       func(in *plan.Input) { in.Growth = math.NaN() },
		"months":       func(in *plan.Input) { in.Months = 1000 },
		"service time": func(in *plan.Input) { in.Service = 0 },
		"target":       func(in *plan.Input) { in.Target = -time.Second },
		"slots":        func(in *plan.Input) { in.Slots = 0 },
		"headroom":     func(in *plan.Input) { in.Headroom = -0.1 },
		"kept":         func(in *plan.Input) { in.Keep = 0 },
	} {
		in := plan.Default()
		change(&in)
		if _, err := plan.Months(in); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

// Whatever is asked, more load never takes less, and nothing is negative.
func TestMoreTakesMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := plan.Default()
		in.Rate = rapid.Float64Range(0, 1e4).Draw(t, "rate")
		in.Growth = rapid.Float64Range(0, 1).Draw(t, "growth")
		in.Months = rapid.IntRange(1, 12).Draw(t, "months")
		in.Service = time.Duration(rapid.IntRange(1, int(10*time.Second)).Draw(t, "service"))
		in.FileSize = rapid.Int64Range(0, 1<<50).Draw(t, "size")
		list, err := plan.Months(in)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list[1:] {
			a, b := list[i], list[i+1]
			if b.Workers < a.Workers || b.Buffer < a.Buffer || b.RedisBytes < a.RedisBytes || b.PostgresBytes < a.PostgresBytes ||
				b.BlobBytes < a.BlobBytes || b.PostgresConnections < a.PostgresConnections || a.Workers < 0 || a.RedisBytes <= 0 {
				t.Fatalf("%+v, then %+v", a, b)
			}
		}
	})
}
