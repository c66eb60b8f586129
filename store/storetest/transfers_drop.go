package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

func testTransferDrop(f *fixture) {
	begun, finished := f.begin(transfer()), f.begin(transfer())
	f.owned("unfinished", begun.BlobKey, true)
	key, err := f.s.DropTransfer(f.ctx(), f.tenant, begun.ID)
	f.ok(err)
	if key != begun.BlobKey {
		f.Errorf("dropped the blob %v, want %v", key, begun.BlobKey)
	}
	f.owned("dropped", begun.BlobKey, false)
	f.lost("advance", f.advance(begun, 1))
	_, err = f.endTransfer(begun, whole(begun))
	f.lost("finish", err)
	f.owned("finished after it was dropped", begun.BlobKey, false)
	if _, err := f.s.DropTransfer(f.ctx(), f.tenant, begun.ID); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("dropped again: %v", err)
	}
	if _, err := f.s.Transfer(f.ctx(), f.tenant, begun.ID); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("read: %v", err)
	}

	_, err = f.endTransfer(finished, whole(finished))
	f.ok(err)
	key, err = f.s.DropTransfer(f.ctx(), f.tenant, finished.ID)
	f.ok(err)
	if key != uuid.Nil {
		f.Errorf("of a finished one, the blob %v was dropped", key)
	}
	f.owned("finished", finished.BlobKey, true)
	if _, content, err := f.s.File(f.ctx(), f.tenant, finished.ID); err != nil || content.BlobKey != finished.BlobKey {
		f.Errorf("the file: %+v, %v", content, err)
	}
}

// Once accepted, the file is deleted and pruned as any other, and what is left of its transfer does not mind.
func testTransferFileGoesItsOwnWay(f *fixture) {
	var begun [2]store.Transfer
	for i := range begun {
		begun[i] = f.begin(transfer())
		a, err := f.endTransfer(begun[i], whole(begun[i]))
		f.ok(err)
		f.run(a.JobID, jobs.RunSucceeded)
	}
	open := f.begin(transfer())
	deleted, err := f.s.DeleteFile(f.ctx(), f.tenant, begun[0].ID, operator, 10)
	f.ok(err)
	f.equal("deleted", store.Deleted{Done: true, Jobs: 1, Freed: []uuid.UUID{begun[0].BlobKey}}, deleted)
	n, freed := f.prune()
	if n != 1 {
		f.Errorf("pruned %d jobs, want 1", n)
	}
	f.equal("freed", []uuid.UUID{begun[1].BlobKey}, freed)
	held, err := f.s.DropHolds(f.ctx(), 0, 100)
	f.ok(err)
	f.equal("held", []uuid.UUID(nil), held)
	f.owned("of one that is open", open.BlobKey, true)
	for _, t := range begun {
		f.gone(t.ID)
		key, err := f.s.DropTransfer(f.ctx(), f.tenant, t.ID)
		f.ok(err)
		if key != uuid.Nil {
			f.Errorf("dropped the blob %v", key)
		}
	}
}

func testTransferPrune(f *fixture) {
	finished, final := f.begin(transfer()), transfer()
	_, err := f.endTransfer(finished, whole(finished))
	f.ok(err)
	final.BlobKey, final.Parts = uuid.Nil, []uuid.UUID{finished.ID}
	f.begin(final)
	var want []uuid.UUID
	for range 3 {
		want = append(want, f.begin(transfer()).BlobKey)
	}
	if n, freed, err := f.s.PruneTransfers(f.ctx(), time.Hour, 100); n != 0 || len(freed) != 0 || err != nil {
		f.Errorf("pruned %d that are not an hour old, %v, %v", n, freed, err)
	}
	total, freed := 0, []uuid.UUID(nil)
	f.eventually("all are old", func() bool {
		n, keys, err := f.s.PruneTransfers(f.ctx(), 0, 2)
		f.ok(err)
		if n > 2 || len(keys) > n {
			f.Errorf("pruned %d, want at most 2, and freed %v", n, keys)
		}
		total += n
		freed = append(freed, keys...)
		return total == 5
	})
	f.equal("freed", sorted(want), sorted(freed))
	for _, key := range want {
		f.owned("pruned", key, false)
	}
	f.owned("finished", finished.BlobKey, true)
	if _, _, err := f.s.File(f.ctx(), f.tenant, finished.ID); err != nil {
		f.Errorf("the file: %v", err)
	}
}

