package store

import "context"

// Store is everything that a driver implements.
type Store interface {
	Tenanted
	Runs
	Fleet
	Leases
	Backlog
	Reaper
	Sweeper
	Feed
	Scaler
	Keys
	Tenants
	Audits

	// Ping tells whether the store can answer now.
	Ping(ctx context.Context) error
	// Stats tells how the driver's pool stands, for metrics.
	Stats() PoolStats
	// AllQueues is Queues with the counts of all tenants together, for metrics.
	AllQueues(ctx context.Context) ([]QueueStats, error)
	// Close waits for groups that are under way and gives everything back.
	Close() error
}

// PoolStats is how a pool of connections stands.
type PoolStats struct {
	Open, InUse, Max int
	Waits            int64   // how often a caller had to wait for a connection
	Waited           float64 // seconds waited altogether
}
