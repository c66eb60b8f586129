package scale

import (
	"fmt"
	"math"
	"time"
)

// work is what there is to do, as the policies reckon it.
type work struct {
	policy Policy
	seen   Observation

	slots   float64       // of one replica
	delay   time.Duration // until a replica made now takes jobs
	ready   int           // jobs that wait, of queues that are not paused
	running int
	age     time.Duration // of the oldest that waits

	load    float64 // slots that keep up with what arrives: arrivals per second × service time
	soon    float64 // slots that will be in use, were there enough, once a replica made now takes jobs
	sway    float64 // variance of that
	burst   float64 // the same by the latest arrivals
	waiting float64 // seconds of one slot that those who wait will take
	held    float64 // seconds of one slot that those who run will still take
	arrive  float64 // arrivals per second, latest
	byQueue map[string]float64
}

// unknownDelay is assumed until a replica has been seen to start: an image that is there already,
// and a program that starts in a second.
const unknownDelay = 20 * time.Second

// enough is how many arrivals or ends make a rate worth believing.
const enough = 60

// tells says whether what happened in a time tells how much work there is: enough happened, and the
// time is long beside that which a job takes, as how many run at once sways with just that.
func (w Window) tells(happened int, service float64) bool {
	return happened >= enough && w.long(service)
}

// long says whether the time is long beside that which a job takes.
func (w Window) long(service float64) bool { return w.Span.Seconds() >= max(60, 4*service) }

func (w *work) measure() {
	w.slots = w.seen.Fleet.Slots(w.policy.Slots)
	w.delay = w.seen.Fleet.StartDelay
	if w.delay <= 0 {
		w.delay = unknownDelay
	}
	w.byQueue = make(map[string]float64, len(w.seen.Queues))
	for i := range w.seen.Queues {
		q := &w.seen.Queues[i]
		s := w.serviceOf(q)
		w.byQueue[q.Name] = s
		w.running += q.Running
		stay := math.Exp(-w.delay.Seconds() / s)
		n := float64(q.Running) * w.seen.Fleet.staying()
		w.held += float64(q.Running) * s
		if q.Paused {
			w.expect(n, 0, stay)
			continue
		}
		w.ready += q.Ready
		if q.Ready > 0 {
			w.age = max(w.age, q.Age)
		}
		w.waiting += float64(q.Ready) * s
		slow, fast := arrivals(q.Windows, s)
		w.load += slow * s
		w.expect(n+float64(q.Ready), slow*s, stay)
		w.burst += max(slow, min(fast, 4*slow+5)) * s
		w.arrive += fast
	}
}

// expect adds a queue to what will be in use. Of the jobs that there are now a share stays until then;
// the others make room for those that arrive. This is M/G/∞ seen a while later, as though service
// times were exponential: a job that is short beside the while leaves nothing but the load, of which
// the variance is the load itself, which is the square-root rule; long jobs are mostly those that
// there are now, and sway little.
func (w *work) expect(jobs, load, stay float64) {
	w.soon += jobs*stay + load*(1-stay)
	w.sway += (jobs*stay + load) * (1 - stay)
}

// serviceOf is how many seconds a job of the queue takes: busy time by what ended, of the shortest
// time that tells; but no less than what those that run suggest, should jobs take longer now.
func (w *work) serviceOf(q *Queue) float64 {
	s := w.assumed().Seconds()
	for _, win := range q.Windows {
		ended := win.Succeeded + win.Failed + win.Retried
		if ended > 0 {
			s = win.Busy.Seconds() / float64(ended)
		}
		if win.tells(ended, s) {
			break
		}
	}
	return max(s, q.slower(), 1e-4)
}

