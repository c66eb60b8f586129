package scale

import "time"

// History is what earlier decisions left behind. Decide reads it, and History.After gives the next
// one; both leave it as it is. It marshals to JSON and back without loss.
type History struct {
	// Asked is what the policies asked for (Decision.Raw), latest last, as far back as the longer
	// stabilization window.
	Asked []Asked `json:"asked,omitempty"`
	// Changes are the writes that were made, latest last, as far back as the longest period of a
	// rate.
	Changes []Change `json:"changes,omitempty"`
	// Throughput is what the futility brake compares, latest last.
	Throughput []Throughput `json:"throughput,omitempty"`
	// Season is the forecast's model; nil until something was learned.
	Season *Season `json:"season,omitempty"`
}

// Asked is a recommendation at a time.
type Asked struct {
	At       time.Time `json:"at"`
	Replicas int       `json:"replicas"`
}

// Change is a write at a time: By is positive for replicas added.
type Change struct {
	At time.Time `json:"at"`
	By int       `json:"by"`
}

// Throughput is what a number of workers ended per second while more work waited than they had
// slots for.
type Throughput struct {
	Workers int       `json:"workers"`
	Since   time.Time `json:"since"` // of the first observation
	Until   time.Time `json:"until"` // and the last
	PerSec  float64   `json:"per_sec"`
}

// Season is the forecast's model of one week's arrivals, hour by hour.
type Season struct {
	Level float64         `json:"level"` // jobs an hour
	Trend float64         `json:"trend"` // jobs an hour, each hour
	Hours [24 * 7]float64 `json:"hours"` // what each hour of the week adds; Monday 00:00 UTC first
	Until time.Time       `json:"until"` // the last hour that was seen has ended here
	Seen  int             `json:"seen"`  // hours
}
