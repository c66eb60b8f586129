package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func followTests() []test {
	return []test{
		{"Marks", testMarks},
		{"Place", testPlace},
		{"PlaceAmongTenants", testPlaceAmongTenants},
		{"Estimate", testEstimate},
		{"TenantEvents", testTenantEvents},
		{"TenantEventsFromNow", testTenantEventsFromNow},
		{"TenantEventsPassOverOthers", testTenantEventsPassOverOthers},
	}
}

func testMarks(f *fixture) {
	waits, runs, ended, other := f.accept(), f.accept(), f.accept(), f.as("other").accept()
	f.claim(runs)
	f.run(ended, jobs.RunSucceeded)
	marks, err := f.s.Marks(f.ctx(), f.tenant, []uuid.UUID{waits, runs, ended, other, uuid.New()})
	f.ok(err)
	slices.SortFunc(marks, func(a, b store.Mark) int { return slices.Compare(a.ID[:], b.ID[:]) })
	f.equal("marks", []store.Mark{
		{ID: waits, State: jobs.Pending, Events: 1},
		{ID: runs, State: jobs.Running, Events: 2},
		{ID: ended, State: jobs.Succeeded, Events: 3},
	}, marks)
	for _, m := range marks {
		f.equal("events", len(f.events(m.ID)), m.Events)
	}
	none, err := f.s.Marks(f.ctx(), f.tenant, nil)
	f.ok(err)
	f.equal("of none", []store.Mark{}, none)
}

func testPlace(f *fixture) {
	first, _, third := f.accept(), f.as("other").accept(), f.accept()
	place, err := f.s.Place(f.ctx(), f.tenant, third)
	f.ok(err)
	if place.Queue != jobs.DefaultQueue || place.Ahead != (store.Count{N: 2}) || !place.Due || place.Paused {
		f.Errorf("place %+v, want two ahead, of whatever tenant", place)
	}
	if _, known := place.Estimate(time.Now()); known {
		f.Error("an estimate although nothing has ended")
	}
	run := f.claim(first)
	if place, err = f.s.Place(f.ctx(), f.tenant, third); err != nil || place.Ahead.N != 0 || place.Running != 1 {
		f.Errorf("place %+v, %v; want none ahead and one running", place, err)
	}
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, jobs.DefaultQueue))
	if place, err = f.s.Place(f.ctx(), f.tenant, third); err != nil || !place.Paused {
		f.Errorf("place %+v, %v; want it paused", place, err)
	}
	for what, id := range map[string]uuid.UUID{"a running job": first, "no job": uuid.New()} {
		if _, err := f.s.Place(f.ctx(), f.tenant, id); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("%s: %v, want not found", what, err)
		}
	}
	for began := time.Now(); time.Since(began) < 5*time.Millisecond; { // the run takes a while
		_, err = f.s.Place(f.ctx(), f.tenant, third)
		f.ok(err)
	}
	f.end(run, jobs.RunSucceeded)
	if place, err = f.s.Place(f.ctx(), f.tenant, third); err != nil || place.Running != 0 || place.Service <= 0 || place.Service > time.Minute {
		f.Errorf("place %+v, %v; want none running, and the time that the run took, of this very moment", place, err)
	}
	later := upload()
	later.Job.RunAt = time.Now().Add(time.Hour)
	_, err = f.s.Accept(f.ctx(), f.tenant, []store.Upload{later})
	f.ok(err)
	if place, err = f.s.Place(f.ctx(), f.tenant, later.Job.ID); err != nil || place.Due {
		f.Errorf("place %+v, %v; want it not due", place, err)
	}
}

// Behind another tenant's many, a job is as far as the queue is shared.
func testPlaceAmongTenants(f *fixture) {
	const queue = "shared"
	many, few := f.acceptMany(30, inQueue(queue)), f.as("few")
	f.accept(inQueue(queue), later) // comes before nobody
	third := few.acceptMany(3, inQueue(queue))[2]
	place := func(f *fixture, id uuid.UUID) int {
		f.Helper()
		p, err := f.s.Place(f.ctx(), f.tenant, id)
		f.ok(err)
		if p.Ahead.AtLeast {
			f.Errorf("place %+v, of so few", p)
		}
		return p.Ahead.N
	}
	f.equal("the first of many", 0, place(f, many[0]))
	f.equal("the last of many", 29+3, place(f, many[29]))
	f.equal("the third behind them", 2+2, place(few, third))
	f.setTenant(store.TenantSettings{Tenant: f.tenant, Weight: 3})
	f.equal("the third, which counts a third", 2+6, place(few, third))
	f.equal("the eighth of those who count thrice", 7+3, place(f, many[7]))
	f.equal("their second", 1+1, place(f, many[1]))
	for i := range store.PlaceTenants {
		f.as(jobs.Tenant(fmt.Sprintf("one of many %03d", i))).accept(inQueue(queue))
	}
	p, err := f.s.Place(f.ctx(), f.tenant, many[29])
	f.ok(err)
	if !p.Ahead.AtLeast || p.Ahead.N < store.PlaceTenants {
		f.Errorf("place %+v, behind more tenants than are counted", p)
	}
}

