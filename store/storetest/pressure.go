package storetest

import (
	"time"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func pressureTests() []test {
	return []test{
		{"Counts", testPressureCounts},
		{"Shares", testPressureShares},
	}
}

func (f *fixture) pressure() store.Pressure {
	f.Helper()
	p, err := f.s.Pressure(f.ctx())
	f.ok(err)
	return p
}

func (f *fixture) ready() int {
	f.Helper()
	n, err := f.s.Ready(f.ctx(), f.tenant)
	f.ok(err)
	return n
}

func testPressureCounts(f *fixture) {
	f.equal("of nothing", store.Pressure{}, f.pressure())
	f.equal("ready of nothing", 0, f.ready())
	f.acceptMany(3, inQueue("a"))
	f.acceptMany(2, inQueue("b"))
	f.accept(inQueue("b"), later)
	f.claim(f.accept(inQueue("a"))) // runs
	paused := f.as("fourth")
	paused.accept(inQueue("p"))
	f.ok(f.s.PauseQueue(f.ctx(), f.tenant, "p"))
	other := f.as("other")
	other.acceptMany(4, inQueue("b"))
	f.as("third").accept(inQueue("b"), later) // has nothing ready
	f.setTenant(store.TenantSettings{Tenant: "other", Weight: 3})
	f.equal("of two tenants", store.Pressure{Jobs: 9, Weights: 4}, f.pressure())
	f.equal("ready of the one", 5, f.ready())
	f.equal("ready of the other", 4, other.ready())
	f.equal("ready of one whose queue is paused", 0, paused.ready())
	f.equal("ready of one that has nothing", 0, f.as(jobs.Tenant("fifth")).ready())
}

func testPressureShares(f *fixture) {
	const queue = "shared"
	for range 6 {
		f.run(f.accept(inQueue(queue)), jobs.RunSucceeded)
	}
	f.within(45*time.Second, 250*time.Millisecond, "the roll-ups are full", func() bool { return f.pressure().Ended == 0.1 })
}
