package storetest

import (
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

func testPin(f *fixture) {
	pinned := func(what string, replicas int, d time.Duration) {
		f.Helper()
		state := f.scaling("t")
		if state.Pin == nil || state.Pin.Replicas != replicas || (state.Pin.Until.Sub(state.Now)-d).Abs() > time.Minute {
			f.Errorf("%s: %+v at %v, want %d for %v", what, state.Pin, state.Now, replicas, d)
		}
		targets := f.targets()
		if len(targets) != 1 {
			f.Fatalf("%s: targets %+v", what, targets)
		}
		f.equal(what+": pin among the targets", state.Pin, targets[0].Pin)
	}
	f.ok(f.s.PinScaling(f.ctx(), f.tenant, "t", 7, time.Hour))
	pinned("pinned", 7, time.Hour)
	f.ok(f.s.PinScaling(f.ctx(), "other", "t", 0, 366*24*time.Hour))
	pinned("pinned by another tenant", 0, 366*24*time.Hour)
	f.record("t", decision(3))
	pinned("with a decision", 0, 366*24*time.Hour)
	for range 2 {
		f.ok(f.s.PinScaling(f.ctx(), f.tenant, "t", -1, -time.Hour))
		if state := f.scaling("t"); state.Pin != nil || f.targets()[0].Pin != nil {
			f.Errorf("unpinned, it is %+v", state.Pin)
		}
	}
}

func testPinEnds(f *fixture) {
	f.ok(f.s.PinScaling(f.ctx(), f.tenant, "t", 7, time.Second))
	until := f.scaling("t").Pin
	f.eventually("the pin ends", func() bool {
		state := f.scaling("t")
		if ended := until == nil || !state.Now.Before(until.Until); ended != (state.Pin == nil) {
			f.Errorf("at %v: %+v, first it was %+v", state.Now, state.Pin, until)
		}
		return state.Pin == nil
	})
	if targets := f.targets(); len(targets) != 1 || targets[0].Pin != nil {
		f.Errorf("targets after the pin's end: %+v", targets)
	}
}

func testPauseScaling(f *fixture) {
	for _, paused := range []bool{true, true, false, false, true} {
		f.ok(f.s.PauseScaling(f.ctx(), "other", "t", paused))
		if state, targets := f.scaling("t"), f.targets(); state.Paused != paused || len(targets) != 1 || targets[0].Paused != paused {
			f.Errorf("paused: %v, it is %+v, %+v", paused, state, targets)
		}
	}
	f.record("t", decision(3))
	if !f.scaling("t").Paused || f.scaling("u").Paused {
		f.Error("a decision ends a pause, or another target is paused")
	}
}

func testSteeringInput(f *fixture) {
	for name, d := range map[string]time.Duration{"none": 0, "negative": -time.Second, "over a year": 366*24*time.Hour + time.Microsecond} {
		f.inputError(name, "duration", f.s.PinScaling(f.ctx(), f.tenant, "t", 1, d))
	}
	f.inputError("too many", "replicas", f.s.PinScaling(f.ctx(), f.tenant, "t", math.MaxInt32+1, time.Hour))
	for _, target := range []string{"", "A", "a b", "a/b", "-a", "a\x00", "\xff", strings.Repeat("a", 64)} {
		_, stateErr := f.s.ScalingState(f.ctx(), target)
		_, recordErr := f.s.RecordDecision(f.ctx(), target, decision(1))
		_, listErr := f.s.Decisions(f.ctx(), f.tenant, target, uuid.Nil, 10)
		for call, err := range map[string]error{
			"state": stateErr, "record": recordErr, "list": listErr,
			"pin":    f.s.PinScaling(f.ctx(), f.tenant, target, 1, time.Hour),
			"unpin":  f.s.PinScaling(f.ctx(), f.tenant, target, -1, 0),
			"pause":  f.s.PauseScaling(f.ctx(), f.tenant, target, true),
			"resume": f.s.PauseScaling(f.ctx(), f.tenant, target, false),
		} {
			f.inputError(call+" of "+target, "target", err)
		}
	}
	f.equal("targets", []store.Target(nil), f.targets())
}

func testTargets(f *fixture) {
	d := decision(4)
	f.record("b", decision(3))
	latest := recorded(f.record("b", d), d)
	f.ok(f.s.PauseScaling(f.ctx(), f.tenant, "c", true))
	f.ok(f.s.PinScaling(f.ctx(), f.tenant, "a.b_c-1", 2, time.Hour))
	pin := f.scaling("a.b_c-1").Pin
	f.equal("targets", []store.Target{
		{Name: "a.b_c-1", Pin: pin}, {Name: "b", Latest: &latest}, {Name: "c", Paused: true},
	}, f.targets())
	f.equal("targets as another tenant sees them", f.targets(), f.as("other").targets())
}
