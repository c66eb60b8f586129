package simulate

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leat-dev/leat/scale"
)

// Leat is our own rules: scale.Decide, and the way in which scale/loop acts on what it says.
type Leat struct {
	Label  string // what it is called; leat when empty
	Policy scale.Policy
	Every  time.Duration // between two decisions; 2 s when 0
}

// Name is the label.
func (l Leat) Name() string { return cmp.Or(l.Label, "leat") }

func (l Leat) begin(load *Load, rng *rand.Rand) (scaler, time.Duration) {
	every := cmp.Or(l.Every, 2*time.Second)
	s := &leat{policy: l.Policy, every: every, slots: load.Slots}
	return s, time.Duration(rng.Int64N(int64(every)))
}

// beatEvery is between two heartbeats of a worker.
const beatEvery = 5 * time.Second

// begins is the time at which every run begins: a Monday, 00:00 UTC.
var begins = time.Date(2030, 6, 3, 0, 0, 0, 0, time.UTC)

type leat struct {
	policy  scale.Policy
	every   time.Duration
	slots   int
	history scale.History

	starts scale.Starts
	since  time.Duration // when the first worker that is to go was chosen

	spent   float64 // replica-hours of the budget's period
	last    time.Duration
	arrived int // in the present hour
	hour    time.Duration
}

func (s *leat) act(w *world) time.Duration {
	o := s.observe(w)
	d := scale.Decide(s.policy, o, s.history)
	told := d.Current
	if s.apply(w, d) {
		told = d.Replicas
	}
	s.history = s.history.After(s.policy, o, d, told)
	return s.every
}

// observe is what the loop reads from the store, and of the target.
func (s *leat) observe(w *world) scale.Observation {
	o := scale.Observation{At: begins.Add(w.now), Fleet: scale.Fleet{Replicas: w.told}}
	for _, q := range w.queues {
		o.Queues = append(o.Queues, w.seenQueue(q))
	}
	for _, p := range w.pods {
		if !p.started {
			addStarting(&o.Fleet, (w.now - p.made).Truncate(time.Second))
			continue
		}
		p.look(w.now)
		addWorker(&o.Fleet, scale.Workers{Count: 1, Slots: s.slots, Busy: p.busy, Leaving: p.told || p.leaving})
	}
	s.learn(w)
	o.Fleet.StartDelay = s.starts.Delay()
	s.spend(&o.Fleet, w)
	return o
}

func (w *world) seenQueue(q *queue) scale.Queue {
	seen := scale.Queue{Name: q.name, Ready: q.ready.n, Running: q.running}
	if q.ready.n > 0 {
		seen.Age = w.now - w.tasks[q.ready.head()].ready
	}
	if q.running > 0 {
		seen.Held = w.now - q.began/time.Duration(q.running)
	}
	for _, span := range scale.Spans() {
		sum, over := q.happened.since(w.now, span)
		seen.Windows = append(seen.Windows, scale.Window{
			Span: over, Arrived: sum.arrived, Succeeded: sum.succeeded, Failed: sum.failed, Retried: sum.retried, Busy: sum.busy,
		})
	}
	if len(q.later) == 0 {
		return seen
	}
	for _, in := range scale.Horizons() {
		n := 0
		for _, job := range q.later {
			n += number(w.tasks[job].ready <= w.now+in)
		}
		if n > 0 {
			seen.Due = append(seen.Due, scale.Due{In: in, Jobs: n})
		}
	}
	return seen
}

func addStarting(f *scale.Fleet, age time.Duration) {
	for i := range f.Starting {
		if f.Starting[i].For == age {
			f.Starting[i].Replicas++
			return
		}
	}
	f.Starting = append(f.Starting, scale.Starting{For: age, Replicas: 1})
}

func addWorker(f *scale.Fleet, one scale.Workers) {
	for i := range f.Workers {
		if w := &f.Workers[i]; w.Slots == one.Slots && w.Busy == one.Busy && w.Leaving == one.Leaving {
			w.Count++
			return
		}
	}
	f.Workers = append(f.Workers, one)
}

// learn notes how long replicas took that have started since the last look.
func (s *leat) learn(w *world) {
	for _, p := range w.pods {
		if p.started && !p.known {
			p.known = true
			if p.registered > p.made {
				s.starts = s.starts.After(p.registered - p.made)
			}
		}
	}
	if s.policy.Forecast == nil {
		return
	}
	for ; s.hour+time.Hour <= w.now; s.hour += time.Hour {
		n := w.arrivedBefore(s.hour + time.Hour)
		s.history.Season = s.history.Season.Learn(begins.Add(s.hour), float64(n-s.arrived))
		s.arrived = n
	}
}

// arrivedBefore counts the jobs that arrived before a time that is over.
func (w *world) arrivedBefore(at time.Duration) int {
	n, _ := slices.BinarySearchFunc(w.load.Jobs[:w.next], at, func(j Job, at time.Duration) int { return cmp.Compare(j.At, at) })
	return n
}

// spend counts replica-hours of the budget's period.
func (s *leat) spend(f *scale.Fleet, w *world) {
	b := s.policy.Budget
	if b == nil {
		return
	}
	if !b.Period.Begins(begins.Add(w.now)).Equal(b.Period.Begins(begins.Add(s.last))) {
		s.spent = 0
	}
	s.spent += float64(f.Replicas) * (w.now - s.last).Hours()
	s.last = w.now
	f.Spent = s.spent
}
