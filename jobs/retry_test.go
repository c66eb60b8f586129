package jobs_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
)

// schedule lists the waits after each failure until the job has failed.
func schedule(t *testing.T, r jobs.Retry, random float64) []time.Duration {
	t.Helper()
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	var waits []time.Duration
	for failures := 1; ; failures++ {
		outcome, wait := r.AfterFailure(failures, r.MaxAttempts, errors.New("again"), random)
		if outcome == jobs.RunFailed {
			return waits
		}
		if outcome != jobs.RunRetry || failures > r.MaxAttempts {
			t.Fatalf("failure %d: %s", failures, outcome)
		}
		waits = append(waits, wait)
	}
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	s := time.Second
	for _, c := range []struct {
		name   string
		retry  jobs.Retry
		random float64
		want   []time.Duration
	}{
		{
			"60 s · 2^n, 3 retries",
			jobs.Retry{Base: time.Minute, Factor: 2, Cap: time.Hour, MaxAttempts: 4},
			0.9,
			[]time.Duration{60 * s, 120 * s, 240 * s},
		},
		{"default, no jitter", jobs.DefaultRetry(), 0.5, []time.Duration{10 * s, 20 * s, 40 * s, 80 * s}},
		{"default, least", jobs.DefaultRetry(), 0, []time.Duration{8 * s, 16 * s, 32 * s, 64 * s}},
		{
			"jitter after the cap",
			jobs.Retry{Base: s, Factor: 10, Cap: 50 * s, Jitter: 0.5, MaxAttempts: 5},
			0.75,
			[]time.Duration{1250 * time.Millisecond, 12500 * time.Millisecond, 62500 * time.Millisecond, 62500 * time.Millisecond},
		},
		{"constant", jobs.Retry{Base: s, Factor: 1, Cap: s, MaxAttempts: 3}, 0, []time.Duration{s, s}},
		{"at once", jobs.Retry{Factor: 2, MaxAttempts: 3}, 0, []time.Duration{0, 0}},
		{"never", jobs.Retry{Base: s, Factor: 2, Cap: s, MaxAttempts: 1}, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, schedule(t, c.retry, c.random)); diff != "" {
				t.Errorf("waits (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDelayReachesTheCap(t *testing.T) {
	t.Parallel()
	r := jobs.DefaultRetry()
	r.MaxAttempts = 1000
	for _, failures := range []int{10, 100, 999, math.MaxInt} {
		if got := r.Delay(failures, 0.5); got != r.Cap {
			t.Errorf("after %d failures: %v, want %v", failures, got, r.Cap)
		}
	}
	for _, failures := range []int{1, 0, -5} {
		if got := r.Delay(failures, 0.5); got != r.Base {
			t.Errorf("after %d failures: %v, want %v", failures, got, r.Base)
		}
	}
}

func retries() *rapid.Generator[jobs.Retry] {
	return rapid.Custom(func(t *rapid.T) jobs.Retry {
		base := rapid.Int64Min(0).Draw(t, "base")
		return jobs.Retry{
			Base:        time.Duration(base),
			Factor:      rapid.Float64Range(1, math.MaxFloat64).Draw(t, "factor"),
			Cap:         time.Duration(rapid.Int64Min(base).Draw(t, "cap")),
			Jitter:      rapid.Float64Range(0, 1).Draw(t, "jitter"),
			MaxAttempts: rapid.IntRange(1, 1000).Draw(t, "attempts"),
		}
	})
}

// No policy that passes Validate gives a wait that is negative or more than its cap and jitter
// allow, whatever overflows on the way.
func TestDelayIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := retries().Draw(t, "retry")
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		random := rapid.Float64Range(0, 1).Draw(t, "random")
		failures := rapid.Int().Draw(t, "failures")
		got := r.Delay(failures, random)
		most := float64(r.Cap) * (1 + r.Jitter)
		if got < 0 || float64(got) > most*(1+1e-12) {
			t.Fatalf("Delay(%d, %v) = %v, want 0 to %v", failures, random, got, time.Duration(most))
		}
		plain := jobs.Retry{Base: r.Base, Factor: r.Factor, Cap: r.Cap, MaxAttempts: r.MaxAttempts}
		if failures > 0 && failures < math.MaxInt && plain.Delay(failures+1, random) < plain.Delay(failures, random) {
			t.Fatalf("without jitter the wait falls after failure %d", failures)
		}
	})
}

