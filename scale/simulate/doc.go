// Package simulate runs a load through a model of queues and workers whose number a scaler decides:
// ours, through the same [scale.Decide] that sizes a live fleet, or the rules of KEDA and of
// Kubernetes' HorizontalPodAutoscaler. It tells what each scaler would have cost and how long jobs
// would have waited.
//
// The model is of events, so that nothing is rounded to a tick. Jobs become ready when they arrive, or
// when the backoff of a failed attempt is over, and are handed out oldest first to a worker with a free
// slot, chosen at random. A replica costs from when it is made until it is gone, and takes jobs once it
// has started. Every draw that belongs to the load (arrivals, service times, failures, how long the
// n-th replica takes to start) is the same for all scalers.
//
// What it leaves out: handing a job out takes no time, workers do not crash, nodes are always there,
// and neither the store nor the metrics server is ever away. A rival reads the exact sum over all
// queues, and its workers get 30 s to end what they run before it is interrupted; Leat's see a worker's
// state as of its last heartbeat, and give up only workers that have said that they are empty. Rates
// that Leat goes by are rolled up every ten seconds, as they are in the store.
//
// It imports scale, and nothing else of Leat.
package simulate
