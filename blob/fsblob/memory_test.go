package fsblob_test

import (
	"runtime"
	"testing"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/blobtest"
)

// TestP6PutMemoryDoesNotGrow: a Put allocates its buffers and little else, whatever it is given.
// It is not parallel, since it counts what the process allocates.
func TestP6PutMemoryDoesNotGrow(t *testing.T) { //nolint:paralleltest // see above
	store := open(t, t.TempDir())
	allocated := func(size int64) uint64 {
		content := &repeated{block: blobtest.Content(1, 1<<20), size: size}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := store.Put(t.Context(), blob.NewKey(), content); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	const limit = 3 << 20 // the ring is 2 MiB
	for _, size := range []int64{1 << 20, 100 << 20} {
		if got := allocated(size); got > limit {
			t.Errorf("a Put of %d bytes allocated %d, more than %d", size, got, limit)
		}
	}
}
