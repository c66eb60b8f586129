package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

// decision makes a decision that says something of its own.
func decision(replicas int) store.NewDecision {
	return store.NewDecision{
		At: time.Now().UTC().Truncate(time.Microsecond), Current: 2, Replicas: replicas, Bound: "depth", Outcome: store.ScaleApplied,
		Detail: json.RawMessage(fmt.Sprintf(`{"replicas": %d, "why":"ü\\u0000 🚲"}`, replicas)),
		Memory: json.RawMessage(fmt.Sprintf(`{"asked":[%d]}`, replicas)),
	}
}

// saying makes a decision that says the same as others.
func saying(same string) store.NewDecision {
	d := decision(3)
	d.Same = same
	return d
}

func (f *fixture) record(target string, d store.NewDecision) uuid.UUID {
	f.Helper()
	id, err := f.s.RecordDecision(f.ctx(), target, d)
	f.ok(err)
	return id
}

// recorded is a decision as it is read.
func recorded(id uuid.UUID, d store.NewDecision) store.Decision {
	d.Memory = nil
	return store.Decision{ID: id, NewDecision: d, Until: d.At}
}

func testDecisions(f *fixture) {
	var want []store.Decision
	outcomes := []store.Outcome{store.ScaleUnchanged, store.ScaleApplied, store.ScalePending, store.ScaleFailed, store.ScaleRefused}
	for i, outcome := range outcomes {
		d := decision(i)
		d.Outcome, d.Same = outcome, []string{"", "same"}[i%2]
		want = append(want, recorded(f.record("t", d), d))
		f.sameJSON("memory", d.Memory, f.scaling("t").Memory)
	}
	bare := store.NewDecision{At: want[0].At.Add(-time.Hour), Outcome: store.ScaleUnchanged}
	want = append(want, recorded(f.record("t", bare), bare))
	if memory := f.scaling("t").Memory; len(memory) != 0 {
		f.Errorf("without a memory: %s", memory)
	}
	slices.Reverse(want)
	f.equal("decisions", want, f.decisions("t"))
	if want[0].At.Location() != time.UTC {
		f.Errorf("at %v, want UTC", want[0].At)
	}

	var paged []store.Decision
	before := uuid.Nil
	for range 3 {
		page, err := f.s.Decisions(f.ctx(), "other", "t", before, 2)
		f.ok(err)
		paged = append(paged, page...)
		before = page[len(page)-1].ID
	}
	f.equal("decisions page by page", want, paged)
	for what, limit := range map[string]int{"after the last": 5, "none": 0, "fewer than none": -1} {
		rest, err := f.s.Decisions(f.ctx(), f.tenant, "t", before, limit)
		if err != nil || len(rest) != 0 {
			f.Errorf("%s: %+v, %v", what, rest, err)
		}
	}
}

func testDecisionsOfTargets(f *fixture) {
	for i := range 3 {
		for _, target := range []string{"a", "b"} {
			d := decision(i)
			d.Bound = target
			f.record(target, d)
		}
	}
	for _, target := range []string{"a", "b"} {
		list := f.decisions(target)
		if len(list) != 3 || list[0].Replicas != 2 || slices.ContainsFunc(list, func(d store.Decision) bool { return d.Bound != target }) {
			f.Errorf("decisions of %s: %+v", target, list)
		}
	}
}

