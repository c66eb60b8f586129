package jobs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leat-dev/leat/jobs"
)

// table is the state machine, drawn by hand: a row for each state that is left, a column for each
// that is entered, in the order of the header.
const table = `
           pending running retrying waiting succeeded failed cancelled
pending       .       x       .        .        .        .       x
running       x       .       x        x        x        x       x
retrying      .       x       .        .        .        .       x
waiting       .       .       .        .        x        x       x
succeeded     .       .       .        .        .        .       .
failed        x       .       .        .        .        .       .
cancelled     x       .       .        .        .        .       .
`

// edges reads the table.
func edges(t *testing.T) map[[2]jobs.State]bool {
	t.Helper()
	rows := strings.Split(strings.TrimSpace(table), "\n")
	columns := strings.Fields(rows[0])
	pairs := map[[2]jobs.State]bool{}
	for _, row := range rows[1:] {
		cells := strings.Fields(row)
		if len(cells) != len(columns)+1 {
			t.Fatalf("row %q has %d cells, want %d", row, len(cells), len(columns)+1)
		}
		for i, cell := range cells[1:] {
			pairs[[2]jobs.State{jobs.State(cells[0]), jobs.State(columns[i])}] = cell == "x"
		}
	}
	return pairs
}

func TestCanMove(t *testing.T) {
	t.Parallel()
	pairs := edges(t)
	for _, from := range jobs.States() {
		for _, to := range jobs.States() {
			want, ok := pairs[[2]jobs.State{from, to}]
			if !ok {
				t.Errorf("the table says nothing about %s → %s", from, to)
			}
			if got := jobs.CanMove(from, to); got != want {
				t.Errorf("CanMove(%s, %s) = %t, want %t", from, to, got, want)
			}
		}
	}
	if want := len(jobs.States()) * len(jobs.States()); len(pairs) != want {
		t.Errorf("the table has %d pairs, want %d", len(pairs), want)
	}
	for _, s := range append(jobs.States(), "") {
		if jobs.CanMove("", s) || jobs.CanMove("nonsense", s) || jobs.CanMove(s, "") || jobs.CanMove(s, "nonsense") {
			t.Errorf("%q moves to or from something that is no state", s)
		}
	}
}

func TestStateProperties(t *testing.T) {
	t.Parallel()
	want := map[jobs.State][2]bool{ // ended, ready
		jobs.Pending: {false, true}, jobs.Retrying: {false, true},
		jobs.Running: {}, jobs.Waiting: {},
		jobs.Succeeded: {true, false}, jobs.Failed: {true, false}, jobs.Cancelled: {true, false},
	}
	got := map[jobs.State][2]bool{}
	for _, s := range jobs.States() {
		got[s] = [2]bool{s.Ended(), s.Ready()}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ended and ready (-want +got):\n%s", diff)
	}
}

func TestParseState(t *testing.T) {
	t.Parallel()
	for _, s := range jobs.States() {
		if got, err := jobs.ParseState(string(s)); got != s || err != nil {
			t.Errorf("ParseState(%q) = %q, %v", s, got, err)
		}
		if !s.Valid() {
			t.Errorf("%q is not valid", s)
		}
	}
	for _, text := range []string{"", "Pending", "pending ", "done", "running\x00"} {
		if got, err := jobs.ParseState(text); err == nil || got != "" || !strings.Contains(err.Error(), "retrying") {
			t.Errorf("ParseState(%q) = %q, %v; want an error that lists the states", text, got, err)
		}
		if jobs.State(text).Valid() {
			t.Errorf("%q is valid", text)
		}
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	type flags struct{ cancel, children, alone bool }
	always := func(s jobs.State) func(flags) jobs.State { return func(flags) jobs.State { return s } }
	want := map[jobs.Outcome]func(flags) jobs.State{
		jobs.RunSucceeded: func(f flags) jobs.State {
			if f.children {
				return jobs.Waiting
			}
			return jobs.Succeeded
		},
		jobs.RunFailed:    always(jobs.Failed),
		jobs.RunCancelled: always(jobs.Cancelled),
		jobs.RunRetry: func(f flags) jobs.State {
			if f.cancel {
				return jobs.Cancelled
			}
			return jobs.Retrying
		},
		jobs.RunDrained: func(f flags) jobs.State {
			if f.cancel {
				return jobs.Cancelled
			}
			return jobs.Pending
		},
		jobs.RunLost: func(f flags) jobs.State {
			switch {
			case f.cancel:
				return jobs.Cancelled
			case f.alone:
				return jobs.Failed
			}
			return jobs.Pending
		},
	}
	for outcome, state := range want {
		for i := range 8 {
			f := flags{cancel: i&1 != 0, children: i&2 != 0, alone: i&4 != 0}
			got := jobs.Settle(outcome, f.cancel, f.children, f.alone)
			if got != state(f) {
				t.Errorf("Settle(%s, %+v) = %s, want %s", outcome, f, got, state(f))
			}
			if !jobs.CanMove(jobs.Running, got) {
				t.Errorf("Settle(%s, %+v) = %s, which no running job may move to", outcome, f, got)
			}
		}
	}
}

func TestSettleUnknownOutcome(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("an unknown outcome settled")
		}
	}()
	jobs.Settle("", false, false, false)
}

