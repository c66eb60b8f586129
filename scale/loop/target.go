package loop

import (
	"context"
	"time"

	"github.com/leat-dev/leat/scale"
)

// Target is what makes and removes workers: a Deployment, or the pools of this process. Its methods
// are called by one goroutine at a time.
type Target interface {
	// Name is what decisions are recorded under, and what people call it.
	Name() string
	// Size tells how large the fleet is and is told to be.
	Size(ctx context.Context) (scale.Size, error)
	// Grow sets a greater number of replicas. Errors: scale.ErrNotLeader, scale.ErrRival.
	Grow(ctx context.Context, replicas int) error
	// Shrink sets a smaller number. Victims are the members that are to go, all of them empty;
	// left tells how much work each other worker still has, so that it goes last if not all of
	// the victims do. Members in neither have no worker yet: they go where the victims are too few.
	// Errors: scale.ErrNotLeader, scale.ErrRival.
	Shrink(ctx context.Context, replicas int, victims []string, left map[string]time.Duration) error
	// Leading returns an error that wraps scale.ErrNotLeader while the target is, or may be,
	// another process's to size.
	Leading() error
	// Tell shows people who look at the target what was done, or why nothing was.
	Tell(ctx context.Context, news scale.News)
}
