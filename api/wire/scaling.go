package wire

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Scaling is everything that is scaled.
type Scaling struct {
	Targets []ScalingTarget `json:"targets" nullable:"false" doc:"By name; empty before the first decision."`
}

// ScalingTarget is a fleet of workers that is sized to the work.
type ScalingTarget struct {
	Name   string           `json:"name"`
	Paused bool             `json:"paused" doc:"An operator has stopped scaling."`
	Pin    *ScalingPin      `json:"pin,omitempty" doc:"The number that an operator has fixed."`
	Latest *ScalingDecision `json:"latest,omitempty" doc:"The latest decision, without detail."`
}

// ScalingPin is a number of replicas that an operator has fixed for a time.
type ScalingPin struct {
	Replicas int       `json:"replicas"`
	Until    time.Time `json:"until"`
}

// ScalingDecision is one decision on how many replicas there should be.
type ScalingDecision struct {
	ID       uuid.UUID `json:"id"`
	At       time.Time `json:"at"`
	Until    time.Time `json:"until" doc:"The last time that the same was decided for the same reasons."`
	Current  int       `json:"current" doc:"Replicas as found."`
	Replicas int       `json:"replicas" doc:"Replicas as decided."`
	Rule     string    `json:"rule" doc:"The rule that bound."`
	Outcome  string    `json:"outcome" enum:"unchanged,applied,pending,failed,refused" doc:"What became of it: nothing to do; written; workers are being emptied first; the write failed; something else scales the target too."`
	// Detail is policy, observation and decision in full.
	Detail json.RawMessage `json:"detail,omitempty" doc:"Policy, observation, each rule's answer and every step, enough to replay it."`
}

// ScalingDecisions is a page of a target's decisions.
type ScalingDecisions struct {
	Decisions  []ScalingDecision `json:"decisions" nullable:"false" doc:"Latest first."`
	NextCursor string            `json:"next_cursor,omitempty"`
}

// ScalingCommand is the answer to an operator's command.
type ScalingCommand struct {
	Target string      `json:"target"`
	Paused bool        `json:"paused"`
	Pin    *ScalingPin `json:"pin,omitempty"`
}