func TestSettleParent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		failed int
		strict bool
		want   jobs.State
	}{
		{0, false, jobs.Succeeded}, {0, true, jobs.Succeeded}, {3, false, jobs.Succeeded}, {1, true, jobs.Failed},
	} {
		got := jobs.SettleParent(c.failed, c.strict)
		if got != c.want || !jobs.CanMove(jobs.Waiting, got) {
			t.Errorf("SettleParent(%d, %t) = %s, want %s", c.failed, c.strict, got, c.want)
		}
	}
}

// life is a job as a store keeps it, with the rules that are not in package jobs written down once
// more: what each step does to the counters and the generation.
type life struct {
	jobs.Job
	retry    jobs.Retry
	strict   bool // fails with its children
	alone    bool // the present run
	runs     int
	delivery map[int]int // runs by generation
}

func (l *life) move(t *rapid.T, to jobs.State) {
	if !jobs.CanMove(l.State, to) {
		t.Fatalf("%s → %s is not in the table", l.State, to)
	}
	l.State = to
}

// again makes the job due for another delivery.
func (l *life) again(t *rapid.T, to jobs.State) {
	l.move(t, to)
	l.Generation++
}

func (l *life) claim(t *rapid.T) {
	if !l.State.Ready() {
		t.Skip("not ready") // a step that does not fit here: rapid draws another
	}
	l.alone = l.Losses >= jobs.AloneAfter
	l.move(t, jobs.Running)
	l.runs++
	l.delivery[l.Generation]++
}

// end settles the present run as the worker or the reaper would.
func (l *life) end(t *rapid.T, outcome jobs.Outcome, openChildren bool) {
	if l.State != jobs.Running {
		t.Skip("not running")
	}
	switch outcome {
	case jobs.RunLost:
		l.Losses++
	case jobs.RunDrained:
		l.Drains++
	case jobs.RunRetry, jobs.RunFailed:
		l.Failures++
	case jobs.RunSucceeded, jobs.RunCancelled:
	}
	to := jobs.Settle(outcome, l.CancelRequested, openChildren, l.alone)
	if to == jobs.Waiting {
		l.Children.Running = 1
	}
	if to.Ready() {
		l.again(t, to)
		return
	}
	l.move(t, to)
}

func (l *life) fail(t *rapid.T) {
	if l.State != jobs.Running {
		t.Skip("not running")
	}
	var err error = &jobs.Error{Code: jobs.CodeTimeout}
	if rapid.Bool().Draw(t, "permanent") {
		err = jobs.Permanent(err)
	}
	outcome, wait := l.retry.AfterFailure(l.Failures+1, l.MaxAttempts, err, 0.5)
	if outcome != jobs.RunRetry && outcome != jobs.RunFailed || wait < 0 {
		t.Fatalf("AfterFailure = %s, %v", outcome, wait)
	}
	l.end(t, outcome, false)
}

func (l *life) cancel(t *rapid.T) {
	switch {
	case l.State.Ended():
		t.Skip("ended")
	case l.State == jobs.Running:
		l.CancelRequested = true
	default:
		l.Children = jobs.Children{Cancelled: l.Children.Total()}
		l.move(t, jobs.Cancelled)
	}
}

