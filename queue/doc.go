// Package queue delivers jobs to workers, over Redis with asynq.
//
// It is delivery only: what a job is, whether it may run and what became of it
// are the store's to know. A [Delivery] names a job and one of its generations;
// whoever gets it asks the store whether it still holds. So this layer may be
// at-least-once and may lose what it likes: every delivery can come twice, late,
// or never, and Redis may be emptied at any time. Dispatch makes Redis match the
// store again and again, and a generation that has passed is refused.
//
// What asynq v0.26 does, and how it is used because of that:
//
//   - It hands back a crashed worker's task after one to three minutes, and runs
//     a finished one again when its acknowledgement was lost. Both are harmless
//     here: the generation has passed, or the job has ended.
//   - On a lost lease, a cancel and a shutdown it ends the handler's context and
//     frees the slot while the handler still runs. Handlers get a context that
//     does not end so; tasks have a timeout of a year; a shutdown waits ten
//     seconds longer than the drain.
//   - It counts failures, retries with delays, and archives. A handler here has
//     no outcome, a panic is caught before asynq sees it, and a task that comes
//     back all the same counts no failure, so it is never archived. No Unique
//     (its locks outlive their tasks) and no Retention (its rest blocks task IDs).
//   - One server has one dequeue under way at a time, and asks once a second when
//     idle. A [Server] is up to four of them, asking every 100 ms, or less often
//     where the fleet is large: see [Server.SetFleet].
//   - It pops a second task when the answer with the first was lost and go-redis
//     asks again. The read timeout is longer than any usual pause of Redis.
//   - It has no enqueue of many. [Conn.Enqueue] sends 32 at a time.
//   - Its queue statistics sample memory and fail on one missing key.
//     [Conn.Depths] reads only lengths.
//   - Its servers cannot be paused, or restarted once stopped. [Server.Cordon]
//     answers their polls itself instead.
//   - Its clients register each queue's name once, in a set that only its own
//     inspection tools read. After Redis was emptied those tools may list no
//     queue until a program restarts; deliveries are not touched by it.
//
// The package may import asynq (nothing else may) and go-redis, and of ours only
// jobs.
package queue
