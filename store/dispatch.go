package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// Leases gives out the right to be the one that does something. System role.
type Leases interface {
	// Acquire takes or renews the named lease for ttl. While it is another's, it returns the time
	// after which it may be free, and ErrLeaseLost. A lease that changed hands, or that ended and
	// was taken again, has a higher epoch.
	Acquire(ctx context.Context, name string, holder uuid.UUID, ttl time.Duration) (Lease, time.Duration, error)
	// Release ends the lease if it is still the caller's.
	Release(ctx context.Context, lease Lease) error
}

// Lease is the right to be the one, for as long as the holder renews it. It is the fence of
// every write that only the leader may make: the write has no effect, and returns ErrLeaseLost,
// once the lease is another's.
type Lease struct {
	Name   string
	Holder uuid.UUID
	Epoch  int64
}

// Delivery is jobs.Delivery.
type Delivery = jobs.Delivery

// Lane is what one tenant has waiting in one queue.
type Lane struct {
	Queue  string
	Tenant jobs.Tenant
}

// LaneState is a lane as it stands.
type LaneState struct {
	Lane
	Weight int  // the tenant's
	Ready  bool // it has jobs that may run now
}

// Head is a job that may run now.
type Head struct {
	Delivery
	Tenant jobs.Tenant
	Kind   string
}

// Backlog is what dispatch reads and writes. System role.
type Backlog interface {
	// Lanes returns, for every queue that is not paused, the tenants that have jobs waiting: by the
	// store's order of their names from the one that follows after[queue], at most limit of them.
	// Fewer than limit means: no more follow.
	Lanes(ctx context.Context, after map[string]jobs.Tenant, limit int) ([]LaneState, error)
	// Heads returns the first ready jobs of those lanes whose queues are not paused, at most as many
	// as said of each: lane by lane, in no order of the lanes, oldest first.
	Heads(ctx context.Context, limits map[Lane]int) ([]Head, error)
	// Costs tells how long a run takes on average, by kind, of the jobs that have ended last, at most
	// so many of them.
	Costs(ctx context.Context, sample int) (map[string]time.Duration, error)
	// Redeliver gives those of the deliveries that still wait at that generation the next one, and
	// returns them as they now are. Fenced.
	Redeliver(ctx context.Context, fence Lease, stuck []Delivery) ([]Delivery, error)
	// PublishRoom tells everybody how many more jobs each queue's window would take from an upload
	// directly; a queue that is not in rooms has none. Fenced.
	PublishRoom(ctx context.Context, fence Lease, rooms map[string]int) error
	// Room returns what was last published, if the lease by that name still holds; else nothing.
	Room(ctx context.Context, lease string) (map[string]int, error)
}

// Reaper takes jobs back from the dead. System role; all its writes are fenced.
type Reaper interface {
	// ReapWorkers forgets the processes whose row still has the given number of beats, and takes
	// their runs back: the loss is counted and the job settles as jobs.Settle says.
	ReapWorkers(ctx context.Context, fence Lease, beats map[uuid.UUID]int64) (Reaped, error)
	// Running returns at most limit running jobs whose ID is greater than after, by ID.
	Running(ctx context.Context, after uuid.UUID, limit int) ([]RunningJob, error)
	// ReapRuns takes back the runs that still hold their claims.
	ReapRuns(ctx context.Context, fence Lease, runs []RunRef) (Reaped, error)
	// SettleParents moves at most limit waiting jobs whose children have all ended to where
	// jobs.SettleParent says, and cancels at most limit open children of cancelled parents. It
	// picks up what a crash left between a child's end and its parent's.
	SettleParents(ctx context.Context, fence Lease, limit int) (int, error)
}

// RunningJob is a running job as the reaper sees it.
type RunningJob struct {
	RunRef
	Worker     uuid.UUID
	Registered bool // the worker has a row
}

// Reaped counts what was taken back.
type Reaped struct {
	Workers int
	Runs    int
}

// Sweeper deletes what has served its time, in batches of at most limit rows, so that a caller
// repeats it while it returns limit. System role.
type Sweeper interface {
	// PruneJobs deletes jobs that ended longer ago than age and have no open parent or child, with
	// their attempts, events and artifacts, and files that no job refers to any more. It returns
	// the keys of the blobs that nothing refers to now; their rows are gone.
	PruneJobs(ctx context.Context, age time.Duration, limit int) (n int, freed []uuid.UUID, err error)
	// PruneRollups deletes roll-ups older than age.
	PruneRollups(ctx context.Context, age time.Duration, limit int) (int, error)
	// PruneAudit deletes entries of the audit older than age.
	PruneAudit(ctx context.Context, age time.Duration, limit int) (int, error)
	// PruneOnces deletes keys of requests older than age.
	PruneOnces(ctx context.Context, age time.Duration, limit int) (int, error)
	// PruneTransfers forgets transfers that nobody has touched for age, and returns how many, and the
	// keys of the blobs of those that were not finished; their rows are gone.
	PruneTransfers(ctx context.Context, age time.Duration, limit int) (n int, freed []uuid.UUID, err error)
	// DropHolds deletes the rows of blobs that a run held which is over, and that nothing refers
	// to, once they are older than age; it returns their keys.
	DropHolds(ctx context.Context, age time.Duration, limit int) ([]uuid.UUID, error)
	// Unowned returns those of the keys that have no row.
	Unowned(ctx context.Context, keys []uuid.UUID) ([]uuid.UUID, error)
	// Identity is this store's own, made with it and never changed.
	Identity(ctx context.Context) (uuid.UUID, error)
}

// Feed reads the events of all jobs in an order that never skips one: an event appears only once
// no event before it can appear any more. System role.
type Feed interface {
	// EventsAfter returns at most limit events after the position, and the position to go on from.
	// The empty position is the beginning.
	EventsAfter(ctx context.Context, position string, limit int) ([]FeedEvent, string, error)
}

// FeedEvent is an event with its job's tenant.
type FeedEvent struct {
	Event
	Tenant jobs.Tenant
}
