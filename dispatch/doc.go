// Package dispatch makes the delivery layer match the store, and takes jobs back from the dead.
//
// It is a set of duties that one process at a time carries out, the holder of a lease (Elector):
//
//   - Relay reads the first ready jobs of each queue and enqueues those that it has not enqueued
//     yet; every few seconds it enqueues them all again, whatever it remembers. It is
//     level-triggered and idempotent: nothing about a delivery is ever written down, and what the
//     delivery layer lost is back with the next round.
//   - Reaper notices workers that no longer beat and runs that nobody holds, and gives their jobs
//     to others.
//   - Sweeper deletes what has served its time, and objects that belong to nobody.
//
// Shortcut runs in every process that takes uploads: it hands a fresh job over at once when the
// leader says that nothing waits before it.
//
// It may import jobs, store, queue, blob and telemetry.
package dispatch