func (l *life) endChild(t *rapid.T) {
	if l.State != jobs.Waiting {
		t.Skip("not waiting")
	}
	switch rapid.SampledFrom([]jobs.State{jobs.Succeeded, jobs.Failed, jobs.Cancelled}).Draw(t, "child") {
	case jobs.Succeeded:
		l.Children = jobs.Children{Succeeded: 1}
	case jobs.Failed:
		l.Children = jobs.Children{Failed: 1}
	default:
		l.Children = jobs.Children{Cancelled: 1}
	}
	l.move(t, jobs.SettleParent(l.Children.Failed, l.strict))
}

func (l *life) retryByHand(t *rapid.T) {
	if !jobs.CanMove(l.State, jobs.Pending) || !l.State.Ended() {
		t.Skip("cannot be retried")
	}
	l.again(t, jobs.Pending)
	l.Failures, l.Losses, l.CancelRequested, l.Children = 0, 0, false, jobs.Children{}
}

// checkMoved compares two moments.
func (l *life) checkMoved(t *rapid.T, before life) {
	switch {
	case !l.State.Valid():
		t.Fatalf("state %q", l.State)
	case l.Generation < before.Generation:
		t.Fatalf("the generation fell from %d to %d", before.Generation, l.Generation)
	case l.State.Ended() && before.State.Ended() && l.State != before.State:
		t.Fatalf("ended %s, then %s", before.State, l.State)
	}
}

// check looks at one moment.
func (l *life) check(t *rapid.T) {
	switch {
	case l.Attempt() < 1 || l.Attempt() > l.MaxAttempts:
		t.Fatalf("attempt %d of %d", l.Attempt(), l.MaxAttempts)
	case l.delivery[l.Generation] > 1:
		t.Fatalf("generation %d ran %d times", l.Generation, l.delivery[l.Generation])
	case l.State.Ready() && l.delivery[l.Generation] > 0:
		t.Fatalf("%s in a generation that already ran", l.State)
	case l.State == jobs.Retrying && l.Failures >= l.MaxAttempts:
		t.Fatalf("retrying after %d failures of %d attempts", l.Failures, l.MaxAttempts)
	case l.State == jobs.Waiting && l.Children.Open() == 0:
		t.Fatal("waiting for nobody")
	case l.Losses > jobs.AloneAfter+1:
		t.Fatalf("lost %d times", l.Losses)
	}
}

// A random life of a job never leaves the table, never runs one delivery twice, and ends for good
// unless somebody retries it by hand.
func TestLife(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := &life{
			Job: jobs.Job{
				State: jobs.Pending, Generation: 1,
				MaxAttempts: rapid.IntRange(1, 4).Draw(t, "max attempts"),
			},
			retry: jobs.DefaultRetry(), strict: rapid.Bool().Draw(t, "strict"), delivery: map[int]int{},
		}
		before, byHand := *l, false
		end := func(outcome jobs.Outcome) func(*rapid.T) {
			return func(t *rapid.T) { l.end(t, outcome, rapid.Bool().Draw(t, "children")) }
		}
		t.Repeat(map[string]func(*rapid.T){
			"claim": l.claim, "fail": l.fail, "cancel": l.cancel, "child": l.endChild,
			"succeed": end(jobs.RunSucceeded), "stop": end(jobs.RunCancelled),
			"drain": end(jobs.RunDrained), "lose": end(jobs.RunLost),
			"retry": func(t *rapid.T) { l.retryByHand(t); byHand = true },
			"": func(t *rapid.T) {
				l.check(t)
				l.checkMoved(t, before)
				if before.State.Ended() && !byHand && !cmp.Equal(l.Job, before.Job) {
					t.Fatalf("an ended job changed:\n%s", cmp.Diff(before.Job, l.Job))
				}
				before, byHand = *l, false
			},
		})
	})
}

// From every state a job can still end: no sequence of moves is a dead end.
func TestEveryStateCanEnd(t *testing.T) {
	t.Parallel()
	for _, from := range jobs.States() {
		seen, next := []jobs.State{from}, []jobs.State{from}
		for len(next) > 0 {
			state := next[0]
			next = next[1:]
			for _, to := range jobs.States() {
				if jobs.CanMove(state, to) && !slices.Contains(seen, to) {
					seen, next = append(seen, to), append(next, to)
				}
			}
		}
		if !slices.ContainsFunc(seen, jobs.State.Ended) {
			t.Errorf("a job in %s can never end", from)
		}
	}
}
