package inspect_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/inspect"
)

// pattern is a file that is nowhere: a start, then the same bytes again and again, then an end. It
// keeps the most memory that was in use while it was read.
type pattern struct {
	head, body, tail string
	times            int64 // how often the body is there
	reads            int
	peak             uint64 // bytes of live heap
}

func (p *pattern) size() int64 {
	return int64(len(p.head)) + p.times*int64(len(p.body)) + int64(len(p.tail))
}

// ReadAt implements io.ReaderAt.
func (p *pattern) ReadAt(buf []byte, off int64) (int, error) {
	if p.reads++; p.reads%100 == 0 {
		p.peak = max(p.peak, liveHeap())
	}
	n := 0
	for at := off; n < len(buf) && at < p.size(); at = off + int64(n) {
		n += copy(buf[n:], p.at(at))
	}
	if n < len(buf) {
		return n, io.EOF
	}
	return n, nil
}

// at gives what is at an offset, as much of it as lies in one piece.
func (p *pattern) at(off int64) string {
	tail := p.size() - int64(len(p.tail))
	switch head := int64(len(p.head)); {
	case off < head:
		return p.head[off:]
	case off >= tail:
		return p.tail[off-tail:]
	default:
		return p.body[(off-head)%int64(len(p.body)):]
	}
}

func liveHeap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// P6: a file of any size and kind is inspected in the same little memory. All of the process's
// memory is measured, so the test runs alone.
func TestP6ConstantMemory(t *testing.T) { //nolint:paralleltest // as said
	const size, most = 32 << 20, 1 << 20
	entry := "PK\x01\x02" + strings.Repeat("\x00", 20) + "\x01\x00\x00\x00" + "\x04\x00" + strings.Repeat("\x00", 16) + "name"
	const entries = uint64(1 << 19)
	zipHead := zipOf(t, "", string(noise(8<<10)))
	zipHead = zipHead[:binary.LittleEndian.Uint32(zipEnd(zipHead)[16:])]
	zipTail := zip64Of(zipOf(t, ""), entries, entries*uint64(len(entry)), uint64(len(zipHead)))
	gif := string(gifOf(t, 1))
	for name, c := range map[string]struct {
		file pattern
		sees func(*inspect.Result) bool
	}{
		"ascii": {
			pattern{body: strings.Repeat("a line\r\n", 1<<12)},
			func(r *inspect.Result) bool { return r.Text.Lines == size/8 && r.Text.LineEnding == "crlf" },
		},
		"one line": {
			pattern{body: strings.Repeat("x", 1<<15)},
			func(r *inspect.Result) bool { return r.Text.Lines == 1 },
		},
		"latin-1": {
			pattern{body: strings.Repeat("d\xe9j\xe0 vu\n", 1<<12)},
			func(r *inspect.Result) bool { return r.Text.Encoding == "iso-8859-1" },
		},
		"utf-16": {
			pattern{head: "\xff\xfe", body: strings.Repeat("a\x00b\x00c\x00\n\x00", 1<<12)},
			func(r *inspect.Result) bool { return r.Text.Lines == size/8 },
		},
		"zeros": {
			pattern{body: strings.Repeat("\x00", 1<<15)},
			func(r *inspect.Result) bool { return r.MediaType == "application/octet-stream" },
		},
		"gif": {
			pattern{head: gif[:len(gif)-1], body: "\x21\xfe\xff" + strings.Repeat("x", 255) + "\x00", tail: ";"},
			func(r *inspect.Result) bool { return r.Image.Frames == 1 && !r.Image.Truncated },
		},
		"png": {
			pattern{head: string(pngOf(t)[:33]), body: string(withChunks(make([]byte, 33), "eXIf"+exif(binary.BigEndian, 6))[33:])},
			func(r *inspect.Result) bool { return r.Image.Orientation == 6 },
		},
		"webp": {
			pattern{head: string(riff(vp8x)), body: string(riff(frame)[12:])},
			func(r *inspect.Result) bool { return r.Image.Frames > size/30 },
		},
		"jpeg": {
			pattern{head: "\xff\xd8\xff\xe0\x00\x02", body: string(withSegments(make([]byte, 2), "Exif\x00\x00"+strings.Repeat("x", 300))[2:])},
			func(r *inspect.Result) bool { return r.MediaType == "image/jpeg" && r.Image == nil },
		},
		"zip": {
			pattern{head: string(zipHead), body: strings.Repeat(entry, 1<<10), times: int64(entries) >> 10, tail: string(zipTail)},
			func(r *inspect.Result) bool { return r.Archive.Entries == int64(entries) && !r.Archive.Truncated },
		},
		"tar": {
			pattern{body: string(tarOf(t, "hello")[:1024])},
			func(r *inspect.Result) bool { return r.Archive.Entries == size/1024 },
		},
		"gzip": {
			pattern{body: string(gzipped(t, noise(1<<15)))},
			func(r *inspect.Result) bool { return r.Archive.UncompressedSize > size/2 && !r.Archive.Truncated },
		},
	} {
		file := &c.file
		if file.times == 0 {
			file.body = strings.Repeat(file.body, max(1<<15/len(file.body), 1))
			file.times = size / int64(len(file.body))
		}
		run := newPatternRun(t, name, file)
		before := liveHeap()
		file.reads, file.peak = 0, 0
		result := handle(t, inspect.New(), run)
		if !c.sees(result) {
			t.Errorf("%s: %+v", name, result)
		}
		if file.peak == 0 || file.peak > before+most {
			t.Errorf("%s: %d bytes in use, %d before", name, file.peak, before)
		}
	}
}

func newPatternRun(t *testing.T, name string, file *pattern) *jobs.Run {
	t.Helper()
	hash := sha256.New()
	if _, err := io.CopyBuffer(hash, struct{ io.Reader }{io.NewSectionReader(file, 0, file.size())}, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	return &jobs.Run{
		File:     jobs.File{Name: name, Size: file.size(), SHA256: [32]byte(hash.Sum(nil))},
		Input:    io.NewSectionReader(file, 0, file.size()),
		Recorder: silent{},
	}
}

// silent keeps no reports, which would grow.
type silent struct{ *progress }

func (silent) Progress(float64) {}

// A run allocates little, too: what a collector has to clear away counts while it has not.
func TestP6FewAllocations(t *testing.T) { //nolint:paralleltest // it counts all of the process's allocations
	content := bytes.Repeat([]byte("a line\n"), 1<<17)
	run := newRun("a.txt", content)
	run.Recorder = silent{}
	handler := inspect.New()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const runs = 10
	for range runs {
		handle(t, handler, run)
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / runs; each > 512<<10 {
		t.Errorf("a run on %d bytes allocates %d", len(content), each)
	}
}
