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

// learnStarts notes how long replicas took that have a worker now.
func (l *Loop) learnStarts(at time.Time, members []member) {
	present := make(map[string]bool, len(members))
	for _, m := range members {
		if m.worker == nil {
			continue
		}
		present[m.Name] = true
		took := m.worker.RegisteredAt.Sub(m.Made)
		// An older one may have registered anew, or its start was learned from before a restart.
		if l.born[m.Name] || took < 0 || took > longestStart || at.Sub(m.worker.RegisteredAt) > longestStart {
			continue
		}
		l.memory.Starts = l.memory.Starts.After(took)
	}
	l.born = present
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
func (l *Loop) record(ctx context.Context, v view, d scale.Decision, outcome store.Outcome, actErr error) error {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Patience)
	defer cancel()
	detail := Detail{Policy: l.opts.Policy, Observation: v.observation, Decision: d, Leaving: l.leaving.names()}
	if actErr != nil {
		detail.Error = actErr.Error()
	}
	text, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("write a decision down: %w", err)
	}
	left, err := json.Marshal(l.memory)
	if err != nil {
		return fmt.Errorf("write down what to remember: %w", err)
	}
	same, err := sameness(detail, outcome)
	if err != nil {
		return err
	}
	_, err = l.store.RecordDecision(ctx, l.target.Name(), store.NewDecision{
		At: d.At, Current: d.Current, Replicas: d.Replicas, Bound: string(d.Bound), Outcome: outcome,
		Same: same, Detail: text, Memory: left,
	})
	return err
}

// sameness is equal for decisions that differ in nothing but their time.
func sameness(d Detail, outcome store.Outcome) (string, error) {
	d.Observation.At, d.Decision.At = time.Time{}, time.Time{}
	d.Observation.Fleet.Spent = 0
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("compare a decision: %w", err)
	}
	sum := sha256.Sum256(append(text, outcome...))
	return hex.EncodeToString(sum[:16]), nil
}