// slower is how many seconds jobs take by those that run: by Little's law, how many run divided by how
// many end in a second, over the shortest time that is longer than they have been running; but no
// more than they have been running on average. Neither alone will do: of jobs that differ much, those
// that are found running are the long ones; and while a fleet grows, what runs has had no time to end.
func (q *Queue) slower() float64 {
	held := q.Held.Seconds()
	if q.Running == 0 || len(q.Windows) == 0 {
		return held
	}
	win := q.Windows[len(q.Windows)-1]
	for _, shorter := range q.Windows {
		if shorter.Span >= q.Held {
			win = shorter
			break
		}
	}
	ended := float64(win.Succeeded + win.Failed + win.Retried)
	if ended == 0 {
		return held
	}
	chance := 2 * math.Sqrt(ended) // so many more end in another such time
	return min(held, float64(q.Running)*win.Span.Seconds()/(ended+chance))
}

func (w *work) assumed() time.Duration {
	if w.policy.Drain != nil && w.policy.Drain.Service > 0 {
		return w.policy.Drain.Service
	}
	return time.Second
}

// service is the mean over all queues, in seconds, weighted by what arrives, waits and runs.
func (w *work) service() float64 {
	var total, jobs float64
	for i := range w.seen.Queues {
		q := &w.seen.Queues[i]
		slow, _ := arrivals(q.Windows, w.byQueue[q.Name])
		n := slow*60 + float64(q.Ready+q.Running)
		total += n * w.byQueue[q.Name]
		jobs += n
	}
	if jobs == 0 {
		return w.assumed().Seconds()
	}
	return total / jobs
}

// arrivals gives a steady rate, over the shortest time that tells of jobs that take so many seconds, and
// the latest one, in jobs per second. The steady rate is no higher than what the shorter times still
// let believe, so that it does not outlast the load; after a long time without any it is none.
func arrivals(windows []Window, service float64) (slow, fast float64) {
	most := math.Inf(1)
	for i, win := range windows {
		if win.Span <= 0 {
			continue
		}
		n := win.Arrived + win.Retried + win.Lost
		rate := float64(n) / win.Span.Seconds()
		slow = min(rate, most)
		if i == 0 {
			fast = rate
		}
		if win.tells(n, service) || n == 0 && win.long(service) {
			break
		}
		// Of a Poisson process that many are seen or fewer, once in fifty times at most, while it has
		// the rate of this many.
		many := float64(n) + 2*math.Sqrt(float64(n)) + 4
		most = min(most, many/win.Span.Seconds())
	}
	return slow, fast
}

// depth asks for a replica for so many jobs that wait or run, more being about to be ready.
func (w *work) depth(more int) Answer {
	jobs := float64(w.ready + w.running + more)
	per, current := w.policy.Depth.JobsPerReplica, w.seen.Fleet.Replicas
	n := AverageValue(jobs, per, current, w.policy.Depth.Tolerance)
	return Answer{
		Rule: RuleDepth, Replicas: n,
		Why:   fmt.Sprintf("%.0f jobs wait or run, at %g for each replica.", jobs, per),
		Terms: map[string]float64{"ready": float64(w.ready), "running": float64(w.running), "soon": float64(more), "jobs_per_replica": per},
	}
}

// drain asks for what keeps up with the arrivals, by the square-root staffing rule, and for what lets
// all that waits begin in time, counting replicas that are still starting; but never for more slots
// than there are jobs. more jobs are about to be ready.
//
// In time is within the horizon. Until then each slot works; and as jobs are to have begun by then,
// not to have ended, each holds one more.
func (w *work) drain(more int) Answer {
	p, f := w.policy.Drain, w.seen.Fleet
	service := w.service()
	steady := ceilDiv(w.soon+p.Headroom*math.Sqrt(w.sway), w.slots)

	stay := f.staying()
	waiting := w.waiting + float64(more)*service
	delay := w.delay.Seconds()
	horizon := max((p.Target - w.age).Seconds(), delay+10)
	need := waiting + w.held*stay + w.burst*horizon
	supply := w.supply(horizon, service)
	soon := 0
	if w.ready+more > 0 {
		if need > supply {
			soon = f.coming() + ceilDiv(need-supply, w.slots*(horizon-delay+service))
		} else {
			soon = ceilDiv(need, w.slots*(horizon+service))
		}
		soon = min(soon, ceilDiv(float64(w.ready+more)+float64(w.running)*stay+w.arrive*delay, w.slots))
	}
	return Answer{
		Rule: RuleDrain, Replicas: max(steady, soon),
		Why: fmt.Sprintf("%.3g slots keep up with what arrives (%d replicas); %d jobs that wait, the oldest for %v, are to start within %v (%d replicas).",
			w.load, steady, w.ready+more, w.age.Round(time.Millisecond), p.Target, soon),
		Terms: map[string]float64{
			"load": w.load, "burst": w.burst, "service_s": service, "slots": w.slots, "delay_s": delay, "horizon_s": horizon,
			"need_s": need, "supply_s": supply, "steady": float64(steady), "in_time": float64(soon),
		},
	}
}

