package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/store"
)

func onceTests() []test {
	return []test{
		{"AcceptOnce", testAcceptOnce},
		{"AcceptOnceFails", testAcceptOnceFails},
		{"AcceptOnceAtOnce", testAcceptOnceAtOnce},
		{"BeginAndEnd", testBeginAndEndOnce},
		{"LetGo", testOnceLetGo},
		{"HoldEnds", testOnceHoldEnds},
		{"OfTenants", testOnceOfTenants},
		{"Pruned", testOncePruned},
	}
}

func once(key, request string) store.Once {
	o := store.Once{Key: key, Holder: uuid.New()}
	copy(o.Request[:], request)
	return o
}

// answering makes an answer of what was accepted.
func answering(accepted []store.Accepted) store.Answer {
	return store.Answer{Status: 202, Location: "/v1/jobs/" + accepted[0].JobID.String(), Body: []byte("accepted")}
}

func testAcceptOnce(f *fixture) {
	one, other := upload(), upload()
	accepted, given, replayed, err := f.s.AcceptOnce(f.ctx(), f.tenant, once("k", "a"), []store.Upload{one, other}, answering)
	f.ok(err)
	f.equal("answer", store.Answer{Status: 202, Location: "/v1/jobs/" + one.Job.ID.String(), Body: []byte("accepted")}, given)
	if replayed || len(accepted) != 2 || accepted[0].JobID != one.Job.ID || !accepted[0].Due {
		f.Errorf("accepted %+v, replayed %t", accepted, replayed)
	}
	before := f.inventory()

	accepted, again, replayed, err := f.s.AcceptOnce(f.ctx(), f.tenant, once("k", "a"), []store.Upload{upload()}, answering)
	f.ok(err)
	f.equal("answer to the same", given, again)
	if !replayed || len(accepted) != 0 {
		f.Errorf("accepted %+v, replayed %t; want the first answer only", accepted, replayed)
	}
	if _, _, _, err = f.s.AcceptOnce(f.ctx(), f.tenant, once("k", "b"), []store.Upload{upload()}, answering); !errors.Is(err, store.ErrOtherRequest) {
		f.Errorf("another request: %v", err)
	}
	f.equal("jobs", before, f.inventory())
	if _, _, replayed, err := f.s.AcceptOnce(f.ctx(), f.tenant, once("other", "a"), []store.Upload{upload()}, answering); err != nil || replayed {
		f.Errorf("another key: replayed %t, %v", replayed, err)
	}
}

// What was refused has left nothing, not even its key.
func testAcceptOnceFails(f *fixture) {
	taken := upload()
	_, err := f.s.Accept(f.ctx(), f.tenant, []store.Upload{taken})
	f.ok(err)
	if _, _, _, err := f.s.AcceptOnce(f.ctx(), f.tenant, once("k", "a"), []store.Upload{upload(), taken}, answering); err == nil {
		f.Error("a job was accepted a second time")
	}
	stale := upload()
	stale.File.Content, stale.File.BlobKey, stale.File.StoredAt = nil, uuid.New(), time.Now().Add(-store.MaxBlobAge-time.Minute)
	if _, _, _, err := f.s.AcceptOnce(f.ctx(), f.tenant, once("k", "a"), []store.Upload{stale}, answering); !errors.Is(err, store.ErrStale) {
		f.Errorf("old bytes: %v", err)
	}
	if _, _, replayed, err := f.s.AcceptOnce(f.ctx(), f.tenant, once("k", "b"), []store.Upload{upload()}, answering); err != nil || replayed {
		f.Errorf("the key of what failed: replayed %t, %v", replayed, err)
	}
	if n := len(f.list(store.JobFilter{})); n != 2 {
		f.Errorf("%d jobs, want 2", n)
	}
}

func testAcceptOnceAtOnce(f *fixture) {
	const calls = 20
	var wait sync.WaitGroup
	answers := make([]store.Answer, calls)
	fresh := make([]bool, calls)
	for i := range calls {
		wait.Go(func() {
			_, given, replayed, err := f.s.AcceptOnce(f.ctx(), f.tenant, once("k", "a"), []store.Upload{upload()}, answering)
			if err != nil {
				f.Error(err)
			}
			answers[i], fresh[i] = given, !replayed
		})
	}
	wait.Wait()
	n := 0
	for i := range calls {
		f.equal("answer", answers[0], answers[i])
		if fresh[i] {
			n++
		}
	}
	if jobs := len(f.list(store.JobFilter{})); n != 1 || jobs != 1 {
		f.Errorf("%d calls accepted and there are %d jobs, want one of each", n, jobs)
	}
}

