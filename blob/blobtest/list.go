package blobtest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
)

func testDelete(t *testing.T, store blob.Store) {
	key, other := blob.NewKey(), blob.NewKey()
	Put(t, store, key, []byte("content"))
	Put(t, store, other, []byte("other"))
	for range 2 {
		if err := store.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete = %v", err)
		}
		CheckAbsent(t, store, key)
	}
	CheckContent(t, store, other, []byte("other"))
	// Of a time whose folder, if there is such a thing, was never made.
	if err := store.Delete(t.Context(), KeyAt(time.Unix(1e9, 0), 1)); err != nil {
		t.Errorf("Delete of a key that never was = %v", err)
	}
}

func testDeleteOfAnOpenObject(t *testing.T, store blob.Store) {
	key, content := blob.NewKey(), Content(1, 1<<20)
	Put(t, store, key, content)
	object := open(t, store, key)
	if err := store.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(object)
	if err == nil && !bytes.Equal(got, content) {
		t.Error("an object that was deleted while it was open reads as other bytes")
	}
}

// putMany puts small objects whose keys were made over months, some together and some far apart,
// and gives the keys in order.
func putMany(t *testing.T, store blob.Store, count int) []blob.Key {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	steps := []time.Duration{
		0, 0, 0, 0, time.Millisecond, time.Millisecond, time.Second, time.Second,
		time.Second, time.Second, time.Minute, time.Minute, time.Minute, time.Minute, time.Hour, 40 * time.Hour,
	}
	random := rand.New(rand.NewPCG(3, 4))
	keys := make([]blob.Key, count)
	for i := range keys {
		at = at.Add(steps[random.IntN(len(steps))])
		keys[i] = KeyAt(at, uint32(i))
	}
	shuffled := slices.Clone(keys)
	random.Shuffle(count, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var group sync.WaitGroup
	for part := range slices.Chunk(shuffled, (count+31)/32) {
		group.Go(func() {
			for _, key := range part {
				if _, err := store.Put(t.Context(), key, bytes.NewReader(key[:])); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return keys
}

func testList(t *testing.T, store blob.Store) {
	if got := All(t, store, 10); len(got) != 0 {
		t.Fatalf("an empty store lists %v", got)
	}
	start := time.Now()
	keys := putMany(t, store, 1100)
	for _, limit := range []int{7, 100, 1100, 1 << 20} {
		var got []blob.Key
		for _, entry := range All(t, store, limit) {
			got = append(got, entry.Key)
		}
		if diff := cmp.Diff(keys, got); diff != "" {
			t.Errorf("List in pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	for _, entry := range All(t, store, 1000) {
		// A storage's clock may be another machine's, or coarse.
		if off := entry.ModTime.Sub(start).Abs(); entry.Size != 16 || off > time.Hour {
			t.Fatalf("List gives %+v of an object of 16 bytes that was put at %v", entry, start)
		}
	}
	// One by one, and after keys that do not exist: a little less than each.
	for _, want := range keys[1:50] {
		before := want
		before[15]-- // the serial, which is at least 1
		page, err := store.List(t.Context(), before, 1)
		if err != nil || len(page) != 1 || page[0].Key != want {
			t.Errorf("List after %v = %v, %v, want %v", before, page, err, want)
		}
	}
	if page, err := store.List(t.Context(), keys[len(keys)-1], 10); err != nil || len(page) != 0 {
		t.Errorf("List after the last = %v, %v, want none", page, err)
	}
}

func testListGoesOnAcrossDeletes(t *testing.T, store blob.Store) {
	keys := putMany(t, store, 100)
	var after blob.Key
	var got []blob.Key
	for {
		page, err := store.List(t.Context(), after, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range page {
			got = append(got, entry.Key)
			if err := store.Delete(t.Context(), entry.Key); err != nil {
				t.Fatal(err)
			}
		}
		if len(page) < 10 {
			break
		}
		after = page[9].Key
	}
	if diff := cmp.Diff(keys, got); diff != "" {
		t.Errorf("List with deletes between the pages (-want +got):\n%s", diff)
	}
	if left := All(t, store, 10); len(left) != 0 {
		t.Errorf("all were deleted, but List gives %v", left)
	}
}

func testIdentity(t *testing.T, store blob.Store) {
	ours, other := uuid.New(), uuid.New()
	if id, err := store.Identity(t.Context()); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("Identity of a new store = %v, %v, want ErrNotExist", id, err)
	}
	for range 2 {
		if err := store.EnsureIdentity(t.Context(), ours); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.EnsureIdentity(t.Context(), other); !errors.Is(err, blob.ErrForeign) {
		t.Errorf("EnsureIdentity of another = %v, want ErrForeign", err)
	}
	if id, err := store.Identity(t.Context()); id != ours || err != nil {
		t.Errorf("Identity = %v, %v, want %v", id, err, ours)
	}
	if got := All(t, store, 10); len(got) != 0 {
		t.Errorf("the mark is listed as an object: %v", got)
	}
	checkNoLeftovers(t, store)
}

func testIdentitiesAtOnce(t *testing.T, store blob.Store) {
	ids := make([]uuid.UUID, 8)
	errs := make([]error, len(ids))
	var group sync.WaitGroup
	for i := range ids {
		ids[i] = uuid.New()
		group.Go(func() { errs[i] = store.EnsureIdentity(t.Context(), ids[i]) })
	}
	group.Wait()
	found, err := store.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if id == found && errs[i] != nil {
			t.Errorf("the store bears the mark %v, but its writer was told %v", id, errs[i])
		}
		if id != found && !errors.Is(errs[i], blob.ErrForeign) {
			t.Errorf("EnsureIdentity(%v) = %v, want ErrForeign: the store is %v's", id, errs[i], found)
		}
	}
	checkNoLeftovers(t, store)
}

// testSweepTemp proves that a sweep takes what is old and leaves what is not, by a Put that is
// under way: it fails when its beginning is swept, and is whole when it is not.
func testSweepTemp(t *testing.T, store blob.Store) {
	sweeper, ok := store.(blob.TempSweeper)
	if !ok {
		return
	}
	for _, test := range []struct {
		olderThan time.Duration // from now
		swept     int
	}{{-time.Hour, 0}, {time.Hour, 1}} {
		key := blob.NewKey()
		Put(t, store, blob.NewKey(), []byte("an object, which no sweep takes"))
		sweep := &onRead{do: func() {
			n, err := sweeper.SweepTemp(t.Context(), time.Now().Add(test.olderThan))
			if n != test.swept || err != nil {
				t.Errorf("SweepTemp = %d, %v, want %d", n, err, test.swept)
			}
		}}
		_, err := store.Put(t.Context(), key, io.MultiReader(bytes.NewReader(Content(1, 2<<20)), sweep))
		if (err == nil) != (test.swept == 0) {
			t.Errorf("a Put of which %d leftovers were swept = %v", test.swept, err)
		}
		if err != nil {
			CheckAbsent(t, store, key)
		} else {
			CheckContent(t, store, key, Content(1, 2<<20))
		}
	}
	if got := len(All(t, store, 10)); got != 3 {
		t.Errorf("there are %d objects after the sweeps, want 3", got)
	}
}

// onRead calls do when it is read, and is at its end.
type onRead struct{ do func() }

func (r *onRead) Read([]byte) (int, error) {
	r.do()
	return 0, io.EOF
}
