package scale

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// ParsePolicy reads a policy from YAML, on top of another one: fields that are named replace that
// one's, and a part that is null is switched off. Unknown fields are errors.
func ParsePolicy(text []byte, p Policy) (Policy, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		return Policy{}, fmt.Errorf("policy: %w", err)
	}
	if err := p.Check(); err != nil {
		return Policy{}, err
	}
	return p, nil
}

// Check finds what makes no sense. Its error names each such field.
func (p Policy) Check() error {
	c := &checker{}
	p.checkBounds(c)
	p.checkDepthAndDrain(c)
	if furthest := slices.Max(Horizons()); p.Due != nil && (p.Due.Keep < 0 || p.Due.Keep > furthest) {
		c.wrong("due.keep", "%v is not between 0 and %v, as far as is looked ahead", p.Due.Keep, furthest)
	}
	for i, s := range p.Schedule {
		c.part(fmt.Sprintf("schedule[%d]", i), s.Check())
	}
	if p.Forecast != nil {
		c.part("forecast", p.Forecast.Check())
	}
	if p.Budget != nil {
		c.part("budget", p.Budget.Check())
	}
	c.part("behavior", p.Behavior.Check())
	if f := p.Brakes.FailureRatio; !(f >= 0 && f <= 1) {
		c.wrong("brakes.failure-ratio", "%g is not between 0 and 1", f)
	}
	if p.Brakes.Futility < 0 {
		c.wrong("brakes.futility", "%v is below 0", p.Brakes.Futility)
	}
	return errors.Join(c.errs...)
}

// checker collects what is wrong.
type checker struct{ errs []error }

func (c *checker) wrong(field, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("policy: %s: %s", field, fmt.Sprintf(format, args...)))
}

func (c *checker) part(field string, err error) {
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("policy: %s: %w", field, err))
	}
}

func (p Policy) checkBounds(c *checker) {
	const most = 100_000
	switch {
	case p.Min < 0:
		c.wrong("min", "%d is below 0", p.Min)
	case p.Max < 1 || p.Max > most:
		c.wrong("max", "%d is not between 1 and %d", p.Max, most)
	case p.Min > p.Max:
		c.wrong("min", "%d is above max, which is %d", p.Min, p.Max)
	}
	if p.Slots < 1 {
		c.wrong("slots", "%d is below 1", p.Slots)
	}
}

func (p Policy) checkDepthAndDrain(c *checker) {
	if d := p.Depth; d != nil {
		if !(d.JobsPerReplica > 0) {
			c.wrong("depth.jobs-per-replica", "%g is not above 0", d.JobsPerReplica)
		}
		if !(d.Tolerance >= 0 && d.Tolerance < 1) {
			c.wrong("depth.tolerance", "%g is not between 0 and 1", d.Tolerance)
		}
	}
	if d := p.Drain; d != nil {
		if d.Target < time.Second {
			c.wrong("drain.target", "%v is below 1s", d.Target)
		}
		if !(d.Headroom >= 0 && d.Headroom <= 10) {
			c.wrong("drain.headroom", "%g is not between 0 and 10", d.Headroom)
		}
		if d.Service < 0 {
			c.wrong("drain.service", "%v is below 0", d.Service)
		}
	}
}
