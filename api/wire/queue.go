package wire

import "time"

// Queues are all queues that ever had a job or a pause.
type Queues struct {
	Queues []Queue `json:"queues" nullable:"false" doc:"By name."`
}

// Queue tells how a queue stands.
type Queue struct {
	Name      string    `json:"name"`
	Paused    bool      `json:"paused"`
	Depth     Depth     `json:"depth"`
	OldestAt  time.Time `json:"oldest_at,omitzero" doc:"Since when the oldest ready job could have run; absent when none is ready."`
	OldestAge float64   `json:"oldest_age_seconds,omitempty" doc:"How long that is ago."`
	Rates     *Rates    `json:"rates,omitempty" doc:"Of all tenants together; only for keys with the scope admin."`
}

// Depth counts a queue's jobs that have not ended. Counts are exact up to 100,000; a larger number
// of jobs shows as 100,000 and its name stands in AtLeast.
type Depth struct {
	Ready   int      `json:"ready" doc:"Could run now."`
	Later   int      `json:"later" doc:"Wait for their time, or for their backoff."`
	Running int      `json:"running"`
	Waiting int      `json:"waiting" doc:"Done themselves, waiting for their children."`
	AtLeast []string `json:"at_least,omitempty" nullable:"false" doc:"Names the counts above that may be higher."`
}

// Rates are averages per second over the last minute.
type Rates struct {
	Arrived     float64 `json:"arrived"`
	Succeeded   float64 `json:"succeeded"`
	Failed      float64 `json:"failed"`
	Cancelled   float64 `json:"cancelled"`
	Retried     float64 `json:"retried" doc:"Runs that failed and will be tried again."`
	Lost        float64 `json:"lost" doc:"Runs that died with their worker."`
	BusySeconds float64 `json:"busy_seconds" doc:"Seconds of work per second: slots in use, on average."`
}

// QueueState is the answer to a pause or a resumption.
type QueueState struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}
