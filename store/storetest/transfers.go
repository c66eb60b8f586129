package storetest

import (
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func transferTests() []test {
	return []test{
		{"BeginAndRead", testTransferBegin},
		{"BeginRefuses", testTransferBeginRefuses},
		{"Claim", testTransferClaim},
		{"ClaimNotAtItsEnd", testTransferClaimNotAtItsEnd},
		{"Advance", testTransferAdvance},
		{"OneWrites", testTransferOneWrites},
		{"ManyClaim", testTransferManyClaim},
		{"Finish", testTransferFinish},
		{"FinishInline", testTransferFinishInline},
		{"FinishOfParts", testTransferFinishOfParts},
		{"FinishOfUnknownLength", testTransferFinishOfUnknownLength},
		{"FinishOnceOnly", testTransferFinishAtOnce},
		{"FinishAgainstClaim", testTransferFinishAgainstClaim},
		{"FinishTakesOver", testTransferFinishTakesOver},
		{"FinishKeepsTheAnswer", testTransferFinishKeepsAnswer},
		{"FinishFails", testTransferFinishFails},
		{"FinishAsAnother", testTransferFinishAsAnother},
		{"Drop", testTransferDrop},
		{"FileGoesItsOwnWay", testTransferFileGoesItsOwnWay},
		{"Prune", testTransferPrune},
		{"PruneByAge", testTransferPruneByAge},
		{"AllAtOnce", testTransferAllAtOnce},
	}
}

// size is how long transfers of these tests are.
const size = 100

// transfer makes a transfer of size bytes, to be begun.
func transfer() store.Transfer {
	return store.Transfer{
		ID: jobs.NewID(), BlobKey: uuid.New(), Metadata: "filename cGxhbi50eHQ=", Digests: "sha-256=:AAAA:",
		TransferProgress: store.TransferProgress{Length: size},
	}
}

// begin begins a transfer that must be taken.
func (f *fixture) begin(t store.Transfer) store.Transfer {
	f.Helper()
	begun, err := f.s.BeginTransfer(f.ctx(), f.tenant, t)
	f.ok(err)
	return begun
}

func (f *fixture) transfer(id uuid.UUID) store.Transfer {
	f.Helper()
	t, err := f.s.Transfer(f.ctx(), f.tenant, id)
	f.ok(err)
	return t
}

// take claims a transfer where it stands.
func (f *fixture) take(id uuid.UUID) store.Transfer {
	f.Helper()
	t, claimed, err := f.s.ClaimTransfer(f.ctx(), f.tenant, id, f.transfer(id).Offset)
	f.ok(err)
	if !claimed {
		f.Fatalf("not claimed: %+v", t)
	}
	return t
}

// advance notes as the holder of t's epoch that offset bytes are durable.
func (f *fixture) advance(t store.Transfer, offset int64) error {
	_, err := f.s.AdvanceTransfer(f.ctx(), f.tenant, t.ID, t.Epoch, store.TransferProgress{Length: t.Length, Offset: offset, State: []byte("state")})
	return err
}

// whole makes the upload that a transfer ends as.
func whole(t store.Transfer, options ...option) store.Upload {
	u := upload(append([]option{inBlob(t.BlobKey)}, options...)...)
	u.File.ID, u.File.Size = t.ID, size
	return u
}

// endTransfer finishes a transfer as the holder of t's epoch.
func (f *fixture) endTransfer(t store.Transfer, u store.Upload) (store.Accepted, error) {
	return f.s.FinishTransfer(f.ctx(), f.tenant, t.ID, t.Epoch, u, nil)
}

// lost checks that a transfer was another's.
func (f *fixture) lost(what string, err error) {
	f.Helper()
	if !errors.Is(err, store.ErrTransferLost) {
		f.Errorf("%s: %v, want that the transfer is lost", what, err)
	}
}

// owned checks whether a blob has its row.
func (f *fixture) owned(what string, key uuid.UUID, want bool) {
	f.Helper()
	unowned, err := f.s.Unowned(f.ctx(), []uuid.UUID{key})
	f.ok(err)
	if got := len(unowned) == 0; got != want {
		f.Errorf("%s: the blob has a row: %t, want %t", what, got, want)
	}
}

func testTransferBegin(f *fixture) {
	full, unknown, partial, final := transfer(), transfer(), transfer(), transfer()
	full.TransferProgress = store.TransferProgress{Length: 1 << 50, Offset: 1 << 40, State: []byte{0, 1, 0xff}}
	unknown.Length, unknown.Metadata, unknown.Digests = store.UnknownLength, "", ""
	partial.Partial = true
	final.BlobKey, final.Parts = uuid.Nil, []uuid.UUID{partial.ID, full.ID, partial.ID}
	for what, t := range map[string]store.Transfer{"full": full, "unknown": unknown, "partial": partial, "of parts": final} {
		begun := f.begin(t)
		if begun.CreatedAt.IsZero() || !begun.TouchedAt.Equal(begun.CreatedAt) {
			f.Errorf("%s: created at %v, touched at %v", what, begun.CreatedAt, begun.TouchedAt)
		}
		t.Epoch, t.CreatedAt, t.TouchedAt = 1, begun.CreatedAt, begun.TouchedAt
		f.equal(what, t, begun)
		f.equal(what+", read", t, f.transfer(t.ID))
		if t.BlobKey != uuid.Nil {
			f.owned(what, t.BlobKey, true)
		}
	}
	if _, err := f.s.Transfer(f.ctx(), f.tenant, uuid.New()); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("one that is not there: %v", err)
	}
}

