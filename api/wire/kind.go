package wire

import "encoding/json"

// Kinds are the kinds of work that uploads can ask for.
type Kinds struct {
	Kinds []Kind `json:"kinds" nullable:"false"`
}

// Kind describes one kind of work.
type Kind struct {
	Name        string          `json:"name"`
	Version     int             `json:"version" doc:"Raised when the same input would give another result."`
	Summary     string          `json:"summary"`
	MediaTypes  []string        `json:"media_types,omitempty" nullable:"false" doc:"What is given to this kind when an upload asks for auto."`
	Queue       string          `json:"queue" doc:"Used when an upload names none."`
	MaxAttempts int             `json:"max_attempts"`
	Timeout     float64         `json:"timeout_seconds" doc:"Bounds one run."`
	Reusable    bool            `json:"reusable" doc:"A job is given the result of an earlier one on the same bytes, unless it is to be fresh."`
	Params      json.RawMessage `json:"params,omitempty" doc:"JSON Schema of the parameters; absent when the kind takes none."`
}
