package storetest

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func fleetTests() []test {
	return []test{
		{"Register", testRegister},
		{"Beat", testBeat},
		{"Leave", testLeave},
		{"OrdersToCancel", testOrdersToCancel},
		{"Cordon", testCordon},
		{"CordonEnds", testCordonEnds},
		{"UnknownWorker", testUnknownWorker},
		{"BeatsAtOnce", testBeatsAtOnce},
	}
}

// seen returns a worker's row.
func (f *fixture) seen(id uuid.UUID) store.Worker {
	f.Helper()
	workers, err := f.s.Workers(f.ctx())
	f.ok(err)
	for _, w := range workers {
		if w.ID == id {
			return w
		}
	}
	f.Fatalf("worker %v is not registered", id)
	return store.Worker{}
}

func (f *fixture) beat(w store.WorkerStatus) store.Orders {
	f.Helper()
	orders, err := f.s.Beat(f.ctx(), w)
	f.ok(err)
	return orders
}

func testRegister(f *fixture) {
	w := store.WorkerStatus{
		ID: uuid.New(), Label: "pod-\"ü\"-7", Version: "v1", Slots: 16, Free: 3, Queues: []string{"a", "b,c"},
		Kinds: []string{"inspect", "image"}, Runs: []store.RunRef{{JobID: uuid.New(), Claim: uuid.New()}, {JobID: uuid.New()}},
		Cordoned: true, Draining: true,
	}
	f.ok(f.s.Register(f.ctx(), w))
	got := f.seen(w.ID)
	if got.RegisteredAt.IsZero() || got.SeenAt.Before(got.RegisteredAt) {
		f.Errorf("registered at %v, seen at %v", got.RegisteredAt, got.SeenAt)
	}
	f.equal("worker", store.Worker{
		WorkerStatus: w, Beats: got.Beats, RegisteredAt: got.RegisteredAt, SeenAt: got.SeenAt,
	}, got)

	f.ok(f.s.Register(f.ctx(), w))
	bare := store.WorkerStatus{ID: uuid.New()}
	f.ok(f.s.Register(f.ctx(), bare))
	f.equal("bare worker", bare, f.seen(bare.ID).WorkerStatus)
	workers, err := f.s.Workers(f.ctx())
	f.ok(err)
	if len(workers) != 3 || !slices.IsSortedFunc(workers, func(a, b store.Worker) int { return bytes.Compare(a.ID[:], b.ID[:]) }) {
		f.Errorf("workers %+v, want three by ID", workers)
	}
}

func testBeat(f *fixture) {
	w := status(uuid.New())
	w.Free = 3
	f.ok(f.s.Register(f.ctx(), w))
	last := f.seen(w.ID)
	if last.FreeBefore != 0 {
		f.Errorf("before its first beat it had %d slots free", last.FreeBefore)
	}
	other := f.seen(f.worker)
	for i, free := range []int{2, 7, 0, 5} {
		w.Free, w.Slots, w.Label, w.Draining, w.Cordoned = free, 8+i, "label", i%2 == 0, i%2 == 1
		w.Queues, w.Kinds = append(w.Queues, "more"), w.Kinds[:1]
		w.Runs = append(w.Runs, store.RunRef{JobID: uuid.New(), Claim: uuid.New()})
		f.equal("orders", store.Orders{Fleet: 2}, f.beat(w))
		now := f.seen(w.ID)
		if now.Beats <= last.Beats || now.SeenAt.Before(last.SeenAt) || !now.RegisteredAt.Equal(last.RegisteredAt) {
			f.Errorf("beat %d: %+v, before %+v", i, now, last)
		}
		f.equal("worker", store.Worker{
			WorkerStatus: w, Beats: now.Beats, FreeBefore: last.Free, RegisteredAt: now.RegisteredAt, SeenAt: now.SeenAt,
		}, now)
		last = now
	}
	f.equal("another worker's row", other, f.seen(f.worker))
}

func testLeave(f *fixture) {
	w := status(f.register())
	if orders := f.beat(w); orders.Fleet != 2 {
		f.Errorf("a fleet of %d, want 2", orders.Fleet)
	}
	f.ok(f.s.Leave(f.ctx(), w.ID))
	f.ok(f.s.Leave(f.ctx(), w.ID))
	if _, err := f.s.Beat(f.ctx(), w); !errors.Is(err, store.ErrWorkerGone) {
		f.Errorf("a beat after it left: %v", err)
	}
	if orders := f.beat(status(f.worker)); orders.Fleet != 1 {
		f.Errorf("a fleet of %d, want 1", orders.Fleet)
	}
	f.ok(f.s.Register(f.ctx(), w))
	if orders := f.beat(w); orders.Fleet != 2 {
		f.Errorf("a fleet of %d, want 2", orders.Fleet)
	}
}

