package fsblob_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/blobtest"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/blob/fsblob/faultfs"
)

func openFaulty(t *testing.T, disk *faultfs.FS) *fsblob.Store {
	t.Helper()
	store, err := fsblob.New(disk)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// losses are what a crash may do to changes that were not synced: lose all, keep all, or any mix.
func losses() map[string]func() bool {
	all := map[string]func() bool{"all is lost": nil}
	mixes := uint64(1)
	if !testing.Short() {
		all["all is kept"] = func() bool { return true }
		mixes = 4
	}
	for seed := range mixes {
		random := rand.New(rand.NewPCG(seed, 0))
		all[fmt.Sprintf("mix %d", seed)] = func() bool { return random.IntN(2) == 0 }
	}
	return all
}

// TestP1PutIsDurable cuts the power at each step of a Put in turn. After it, an object whose Put
// returned is whole; one whose Put did not is either whole or not there; and what else is left can
// be swept.
func TestP1PutIsDurable(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 100, fsblob.SmallBuffer + 1, fsblob.SmallBuffer + 2*fsblob.LargeBuffer + 5} {
		content := blobtest.Content(1, size)
		for name, keep := range losses() {
			t.Run(fmt.Sprintf("%d bytes, %s", size, name), func(t *testing.T) {
				t.Parallel()
				for _, applied := range []bool{false, true} {
					for step := 1; ; step++ {
						if !crashPut(t, content, step, applied, keep) {
							if step < 10 {
								t.Errorf("a Put took %d steps: the fault was never met", step-1)
							}
							break
						}
					}
				}
			})
		}
	}
}

// crashPut cuts the power at one step of a Put, after one that was not disturbed, and checks what
// is there when it is back. It reports whether the Put got as far as that step.
func crashPut(t *testing.T, content []byte, step int, applied bool, keep func() bool) bool {
	t.Helper()
	disk := faultfs.New()
	store := openFaulty(t, disk)
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	before, key := blobtest.KeyAt(at, 1), blobtest.KeyAt(at.Add(time.Hour), 1)
	blobtest.Put(t, store, before, []byte("before"))

	base := disk.Steps()
	disk.Inject(faultfs.At(base+step, faultfs.Fault{PowerOff: true, Applied: applied}))
	_, putErr := store.Put(t.Context(), key, bytes.NewReader(content))
	crashed := disk.Steps() >= base+step
	disk.Inject(nil)
	disk.Crash(keep)

	store = openFaulty(t, disk)
	blobtest.CheckContent(t, store, before, []byte("before"))
	_, err := store.Stat(t.Context(), key)
	switch {
	case err == nil:
		blobtest.CheckContent(t, store, key, content)
	case putErr == nil:
		t.Errorf("power cut at step %d: Put had returned, but Stat = %v", step, err)
	case !errors.Is(err, blob.ErrNotExist):
		t.Errorf("power cut at step %d: Stat = %v", step, err)
	}
	if _, err := store.SweepTemp(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if left := names(t, disk, "tmp"); len(left) != 0 {
		t.Errorf("power cut at step %d: after the sweep there is %v", step, left)
	}
	// Life goes on, in the folder that the crash was in the middle of.
	next := blobtest.KeyAt(at.Add(time.Hour), 2)
	blobtest.Put(t, store, next, []byte("next"))
	disk.Crash(keep)
	blobtest.CheckContent(t, openFaulty(t, disk), next, []byte("next"))
	return crashed
}

// TestP1PutsAtOnceAreDurable cuts the power while Puts share the syncs of their folders: no one may
// be told of a sync that began before his change.
func TestP1PutsAtOnceAreDurable(t *testing.T) {
	t.Parallel()
	for step := 1; step < 150; step += 3 {
		disk := faultfs.New()
		store := openFaulty(t, disk)
		disk.Inject(faultfs.At(disk.Steps()+step, faultfs.Fault{PowerOff: true}))
		at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
		keys := make([]blob.Key, 16)
		errs := make([]error, len(keys))
		var group sync.WaitGroup
		for i := range keys {
			keys[i] = blobtest.KeyAt(at.Add(time.Duration(i%3)*time.Hour), uint32(i))
			group.Go(func() { _, errs[i] = store.Put(t.Context(), keys[i], strings.NewReader(keys[i].String())) })
		}
		group.Wait()
		disk.Inject(nil)
		disk.Crash(nil)
		store = openFaulty(t, disk)
		for i, key := range keys {
			if errs[i] == nil {
				blobtest.CheckContent(t, store, key, []byte(key.String()))
			}
		}
	}
}

func TestIdentityIsDurable(t *testing.T) {
	t.Parallel()
	for name, keep := range losses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := uuid.New()
			for step, crashed := 1, true; crashed; step++ {
				disk := faultfs.New()
				store := openFaulty(t, disk)
				base := disk.Steps()
				disk.Inject(faultfs.At(base+step, faultfs.Fault{PowerOff: true}))
				err := store.EnsureIdentity(t.Context(), id)
				crashed = disk.Steps() >= base+step
				disk.Inject(nil)
				disk.Crash(keep)
				store = openFaulty(t, disk)
				found, readErr := store.Identity(t.Context())
				if found != id && (err == nil || !errors.Is(readErr, blob.ErrNotExist)) {
					t.Errorf("power cut at step %d: EnsureIdentity = %v, Identity = %v, %v", step, err, found, readErr)
				}
				if err := store.EnsureIdentity(t.Context(), id); err != nil {
					t.Errorf("power cut at step %d: EnsureIdentity afterwards = %v", step, err)
				}
			}
		})
	}
}