func testSameDecision(f *fixture) {
	first := saying("x")
	id := f.record("t", first)
	again := saying("x")
	again.At = first.At.Add(10 * time.Second)
	again.Memory, again.Detail = json.RawMessage(`{"later":true}`), json.RawMessage(`{"other":1}`)
	if got := f.record("t", again); got != id {
		f.Errorf("the same decision has ID %v, want %v", got, id)
	}
	want := recorded(id, first)
	want.Until = again.At
	f.equal("decisions", []store.Decision{want}, f.decisions("t"))
	f.sameJSON("memory", again.Memory, f.scaling("t").Memory)

	earlier := saying("x")
	earlier.At = first.At.Add(-time.Second)
	f.record("t", earlier)
	f.equal("after a clock went back", []store.Decision{want}, f.decisions("t"))

	for _, d := range []store.NewDecision{saying("y"), saying("x"), saying(""), saying(""), saying("x")} {
		want := recorded(f.record("t", d), d)
		f.equal("latest", want, f.decisions("t")[0])
	}
	f.record("other", saying("x"))
	if n, m := len(f.decisions("t")), len(f.decisions("other")); n != 6 || m != 1 {
		f.Errorf("there are %d decisions, and %d of the other target; want 6 and 1", n, m)
	}
}

func testSameDecisionAtOnce(f *fixture) {
	ids := make([]uuid.UUID, 8)
	errs := make([]error, len(ids))
	together(len(ids), func(i int) { ids[i], errs[i] = f.s.RecordDecision(f.ctx(), "t", saying("x")) })
	f.ok(errors.Join(errs...))
	if list := f.decisions("t"); len(list) != 1 || len(slices.Compact(ids)) != 1 || list[0].ID != ids[0] {
		f.Errorf("decisions %+v, IDs %v; want one", list, ids)
	}
}

// checkUsage checks that replica-hours add up to the time between two decisions, whatever is
// recorded in the meantime. It tries again if an hour, and with it maybe a day, ended meanwhile.
func (f *fixture) checkUsage(meanwhile func(target string)) {
	f.Helper()
	for i := range 3 {
		target := fmt.Sprintf("t%d", i)
		d := saying("")
		d.Current = 3600 * 1000 // a second of which is 1,000 replica-hours
		now := func() time.Time { return f.scaling(target).Now }
		start := now()
		f.record(target, d)
		first := now()
		meanwhile(target)
		last := now()
		d.Current = 0
		f.record(target, d)
		used := f.scaling(target)
		if !used.Now.Truncate(time.Hour).Equal(start.Truncate(time.Hour)) {
			continue
		}
		least, most := last.Sub(first).Seconds()*1000-0.01, used.Now.Sub(start).Seconds()*1000+0.01
		for _, sum := range []float64{used.Day, used.Week, used.Month} {
			if sum < least || sum > most {
				f.Errorf("%v replica-hours were used, want %v to %v", sum, least, most)
			}
		}
		f.within(patience, 20*time.Millisecond, "time passes", ticks(2))
		f.record(target, d) // at no replicas
		after := f.scaling(target)
		f.equal("used", [3]float64{used.Day, used.Week, used.Month}, [3]float64{after.Day, after.Week, after.Month})
		return
	}
	f.Error("hours pass in no time")
}

func testUsage(f *fixture) {
	f.checkUsage(func(string) { f.within(patience, 100*time.Millisecond, "time passes", ticks(2)) })
}

func testRecordersAtOnce(f *fixture) {
	const n = 8
	ids := make([][]uuid.UUID, n)
	f.checkUsage(func(target string) {
		clear(ids)
		together(n, func(i int) {
			for k := range 5 {
				d := decision(i)
				d.Current = 3600 * 1000
				if k == 4 {
					d.Same = "x"
				}
				id, err := f.s.RecordDecision(f.ctx(), target, d)
				if err != nil {
					f.Error(err)
				}
				ids[i] = append(ids[i], id)
			}
		})
		list := f.decisions(target)
		known := map[uuid.UUID]bool{}
		for i, d := range list {
			known[d.ID] = true
			if i > 0 && strings.Compare(list[i-1].ID.String(), d.ID.String()) <= 0 {
				f.Errorf("%v comes before %v", list[i-1].ID, d.ID)
			}
		}
		for _, id := range slices.Concat(ids...) {
			if !known[id] {
				f.Errorf("decision %v is lost", id)
			}
		}
		if len(list) < 1+n*4+1 || len(list) > 1+n*5 {
			f.Errorf("there are %d decisions", len(list))
		}
	})
}

