package scale

import "time"

// Decision is how many replicas there should be, and why. It marshals to JSON and back without
// loss.
type Decision struct {
	At       time.Time `json:"at"`
	Current  int       `json:"current"`  // replicas as observed
	Replicas int       `json:"replicas"` // replicas wanted
	Bound    Rule      `json:"bound"`    // the rule that gave Replicas
	Why      string    `json:"why"`      // the same in a sentence
	// Answers is what each policy asked for, and Steps how the greatest of these became Replicas.
	Answers []Answer `json:"answers,omitempty"`
	Steps   []Step   `json:"steps,omitempty"`
	// Raw is the greatest answer before any bound: what stabilization remembers.
	Raw int `json:"raw"`
	// Braked says why growing was stopped, if it was.
	Braked string `json:"braked,omitempty"`
}

// Answer is one policy's.
type Answer struct {
	Rule     Rule               `json:"rule"`
	Name     string             `json:"name,omitempty"` // of the schedule
	Replicas int                `json:"replicas"`
	Ceiling  bool               `json:"ceiling,omitempty"` // at most so many; otherwise at least
	Why      string             `json:"why"`
	Terms    map[string]float64 `json:"terms,omitempty"` // the figures that it was made of
}

// Step is one rule's change of the number.
type Step struct {
	Rule Rule   `json:"rule"`
	From int    `json:"from"`
	To   int    `json:"to"`
	Why  string `json:"why"`
}

// Rule names what decides.
type Rule string

// The rules, in the order in which they have their say.
const (
	RuleBlind     Rule = "blind"     // could not see: hold
	RulePaused    Rule = "paused"    // an operator paused scaling: hold
	RulePin       Rule = "pin"       // an operator pinned the number
	RuleDepth     Rule = "depth"     // jobs per replica
	RuleDrain     Rule = "drain"     // time until a job starts
	RuleDue       Rule = "due"       // jobs that fall due soon
	RuleSchedule  Rule = "schedule"  // floors and ceilings by the clock
	RuleForecast  Rule = "forecast"  // arrivals expected
	RuleAwake     Rule = "awake"     // work is there, so one replica at least
	RuleBrake     Rule = "brake"     // growing does not help
	RuleMin       Rule = "min"       //
	RuleMax       Rule = "max"       //
	RuleStabilize Rule = "stabilize" // what was asked for lately
	RuleRate      Rule = "rate"      // change per period
	RuleBudget    Rule = "budget"    // replica-hours
	RuleNone      Rule = "none"      // nothing asked for any replica
)
