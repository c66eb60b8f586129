package wire

// Health says that the process is alive.
type Health struct {
	Status  string `json:"status" enum:"ok"`
	Version string `json:"version,omitempty"`
}

// Readiness says whether the process can do its work.
type Readiness struct {
	Status string  `json:"status" enum:"ready,unready"`
	Checks []Check `json:"checks,omitempty" nullable:"false"`
}

// Check is the state of one thing that the process works with.
type Check struct {
	Name     string `json:"name" doc:"Such as store or redis."`
	OK       bool   `json:"ok"`
	Required bool   `json:"required" doc:"Without it the process is not ready."`
	Detail   string `json:"detail,omitempty" doc:"What is wrong, in words fit for anybody."`
}
