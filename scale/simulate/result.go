package simulate

import (
	"math"
	"slices"
	"time"
)

// Result is what one run came to.
type Result struct {
	Load   string `json:"load"`
	Scaler string `json:"scaler"`
	Seed   uint64 `json:"seed"`

	// Every job that arrived is in one of the following at the end.
	Arrived   int `json:"arrived"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Running   int `json:"running"`
	Waiting   int `json:"waiting"`
	Later     int `json:"later"` // for their backoff to be over

	Retried int `json:"retried"` // failed attempts that were repeated

	// Waits are from when a job, or a further attempt of it, could run until it began to, and of those
	// that wait at the end until then. That an interrupted job begins anew does not count.
	WaitP50 float64 `json:"wait_p50_s"`
	WaitP95 float64 `json:"wait_p95_s"`
	WaitP99 float64 `json:"wait_p99_s"`
	WaitMax float64 `json:"wait_max_s"`
	Missed  float64 `json:"missed"` // share of waits over Options.Target

	PodHours    float64 `json:"pod_hours"`    // from made to gone, starting and ending included
	Turns       int     `json:"turns"`        // changes of direction
	Interrupted int     `json:"interrupted"`  // runs that ended with their worker
	LostSeconds float64 `json:"lost_seconds"` // of those runs

	Series []Point `json:"series,omitempty"`
}

// Point is one moment of a run.
type Point struct {
	At       float64 `json:"at_s"`
	Waiting  int     `json:"waiting"`
	Running  int     `json:"running"`
	Replicas int     `json:"replicas"` // as told
	Taking   int     `json:"taking"`   // workers that take jobs
	Wait     float64 `json:"wait_s"`   // the longest of those that ended since the point before, or goes on
}

// tally is what is counted during a run.
type tally struct {
	waits                      []float64 // in seconds
	succeeded, failed, retried int
	interrupted                int
	lost, podTime              time.Duration
	direction, turns           int

	every, nextPoint time.Duration
	longest          time.Duration
	series           []Point
}

func (t *tally) begin(l *Load, o Options) {
	t.waits = make([]float64, 0, len(l.Jobs))
	if o.Points > 0 {
		t.every = max(l.For/time.Duration(o.Points), 1)
	}
}

func (t *tally) started(wait time.Duration) {
	t.waits = append(t.waits, wait.Seconds())
	t.longest = max(t.longest, wait)
}

func (t *tally) changed(by int) {
	direction := 1
	if by < 0 {
		direction = -1
	}
	if t.direction != 0 && direction != t.direction {
		t.turns++
	}
	t.direction = direction
}

// sample notes how the world is at the points up to a time at which something is about to happen.
func (t *tally) sample(w *world, until time.Duration) {
	if t.every == 0 {
		return
	}
	for ; t.nextPoint <= until; t.nextPoint += t.every {
		p := Point{At: t.nextPoint.Seconds(), Waiting: w.waiting(), Running: w.running(), Replicas: w.told}
		for _, pod := range w.pods {
			p.Taking += number(pod.started && !pod.leaving)
		}
		for _, q := range w.queues {
			if q.ready.n > 0 {
				t.longest = max(t.longest, t.nextPoint-w.tasks[q.ready.head()].ready)
			}
		}
		p.Wait, t.longest = t.longest.Seconds(), 0
		t.series = append(t.series, p)
	}
}

// result sums up what is there at the end.
func (w *world) result(scaler string, o Options) *Result {
	t := &w.tally
	for _, p := range w.byID {
		if !p.going || len(p.jobs) > 0 {
			w.gone(p)
		}
	}
	r := &Result{
		Load: w.load.Name, Scaler: scaler, Seed: w.load.Seed, Arrived: w.next,
		Succeeded: t.succeeded, Failed: t.failed, Retried: t.retried, Running: w.running(), Waiting: w.waiting(),
		PodHours: t.podTime.Hours(), Turns: t.turns, Interrupted: t.interrupted, LostSeconds: t.lost.Seconds(), Series: t.series,
	}
	for _, q := range w.queues {
		r.Later += len(q.later)
		for q.ready.n > 0 {
			if task := &w.tasks[q.ready.pop()]; !task.waited {
				t.waits = append(t.waits, (w.now - task.ready).Seconds())
			}
		}
	}
	slices.Sort(t.waits)
	r.WaitP50, r.WaitP95, r.WaitP99, r.WaitMax = quantile(t.waits, 0.5), quantile(t.waits, 0.95), quantile(t.waits, 0.99), quantile(t.waits, 1)
	if n := len(t.waits); n > 0 {
		in, _ := slices.BinarySearch(t.waits, math.Nextafter(o.Target.Seconds(), math.Inf(1)))
		r.Missed = float64(n-in) / float64(n)
	}
	return r
}

// quantile is the least value that a share q of the sorted values does not exceed; 0 of none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}
