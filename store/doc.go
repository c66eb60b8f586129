// Package store is the contract of the place where the truth lives: files, jobs, when each may
// run, attempts, results, events, workers, pauses and leases. It holds no SQL; store/postgres and
// store/sqlite implement it, and store/storetest is the suite that both must pass.
//
// The contract is a set of small roles, so that each consumer is handed no more than it needs.
// Roles bound to a tenant take the tenant in every method and are all that the upload API is
// given; system roles see every tenant and serve workers, dispatch and the sweepers.
//
// Time is the store's: run_at, leases and ages are counted by the database's clock, so that the
// clocks of the processes need not agree.
//
// Calls on the hot path (Accept, Claim, End) may be grouped: those that arrive together share one
// statement and one commit, and each gets its own verdict. A caller whose context ends stops
// waiting; what it asked for may still happen.
//
// It may import jobs only.
package store