// TestFailedPutLeavesNothing has each step of a Put fail in turn, in each way that a disk fails.
func TestFailedPutLeavesNothing(t *testing.T) {
	t.Parallel()
	content := blobtest.Content(1, 2*fsblob.LargeBuffer)
	for _, test := range []struct {
		err  syscall.Errno
		want error
	}{
		{syscall.ENOSPC, blob.ErrNoSpace},
		{syscall.EDQUOT, blob.ErrNoSpace},
		{syscall.EIO, syscall.EIO},
		{syscall.EROFS, syscall.EROFS},
	} {
		t.Run(test.err.Error(), func(t *testing.T) {
			t.Parallel()
			for step := 1; ; step++ {
				disk := faultfs.New()
				store := openFaulty(t, disk)
				base := disk.Steps()
				disk.Inject(faultfs.At(base+step, faultfs.Fault{Err: test.err}))
				key := blob.NewKey()
				_, err := store.Put(t.Context(), key, bytes.NewReader(content))
				if disk.Steps() < base+step {
					if err != nil || step < 10 {
						t.Errorf("a Put without a fault, of %d steps = %v", step, err)
					}
					return
				}
				if !errors.Is(err, test.want) || !errors.Is(err, test.err) {
					t.Errorf("step %d: Put = %v, want %v and %v", step, err, test.want, test.err)
				}
				blobtest.CheckAbsent(t, store, key)
				if left := names(t, disk, "tmp"); len(left) != 0 {
					t.Errorf("step %d: Put left %v", step, left)
				}
				// The disk works again, and so does the store.
				blobtest.Put(t, store, blob.NewKey(), content)
			}
		})
	}
}

func TestAShortWriteFailsThePut(t *testing.T) {
	t.Parallel()
	for _, err := range []error{syscall.ENOSPC, io.ErrShortWrite} {
		disk := faultfs.New()
		store := openFaulty(t, disk)
		disk.Inject(faultfs.On(faultfs.Fault{Err: err, Applied: true}, faultfs.Write))
		key := blob.NewKey()
		if _, got := store.Put(t.Context(), key, strings.NewReader("content")); !errors.Is(got, err) {
			t.Errorf("Put = %v, want %v", got, err)
		}
		blobtest.CheckAbsent(t, store, key)
	}
	// A file that breaks the rule of io.WriterAt and says nothing of what it has left out.
	store, err := fsblob.New(lazyDisk{faultfs.New()})
	if err != nil {
		t.Fatal(err)
	}
	key := blob.NewKey()
	if _, err := store.Put(t.Context(), key, strings.NewReader("content")); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("Put = %v, want io.ErrShortWrite", err)
	}
	blobtest.CheckAbsent(t, store, key)
}

type lazyDisk struct{ *faultfs.FS }

func (d lazyDisk) Create(name string) (fsblob.File, error) {
	file, err := d.FS.Create(name)
	return lazyFile{file}, err
}

type lazyFile struct{ fsblob.File }