func testOrdersToCancel(f *fixture) {
	other := f.register()
	mine, spared, foreign := f.claim(f.accept()), f.claim(f.accept()), f.claimBy(other, f.accept())
	again := f.claim(f.accept())
	for _, run := range []store.RunRef{mine, foreign, again} {
		_, err := f.s.Cancel(f.ctx(), f.tenant, run.JobID)
		f.ok(err)
	}
	f.end(again, jobs.RunCancelled)
	w := status(f.worker)
	w.Runs = []store.RunRef{mine, spared}
	for range 2 { // until it has ended
		f.equal("orders", store.Orders{Cancel: []store.RunRef{mine}, Fleet: 2}, f.beat(w))
	}
	f.equal("the other's orders", store.Orders{Cancel: []store.RunRef{foreign}, Fleet: 2}, f.beat(status(other)))
	f.end(mine, jobs.RunCancelled)
	f.equal("orders", store.Orders{Fleet: 2}, f.beat(w))

	// A job cancelled with its parent above is among the orders too.
	parent, children := f.parent(1)
	below := f.claim(children[0])
	_, err := f.s.Cancel(f.ctx(), f.tenant, parent)
	f.ok(err)
	f.equal("orders", store.Orders{Cancel: []store.RunRef{below}, Fleet: 2}, f.beat(w))
}

func testCordon(f *fixture) {
	w := status(f.worker)
	if w := f.seen(f.worker); w.CordonedFor != 0 {
		f.Errorf("never cordoned, it is so for %v", w.CordonedFor)
	}
	f.ok(f.s.Cordon(f.ctx(), f.worker, time.Hour))
	if w := f.seen(f.worker); w.CordonedFor <= 50*time.Minute || w.CordonedFor > time.Hour || w.Cordoned {
		f.Errorf("cordoned for an hour, it is so for %v (says so: %v)", w.CordonedFor, w.Cordoned)
	}
	for range 2 {
		f.equal("orders", store.Orders{Cordon: true, Fleet: 1}, f.beat(w))
	}
	f.refuse(f.request(f.accept()), store.RefusedWorker)
	f.ok(f.s.Cordon(f.ctx(), f.worker, 0))
	f.equal("orders", store.Orders{Fleet: 1}, f.beat(w))
	if w := f.seen(f.worker); w.CordonedFor != 0 {
		f.Errorf("the cordon was lifted, it is so for %v", w.CordonedFor)
	}
	f.claim(f.accept())
}

func testCordonEnds(f *fixture) {
	f.ok(f.s.Cordon(f.ctx(), f.worker, time.Hour))
	f.ok(f.s.Cordon(f.ctx(), f.worker, 300*time.Millisecond))
	f.eventually("the cordon ends", func() bool { return !f.beat(status(f.worker)).Cordon })
	if w := f.seen(f.worker); w.CordonedFor != 0 {
		f.Errorf("the cordon ended, it is so for %v", w.CordonedFor)
	}
	f.claim(f.accept())
}

func testUnknownWorker(f *fixture) {
	if _, err := f.s.Beat(f.ctx(), status(uuid.New())); !errors.Is(err, store.ErrWorkerGone) {
		f.Errorf("beat: %v", err)
	}
	for _, d := range []time.Duration{time.Hour, 0} {
		if err := f.s.Cordon(f.ctx(), uuid.New(), d); !errors.Is(err, store.ErrWorkerGone) {
			f.Errorf("cordon for %v: %v", d, err)
		}
	}
	f.ok(f.s.Leave(f.ctx(), uuid.New()))
}

// testBeatsAtOnce: every process writes its own row only, and none is lost.
func testBeatsAtOnce(f *fixture) {
	const workers, beats = 30, 5
	var all []uuid.UUID
	for range workers {
		all = append(all, f.register())
	}
	together(workers, func(i int) {
		for range beats {
			if orders, err := f.s.Beat(f.ctx(), status(all[i])); err != nil || orders.Fleet != workers+1 {
				f.Errorf("beat: %+v, %v", orders, err)
			}
		}
	})
	first := f.seen(f.worker).Beats
	for _, id := range all {
		if n := f.seen(id).Beats; n != first+beats {
			f.Errorf("%d beats, want %d", n, first+beats)
		}
	}
}