func testEstimate(f *fixture) {
	now := time.Now()
	place := store.Place{Ahead: store.Count{N: 30}, Due: true, Running: 20, Rates: store.Rates{Succeeded: 9, Failed: 1}, Service: 2 * time.Second}
	for _, c := range []struct {
		change func(*store.Place)
		want   time.Duration
		known  bool
	}{
		{func(*store.Place) {}, 5 * time.Second, true},
		{func(p *store.Place) { p.Ahead.N = 0 }, 2 * time.Second, true},
		{func(p *store.Place) { p.Due, p.RunAt = false, now.Add(time.Minute) }, 62 * time.Second, true},
		{func(p *store.Place) { p.Due, p.RunAt = false, now.Add(time.Second) }, 5 * time.Second, true},
		{func(p *store.Place) { p.Running = 1 }, 5 * time.Second, true},                         // the others were seen between two runs
		{func(p *store.Place) { p.Running = 40 }, 3500 * time.Millisecond, true},                // workers have joined
		{func(p *store.Place) { p.Rates = store.Rates{Succeeded: 0.1} }, 5 * time.Second, true}, // the queue was empty
		{func(p *store.Place) { p.Rates = store.Rates{} }, 5 * time.Second, true},               // … until just now
		{func(p *store.Place) { p.Rates, p.Service = store.Rates{Cancelled: 10}, 0 }, 3 * time.Second, true},
		{func(p *store.Place) { p.Paused = true }, 0, false},
		{func(p *store.Place) { p.Rates, p.Running = store.Rates{}, 0 }, 0, false},
		{func(p *store.Place) { p.Ahead.AtLeast = true }, 0, false},
	} {
		p := place
		c.change(&p)
		if got, known := p.Estimate(now); got != c.want || known != c.known {
			f.Errorf("%+v: %v, %t; want %v, %t", p, got, known, c.want, c.known)
		}
	}
}

// follow reads a tenant's events from a position until want of them are there.
func (f *fixture) follow(position string, want, limit int) ([]store.Event, string) {
	f.Helper()
	var all []store.Event
	f.eventually("the events come", func() bool {
		page, next, err := f.s.TenantEvents(f.ctx(), f.tenant, position, limit)
		f.ok(err)
		if len(page) > limit {
			f.Fatalf("%d events, at most %d were asked for", len(page), limit)
		}
		all, position = append(all, page...), next
		return len(all) >= want
	})
	return all, position
}

func testTenantEvents(f *fixture) {
	_, start, err := f.s.TenantEvents(f.ctx(), f.tenant, "", 10)
	f.ok(err)
	id, other := f.accept(), f.as("other").accept()
	f.run(id, jobs.RunRetry)
	f.as("other").run(other, jobs.RunSucceeded)
	f.run(id, jobs.RunSucceeded)
	for _, limit := range []int{1, 2, 100} {
		all, end := f.follow(start, 5, limit)
		f.equal("events", f.events(id), all)
		rest, _, err := f.s.TenantEvents(f.ctx(), f.tenant, end, 10)
		f.ok(err)
		f.equal("after the last", []store.Event{}, rest)
	}
	theirs, _ := f.as("other").follow(start, 3, 10)
	f.equal("events of the other", f.as("other").events(other), theirs)
	if _, _, err := f.s.TenantEvents(f.ctx(), f.tenant, "nowhere", 10); !errors.Is(err, store.ErrBadPosition) {
		f.Errorf("a bad position: %v", err)
	}
}

// What happens after "now" was asked for is not missed, and what happened before is not told.
func testTenantEventsFromNow(f *fixture) {
	before := f.accept()
	f.feed("", 1, 10) // it can be read
	_, now, err := f.s.TenantEvents(f.ctx(), f.tenant, "", 10)
	f.ok(err)
	after := f.accept()
	events, _ := f.follow(now, 1, 10)
	if len(events) != 1 || events[0].JobID != after {
		f.Errorf("events %+v, want that of %s and not of %s", events, after, before)
	}
}

func testTenantEventsPassOverOthers(f *fixture) {
	_, start, err := f.s.TenantEvents(f.ctx(), f.tenant, "", 10)
	f.ok(err)
	for range 20 {
		f.as("other").accept()
	}
	mine := f.accept()
	all, _ := f.follow(start, 1, 3)
	if len(all) != 1 || all[0].JobID != mine {
		f.Errorf("events %+v", all)
	}
}
