package loop

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/leat-dev/leat/scale"
	"github.com/leat-dev/leat/store"
)

// view is what one turn has seen.
type view struct {
	observation scale.Observation
	size        scale.Size
	sizeErr     error
	members     []member
}

// member is a replica and its worker, if it has one.
type member struct {
	scale.Member
	worker *store.Worker
	busy   int
}

// observe looks at the work and at the fleet. What cannot be seen makes the observation blind.
func (l *Loop) observe(ctx context.Context) view {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Patience)
	defer cancel()
	var v view
	o := &v.observation
	state, err := l.store.ScalingState(ctx, l.target.Name())
	if err != nil {
		v.sizeErr = err
		l.blind(&v, fmt.Errorf("the store does not answer: %w", err))
		return v
	}
	if err := l.remember(state); err != nil {
		l.log.WarnContext(ctx, "what earlier decisions left cannot be read; beginning anew", "error", err)
	}
	o.At = state.Now.UTC()
	o.Command = command(state)
	v.size, v.sizeErr = l.target.Size(ctx)
	if v.sizeErr != nil {
		l.blind(&v, fmt.Errorf("the target cannot be seen: %w", v.sizeErr))
		return v
	}
	l.last = v.size.Replicas
	o.Fleet.Replicas = v.size.Replicas
	if err := l.opts.Deliverable(ctx); err != nil {
		l.blind(&v, fmt.Errorf("jobs cannot be handed out: %w", err))
		return v
	}
	horizons := scale.Horizons()
	load, err := l.store.Load(ctx, horizons, scale.Spans())
	if err != nil {
		l.blind(&v, fmt.Errorf("the queues cannot be seen: %w", err))
		return v
	}
	workers, err := l.store.Workers(ctx)
	if err != nil {
		l.blind(&v, fmt.Errorf("the workers cannot be seen: %w", err))
		return v
	}
	for i := range load {
		if len(l.opts.Queues) == 0 || slices.Contains(l.opts.Queues, load[i].Name) {
			o.Queues = append(o.Queues, queue(&load[i], horizons))
		}
	}
	v.members = match(v.size.Members, workers)
	l.learnStarts(v.members)
	l.fleet(&o.Fleet, o.At, v.members, state)
	if err := l.learnSeason(ctx, o.At); err != nil {
		l.log.WarnContext(ctx, "arrivals of the past cannot be read; the forecast stays as it was", "error", err)
	}
	return v
}

// blind makes an observation of not being able to see.
func (l *Loop) blind(v *view, err error) {
	v.observation.Blind = err.Error()
	v.observation.Fleet.Replicas = l.last
	if v.observation.At.IsZero() {
		v.observation.At = time.Now().UTC() // the store's clock is not to be had
	}
}

func command(state store.ScalingState) scale.Command {
	c := scale.Command{Paused: state.Paused}
	if state.Pin != nil {
		c.Pin, c.Until = &state.Pin.Replicas, state.Pin.Until.UTC()
	}
	return c
}

func queue(q *store.QueueLoad, horizons []time.Duration) scale.Queue {
	seen := scale.Queue{Name: q.Name, Paused: q.Paused, Ready: q.Ready.N, Running: q.Running.N, Age: q.Age, Held: q.Held}
	for i, n := range q.Due {
		if n > 0 {
			seen.Due = append(seen.Due, scale.Due{In: horizons[i], Jobs: n})
		}
	}
	for _, p := range q.Past {
		seen.Windows = append(seen.Windows, scale.Window{
			Span: p.Over, Arrived: p.Arrived, Succeeded: p.Succeeded, Failed: p.Failed, Retried: p.Retried, Lost: p.Lost, Busy: p.Busy,
		})
	}
	return seen
}

// match finds the worker of each member by its label. A label may have the rows of two processes
// while one follows the other; the later counts.
func match(members []scale.Member, workers []store.Worker) []member {
	latest := make(map[string]*store.Worker, len(workers))
	for i := range workers {
		w := &workers[i]
		if before := latest[w.Label]; before == nil || before.RegisteredAt.Before(w.RegisteredAt) {
			latest[w.Label] = w
		}
	}
	matched := make([]member, len(members))
	for i, m := range members {
		matched[i] = member{Member: m, worker: latest[m.Name]}
		if w := matched[i].worker; w != nil {
			matched[i].busy = len(w.Runs)
		}
	}
	return matched
}

// fleet groups members that are alike.
func (l *Loop) fleet(f *scale.Fleet, at time.Time, members []member, state store.ScalingState) {
	alike := make(map[scale.Workers]int)
	starting := make(map[time.Duration]int)
	for _, m := range members {
		if m.worker == nil {
			starting[max(at.Sub(m.Made), 0).Truncate(time.Second)]++
			continue
		}
		alike[scale.Workers{Slots: m.worker.Slots, Busy: m.busy, Leaving: m.worker.Cordoned || m.worker.CordonedFor > 0 || m.worker.Draining}]++
	}
	for w, n := range alike {
		w.Count = n
		f.Workers = append(f.Workers, w)
	}
	slices.SortFunc(f.Workers, compareWorkers)
	for age, n := range starting {
		f.Starting = append(f.Starting, scale.Starting{For: age, Replicas: n})
	}
	slices.SortFunc(f.Starting, func(a, b scale.Starting) int { return int(a.For - b.For) })
	f.StartDelay = l.memory.Starts.Delay()
	if b := l.opts.Policy.Budget; b != nil {
		f.Spent = map[scale.BudgetPeriod]float64{scale.PerDay: state.Day, scale.PerWeek: state.Week, scale.PerMonth: state.Month}[b.Period]
	}
}

func compareWorkers(a, b scale.Workers) int {
	switch {
	case a.Busy != b.Busy:
		return a.Busy - b.Busy
	case a.Slots != b.Slots:
		return a.Slots - b.Slots
	case a.Leaving != b.Leaving && a.Leaving:
		return 1
	case a.Leaving != b.Leaving:
		return -1
	}
	return 0
}
