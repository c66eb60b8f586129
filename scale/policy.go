package scale

import "time"

// Policy is what a fleet is sized by. The zero value of a part switches it off.
type Policy struct {
	Min   int `json:"min" yaml:"min"`
	Max   int `json:"max" yaml:"max"`
	Slots int `json:"slots" yaml:"slots"` // of one replica, while no worker has told its own; default 10

	Depth    *Depth     `json:"depth,omitempty" yaml:"depth"`
	Drain    *Drain     `json:"drain,omitempty" yaml:"drain"`
	Due      *LookAhead `json:"due,omitempty" yaml:"due"`
	Schedule []Schedule `json:"schedule,omitempty" yaml:"schedule"`
	Forecast *Forecast  `json:"forecast,omitempty" yaml:"forecast"`
	Budget   *Budget    `json:"budget,omitempty" yaml:"budget"`

	Behavior Behavior `json:"behavior" yaml:"behavior"`
	Brakes   Brakes   `json:"brakes" yaml:"brakes"`
}

// Depth asks for one replica for so many jobs, waiting or running, as HPA's AverageValue does.
type Depth struct {
	JobsPerReplica float64 `json:"jobs_per_replica" yaml:"jobs-per-replica"`
	// Tolerance is by how much the present number may be off before it is changed: 0.1 for a tenth.
	Tolerance float64 `json:"tolerance" yaml:"tolerance"`
}

// Drain asks for what gives the work that waits its slot in time.
type Drain struct {
	Target time.Duration `json:"target" yaml:"target"` // within which a job is to start
	// Headroom is β of the square-root rule: 1 leaves about 22 % of jobs waiting, 2 about 3 %
	// (Halfin and Whitt, 1981).
	Headroom float64 `json:"headroom" yaml:"headroom"`
	// Service is how long a job takes while nothing has been measured.
	Service time.Duration `json:"service" yaml:"service"`
}

// LookAhead asks for the slots that jobs need which fall due before a replica made now would be
// there, and keeps the last replica while any falls due within Keep after that.
// Nothing is seen that is further ahead than the last of Horizons, 5 min; nor may Keep be.
type LookAhead struct {
	Keep time.Duration `json:"keep" yaml:"keep"`
}

// Schedule gives a floor, a ceiling or both between two times.
type Schedule struct {
	Name    string `json:"name" yaml:"name"`
	Start   string `json:"start" yaml:"start"` // cron: minute, hour, day of month, month, day of week
	End     string `json:"end" yaml:"end"`
	Zone    string `json:"zone" yaml:"zone"` // IANA name; UTC when empty
	Floor   *int   `json:"floor,omitempty" yaml:"floor"`
	Ceiling *int   `json:"ceiling,omitempty" yaml:"ceiling"`
}

// Forecast asks for what the arrivals of the same hour of the week let expect. It is only ever a
// floor.
type Forecast struct {
	Headroom float64       `json:"headroom" yaml:"headroom"` // 0.2 for a fifth more than expected
	Service  time.Duration `json:"service" yaml:"service"`   // while nothing has been measured
}

// Budget bounds the replica-hours of a period.
type Budget struct {
	Hours  float64      `json:"hours" yaml:"hours"`
	Period BudgetPeriod `json:"period" yaml:"period"`
	// Reserve is how far ahead what is left must last: the ceiling is what is left divided by it,
	// so that the fleet shrinks towards Min before the budget is gone. Default 1 h.
	Reserve time.Duration `json:"reserve" yaml:"reserve"`
}

// BudgetPeriod is a span of the calendar, in UTC.
type BudgetPeriod string

// The periods. A week begins on Monday.
const (
	PerDay   BudgetPeriod = "day"
	PerWeek  BudgetPeriod = "week"
	PerMonth BudgetPeriod = "month"
)

// Brakes keep the fleet from growing where growing does not help.
type Brakes struct {
	// FailureRatio is the share of attempts that may fail before growing stops; 0 is off.
	FailureRatio float64 `json:"failure_ratio" yaml:"failure-ratio"`
	// Futility is how long more replicas may bring no more throughput before growing stops; 0 is
	// off.
	Futility time.Duration `json:"futility" yaml:"futility"`
}

// Behavior bounds how fast the number changes, exactly as spec.behavior of Kubernetes'
// HorizontalPodAutoscaler v2 does.
type Behavior struct {
	ScaleUp   Rules `json:"scale_up" yaml:"scale-up"`
	ScaleDown Rules `json:"scale_down" yaml:"scale-down"`
}

// Rules are one direction's.
type Rules struct {
	Window   time.Duration `json:"window" yaml:"window"`               // stabilization, at most 1 h
	Policies []Rate        `json:"policies,omitempty" yaml:"policies"` // none: no bound
	Select   Select        `json:"select" yaml:"select"`               // empty is Max
}

// Rate bounds the change within a period.
type Rate struct {
	Type   RateType      `json:"type" yaml:"type"`
	Value  int           `json:"value" yaml:"value"`
	Period time.Duration `json:"period" yaml:"period"` // 1 s to 30 min
}

// RateType tells what a Rate's value counts.
type RateType string

// The types of rates.
const (
	Pods    RateType = "Pods"
	Percent RateType = "Percent"
)

// Select chooses among several rates.
type Select string

// The choices: the rate that allows the most change, the least, or none at all.
const (
	SelectMax      Select = "Max"
	SelectMin      Select = "Min"
	SelectDisabled Select = "Disabled"
)

// Default grows at once, shrinks by at most half a minute's fleet each minute once five minutes
// have shown no need, and starts a job within 30 s.
func Default() Policy {
	return Policy{
		Min: 0, Max: 20, Slots: 10,
		Drain:    &Drain{Target: 30 * time.Second, Headroom: 1, Service: time.Second},
		Due:      &LookAhead{Keep: time.Minute},
		Behavior: DefaultBehavior(),
		Brakes:   Brakes{FailureRatio: 0.5, Futility: 2 * time.Minute},
	}
}

// DefaultBehavior is up at once and down slowly.
func DefaultBehavior() Behavior {
	return Behavior{
		ScaleDown: Rules{
			Window:   5 * time.Minute,
			Policies: []Rate{{Percent, 50, time.Minute}},
		},
	}
}

// HPAClassic is DefaultBehavior with growth bounded as well: doubling or four replicas in half a
// minute, whichever is more.
func HPAClassic() Behavior {
	b := DefaultBehavior()
	b.ScaleUp = Rules{Policies: []Rate{{Percent, 100, 30 * time.Second}, {Pods, 4, 30 * time.Second}}}
	return b
}
