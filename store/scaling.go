package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
)

// Scaler is what the scaler reads and writes. System role.
type Scaler interface {
	// Load tells how every queue stands, of all tenants together, in one snapshot, by name.
	// Upcoming jobs are counted up to each of the horizons, and what happened is summed up over
	// each of the spans before now; both are given in rising order. Counts stop at CountLimit.
	Load(ctx context.Context, horizons, spans []time.Duration) ([]QueueLoad, error)
	// Arrivals counts what arrived at all queues in each hour since then, the present one left out,
	// by queue and hour. Hours without arrivals may be missing.
	Arrivals(ctx context.Context, since time.Time) ([]HourlyArrivals, error)
	// ScalingState returns what is known of a target; a target that nobody has used is zero but for
	// the time. Errors: *InputError.
	ScalingState(ctx context.Context, target string) (ScalingState, error)
	// RecordDecision appends a decision and replaces the target's memory, in one transaction. The
	// time since the target's last decision, up to a minute, is added to its replica-hours, at the
	// replicas that it had. When the decision says the same as the last one (Same), and that one
	// is younger than a minute, that one lasts longer instead. It returns the decision's ID. Errors:
	// *InputError.
	RecordDecision(ctx context.Context, target string, d NewDecision) (uuid.UUID, error)
	// PruneDecisions deletes at most limit decisions older than age, so that a caller repeats it
	// while it returns limit. With them go at most as many replica-hours older than KeepUsage.
	PruneDecisions(ctx context.Context, age time.Duration, limit int) (int, error)
}

// Scalings is how people see and steer scaling. It concerns all tenants.
type Scalings interface {
	// Targets returns every target that the scaler or an operator has used, by name.
	Targets(ctx context.Context, tenant jobs.Tenant) ([]Target, error)
	// Decisions returns a target's decisions, latest first, that are older than the one given, or
	// the latest where that is uuid.Nil; at most limit, and MaxLimit. Errors: *InputError.
	Decisions(ctx context.Context, tenant jobs.Tenant, target string, before uuid.UUID, limit int) ([]Decision, error)
	// PinScaling makes the number of replicas a fixed one for d, at most MaxPin. A new pin replaces
	// the last; a negative number of replicas ends it. Errors: *InputError.
	PinScaling(ctx context.Context, tenant jobs.Tenant, target string, replicas int, d time.Duration) error
	// PauseScaling makes the scaler change nothing until it is resumed. Idempotent. Errors:
	// *InputError.
	PauseScaling(ctx context.Context, tenant jobs.Tenant, target string, paused bool) error
}

// QueueLoad is how a queue stands, for the scaler.
type QueueLoad struct {
	Name    string
	Paused  bool
	Ready   Count
	Running Count
	Age     time.Duration // of the oldest ready job, since it could run
	Held    time.Duration // mean time for which running jobs have been running
	Due     []int         // for each horizon: jobs whose time comes within it
	Past    []Happened    // for each span: the latest full and the present roll-up included
}

// Happened is what happened in a span of time.
type Happened struct {
	Over time.Duration // how long the roll-ups that were summed up cover
	// Arrived counts jobs accepted, spawned and retried by hand.
	Arrived, Succeeded, Failed, Cancelled, Retried, Lost int
	Busy                                                 time.Duration
}

// HourlyArrivals is how many jobs arrived in an hour.
type HourlyArrivals struct {
	Queue string
	Hour  time.Time // its beginning
	Jobs  int
}

// ScalingState is what a scaler needs to go on where another left off.
type ScalingState struct {
	Memory json.RawMessage // as last recorded; empty when there is none
	Paused bool
	Pin    *Pin // nil when there is none, or it has ended
	// Replica-hours of the present day, week and month, in UTC.
	Day, Week, Month float64
	Now              time.Time // the store's clock
}

// Pin is a fixed number of replicas.
type Pin struct {
	Replicas int
	Until    time.Time
}

// NewDecision is a decision as the scaler hands it in.
type NewDecision struct {
	At       time.Time
	Current  int // replicas observed
	Replicas int // replicas wanted
	Bound    string
	Outcome  Outcome
	// Same is equal for decisions that differ in nothing but their time; empty is never the same.
	Same   string
	Detail json.RawMessage // inputs and reasons, an object
	Memory json.RawMessage // what the next decision needs to know, an object
}

// Outcome tells what became of a decision.
type Outcome string

// The outcomes.
const (
	ScaleUnchanged Outcome = "unchanged" // nothing was to be written
	ScaleApplied   Outcome = "applied"
	ScalePending   Outcome = "pending" // workers are being emptied first
	ScaleFailed    Outcome = "failed"  // the write failed; Detail says how
	ScaleRefused   Outcome = "refused" // someone else scales the target too
)

// Decision is a decision as recorded.
type Decision struct {
	ID uuid.UUID
	NewDecision
	Until time.Time // of the last one that said the same; Memory is left out
}

// Target is something that is scaled.
type Target struct {
	Name   string
	Paused bool
	Pin    *Pin
	Latest *Decision // nil before the first
}