func testBeginAndEndOnce(f *fixture) {
	mine := once("k", "a")
	answer, err := f.s.BeginOnce(f.ctx(), f.tenant, mine, time.Minute)
	f.ok(err)
	f.equal("first", (*store.Answer)(nil), answer)
	if _, err := f.s.BeginOnce(f.ctx(), f.tenant, once("k", "a"), time.Minute); !errors.Is(err, store.ErrOnceBusy) {
		f.Errorf("while the first is under way: %v", err)
	}
	if _, err := f.s.BeginOnce(f.ctx(), f.tenant, once("k", "b"), time.Minute); !errors.Is(err, store.ErrOtherRequest) {
		f.Errorf("another request: %v", err)
	}
	f.ok(f.s.EndOnce(f.ctx(), f.tenant, once("k", "a"), &store.Answer{Status: 500})) // not the one
	f.ok(f.s.EndOnce(f.ctx(), f.tenant, mine, &store.Answer{Status: 409, Body: []byte{}}))
	f.ok(f.s.EndOnce(f.ctx(), f.tenant, mine, &store.Answer{Status: 200})) // it has been answered
	f.ok(f.s.EndOnce(f.ctx(), f.tenant, mine, nil))
	answer, err = f.s.BeginOnce(f.ctx(), f.tenant, once("k", "a"), time.Minute)
	f.ok(err)
	f.equal("again", &store.Answer{Status: 409, Body: []byte{}}, answer)
	if _, err := f.s.BeginOnce(f.ctx(), f.tenant, once("k", "b"), time.Minute); !errors.Is(err, store.ErrOtherRequest) {
		f.Errorf("another request: %v", err)
	}
}

func testOnceLetGo(f *fixture) {
	mine := once("k", "a")
	_, err := f.s.BeginOnce(f.ctx(), f.tenant, mine, time.Minute)
	f.ok(err)
	f.ok(f.s.EndOnce(f.ctx(), f.tenant, mine, nil))
	answer, err := f.s.BeginOnce(f.ctx(), f.tenant, once("k", "b"), time.Minute)
	f.ok(err)
	f.equal("after it was let go", (*store.Answer)(nil), answer)
}

func testOnceHoldEnds(f *fixture) {
	dead := once("k", "a")
	_, err := f.s.BeginOnce(f.ctx(), f.tenant, dead, time.Millisecond)
	f.ok(err)
	next := once("k", "a")
	f.eventually("the hold is over", func() bool {
		_, err := f.s.BeginOnce(f.ctx(), f.tenant, next, time.Minute)
		return err == nil
	})
	f.ok(f.s.EndOnce(f.ctx(), f.tenant, dead, &store.Answer{Status: 200}))
	if _, err := f.s.BeginOnce(f.ctx(), f.tenant, once("k", "a"), time.Minute); !errors.Is(err, store.ErrOnceBusy) {
		f.Errorf("the first has answered for the second: %v", err)
	}
}

func testOnceOfTenants(f *fixture) {
	_, _, _, err := f.s.AcceptOnce(f.ctx(), f.tenant, once("k", "a"), []store.Upload{upload()}, answering)
	f.ok(err)
	if _, _, replayed, err := f.s.AcceptOnce(f.ctx(), "other", once("k", "b"), []store.Upload{upload()}, answering); err != nil || replayed {
		f.Errorf("another tenant's key: replayed %t, %v", replayed, err)
	}
}

func testOncePruned(f *fixture) {
	for _, key := range []string{"a", "b", "c"} {
		_, err := f.s.BeginOnce(f.ctx(), f.tenant, once(key, "a"), time.Minute)
		f.ok(err)
	}
	if n, err := f.s.PruneOnces(f.ctx(), time.Hour, 100); n != 0 || err != nil {
		f.Errorf("pruned %d that are not an hour old, %v", n, err)
	}
	total := 0
	f.eventually("all are old", func() bool {
		n, err := f.s.PruneOnces(f.ctx(), 0, 2)
		f.ok(err)
		if n > 2 {
			f.Errorf("pruned %d, want at most 2", n)
		}
		total += n
		return total == 3
	})
}
