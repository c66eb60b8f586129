package fsblob_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/blobtest"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/blob/fsblob/faultfs"
)

// slowSync is a disk whose syncs of folders, once they have been done, wait for gate.
type slowSync struct {
	*faultfs.FS
	mu    sync.Mutex
	gate  chan struct{}
	syncs int
}

func (d *slowSync) SyncDir(name string) error {
	err := d.FS.SyncDir(name)
	d.mu.Lock()
	d.syncs++
	gate := d.gate
	d.mu.Unlock()
	<-gate
	return err
}

// TestP1SharedSyncs: Puts that come while a folder is being synced do not take that sync for their
// own, which it may have been too early for, but share the next one.
func TestP1SharedSyncs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := &slowSync{FS: faultfs.New(), gate: make(chan struct{})}
		close(disk.gate)
		store, err := fsblob.New(disk)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
		blobtest.Put(t, store, blobtest.KeyAt(at, 0), nil) // the folder is there and durable

		disk.gate, disk.syncs = make(chan struct{}), 0
		keys := make([]blob.Key, 9)
		returned := make([]bool, len(keys))
		var group sync.WaitGroup
		put := func(i int) {
			keys[i] = blobtest.KeyAt(at, uint32(i+1))
			group.Go(func() {
				if _, err := store.Put(t.Context(), keys[i], strings.NewReader("content")); err != nil {
					t.Error(err)
				}
				returned[i] = true
			})
		}
		put(0)
		synctest.Wait() // the folder has been synced for the first, but its Put does not know yet
		for i := range keys[1:] {
			put(i + 1)
		}
		synctest.Wait() // the others have their names, and wait
		for i := range returned {
			if returned[i] {
				t.Errorf("Put %d has returned before any sync did", i)
			}
		}
		close(disk.gate)
		group.Wait()
		if disk.syncs != 2 {
			t.Errorf("%d Puts took %d syncs of their folder, want 2", len(keys), disk.syncs)
		}
		disk.Crash(nil)
		again := openFaulty(t, disk.FS)
		for _, key := range keys {
			blobtest.CheckContent(t, again, key, []byte("content"))
		}
	})
}