// What counts is when a transfer was touched last, not when it was begun.
func testTransferPruneByAge(f *fixture) {
	const age = 300 * time.Millisecond
	first, second, third := f.begin(transfer()), f.begin(transfer()), f.begin(transfer())
	f.ok(f.advance(first, 1))
	f.take(second.ID)
	f.eventually("one is old enough", func() bool {
		n, freed, err := f.s.PruneTransfers(f.ctx(), age, 1)
		f.ok(err)
		if n > 0 {
			f.equal("freed", []uuid.UUID{third.BlobKey}, freed)
		}
		return n == 1
	})
	if now := f.begin(transfer()).CreatedAt; now.Sub(third.TouchedAt) < age {
		f.Errorf("pruned %v after it was touched, want %v", now.Sub(third.TouchedAt), age)
	}
	f.transfer(first.ID)
	f.transfer(second.ID)
}

// testTransferAllAtOnce: whatever is done at once, a blob belongs to its transfer until that is finished,
// and to the file from then on, or is freed once.
func testTransferAllAtOnce(f *fixture) {
	const transfers, callers, rounds = 30, 16, 30
	all := make([]store.Transfer, transfers)
	for i := range all {
		all[i] = f.begin(transfer())
	}
	var (
		mu    sync.Mutex
		freed = map[uuid.UUID]int{} // blobs, and how often
	)
	free := func(keys ...uuid.UUID) {
		mu.Lock()
		defer mu.Unlock()
		for _, key := range keys {
			freed[key]++
		}
	}
	together(callers, func(c int) {
		for n := range rounds {
			t := all[(7*c+n)%transfers]
			what, err := "claim", error(nil)
			switch (c + n) % 8 {
			case 0, 1, 2:
				var claimed bool
				if t, claimed, err = f.s.ClaimTransfer(f.ctx(), f.tenant, t.ID, 0); claimed {
					what, err = "advance", f.advance(t, 0)
				}
			case 3, 4, 5:
				var now store.Transfer
				if now, err = f.s.Transfer(f.ctx(), f.tenant, t.ID); err == nil {
					t.Epoch = now.Epoch
					what = "finish"
					_, err = f.endTransfer(t, whole(t))
				}
			case 6:
				what = "drop"
				var key uuid.UUID
				if key, err = f.s.DropTransfer(f.ctx(), f.tenant, t.ID); key != uuid.Nil {
					free(key)
				}
			case 7:
				what = "prune"
				var keys []uuid.UUID
				_, keys, err = f.s.PruneTransfers(f.ctx(), 0, 1)
				free(keys...)
			}
			if err != nil && !errors.Is(err, store.ErrTransferLost) && !errors.Is(err, store.ErrNotFound) {
				f.Errorf("%s: %v", what, err)
			}
		}
	})
	files := 0
	for _, t := range all {
		now, err := f.s.Transfer(f.ctx(), f.tenant, t.ID)
		open := err == nil && now.JobID == uuid.Nil
		_, _, err = f.s.File(f.ctx(), f.tenant, t.ID)
		if err == nil {
			files++
		}
		if open && err == nil {
			f.Errorf("there is a file of what is not finished: %+v", now)
		}
		f.owned("in the end", t.BlobKey, open || err == nil)
		if n := freed[t.BlobKey]; (n == 0) != (open || err == nil) || n > 1 {
			f.Errorf("the blob of a transfer (open: %t; file: %v) was freed %d times", open, err, n)
		}
	}
	if n := len(f.list(store.JobFilter{})); n != files {
		f.Errorf("%d files have %d jobs", files, n)
	}
}
