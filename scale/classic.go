package scale

import (
	"fmt"
	"math"
	"time"
)

// Classic is what a HorizontalPodAutoscaler of Kubernetes 1.34 without a behavior does, which is
// not what one with an empty behavior does: growth to twice the number, or to 4, at each look;
// shrinking as soon as nothing more was asked for in five minutes, without a rate. KEDA makes such
// an autoscaler unless it is told otherwise. Its methods are those of Behavior.
type Classic struct{}

// classicWindow is the controller's --horizontal-pod-autoscaler-downscale-stabilization.
const classicWindow = 5 * time.Minute

// Normalize makes of what is asked for the number that is to be set. Other than for a Behavior,
// what was asked for exactly a window ago still counts.
func (Classic) Normalize(at time.Time, current, desired, lowest, highest int, asked []Asked, _ []Change) (int, []Step) {
	p := path{number: desired}
	if p.bypass(current, lowest, highest) {
		return p.number, p.steps
	}
	most := Asked{At: at, Replicas: desired}
	for _, a := range asked {
		if !a.At.Before(at.Add(-classicWindow)) && a.Replicas > most.Replicas {
			most = a
		}
	}
	p.to(RuleStabilize, most.Replicas, most.why(at, classicWindow))

	if limit := max(2*current, 4); limit < highest {
		p.atMost(RuleRate, limit, fmt.Sprintf("No more than %d yet: twice as many as there are, or 4.", limit))
	} else {
		p.atMost(RuleMax, highest, fmt.Sprintf("The most is %d.", highest))
	}
	p.atLeast(RuleMin, lowest, fmt.Sprintf("The fewest is %d.", lowest))
	return p.number, p.steps
}

// Remember adds what was asked for now to what was before, and keeps what can still hold back a
// later number.
func (Classic) Remember(at time.Time, asked []Asked, desired int) []Asked {
	return remember(at, asked, desired, func(a Asked) bool { return !a.At.Before(at.Add(-classicWindow)) })
}

// Forget drops all changes: there are no rates.
func (Classic) Forget(time.Time, []Change) []Change { return nil }

// HPADisabled says whether a HorizontalPodAutoscaler leaves its target alone, which it does at 0
// replicas unless its minimum is 0. Someone else must set the first replica then, as KEDA does.
func HPADisabled(current, lowest int) bool { return current == 0 && lowest != 0 }

// AverageValue is how many replicas a HorizontalPodAutoscaler asks for so that each has target of
// an external metric: the status's number while usage is within the tolerance of that, and so many
// as are enough otherwise. The status's number counts replicas that exist, which are more than were
// asked for while a Deployment is being rolled over. Kubernetes computes in thousandths.
func AverageValue(usage, target float64, status int, tolerance float64) int {
	// At a status of 0 the ratio is infinite or none at all, and never within the tolerance.
	ratio := usage / (target * float64(status))
	if 1-tolerance <= ratio && ratio <= 1+tolerance {
		return status
	}
	n := math.Ceil(usage / target)
	if math.IsNaN(n) {
		return status // of a target that no policy may have
	}
	return whole(n)
}
