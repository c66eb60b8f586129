package fsblob_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/blobtest"
)

// TestP6PutMemoryDoesNotGrow: a Put allocates its buffers and little else, whatever it is given.
// It is not parallel, since it counts what the process allocates.
func TestP6PutMemoryDoesNotGrow(t *testing.T) { //nolint:paralleltest // see above
	store := open(t, t.TempDir())
	checkAllocated(t, func(content io.Reader) error {
		_, err := store.Put(t.Context(), blob.NewKey(), content)
		return err
	})
}

// TestP6AppendMemoryDoesNotGrow is the same for an Append that saves.
func TestP6AppendMemoryDoesNotGrow(t *testing.T) { //nolint:paralleltest // as above
	store := open(t, t.TempDir())
	checkAllocated(t, func(content io.Reader) error {
		saved := func(blob.Progress) error { return nil }
		_, err := store.Append(t.Context(), blob.NewKey(), blob.Progress{}, content, saved)
		return err
	})
}

func checkAllocated(t *testing.T, keep func(content io.Reader) error) {
	t.Helper()
	const limit = 3 << 20 // the ring is 2 MiB
	for _, size := range []int64{1 << 20, 100 << 20} {
		content := &repeated{block: blobtest.Content(1, 1<<20), size: size}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := keep(content); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > limit {
			t.Errorf("%d bytes allocated %d, more than %d", size, got, limit)
		}
	}
}