func (f lazyFile) WriteAt(p []byte, off int64) (int, error) { return f.File.WriteAt(p[:len(p)-1], off) }

// TestASyncIsNotRepeated: after a sync that failed, one that succeeds means nothing.
func TestASyncIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, kind := range []faultfs.Kind{faultfs.Sync, faultfs.SyncDir} {
		disk := faultfs.New()
		store := openFaulty(t, disk)
		syncs := 0
		disk.Inject(func(op faultfs.Op) faultfs.Fault {
			if op.Kind != kind {
				return faultfs.Fault{}
			}
			if syncs++; syncs == 1 {
				return faultfs.Fault{Err: syscall.EIO}
			}
			return faultfs.Fault{}
		})
		key := blob.NewKey()
		if _, err := store.Put(t.Context(), key, strings.NewReader("content")); !errors.Is(err, syscall.EIO) {
			t.Errorf("Put with a failing %s = %v, want EIO", kind, err)
		}
		if syncs != 1 {
			t.Errorf("%s was done %d times, want once", kind, syncs)
		}
		blobtest.CheckAbsent(t, store, key)
		disk.Inject(nil)
		disk.Crash(nil)
		blobtest.CheckAbsent(t, openFaulty(t, disk), key)
	}
}

// TestJunkThatCannotBeRemovedIsTold: a disk that fails twice leaves a temporary file, says so, and
// the sweep goes past it until it can be removed.
func TestJunkThatCannotBeRemovedIsTold(t *testing.T) {
	t.Parallel()
	disk := faultfs.New()
	store := openFaulty(t, disk)
	disk.Inject(func(op faultfs.Op) faultfs.Fault {
		switch op.Kind {
		case faultfs.Write:
			return faultfs.Fault{Err: syscall.ENOSPC}
		case faultfs.Remove:
			return faultfs.Fault{Err: syscall.EIO}
		default:
			return faultfs.Fault{}
		}
	})
	for range 2 {
		_, err := store.Put(t.Context(), blob.NewKey(), strings.NewReader("content"))
		if !errors.Is(err, blob.ErrNoSpace) || !errors.Is(err, syscall.EIO) {
			t.Errorf("Put = %v, want ErrNoSpace and EIO", err)
		}
	}
	later := time.Now().Add(time.Hour)
	disk.Inject(faultfs.At(disk.Steps()+3, faultfs.Fault{Err: syscall.EIO})) // names, stat, remove
	if n, err := store.SweepTemp(t.Context(), later); n != 1 || !errors.Is(err, syscall.EIO) {
		t.Errorf("SweepTemp = %d, %v, want 1, EIO", n, err)
	}
	if n, err := store.SweepTemp(t.Context(), later); n != 1 || err != nil {
		t.Errorf("SweepTemp = %d, %v, want 1", n, err)
	}
}

// TestReadErrorsAreNotAbsence: a disk that cannot be read has not lost the object.
func TestReadErrorsAreNotAbsence(t *testing.T) {
	t.Parallel()
	disk := faultfs.New()
	store := openFaulty(t, disk)
	key := blob.NewKey()
	blobtest.Put(t, store, key, []byte("content"))
	object, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	disk.Inject(func(faultfs.Op) faultfs.Fault { return faultfs.Fault{Err: syscall.EIO} })
	errs := map[string]error{
		"Delete":         store.Delete(t.Context(), key),
		"EnsureIdentity": store.EnsureIdentity(t.Context(), uuid.New()),
	}
	_, errs["Open"] = store.Open(t.Context(), key)
	_, errs["Stat"] = store.Stat(t.Context(), key)
	_, errs["List"] = store.List(t.Context(), blob.Key{}, 1)
	_, errs["Identity"] = store.Identity(t.Context())
	_, errs["SweepTemp"] = store.SweepTemp(t.Context(), time.Now())
	_, errs["Read"] = io.ReadAll(object)
	_, errs["New"] = fsblob.New(disk)
	for name, err := range errs {
		if !errors.Is(err, syscall.EIO) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s on a broken disk = %v, want EIO", name, err)
		}
	}
}

func names(t *testing.T, disk *faultfs.FS, dir string) []string {
	t.Helper()
	var all []string
	err := disk.Names(dir, func(names []string) error {
		all = append(all, names...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