// The largest of everything: 0 · ∞ and values beyond a Duration are where a wait could turn
// negative, and a job would then run at once, for ever.
func TestDelayOverflow(t *testing.T) {
	t.Parallel()
	huge := jobs.Retry{Factor: math.MaxFloat64, Jitter: 1, MaxAttempts: 1000}
	if got := huge.Delay(1000, 1); got != 0 {
		t.Errorf("base 0: %v, want 0", got)
	}
	huge.Base, huge.Cap = math.MaxInt64, math.MaxInt64
	if got := huge.Delay(1000, 1); got != math.MaxInt64 {
		t.Errorf("base and cap without end: %v, want %v", got, time.Duration(math.MaxInt64))
	}
}

func TestRetryValidate(t *testing.T) {
	t.Parallel()
	if err := jobs.DefaultRetry().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for name, change := range map[string]func(*jobs.Retry){
		"negative base":    func(r *jobs.Retry) { r.Base = -1 },
		"factor below 1":   func(r *jobs.Retry) { r.Factor = 0.5 },
		"factor NaN":       func(r *jobs.Retry) { r.Factor = math.NaN() },
		"factor Inf":       func(r *jobs.Retry) { r.Factor = math.Inf(1) },
		"cap below base":   func(r *jobs.Retry) { r.Cap = r.Base - 1 },
		"negative jitter":  func(r *jobs.Retry) { r.Jitter = -0.1 },
		"jitter above 1":   func(r *jobs.Retry) { r.Jitter = 1.1 },
		"jitter NaN":       func(r *jobs.Retry) { r.Jitter = math.NaN() },
		"no attempts":      func(r *jobs.Retry) { r.MaxAttempts = 0 },
		"endless attempts": func(r *jobs.Retry) { r.MaxAttempts = 1001 },
		"nothing set":      func(r *jobs.Retry) { *r = jobs.Retry{} },
	} {
		r := jobs.DefaultRetry()
		change(&r)
		if r.Validate() == nil {
			t.Errorf("%s: %+v is valid", name, r)
		}
	}
}

func TestAfterFailure(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	permanent := jobs.Permanent(plain)
	later := jobs.RetryAfter(7*time.Second, plain)
	r := jobs.DefaultRetry()
	for _, c := range []struct {
		name     string
		failures int
		attempts int
		err      error
		want     jobs.Outcome
		wait     time.Duration
	}{
		{"first", 1, 5, plain, jobs.RunRetry, 10 * time.Second},
		{"last but one", 4, 5, plain, jobs.RunRetry, 80 * time.Second},
		{"last", 5, 5, plain, jobs.RunFailed, 0},
		{"the job's own attempts were raised", 5, 9, plain, jobs.RunRetry, 160 * time.Second},
		{"the job's own attempts were lowered", 3, 2, plain, jobs.RunFailed, 0},
		{"none left at all", 1, 0, plain, jobs.RunFailed, 0},
		{"permanent", 1, 5, permanent, jobs.RunFailed, 0},
		{"permanent, wrapped", 1, 5, fmt.Errorf("page 3: %w", permanent), jobs.RunFailed, 0},
		{"permanent, joined", 1, 5, errors.Join(plain, permanent), jobs.RunFailed, 0},
		{"failed with a code", 1, 5, jobs.Fail(jobs.CodeMalformed, "no"), jobs.RunFailed, 0},
		{"a code alone is not permanent", 1, 5, &jobs.Error{Code: jobs.CodeMalformed}, jobs.RunRetry, 10 * time.Second},
		{"later", 1, 5, later, jobs.RunRetry, 7 * time.Second},
		{"later, wrapped", 3, 5, fmt.Errorf("busy: %w", later), jobs.RunRetry, 7 * time.Second},
		{"later, joined", 1, 5, errors.Join(plain, later), jobs.RunRetry, 7 * time.Second},
		{"later still burns attempts", 5, 5, later, jobs.RunFailed, 0},
		{"at once", 1, 5, jobs.RetryAfter(-time.Second, plain), jobs.RunRetry, 0},
		{"permanent beats later", 1, 5, errors.Join(later, permanent), jobs.RunFailed, 0},
		{"the outer wait counts", 1, 5, jobs.RetryAfter(time.Second, later), jobs.RunRetry, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, wait := r.AfterFailure(c.failures, c.attempts, c.err, 0.5)
			if got != c.want || wait != c.wait {
				t.Errorf("AfterFailure(%d, %d) = %s, %v; want %s, %v", c.failures, c.attempts, got, wait, c.want, c.wait)
			}
		})
	}
}
