package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/leat-dev/leat/integration/system"
)

const (
	largeFile = 1 << 30
	hugeFile  = 4 << 30
	rounds    = 6
)

// large measures the upload of 1 GiB, hashed and synced, beside dd conv=fsync of the same file to
// the same filesystem. The best of some rounds of each counts, taken in turn.
func (b *bench) large() {
	s := b.install()
	api := b.api(s)
	source := filepath.Join(s.BlobDir, "..", filepath.Base(s.BlobDir)+".source")
	defer func() { b.remove(source) }()
	if err := writeRandom(source, largeFile); err != nil {
		b.Fatalf("make the file: %v", err)
	}
	best, bestDD := time.Hour, time.Hour
	for range rounds {
		bestDD = min(bestDD, b.dd(source))
		best = min(best, b.uploadFile(s, api, source, largeFile))
	}
	b.compare("upload of 1 GiB, hashed and synced", best.Seconds(), "s", "dd conv=fsync", bestDD.Seconds(), true, 1.25)
}

// memory measures the most memory that the api had resident during an upload of 4 GiB.
func (b *bench) memory() {
	s := b.install()
	api := b.api(s)
	b.postFrom(s, api, io.LimitReader(zeros{}, hugeFile), hugeFile)
	b.target("peak memory of api, upload of 4 GiB", float64(api.PeakRSS())/(1<<20), "MiB", true, 64)
}

func (b *bench) dd(source string) time.Duration {
	target := source + ".dd"
	defer b.remove(target)
	began := time.Now()
	out, err := exec.CommandContext(b.Context(), "dd", "if="+source, "of="+target, "bs=1M", "conv=fsync").CombinedOutput()
	if err != nil {
		b.Fatalf("dd: %v\n%s", err, out)
	}
	return time.Since(began)
}

func (b *bench) uploadFile(s *system.System, api *system.API, path string, size int64) time.Duration {
	f, err := os.Open(path)
	if err != nil {
		b.Fatalf("open the file: %v", err)
	}
	defer f.Close()
	return b.postFrom(s, api, f, size)
}

// postFrom posts content as a raw body and wants 202.
func (b *bench) postFrom(s *system.System, api *system.API, content io.Reader, size int64) time.Duration {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, fmt.Sprintf("%s/v1/uploads?kind=work&queue=%s", api.URL, s.Queue), content)
	if err != nil {
		b.Fatalf("upload: %v", err)
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/octet-stream")
	client := &http.Client{Transport: &http.Transport{WriteBufferSize: 1 << 20}}
	defer client.CloseIdleConnections()
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		b.Fatalf("upload: %v", err)
	}
	took := time.Since(began)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		text, err := io.ReadAll(resp.Body)
		b.Fatalf("upload: status %d: %s %v", resp.StatusCode, text, err)
	}
	return took
}

func (b *bench) remove(path string) {
	if err := os.Remove(path); err != nil {
		b.Errorf("clean up: %v", err)
	}
}

// writeRandom writes bytes that nothing can compress.
func writeRandom(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(f, rand.Reader, size); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return f.Close()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
