package simulate

import (
	"cmp"
	"slices"
	"time"

	"github.com/leat-dev/leat/scale"
)

// worker is what the store knows of a replica's worker, and what the worker has been told.
type worker struct {
	registered time.Duration
	beats      time.Duration // when in each beatEvery
	looked     time.Duration // when its row was last read
	busy       int           // slots in use, as of its last heartbeat
	known      bool          // its start was learned from

	chosen  bool          // is to go once it is empty
	told    bool          // to take nothing more, though it may not have heard that yet
	renewed time.Duration // when it was last told
	until   time.Duration // when that ends by itself
	marked  bool          // by its deletion cost, to be removed first
}

// look brings what the row says up to date, if there was a heartbeat since the last look.
func (p *pod) look(now time.Duration) {
	if p.beat(p.looked) <= now {
		p.busy = len(p.jobs)
	}
	p.looked = now
}

// beat is when the worker's next heartbeat is.
func (p *pod) beat(now time.Duration) time.Duration {
	at := now - now%beatEvery + p.beats
	if at <= now {
		at += beatEvery
	}
	return at
}

// cordon tells a worker to take nothing more until a time, or, with one that is over, that it may.
func (w *world) cordon(p *pod, until time.Duration) {
	p.told, p.until = until > w.now, until
	w.agenda.add(event{at: p.beat(w.now), kind: podBeats, id: p.id})
	if p.told {
		w.agenda.add(event{at: p.beat(until), kind: podBeats, id: p.id})
	}
}

// heard is a heartbeat that tells a worker what holds.
func (w *world) heard(p *pod) {
	p.told = p.told && p.until > w.now
	p.leaving = p.told
	p.looked, p.busy = w.now, len(p.jobs)
	w.offer(p)
}

// apply carries a decision out as far as it can be, and tells whether the number was changed.
func (s *leat) apply(w *world, d scale.Decision) bool {
	if d.Replicas >= d.Current {
		s.giveBack(w)
		if d.Replicas > d.Current {
			w.scale(d.Replicas)
		}
		return d.Replicas > d.Current
	}
	return s.shrink(w, d)
}

func (s *leat) giveBack(w *world) {
	for _, p := range w.pods {
		if p.chosen {
			p.release(w)
		}
	}
}

// release lets a worker that was to go take jobs again.
func (p *pod) release(w *world) {
	p.chosen, p.marked = false, false
	if p.started {
		w.cordon(p, 0)
	}
}

// shrink empties workers, and removes those that are.
func (s *leat) shrink(w *world, d scale.Decision) bool {
	surplus := d.Current - d.Replicas
	if !slices.ContainsFunc(w.pods, func(p *pod) bool { return p.chosen }) {
		s.since = w.now
	}
	victims := s.choose(w, surplus)
	w.empty(victims)
	waited := w.now - s.since
	empty := 0
	for _, p := range victims {
		p.marked = !p.started || p.leaving && p.busy == 0 || d.Forces(waited)
		empty += number(p.marked)
	}
	if !scale.GoNow(empty, surplus, waited) {
		return false
	}
	w.scale(d.Current - empty)
	s.since = w.now
	return true
}

// choose picks as many as there are too many.
func (s *leat) choose(w *world, surplus int) []*pod {
	stuck := scale.StuckAfter(s.starts.Delay())
	var candidates []*pod
	for _, p := range w.pods {
		if p.started || w.now-p.made >= stuck {
			candidates = append(candidates, p)
		}
	}
	slices.SortFunc(candidates, func(a, b *pod) int {
		return cmp.Or(a.victim().Compare(b.victim()), cmp.Compare(b.id, a.id))
	})
	return candidates[:min(surplus, len(candidates))]
}

func (p *pod) victim() scale.Victim {
	return scale.Victim{Busy: p.busy, Leaving: p.chosen, Made: begins.Add(p.made)}
}

// empty tells those that are to go to take nothing more, and those that are not to go any more that
// they may.
func (w *world) empty(victims []*pod) {
	for _, p := range w.pods {
		if p.chosen && !slices.Contains(victims, p) {
			p.release(w)
		}
	}
	for _, p := range victims {
		if p.started && (!p.chosen || w.now-p.renewed >= scale.CordonAgain) {
			p.chosen, p.renewed = true, w.now
			w.cordon(p, w.now+scale.CordonFor)
		}
	}
}