// What contradicts itself, or is there already, leaves nothing.
func testTransferBeginRefuses(f *fixture) {
	there := f.begin(transfer())
	for what, change := range map[string]func(*store.Transfer){
		"the ID of another":      func(t *store.Transfer) { t.ID = there.ID },
		"the blob of another":    func(t *store.Transfer) { t.BlobKey = there.BlobKey },
		"neither blob nor parts": func(t *store.Transfer) { t.BlobKey = uuid.Nil },
		"a blob and parts":       func(t *store.Transfer) { t.Parts = []uuid.UUID{there.ID} },
		"more than its length":   func(t *store.Transfer) { t.Offset = size + 1 },
		"a part made of parts": func(t *store.Transfer) {
			t.BlobKey, t.Partial, t.Parts = uuid.Nil, true, []uuid.UUID{there.ID}
		},
	} {
		t := transfer()
		change(&t)
		if _, err := f.s.BeginTransfer(f.ctx(), f.tenant, t); err == nil {
			f.Errorf("with %s, it was begun", what)
		}
		if t.BlobKey != uuid.Nil && t.BlobKey != there.BlobKey {
			f.owned(what, t.BlobKey, false)
		}
	}
	f.equal("the one before", there, f.transfer(there.ID))
}

func testTransferClaim(f *fixture) {
	begun := f.begin(transfer())
	f.ok(f.advance(begun, 40))
	before := f.transfer(begun.ID)
	for _, offset := range []int64{0, 39, 41, size} {
		t, claimed, err := f.s.ClaimTransfer(f.ctx(), f.tenant, begun.ID, offset)
		if claimed || err != nil {
			f.Errorf("claimed at %d, where it does not stand: %t, %v", offset, claimed, err)
		}
		f.equal("as it stands", before, t)
	}
	t, claimed, err := f.s.ClaimTransfer(f.ctx(), f.tenant, begun.ID, 40)
	f.ok(err)
	want := before
	want.Epoch, want.TouchedAt = 2, t.TouchedAt
	f.equal("claimed", want, t)
	if !claimed || t.TouchedAt.Before(before.TouchedAt) {
		f.Errorf("claimed: %t, touched at %v after %v", claimed, t.TouchedAt, before.TouchedAt)
	}
	f.equal("read", t, f.transfer(t.ID))
	if _, claimed, err := f.s.ClaimTransfer(f.ctx(), f.tenant, uuid.New(), 0); claimed || !errors.Is(err, store.ErrNotFound) {
		f.Errorf("one that is not there: claimed %t, %v", claimed, err)
	}
}

// What is finished, has all its bytes or is made of parts cannot go on.
func testTransferClaimNotAtItsEnd(f *fixture) {
	finished, full, empty, final := f.begin(transfer()), f.begin(transfer()), transfer(), transfer()
	_, err := f.endTransfer(finished, whole(finished))
	f.ok(err)
	f.ok(f.advance(full, size))
	empty.Length = 0
	final.BlobKey, final.Parts = uuid.Nil, []uuid.UUID{full.ID}
	for what, t := range map[string]store.Transfer{"finished": finished, "full": full, "empty": f.begin(empty), "of parts": f.begin(final)} {
		before := f.transfer(t.ID)
		got, claimed, err := f.s.ClaimTransfer(f.ctx(), f.tenant, t.ID, before.Offset)
		if claimed || err != nil {
			f.Errorf("%s: claimed %t, %v", what, claimed, err)
		}
		f.equal(what, before, got)
	}
	unknown := transfer()
	unknown.Length = store.UnknownLength
	f.ok(f.advance(f.begin(unknown), size))
	f.take(unknown.ID)
}

