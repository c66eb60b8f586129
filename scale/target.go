package scale

import (
	"errors"
	"time"
)

// Size is how large a fleet is.
type Size struct {
	Replicas int      // as told
	Members  []Member // what there is of it, but for what is on its way out; who would go first comes first
	Ordered  bool     // members go in just that order, whatever they do
	Rival    error    // an ErrRival that names what else scales it; nil when nothing does
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
