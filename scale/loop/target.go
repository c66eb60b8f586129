package loop

import (
	"context"
	"errors"
	"time"
)

// Target is what makes and removes workers: a Deployment, or the pools of this process. Its methods
// are called by one goroutine at a time.
type Target interface {
	// Name is what decisions are recorded under, and what people call it.
	Name() string
	// Size tells how large the fleet is and is told to be.
	Size(ctx context.Context) (Size, error)
	// Grow sets a greater number of replicas. Errors: ErrNotLeader, ErrRival.
	Grow(ctx context.Context, replicas int) error
	// Shrink sets a smaller number. Victims are the members that are to go, all of them empty;
	// left tells how much work each other member still has, so that it goes last if not all of
	// the victims do. Errors: ErrNotLeader, ErrRival.
	Shrink(ctx context.Context, replicas int, victims []string, left map[string]time.Duration) error
	// Tell shows people who look at the target what was done, or why nothing was.
	Tell(ctx context.Context, news News)
}

// Size is how large a fleet is.
type Size struct {
	Replicas int      // as told
	Members  []Member // what there is of it, but for what is on its way out
}

// Member is one replica that exists, or is being made.
type Member struct {
	Name string // LEAT_INSTANCE of its worker
	Made time.Time
}

// News is something worth telling about the target.
type News struct {
	Reason  string // in CamelCase, such as ScaledUp
	Message string
	Bad     bool
}

// ErrNotLeader is wrapped by errors of writes that were not made because another process leads.
var ErrNotLeader = errors.New("not the leader any more")

// ErrRival is wrapped by errors of writes that were not made because something else scales the
// same target.
var ErrRival = errors.New("something else scales the target too")
