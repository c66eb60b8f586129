package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leat-dev/leat/scale"
)

// Record is a decision of a live system, as it was recorded.
type Record struct {
	Policy      scale.Policy      `json:"policy"`
	Observation scale.Observation `json:"observation"`
	Decision    scale.Decision    `json:"decision"`
}

// ReadRecords reads decisions as leat scale explain --json prints them: objects whose detail is a
// record, or records themselves. They are returned oldest first.
func ReadRecords(r io.Reader) ([]Record, error) {
	var records []Record
	dec := json.NewDecoder(r)
	for {
		var line struct {
			Detail *Record `json:"detail"`
			Record
		}
		err := dec.Decode(&line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("decision %d: %w", len(records)+1, err)
		}
		record := line.Record
		if line.Detail != nil {
			record = *line.Detail
		}
		if record.Observation.At.IsZero() {
			return nil, fmt.Errorf("decision %d: has no observation", len(records)+1)
		}
		records = append(records, record)
	}
	if len(records) == 0 {
		return nil, errors.New("no decisions")
	}
	slices.SortStableFunc(records, func(a, b Record) int { return a.Observation.At.Compare(b.Observation.At) })
	return records, nil
}

// Difference is a decision that another policy would have made otherwise.
type Difference struct {
	At       time.Time  `json:"at"`
	Current  int        `json:"current"`
	Was      int        `json:"was"`
	WasBound scale.Rule `json:"was_bound"`
	WasWhy   string     `json:"was_why"`
	Would    int        `json:"would"`
	Bound    scale.Rule `json:"bound"`
	Why      string     `json:"why"`
}

// Replay decides again on what was observed, under a policy, and gives the decisions that come out
// otherwise. Each is made about the fleet as it was then. What the first of them would have remembered
// from before is not known, nor is a forecast's model.
func Replay(records []Record, p scale.Policy) []Difference {
	var list []Difference
	h := scale.History{}
	for i, r := range records {
		o := r.Observation
		d := scale.Decide(p, o, h)
		if was := r.Decision; d.Replicas != was.Replicas {
			list = append(list, Difference{
				At: o.At, Current: o.Fleet.Replicas, Was: was.Replicas, WasBound: was.Bound, WasWhy: was.Why,
				Would: d.Replicas, Bound: d.Bound, Why: d.Why,
			})
		}
		h = h.After(p, o, d, d.Current)
		if i+1 < len(records) {
			if by := records[i+1].Observation.Fleet.Replicas - o.Fleet.Replicas; by != 0 {
				h.Changes = append(h.Changes, scale.Change{At: o.At, By: by}) // what was really done
			}
		}
	}
	return list
}

// Recorded makes a load of what arrived while decisions were recorded: as many jobs between two
// decisions as the second one's roll-ups tell, spread evenly, with service times around the mean
// that was measured then. Attempts that were repeated count as jobs.
func Recorded(records []Record, seed uint64) (*Load, error) {
	first, last := records[0].Observation, records[len(records)-1].Observation
	l := newLoad("recorded", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	re := rebuild{load: l, rng: rng, began: first.At, rest: make(map[string]float64), service: make(map[string]time.Duration)}
	for i := range first.Queues {
		q := &first.Queues[i]
		for range q.Ready + q.Running {
			re.job(q.Name, 0, re.takes(records[0].Policy, q))
		}
	}
	for i := 1; i < len(records); i++ {
		re.between(records[i-1].Observation.At, records[i])
	}
	if len(l.Jobs) == 0 {
		return nil, errors.New("nothing arrived while these decisions were recorded")
	}
	sortJobs(l.Jobs)
	l.Initial = first.Fleet.Alive()
	l.Slots = int(last.Fleet.Slots(records[0].Policy.Slots))
	if d := last.Fleet.StartDelay; d > 0 {
		// Nine in ten take no longer, which of these lognormal times is a third more than the mean.
		l.StartMean, l.StartDeviation = d*3/4, d*3/16
	}
	l.ends()
	return l, nil
}

// rebuild makes jobs of records.
type rebuild struct {
	load    *Load
	rng     *rand.Rand
	began   time.Time
	rest    map[string]float64       // of a job that is still to arrive, by queue
	service map[string]time.Duration // as last measured
}

func (r *rebuild) job(queue string, at, service time.Duration) {
	r.load.Jobs = append(r.load.Jobs, Job{At: at, Service: lognormal(r.rng, service, 1), Queue: queue})
}

// takes is how long jobs of a queue took, as far as is known.
func (r *rebuild) takes(p scale.Policy, q *scale.Queue) time.Duration {
	for _, w := range q.Windows {
		if ended := w.Succeeded + w.Failed + w.Retried; ended > 0 {
			r.service[q.Name] = w.Busy / time.Duration(ended)
			break
		}
	}
	switch {
	case r.service[q.Name] > 0:
		return r.service[q.Name]
	case p.Drain != nil && p.Drain.Service > 0:
		return p.Drain.Service
	}
	return time.Second
}

// between makes what arrived before a record, and after the one before it.
func (r *rebuild) between(before time.Time, record Record) {
	at := record.Observation.At
	for i := range record.Observation.Queues {
		q := &record.Observation.Queues[i]
		if len(q.Windows) == 0 {
			continue
		}
		w := q.Windows[len(q.Windows)-1]
		for _, shorter := range q.Windows {
			if shorter.Span >= at.Sub(before) {
				w = shorter
				break
			}
		}
		gap := min(at.Sub(before), w.Span)
		if gap <= 0 {
			continue
		}
		n := r.rest[q.Name] + float64(w.Arrived+w.Retried+w.Lost)*gap.Seconds()/w.Span.Seconds()
		service := r.takes(record.Policy, q)
		for k := range int(n) {
			offset := at.Add(-gap).Sub(r.began) + gap*time.Duration(k)/time.Duration(int(n))
			r.job(q.Name, max(offset, 0), service)
		}
		r.rest[q.Name] = n - float64(int(n))
	}
}
