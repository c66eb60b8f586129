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
	// Throughput is what the futility brake compares.
	Throughput []Throughput `json:"throughput,omitempty"`
	// Season is the forecast's model; nil until it has seen a week.
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

// Throughput is what a number of ready replicas ended per second while work waited.
type Throughput struct {
	At       time.Time `json:"at"`
	Replicas int       `json:"replicas"`
	PerSec   float64   `json:"per_sec"`
}
