// Package storetest is the suite that every store driver must pass. It knows the contract alone: no
// SQL, and nothing of the drivers. Time being the store's, its tests wait for what they expect with
// a deadline and never sleep.
//
// It is for tests, and may import store and jobs.
package storetest

import (
	"slices"
	"testing"

	"github.com/leat-dev/leat/store"
)

// Run runs the suite, but for the parts that without names: those that repeat at length what others
// have asked for. open gives a fresh, empty, migrated store to each test, and closes it by a cleanup
// of its own; it is called from several goroutines.
func Run(t *testing.T, open func(t testing.TB) store.Store, without ...string) {
	roles := []struct {
		name  string
		tests []test
	}{
		{"States", stateTests()},
		{"Accept", acceptTests()},
		{"Claim", claimTests()},
		{"End", endTests()},
		{"Results", resultTests()},
		{"Children", childrenTests()},
		{"Reuse", reuseTests()},
		{"Control", controlTests()},
		{"Lists", listTests()},
		{"Events", eventTests()},
		{"Feed", feedTests()},
		{"Follow", followTests()},
		{"Delete", deleteTests()},
		{"Queues", queueTests()},
		{"Backlog", backlogTests()},
		{"Leases", leaseTests()},
		{"Fleet", fleetTests()},
		{"Reaper", reaperTests()},
		{"Sweeper", sweeperTests()},
		{"Scaling", scalingTests()},
		{"Onces", onceTests()},
		{"Transfers", transferTests()},
		{"Keys", keyTests()},
		{"Tenants", tenantTests()},
		{"Pressure", pressureTests()},
		{"Tenancy", tenancyTests()},
		{"Model", modelTests()},
	}
	for _, role := range roles {
		if slices.Contains(without, role.name) {
			continue
		}
		t.Run(role.name, func(t *testing.T) {
			t.Parallel()
			for _, tc := range role.tests {
				t.Run(tc.name, func(t *testing.T) {
					t.Parallel()
					tc.run(newFixture(t, open(t)))
				})
			}
		})
	}
}

// test is one promise of the contract.
type test struct {
	name string
	run  func(*fixture)
}
