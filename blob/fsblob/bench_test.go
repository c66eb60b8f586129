package fsblob_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/fsblob"
)

// repeated reads the same block again and again, size bytes in all.
type repeated struct {
	block []byte
	size  int64
	off   int64
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.off == r.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.size-r.off)]
	n := copy(p, r.block[r.off%int64(len(r.block)):])
	r.off += int64(n)
	return n, nil
}

// BenchmarkPut1GiB compares a Put of 1 GiB, hashed and durable, with dd conv=fsync of as much on
// the same disk, one after the other. The target for the ratio is 1.25.
func BenchmarkPut1GiB(b *testing.B) {
	const size = 1 << 30
	dir := b.TempDir()
	store, err := fsblob.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	block := make([]byte, 8<<20)
	if _, err := rand.Read(block); err != nil {
		b.Fatal(err)
	}
	source := filepath.Join(dir, "source")
	makeSource(b, source, &repeated{block: block, size: size})

	var put, dd time.Duration
	for b.Loop() {
		key := blob.NewKey()
		start := time.Now()
		if _, err := store.Put(b.Context(), key, &repeated{block: block, size: size}); err != nil {
			b.Fatal(err)
		}
		put += time.Since(start)
		if err := store.Delete(b.Context(), key); err != nil {
			b.Fatal(err)
		}

		target := filepath.Join(dir, "target")
		start = time.Now()
		out, err := exec.CommandContext(b.Context(), "dd", "if="+source, "of="+target, "bs=1M", "conv=fsync").CombinedOutput()
		if err != nil {
			b.Fatalf("dd: %v\n%s", err, out)
		}
		dd += time.Since(start)
		if err := os.Remove(target); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(put.Seconds()/float64(b.N), "s/put")
	b.ReportMetric(dd.Seconds()/float64(b.N), "s/dd")
	b.ReportMetric(put.Seconds()/dd.Seconds(), "put/dd")
}

// BenchmarkAppend1GiB compares an Append of 1 GiB that saves, and one for each 8 MiB of it, with a Put of
// as much, one after the other.
func BenchmarkAppend1GiB(b *testing.B) {
	const size, piece = 1 << 30, 8 << 20
	store, err := fsblob.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	block := make([]byte, piece)
	if _, err := rand.Read(block); err != nil {
		b.Fatal(err)
	}
	// appended appends it in parts of so many bytes, and seals it.
	appended := func(key blob.Key, part int64) error {
		var at blob.Progress
		for at.Size < size {
			var err error
			content := &repeated{block: block, size: part}
			if at, err = store.Append(b.Context(), key, at, content, func(blob.Progress) error { return nil }); err != nil {
				return err
			}
		}
		_, err := store.Seal(b.Context(), key, at)
		return err
	}
	ways := []struct {
		name string
		keep func(key blob.Key) error
		took time.Duration
	}{
		{name: "put", keep: func(key blob.Key) error {
			_, err := store.Put(b.Context(), key, &repeated{block: block, size: size})
			return err
		}},
		{name: "append", keep: func(key blob.Key) error { return appended(key, size) }},
		{name: "pieces", keep: func(key blob.Key) error { return appended(key, piece) }},
	}
	for b.Loop() {
		for i := range ways {
			key := blob.NewKey()
			start := time.Now()
			if err := ways[i].keep(key); err != nil {
				b.Fatal(err)
			}
			ways[i].took += time.Since(start)
			if err := store.Delete(b.Context(), key); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, way := range ways {
		b.ReportMetric(way.took.Seconds()/float64(b.N), "s/"+way.name)
	}
	for _, way := range ways[1:] {
		b.ReportMetric(way.took.Seconds()/ways[0].took.Seconds(), way.name+"/put")
	}
}

// BenchmarkPut64KiB is many Puts at once, each durable when it returns.
func BenchmarkPut64KiB(b *testing.B) {
	store, err := fsblob.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	content := make([]byte, 64<<10)
	b.SetBytes(int64(len(content)))
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := store.Put(b.Context(), blob.NewKey(), bytes.NewReader(content)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func makeSource(b *testing.B, name string, content io.Reader) {
	b.Helper()
	file, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if _, err := io.Copy(file, content); err != nil {
		b.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		b.Fatal(err)
	}
}