func testTransferAdvance(f *fixture) {
	t := transfer()
	t.Length = store.UnknownLength
	begun := f.begin(t)
	for _, to := range []store.TransferProgress{
		{Length: store.UnknownLength, Offset: 10, State: []byte("ten")},
		{Length: size, Offset: 10, State: []byte("ten")},
		{Length: size, Offset: 99},
		{Length: size, Offset: size, State: []byte{}},
	} {
		touched, err := f.s.AdvanceTransfer(f.ctx(), f.tenant, t.ID, begun.Epoch, to)
		f.ok(err)
		want := begun
		want.TransferProgress, want.TouchedAt = to, touched
		f.equal("advanced", want, f.transfer(t.ID))
		if touched.Before(begun.TouchedAt) {
			f.Errorf("touched at %v, begun at %v", touched, begun.TouchedAt)
		}
	}
	before := f.transfer(t.ID)
	f.lost("back", f.advance(begun, 99))
	ahead := begun
	ahead.Epoch++
	f.lost("an epoch that is yet to come", f.advance(ahead, size))
	if _, err := f.s.AdvanceTransfer(f.ctx(), f.tenant, t.ID, begun.Epoch, store.TransferProgress{Length: size, Offset: size + 1}); err == nil {
		f.Error("advanced beyond its length")
	}
	f.equal("what has failed", before, f.transfer(t.ID))
	missing := transfer()
	f.lost("one that is not there", f.advance(missing, 1))
}

// Of two that write, the one that came later does, at once.
func testTransferOneWrites(f *fixture) {
	first := f.begin(transfer())
	second := f.take(first.ID)
	third := f.take(first.ID)
	f.ok(f.advance(third, 30))
	before := f.transfer(first.ID)
	for _, stale := range []store.Transfer{first, second} {
		f.lost("advance by an earlier request", f.advance(stale, 50))
		_, err := f.endTransfer(stale, whole(stale))
		f.lost("finish by an earlier request", err)
	}
	f.equal("after the earlier requests", before, f.transfer(first.ID))
	f.equal("jobs", []jobs.Job(nil), f.list(store.JobFilter{}))
	f.ok(f.advance(third, 60))
	_, err := f.endTransfer(third, whole(third))
	f.ok(err)
}

// testTransferManyClaim: many claim one transfer, and advance it by one byte for as long as it is theirs. Each
// byte was advanced by one of them alone, which held the latest epoch when it did.
func testTransferManyClaim(f *fixture) {
	const callers, rounds = 50, 10
	t := transfer()
	t.Length = callers * rounds
	id := f.begin(t).ID
	var (
		mu     sync.Mutex
		epochs = map[int64]bool{}
		by     = map[int64]int64{} // offset → the epoch that went there
	)
	together(callers, func(int) {
		for range rounds {
			now, err := f.s.Transfer(f.ctx(), f.tenant, id)
			if err != nil {
				f.Error(err)
				return
			}
			mine, claimed, err := f.s.ClaimTransfer(f.ctx(), f.tenant, id, now.Offset)
			if err != nil || !claimed {
				if err != nil || mine.Offset == now.Offset && mine.Epoch == now.Epoch {
					f.Errorf("claim at %d: %+v, %v", now.Offset, mine, err)
				}
				continue
			}
			err = f.advance(mine, mine.Offset+1)
			if err != nil && !errors.Is(err, store.ErrTransferLost) {
				f.Error(err)
			}
			mu.Lock()
			if epochs[mine.Epoch] {
				f.Errorf("epoch %d was given twice", mine.Epoch)
			}
			epochs[mine.Epoch] = true
			if at, twice := by[mine.Offset+1]; err == nil && twice {
				f.Errorf("epochs %d and %d both went to %d", at, mine.Epoch, mine.Offset+1)
			} else if err == nil {
				by[mine.Offset+1] = mine.Epoch
			}
			mu.Unlock()
		}
	})
	last := f.transfer(id)
	if last.Offset != int64(len(by)) || last.Offset == 0 || last.Epoch != int64(len(epochs))+1 {
		f.Errorf("stands at %d, in epoch %d, after %d advances and %d claims", last.Offset, last.Epoch, len(by), len(epochs))
	}
	for offset := int64(2); offset <= last.Offset; offset++ {
		if by[offset] <= by[offset-1] {
			f.Errorf("went to %d in epoch %d, and before that to %d in epoch %d", offset, by[offset], offset-1, by[offset-1])
		}
	}
}
