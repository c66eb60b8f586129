package storetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

func leaseTests() []test {
	return []test{
		{"Take", testLeaseTake},
		{"Renew", testLeaseRenew},
		{"Release", testLeaseRelease},
		{"Expiry", testLeaseExpiry},
		{"FencesWrites", testLeaseFences},
		{"OneOfMany", testLeaseOneOfMany},
		{"NeverTwoHolders", testLeaseNeverTwoHolders},
	}
}

// taken checks that a lease cannot be had, and returns the time after which it may be.
func (f *fixture) taken(name string, holder uuid.UUID) time.Duration {
	f.Helper()
	lease, wait, err := f.s.Acquire(f.ctx(), name, holder, time.Minute)
	if !errors.Is(err, store.ErrLeaseLost) {
		f.Errorf("another's lease: %+v, %v", lease, err)
	}
	return wait
}

func (f *fixture) acquire(name string, holder uuid.UUID, ttl time.Duration) store.Lease {
	f.Helper()
	lease, _, err := f.s.Acquire(f.ctx(), name, holder, ttl)
	f.ok(err)
	if lease.Name != name || lease.Holder != holder || lease.Epoch < 1 {
		f.Errorf("took %+v", lease)
	}
	return lease
}

func testLeaseTake(f *fixture) {
	one, two := uuid.New(), uuid.New()
	f.acquire("a", one, time.Minute)
	if wait := f.taken("a", two); wait <= 50*time.Second || wait > time.Minute {
		f.Errorf("a lease of a minute may be free in %v", wait)
	}
	f.acquire("b", two, time.Minute) // leases know nothing of each other
}

func testLeaseRenew(f *fixture) {
	one, two := uuid.New(), uuid.New()
	lease := f.acquire("a", one, 10*time.Second)
	for range 3 {
		if renewed := f.acquire("a", one, time.Hour); renewed != lease {
			f.Errorf("renewing %+v gave %+v", lease, renewed)
		}
	}
	if wait := f.taken("a", two); wait < 50*time.Minute {
		f.Errorf("renewed for an hour, it may be free in %v", wait)
	}
}

func testLeaseRelease(f *fixture) {
	one, two := uuid.New(), uuid.New()
	first := f.acquire("a", one, time.Hour)
	f.ok(f.s.Release(f.ctx(), first))
	f.ok(f.s.Release(f.ctx(), first))
	second := f.acquire("a", two, time.Hour)
	if second.Epoch <= first.Epoch {
		f.Errorf("epochs %d, then %d", first.Epoch, second.Epoch)
	}
	f.ok(f.s.Release(f.ctx(), first)) // no longer the caller's: no effect
	forged := second
	forged.Epoch = first.Epoch
	f.ok(f.s.Release(f.ctx(), forged))
	f.taken("a", one)
	f.ok(f.s.Release(f.ctx(), second))
	if third := f.acquire("a", two, time.Hour); third.Epoch <= second.Epoch {
		f.Errorf("taken again by its last holder, epochs %d, then %d", second.Epoch, third.Epoch)
	}
	f.ok(f.s.Release(f.ctx(), store.Lease{Name: "never", Holder: one, Epoch: 1}))
}

func testLeaseExpiry(f *fixture) {
	one, two := uuid.New(), uuid.New()
	first := f.acquire("a", one, 300*time.Millisecond)
	var second store.Lease
	f.eventually("the lease ends", func() bool {
		lease, wait, err := f.s.Acquire(f.ctx(), "a", two, 300*time.Millisecond)
		if err == nil {
			second = lease
			return true
		}
		if !errors.Is(err, store.ErrLeaseLost) || wait > 300*time.Millisecond || wait < 0 {
			f.Fatalf("while it lasts: %v, %v", wait, err)
		}
		return false
	})
	if second.Epoch <= first.Epoch {
		f.Errorf("epochs %d, then %d", first.Epoch, second.Epoch)
	}
	f.eventually("the lease has ended", func() bool {
		return errors.Is(f.s.PublishRoom(f.ctx(), second, nil), store.ErrLeaseLost)
	})
	if again := f.acquire("a", two, time.Hour); again.Epoch <= second.Epoch {
		f.Errorf("taken again by its last holder after it ended, epochs %d, then %d", second.Epoch, again.Epoch)
	}
}

