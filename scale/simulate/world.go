package simulate

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Rules decide how many replicas there are: [Leat], [KEDA] or [HPA].
type Rules interface {
	// Name is what they are called in results.
	Name() string
	// begin makes a scaler without a past, and says when it acts first.
	begin(l *Load, rng *rand.Rand) (scaler, time.Duration)
}

// scaler acts now and again.
type scaler interface {
	// act looks at the world, may change how many replicas there are to be, and says how long it is
	// until it acts again.
	act(w *world) time.Duration
}

// world is queues and workers at one moment of a run.
type world struct {
	load  *Load
	grace time.Duration
	rng   *rand.Rand
	now   time.Duration

	agenda agenda
	tasks  []task
	next   int // of the jobs, the one that arrives next
	queues []*queue

	told int    // replicas that there are to be
	made int    // that were ever made
	pods []*pod // that there are, in the order in which they were made
	free []*pod // that have a slot for a job
	byID []*pod // all that were ever made

	tally tally
}

// task is a job and what became of it so far.
type task struct {
	ready   time.Duration // since when it could run
	began   time.Duration // its present run
	queue   int
	run     int // raised by each run
	attempt int // that failed
	waited  bool
	pod     *pod // that runs it
	due     int  // its place in queue.later
}

type queue struct {
	name     string
	ready    backlog
	running  int
	began    time.Duration // sum over those that run
	later    []int         // jobs that wait for their backoff to be over
	happened rollups
}

// pod is one replica.
type pod struct {
	id      int
	made    time.Duration
	started bool
	leaving bool // takes nothing more
	going   bool // was told to end
	jobs    []int
	free    int // place in world.free; -1 when not there

	worker // what Leat's scaler knows of it
}

func newWorld(l *Load, grace time.Duration) *world {
	w := &world{load: l, grace: grace, rng: rand.New(rand.NewPCG(l.Seed, 1))}
	names := l.queues()
	for _, name := range names {
		w.queues = append(w.queues, &queue{name: name})
	}
	w.tasks = make([]task, len(l.Jobs))
	for i := range l.Jobs {
		w.tasks[i].queue = slices.Index(names, l.Jobs[i].Queue)
	}
	w.told = l.Initial
	for range l.Initial {
		w.start(w.add())
	}
	return w
}

// waiting and running count jobs over all queues.
func (w *world) waiting() (n int) {
	for _, q := range w.queues {
		n += q.ready.n
	}
	return n
}

func (w *world) running() (n int) {
	for _, q := range w.queues {
		n += q.running
	}
	return n
}

// scale sets how many replicas there are to be, as an update of a Deployment's scale does.
func (w *world) scale(n int) {
	if n != w.told {
		w.tally.changed(n - w.told)
	}
	w.told = n
	for len(w.pods) < n {
		p := w.add()
		w.agenda.add(event{at: w.now + w.load.starts(p.id), kind: podReady, id: p.id})
	}
	if surplus := len(w.pods) - n; surplus > 0 {
		for _, p := range w.victims()[:surplus] {
			w.end(p)
		}
	}
}

// victims are the replicas in the order in which a ReplicaSet removes them: those that are not
// ready, then those with the lowest deletion cost, then the newest. (Kubernetes compares ages by
// their order of magnitude, and draws among equals.)
func (w *world) victims() []*pod {
	return slices.SortedFunc(slices.Values(w.pods), func(a, b *pod) int {
		return cmp.Or(cmp.Compare(number(a.started), number(b.started)), -cmp.Compare(number(a.marked), number(b.marked)), cmp.Compare(b.id, a.id))
	})
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (w *world) add() *pod {
	p := &pod{id: w.made, made: w.now, free: -1}
	w.made++
	w.pods = append(w.pods, p)
	w.byID = append(w.byID, p)
	return p
}

func (w *world) start(p *pod) {
	if p.going {
		return
	}
	p.started = true
	p.registered, p.beats = w.now, time.Duration(w.rng.Int64N(int64(beatEvery)))
	w.offer(p)
}

// offer puts a replica among those that are free, if it is, and takes it out otherwise.
func (w *world) offer(p *pod) {
	free := p.started && !p.leaving && !p.going && len(p.jobs) < w.load.Slots
	switch {
	case free && p.free < 0:
		p.free = len(w.free)
		w.free = append(w.free, p)
	case !free && p.free >= 0:
		last := w.free[len(w.free)-1]
		w.free[p.free], last.free = last, p.free
		w.free = w.free[:len(w.free)-1]
		p.free = -1
	}
}

// end tells a replica to end. One that runs nothing is gone at once; another takes nothing more, and
// has a while to end what it runs.
func (w *world) end(p *pod) {
	p.going = true
	w.offer(p)
	w.pods = slices.DeleteFunc(w.pods, func(o *pod) bool { return o == p })
	if len(p.jobs) == 0 {
		w.gone(p)
		return
	}
	w.agenda.add(event{at: w.now + w.grace, kind: podKilled, id: p.id})
}

func (w *world) gone(p *pod) { w.tally.podTime += w.now - p.made }