// staying is the share of what runs whose workers take more jobs afterwards.
func (f Fleet) staying() float64 {
	busy, leaving := 0, 0
	for _, w := range f.Workers {
		busy += w.Count * w.Busy
		if w.Leaving {
			leaving += w.Count * w.Busy
		}
	}
	if busy == 0 {
		return 1
	}
	return 1 - float64(leaving)/float64(busy)
}

// coming counts the workers that take jobs, and those that will.
func (f Fleet) coming() int {
	n := f.Taking()
	for _, s := range f.Starting {
		if !f.stuck(s) {
			n += s.Replicas
		}
	}
	return n
}

// stuck says whether replicas have been starting for so long that they are not counted on.
func (f Fleet) stuck(s Starting) bool { return s.For > StuckAfter(f.StartDelay) }

// supply is how many seconds of work the fleet can begin within the horizon, starting replicas from
// when they will be there, unless they are stuck.
func (w *work) supply(horizon, service float64) float64 {
	total := 0.0
	for _, alike := range w.seen.Fleet.Workers {
		if !alike.Leaving {
			total += float64(alike.Count*alike.Slots) * (horizon + service)
		}
	}
	for _, s := range w.seen.Fleet.Starting {
		left := max((w.delay - s.For).Seconds(), 0)
		if left < horizon && !w.seen.Fleet.stuck(s) {
			total += float64(s.Replicas) * w.slots * (horizon - left + service)
		}
	}
	return total
}

// due asks the other policies again with the jobs that fall due before a replica made now would be
// there, and for one replica at least while any falls due a little later.
func (w *work) due() []Answer {
	near, later := 0, 0
	for i := range w.seen.Queues {
		q := &w.seen.Queues[i]
		if q.Paused {
			continue
		}
		n, l := 0, 0
		for _, due := range q.Due {
			if due.In <= w.delay {
				n = max(n, due.Jobs)
			}
			if due.In <= w.delay+w.policy.Due.Keep {
				l = max(l, due.Jobs)
			}
		}
		near, later = near+n, later+l
	}
	if later == 0 {
		return nil
	}
	a := Answer{
		Rule: RuleDue, Replicas: 1,
		Why:   fmt.Sprintf("%d jobs fall due within %v, %d of them before a new replica would be there.", later, w.delay+w.policy.Due.Keep, near),
		Terms: map[string]float64{"near": float64(near), "later": float64(later), "delay_s": w.delay.Seconds()},
	}
	if near > 0 && w.policy.Depth != nil {
		a.Replicas = max(a.Replicas, w.depth(near).Replicas)
	}
	if near > 0 && w.policy.Drain != nil {
		a.Replicas = max(a.Replicas, w.drain(near).Replicas)
	}
	return []Answer{a}
}

// awake asks for one replica while there is work.
func (w *work) awake() []Answer {
	if w.ready+w.running == 0 {
		return nil
	}
	return []Answer{{Rule: RuleAwake, Replicas: 1, Why: fmt.Sprintf("%d jobs wait and %d run.", w.ready, w.running)}}
}
