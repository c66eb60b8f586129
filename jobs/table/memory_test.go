//go:build !race

package table_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/table"
)

// pattern is a file that is nowhere: a start, and then the same bytes again and again. It keeps the
// most memory that was in use while it was read.
type pattern struct {
	head, body string
	size       int64
	reads      int
	every      int // reads between two looks at the memory
	peak       uint64
}

// ReadAt implements io.ReaderAt.
func (p *pattern) ReadAt(buf []byte, off int64) (int, error) {
	if p.reads++; p.reads%p.every == 0 {
		p.peak = max(p.peak, liveHeap())
	}
	n := 0
	for at := off; n < len(buf) && at < p.size; at = off + int64(n) {
		piece := p.head[min(at, int64(len(p.head))):]
		if piece == "" {
			piece = p.body[(at-int64(len(p.head)))%int64(len(p.body)):]
		}
		n += copy(buf[n:], piece[:min(int64(len(piece)), p.size-at)])
	}
	if n < len(buf) {
		return n, io.EOF
	}
	return n, nil
}

func liveHeap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// discard stores nothing, and reads all.
type discard struct{}

func (discard) Progress(float64) {}

func (discard) Artifact(_ context.Context, _, _ string, content io.Reader) (jobs.Artifact, error) {
	_, err := io.Copy(io.Discard, content)
	return jobs.Artifact{}, err
}

func (discard) Spawn(context.Context, jobs.Child, io.Reader) error { return io.ErrClosedPipe }

// rowsOf gives rows that are all different, in about a mebibyte.
func rowsOf(row func(i int) string) string {
	var b strings.Builder
	for i := 0; b.Len() < 1<<20; i++ {
		b.WriteString(row(i))
	}
	return b.String()
}

// A file of any length is worked on in the same memory, an unterminated quote at its start and a row
// without an end included. All of the process's memory is measured, so the test runs alone.
func TestConstantMemory(t *testing.T) { //nolint:paralleltest // as said
	const size = 16 << 20
	wide := strings.Repeat("1,", 3999)
	for name, c := range map[string]struct {
		file pattern
		most uint64
		rows int64 // at least
	}{
		"rows":                 {pattern{head: "a,b,c\n", body: rowsOf(func(i int) string { return fmt.Sprintf("%d,name %d,%d.25\n", i*7919, i, i) })}, 48 << 20, 1 << 19},
		"open quote":           {pattern{head: "a,b,c\n1,2,\"x\n", body: strings.Repeat("1,\"2\"\"\",3\n", 1<<10)}, 48 << 20, 1 << 19},
		"only an open quote":   {pattern{head: "a,b,c\n1,2,\"3\"\n1,2,\"x\n", body: strings.Repeat("1,2,3\n", 1<<10)}, 48 << 20, 1 << 19},
		"one row":              {pattern{head: "a,b,c\n1,2,3\n", body: strings.Repeat("x,", 1<<10)}, 48 << 20, 1},
		"one cell":             {pattern{head: "a,b,c\n1,2,3\n", body: strings.Repeat("x", 1<<10)}, 48 << 20, 1},
		"thousands of columns": {pattern{body: wide + "1\n"}, 160 << 20, 1 << 10},
		"keys":                 {pattern{body: rowsOf(func(i int) string { return fmt.Sprintf("{\"key%d\":%d}\n", i, i) })}, 160 << 20, 1 << 10},
	} {
		file := &c.file
		file.size, file.every = size, 40
		before := liveHeap()
		answer, err := table.New().Handle(t.Context(), &jobs.Run{
			File: jobs.File{Name: "a.csv", Size: size}, Input: io.NewSectionReader(file, 0, size), Recorder: discard{},
			Params: json.RawMessage(fmt.Sprintf(`{"parquet":%t}`, name != "keys")), // whose nulls take long
		})
		result, ok := answer.(*table.Result)
		if err != nil || !ok {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if result.Rows < c.rows {
			t.Errorf("%s: %d rows", name, result.Rows)
		}
		if file.peak == 0 || file.peak > before+c.most {
			t.Errorf("%s: %d bytes in use, %d before", name, file.peak, before)
		}
	}
}
