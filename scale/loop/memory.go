package loop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/store"
)

// memory is what one scaler leaves for the next, in the store.
type memory struct {
	History scale.History `json:"history"`
	Starts  scale.Starts  `json:"starts,omitempty"`
}

// remember reads, once, what the scaler before has left. What cannot be read is given up.
func (l *Loop) remember(state store.ScalingState) error {
	if l.known {
		return nil
	}
	l.known = true
	if len(state.Memory) == 0 {
		return nil
	}
	var m memory
	if err := json.Unmarshal(state.Memory, &m); err != nil {
		return err
	}
	l.memory = m
	return nil
}

// longestStart is what no replica is believed to take.
const longestStart = 15 * time.Minute

// learnStarts notes how long replicas took that have a worker for the first time. Of those that had
// one at the first look it is not known whether it was the first.
func (l *Loop) learnStarts(members []member) {
	first, born := l.born == nil, make(map[string]bool, len(members))
	for _, m := range members {
		known := l.born[m.Name]
		born[m.Name] = known || m.worker != nil
		if first || known || m.worker == nil {
			continue
		}
		if took := m.worker.RegisteredAt.Sub(m.Made); took >= 0 && took <= longestStart {
			l.memory.Starts = l.memory.Starts.After(took)
		}
	}
	l.born = born
}

// seasonLength is how far back a forecast that begins looks.
const seasonLength = 28 * 24 * time.Hour

// learnSeason brings the forecast's model up to the present hour.
func (l *Loop) learnSeason(ctx context.Context, at time.Time) error {
	if l.opts.Policy.Forecast == nil {
		return nil
	}
	season, hour := l.memory.History.Season, at.Truncate(time.Hour)
	since := hour.Add(-seasonLength)
	if season != nil {
		if !season.Until.Before(hour) {
			return nil
		}
		if season.Until.After(since) {
			since = season.Until
		}
	}
	counted, err := l.store.Arrivals(ctx, since)
	if err != nil {
		return err
	}
	byHour := make(map[time.Time]float64)
	for _, c := range counted {
		if len(l.opts.Queues) == 0 || slices.Contains(l.opts.Queues, c.Queue) {
			byHour[c.Hour.UTC()] += float64(c.Jobs)
		}
		if season == nil && c.Hour.Before(since) {
			since = c.Hour.UTC()
		}
	}
	for h := first(byHour, since, season == nil); h.Before(hour); h = h.Add(time.Hour) {
		season = season.Learn(h, byHour[h])
	}
	l.memory.History.Season = season
	return nil
}

// first is the hour to learn from: a model that begins does so at the first hour that has arrivals.
func first(byHour map[time.Time]float64, since time.Time, begins bool) time.Time {
	if !begins {
		return since
	}
	earliest := time.Time{}
	for h := range byHour {
		if earliest.IsZero() || h.Before(earliest) {
			earliest = h
		}
	}
	if earliest.IsZero() {
		return since.Add(seasonLength)
	}
	return earliest
}

// Detail is what is recorded of a decision, enough to explain it and to replay it.
type Detail struct {
	Policy      scale.Policy      `json:"policy"`
	Observation scale.Observation `json:"observation"`
	Decision    scale.Decision    `json:"decision"`
	Leaving     []string          `json:"leaving,omitempty"` // members that are being emptied
	Error       string            `json:"error,omitempty"`
}

// record stores a decision and what the next one needs to know.
func (l *Loop) record(ctx context.Context, v view, d scale.Decision, r result) error {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Patience)
	defer cancel()
	detail := Detail{Policy: l.opts.Policy, Observation: v.observation, Decision: d, Leaving: l.leaving.names()}
	if r.err != nil {
		detail.Error = r.err.Error()
	}
	text, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("write a decision down: %w", err)
	}
	left, err := json.Marshal(l.memory)
	if err != nil {
		return fmt.Errorf("write down what to remember: %w", err)
	}
	same, err := sameness(detail, r.outcome)
	if err != nil {
		return err
	}
	replicas := d.Replicas
	if r.outcome == store.ScaleApplied {
		replicas = r.told
	}
	_, err = l.store.RecordDecision(ctx, l.target.Name(), store.NewDecision{
		At: d.At, Current: d.Current, Replicas: replicas, Bound: string(d.Bound), Outcome: r.outcome,
		Same: same, Detail: text, Memory: left,
	})
	return err
}

// sameness is equal for decisions that differ in nothing but their time.
func sameness(d Detail, outcome store.Outcome) (string, error) {
	d.Observation, d.Decision = timelessly(d.Observation), unexplained(d.Decision)
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("compare a decision: %w", err)
	}
	sum := sha256.Sum256(append(text, outcome...))
	return hex.EncodeToString(sum[:16]), nil
}

// timelessly leaves out of an observation what moves with the clock alone: ages, and how much a
// window covers.
func timelessly(o scale.Observation) scale.Observation {
	o.At, o.Fleet.Spent = time.Time{}, 0
	o.Queues = slices.Clone(o.Queues)
	for i := range o.Queues {
		q := &o.Queues[i]
		q.Age, q.Held = 0, 0
		q.Windows = slices.Clone(q.Windows)
		for k := range q.Windows {
			q.Windows[k].Span = 0
		}
	}
	starting := 0
	for _, s := range o.Fleet.Starting {
		starting += s.Replicas
	}
	o.Fleet.Starting = []scale.Starting{{Replicas: starting}}
	return o
}

// unexplained leaves the reasons out of a decision: they are made of the observation and the clock.
func unexplained(d scale.Decision) scale.Decision {
	d.At, d.Why = time.Time{}, ""
	d.Answers, d.Steps = slices.Clone(d.Answers), slices.Clone(d.Steps)
	for i := range d.Answers {
		d.Answers[i].Why, d.Answers[i].Terms = "", nil
	}
	for i := range d.Steps {
		d.Steps[i].Why = ""
	}
	if d.Braked != "" {
		d.Braked = string(scale.RuleBrake)
	}
	return d
}