// testLeaseFences: each fenced write is refused, and has no effect, once the lease is not the
// caller's any more, in whichever way it was lost.
func testLeaseFences(f *fixture) {
	id, pending := f.accept(inQueue("q")), f.accept(inQueue("q"))
	worker := f.register()
	run := f.claimBy(worker, id)
	parent, _ := f.parent(1)
	before := []trace{f.trace(id), f.trace(pending), f.trace(parent)}

	holder := uuid.New()
	older := f.acquire("leader", holder, time.Hour)
	f.ok(f.s.Release(f.ctx(), older))
	released := f.acquire("gone", holder, time.Hour)
	f.ok(f.s.Release(f.ctx(), released))
	current := f.acquire("leader", holder, time.Hour)
	expired := f.acquire("brief", holder, time.Millisecond)
	f.eventually("the brief lease ends", func() bool {
		return errors.Is(f.s.PublishRoom(f.ctx(), expired, nil), store.ErrLeaseLost)
	})
	foreign, newer, unknown := current, current, current
	foreign.Holder, newer.Name, unknown.Name = uuid.New(), "leader", "never"
	newer.Epoch++
	for name, fence := range map[string]store.Lease{
		"older": older, "released": released, "expired": expired, "foreign": foreign, "newer": newer, "unknown": unknown, "zero": {},
	} {
		_, redeliver := f.s.Redeliver(f.ctx(), fence, []store.Delivery{{JobID: pending, Generation: 1, Queue: "q"}})
		_, reapWorkers := f.s.ReapWorkers(f.ctx(), fence, map[uuid.UUID]int64{worker: 1})
		_, reapRuns := f.s.ReapRuns(f.ctx(), fence, []store.RunRef{run})
		_, settle := f.s.SettleParents(f.ctx(), fence, 10)
		for write, err := range map[string]error{
			"Redeliver": redeliver, "ReapWorkers": reapWorkers, "ReapRuns": reapRuns, "SettleParents": settle,
			"PublishRoom": f.s.PublishRoom(f.ctx(), fence, map[string]int{"q": 5}),
		} {
			if !errors.Is(err, store.ErrLeaseLost) {
				f.Errorf("%s with a lease that is %s: %v", write, name, err)
			}
		}
	}
	f.rooms("after refused writes", "leader", nil)
	for _, b := range before {
		f.unchanged("a fenced write", b)
	}
	f.seen(worker)
	f.lose(current, run)
}

func testLeaseOneOfMany(f *fixture) {
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		var mu sync.Mutex
		var winners []store.Lease
		together(20, func(int) {
			lease, _, err := f.s.Acquire(f.ctx(), name, uuid.New(), time.Hour)
			if err == nil {
				mu.Lock()
				winners = append(winners, lease)
				mu.Unlock()
			} else if !errors.Is(err, store.ErrLeaseLost) {
				f.Errorf("acquire: %v", err)
			}
		})
		if len(winners) != 1 {
			f.Errorf("%d of 20 took the lease", len(winners))
		}
	}
}

// testLeaseNeverTwoHolders lets many contend for a short lease; some give it back, some let it end.
// From when a holder knows that it has it until ttl after it asked, nobody else has it; and a later
// holder has a higher epoch.
func testLeaseNeverTwoHolders(f *fixture) {
	const ttl, rounds = 60 * time.Millisecond, 40
	type tenure struct {
		lease      store.Lease
		from, till time.Time
	}
	var mu sync.Mutex
	var tenures []tenure
	give := time.Now().Add(patience)
	together(6, func(g int) {
		holder := uuid.New()
		for time.Now().Before(give) {
			asked := time.Now()
			lease, _, err := f.s.Acquire(f.ctx(), "a", holder, ttl)
			held := tenure{lease, time.Now(), asked.Add(ttl)}
			if errors.Is(err, store.ErrLeaseLost) {
				f.pause()
				continue
			}
			if err != nil {
				f.Errorf("acquire: %v", err)
				return
			}
			if g%2 == 0 {
				f.pause()
				if now := time.Now(); now.Before(held.till) {
					held.till = now
				}
				if err := f.s.Release(f.ctx(), lease); err != nil {
					f.Errorf("release: %v", err)
				}
			}
			mu.Lock()
			tenures = append(tenures, held)
			enough := len(tenures) >= rounds
			mu.Unlock()
			if enough {
				return
			}
			for until := time.Now().Add(ttl); time.Now().Before(until); {
				f.pause() // lets others have it
			}
		}
	})
	slices.SortFunc(tenures, func(a, b tenure) int { return a.from.Compare(b.from) })
	epochs := map[int64]uuid.UUID{}
	for i, t := range tenures {
		if other, known := epochs[t.lease.Epoch]; known && other != t.lease.Holder {
			f.Errorf("epoch %d had two holders", t.lease.Epoch)
		}
		epochs[t.lease.Epoch] = t.lease.Holder
		for _, u := range tenures[i+1:] {
			if !u.from.Before(u.till) {
				continue // the answer came so late that the lease had ended
			}
			if u.lease.Epoch != t.lease.Epoch && u.from.Before(t.till) {
				f.Errorf("epoch %d lasted till %v, epoch %d began at %v", t.lease.Epoch, t.till, u.lease.Epoch, u.from)
			}
		}
	}
	if len(tenures) < rounds || len(epochs) < rounds/2 {
		f.Errorf("in %v the lease was taken %d times and had %d epochs", patience, len(tenures), len(epochs))
	}
}
