// Package worker takes deliveries, claims their jobs in the store, runs the handlers and records
// what became of them.
//
// The life of a delivery: it takes a slot of the process, claims its job (claim.go), runs its
// handler under a context of the worker's own (run.go), records the end until the store has it or
// says that the claim is lost (record.go), and only then lets the delivery layer forget it.
// Meanwhile one heartbeat tells the store what the process holds, and hears what to cancel and
// whether to take nothing new (heartbeat.go). On the way out it drains (worker.go).
//
// It may import jobs, store, queue, dispatch, blob and telemetry.
package worker
