package kube

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// victimCost is below any cost that a person would set.
const victimCost = -1_000_000

// plan is a shrink that is to be made.
type plan struct {
	replicas int
	victims  map[string]bool
	left     map[string]time.Duration
	ordinals bool // members go by their ordinal alone, as a StatefulSet's do
	start    int  // its first ordinal
}

// cost is what a member is to be marked with; 0: it needs no mark.
func (p plan) cost(m pod) int {
	left := p.left[m.name]
	switch {
	case p.victims[m.name]:
		return victimCost
	case left <= 0:
		return 0
	}
	return int(min(max(left/time.Second, 1), math.MaxInt32))
}

// order sorts the members: who is removed first comes first.
func (p plan) order(members []pod) []pod {
	if p.ordinals {
		return slices.SortedFunc(slices.Values(members), func(a, b pod) int { return cmp.Compare(ordinal(b), ordinal(a)) })
	}
	return slices.SortedFunc(slices.Values(members), func(a, b pod) int {
		return cmp.Or(
			cmp.Compare(a.stage, b.stage), cmp.Compare(p.cost(a), p.cost(b)),
			b.made.Compare(a.made), byNameOnly(a, b),
		)
	})
}

// doomed returns the members that are going to be removed.
func (p plan) doomed(members []pod) []pod {
	if p.ordinals {
		return slices.DeleteFunc(slices.Clone(members), func(m pod) bool { return ordinal(m) < p.start+p.replicas })
	}
	return p.order(members)[:max(len(members)-p.replicas, 0)]
}

// check returns an [ErrUnsafe] if a member would be removed that is neither a victim nor without
// work and unready, or if nobody can know which members would be.
func (p plan) check(members []pod) error {
	doomed := p.doomed(members)
	for _, m := range doomed {
		if !p.victims[m.name] && (p.left[m.name] > 0 || m.stage == ready) {
			return fmt.Errorf("shrink to %d replicas: %w: %s would be removed", p.replicas, ErrUnsafe, m.name)
		}
	}
	if p.ordinals || len(doomed) == 0 || len(doomed) == len(members) {
		return nil
	}
	owners := make(map[types.UID]bool)
	for _, m := range members {
		owners[m.owner] = true
	}
	if len(owners) > 1 {
		return fmt.Errorf("shrink to %d replicas: %w, perhaps: a rollout is going on", p.replicas, ErrUnsafe)
	}
	return nil
}

// ordinal is a StatefulSet's number for a pod.
func ordinal(m pod) int {
	n, err := strconv.Atoi(m.name[strings.LastIndexByte(m.name, '-')+1:])
	if err != nil {
		return 0 // not a StatefulSet's
	}
	return n
}

func byNameOnly(a, b pod) int { return strings.Compare(a.name, b.name) }