func testDecisionInput(f *fixture) {
	object := func(size int) json.RawMessage {
		return json.RawMessage(`{"a":"` + strings.Repeat("x", size-len(`{"a":""}`)) + `"}`)
	}
	for field, changes := range map[string][]func(*store.NewDecision){
		"at":       {func(d *store.NewDecision) { d.At = time.Time{} }},
		"current":  {func(d *store.NewDecision) { d.Current = -1 }, func(d *store.NewDecision) { d.Current = math.MaxInt32 + 1 }},
		"replicas": {func(d *store.NewDecision) { d.Replicas = -1 }},
		"outcome":  {func(d *store.NewDecision) { d.Outcome = "" }, func(d *store.NewDecision) { d.Outcome = "lost" }},
		"bound":    {func(d *store.NewDecision) { d.Bound = "a\x00b" }, func(d *store.NewDecision) { d.Bound = "\xff" }},
		"same":     {func(d *store.NewDecision) { d.Same = strings.Repeat("x", store.MaxDecisionText+1) }},
		"detail":   {},
		"memory":   {},
	} {
		for _, bad := range []json.RawMessage{
			json.RawMessage(`{"a":`), json.RawMessage(`[]`), json.RawMessage(`null`), json.RawMessage(" "), json.RawMessage(`{"a":"\u0000"}`),
			json.RawMessage("{\"a\":\"\xff\"}"), object(store.MaxDecisionJSON + 1),
		} {
			switch field {
			case "detail":
				changes = append(changes, func(d *store.NewDecision) { d.Detail = bad })
			case "memory":
				changes = append(changes, func(d *store.NewDecision) { d.Memory = bad })
			}
		}
		for i, change := range changes {
			d := decision(1)
			change(&d)
			_, err := f.s.RecordDecision(f.ctx(), "t", d)
			f.inputError(fmt.Sprintf("%s, case %d", field, i), field, err)
		}
	}
	f.equal("targets", []store.Target(nil), f.targets())

	largest := decision(math.MaxInt32)
	largest.Detail, largest.Memory = object(store.MaxDecisionJSON), object(store.MaxDecisionJSON)
	largest.Same, largest.Bound = strings.Repeat("x", store.MaxDecisionText), ""
	f.equal("decisions", []store.Decision{recorded(f.record("t", largest), largest)}, f.decisions("t"))
	f.equal("memory", largest.Memory, f.scaling("t").Memory)
}

// inputError checks that a call was refused for one of its arguments.
func (f *fixture) inputError(what, field string, err error) {
	f.Helper()
	var input *store.InputError
	if !errors.As(err, &input) || input.Field != field || input.Error() == "" {
		f.Errorf("%s: %v, want an *InputError of %s", what, err, field)
	}
}

func testPruneDecisions(f *fixture) {
	const n = 7
	for i := range n {
		f.record([]string{"a", "b"}[i%2], saying(""))
	}
	f.record("b", saying("last")) // the last of all
	before := f.scaling("b")
	if pruned, err := f.s.PruneDecisions(f.ctx(), time.Hour, 100); pruned != 0 || err != nil {
		f.Errorf("pruned %d that are not an hour old, %v", pruned, err)
	}
	total := 0
	f.eventually("all are old", func() bool {
		pruned, err := f.s.PruneDecisions(f.ctx(), 0, 3)
		f.ok(err)
		if pruned > 3 {
			f.Errorf("pruned %d, at most 3 were asked for", pruned)
		}
		total += pruned
		return total == n+1
	})
	for _, target := range f.targets() {
		if target.Latest != nil || len(f.decisions(target.Name)) != 0 {
			f.Errorf("left is %+v", target)
		}
	}
	after := f.scaling("b")
	before.Now, after.Now = time.Time{}, time.Time{}
	f.equal("state without decisions", before, after)
	d := saying("last")
	id := f.record("b", d)
	f.equal("decisions after pruning", []store.Decision{recorded(id, d)}, f.decisions("b"))
}
