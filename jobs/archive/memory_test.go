package archive_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/archive"
)

// No entry is held in memory: a run on a large one allocates little in all, collected or not. All of
// the process's memory is measured, so the test runs alone.
func TestEntriesAreStreams(t *testing.T) { //nolint:paralleltest // as said
	if testing.Short() {
		t.Skip("left to make test-all: it makes large archives of each format")
	}
	const size, most = 16 << 20, 12 << 20
	content := noise(size)
	tarball := tarOf(t, entry{"a", string(content)})
	for name, whole := range map[string][]byte{
		"zip": zipOf(t, nil, entry{"a", string(content)}), "tar": tarball, "tar.gz": gzipped(t, tarball), "zstd": zstdOf(t, content),
		"xz": xzOf(t, bytes.Repeat([]byte("hello, world\n"), size/13), 1<<20),
	} {
		run := &jobs.Run{Input: io.NewSectionReader(bytes.NewReader(whole), 0, int64(len(whole))), Recorder: stopping{func() {}}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		answer, err := archive.New().Handle(t.Context(), run)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if result, ok := answer.(*archive.Result); !ok || result.Bytes < size-13 {
			t.Errorf("%s: %+v", name, answer)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > most {
			t.Errorf("%s: a run on %d bytes allocates %d", name, size, allocated)
		}
	}
}
