package simulate

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// Options hold for every run that is to be compared.
type Options struct {
	Target time.Duration // within which a job is to start; 30 s when 0
	Grace  time.Duration // in which a worker that is told to end may end its jobs; 30 s when 0
	Points int           // how many moments Result.Series has; none when 0
}

// Run simulates a load under rules. The same load and rules give the same result. Errors: those of
// the context, and of a load that makes no sense.
func Run(ctx context.Context, l *Load, rules Rules, o Options) (*Result, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	o.Target, o.Grace = cmp.Or(o.Target, 30*time.Second), cmp.Or(o.Grace, 30*time.Second)
	w := newWorld(l, o.Grace)
	w.tally.begin(l, o)
	s, first := rules.begin(l, rand.New(rand.NewPCG(l.Seed, 2)))
	w.agenda.add(event{at: first, kind: scalerActs})
	for n := 0; w.step(s); n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return w.result(rules.Name(), o), nil
}

func (l *Load) check() error {
	switch {
	case l.For <= 0:
		return errors.New("simulate: a load must last for a time")
	case l.Slots < 1:
		return errors.New("simulate: a replica must have a slot")
	case l.StartMean <= 0:
		return errors.New("simulate: a replica must take a time to start")
	case !slices.IsSortedFunc(l.Jobs, func(a, b Job) int { return cmp.Compare(a.At, b.At) }):
		return errors.New("simulate: jobs must be in the order in which they arrive")
	}
	return nil
}

// step lets the next thing happen, unless time is up.
func (w *world) step(s scaler) bool {
	arrives := w.next < len(w.load.Jobs) && (len(w.agenda.heap) == 0 || w.load.Jobs[w.next].At <= w.agenda.heap[0].at)
	at := w.load.For + 1
	if arrives {
		at = w.load.Jobs[w.next].At
	} else if len(w.agenda.heap) > 0 {
		at = w.agenda.heap[0].at
	}
	w.tally.sample(w, min(at, w.load.For))
	if at > w.load.For {
		w.now = w.load.For
		return false
	}
	w.now = at
	if arrives {
		w.arrive()
	} else {
		w.happen(w.agenda.take(), s)
	}
	w.assign()
	return true
}

func (w *world) happen(e event, s scaler) {
	switch e.kind {
	case jobEnds:
		w.ended(e)
	case jobDue:
		w.due(e.id)
	case podReady:
		w.start(w.byID[e.id])
	case podBeats:
		w.heard(w.byID[e.id])
	case podKilled:
		w.killed(w.byID[e.id])
	case scalerActs:
		again := s.act(w)
		w.agenda.add(event{at: w.now + max(again, time.Millisecond), kind: scalerActs})
	}
}

func (w *world) arrive() {
	t := &w.tasks[w.next]
	t.ready = w.now
	q := w.queues[t.queue]
	q.ready.pushBack(w.next)
	q.happened.at(w.now).arrived++
	w.next++
}

// assign hands jobs to free workers, those first that have been ready for longest.
func (w *world) assign() {
	for len(w.free) > 0 {
		var oldest *queue
		for _, q := range w.queues {
			if q.ready.n > 0 && (oldest == nil || w.older(q, oldest)) {
				oldest = q
			}
		}
		if oldest == nil {
			return
		}
		w.run(oldest.ready.pop(), oldest, w.free[w.rng.IntN(len(w.free))])
	}
}

func (w *world) older(a, b *queue) bool {
	return w.tasks[a.ready.head()].ready < w.tasks[b.ready.head()].ready
}

func (w *world) run(job int, q *queue, p *pod) {
	t := &w.tasks[job]
	t.run++
	t.began, t.pod = w.now, p
	if !t.waited {
		t.waited = true
		w.tally.started(w.now - t.ready)
	}
	q.running++
	q.began += w.now
	p.jobs = append(p.jobs, job)
	w.offer(p)
	w.agenda.add(event{at: w.now + w.load.Jobs[job].Service, kind: jobEnds, id: job, run: t.run})
}

// stops takes a job from its worker.
func (w *world) stops(job int) *queue {
	t := &w.tasks[job]
	q, p := w.queues[t.queue], t.pod
	q.running--
	q.began -= t.began
	t.pod = nil
	i := slices.Index(p.jobs, job)
	p.jobs[i] = p.jobs[len(p.jobs)-1]
	p.jobs = p.jobs[:len(p.jobs)-1]
	w.offer(p)
	if p.going && len(p.jobs) == 0 {
		w.gone(p)
	}
	return q
}

func (w *world) ended(e event) {
	t := &w.tasks[e.id]
	if t.run != e.run || t.pod == nil {
		return // it was interrupted
	}
	q := w.stops(e.id)
	now := q.happened.at(w.now)
	now.busy += w.now - t.began
	ratio := w.load.FailureRatio
	if ratio == nil || w.load.draw(e.id, t.attempt, drawFailure) >= ratio(t.began) {
		now.succeeded++
		w.tally.succeeded++
		return
	}
	t.attempt++
	if t.attempt >= w.load.Backoff.Attempts {
		now.failed++
		w.tally.failed++
		return
	}
	now.retried++
	w.tally.retried++
	t.waited = false
	t.ready = w.now + w.load.Backoff.after(t.attempt, w.load.draw(e.id, t.attempt, drawJitter))
	t.due = len(q.later)
	q.later = append(q.later, e.id)
	w.agenda.add(event{at: t.ready, kind: jobDue, id: e.id})
}

func (w *world) due(job int) {
	t := &w.tasks[job]
	q := w.queues[t.queue]
	last := q.later[len(q.later)-1]
	q.later[t.due], w.tasks[last].due = last, t.due
	q.later = q.later[:len(q.later)-1]
	q.ready.pushBack(job)
}

// killed interrupts what a worker still runs when its time is over: it begins anew, at the head of
// its queue.
func (w *world) killed(p *pod) {
	for len(p.jobs) > 0 {
		job := p.jobs[len(p.jobs)-1]
		w.tally.interrupted++
		w.tally.lost += w.now - w.tasks[job].began
		w.stops(job).ready.pushFront(job)
	}
}
