package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

const (
	pieceSize = 8 << 20
	tusRounds = 5
)

// tus measures the upload of 1 GiB by tus, in pieces and in one, hashed and durable after each, beside
// tusd with its store of files, as it comes and with a sync after each piece. All are on the same disk and
// have the same client; the median of some rounds of each counts, taken in turn, each time another first.
func (b *bench) tus() {
	s := b.install()
	api, tusd := b.api(s), b.tusd()
	servers := []*tusServer{
		{bench: b, name: "ours", base: api.URL, path: "/tus/", jobs: true},
		{bench: b, name: "tusd", base: tusd, path: "/tus/"},
		{bench: b, name: "tusd with a sync for each piece", base: tusd, path: "/synced/"},
	}
	source := filepath.Join(s.BlobDir, "..", filepath.Base(s.BlobDir)+".source")
	defer func() { b.remove(source) }()
	if err := writeRandom(source, largeFile); err != nil {
		b.Fatalf("make the file: %v", err)
	}
	for _, test := range []struct {
		name  string
		piece int64
	}{{"in pieces of 8 MiB", pieceSize}, {"in one piece", largeFile}} {
		speeds := make([][]float64, len(servers))
		for round := range tusRounds {
			for i := range servers {
				at := (i + round) % len(servers)
				took := servers[at].upload(source, largeFile, test.piece)
				speeds[at] = append(speeds[at], largeFile/(1<<20)/took.Seconds())
			}
		}
		for at, server := range servers {
			fmt.Printf("  1 GiB %s, MiB/s, %s: %.0f\n", test.name, server.name, speeds[at])
		}
		mine := median(speeds[0])
		b.compare("tus, 1 GiB "+test.name, mine, "MiB/s", servers[1].name, median(speeds[1]), false, 0.8)
		b.compare("…", mine, "MiB/s", servers[2].name, median(speeds[2]), false, 0)
	}
}

// tusd starts tusd, and returns its address.
func (b *bench) tusd() string {
	dir, err := os.MkdirTemp("", "leat-tusd-")
	if err != nil {
		b.Fatalf("make a folder: %v", err)
	}
	b.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			b.Errorf("clean up: %v", err)
		}
	})
	addr := testserver.FreeAddr(b)
	p := system.Start(b, "tusd", system.Build(b, "bench/tusd", false), []string{addr, dir}, nil)
	system.Poll(b.Context(), b, p.Name+" listens", 30*time.Second, 20*time.Millisecond, func() bool {
		conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", addr)
		return err == nil && conn.Close() == nil
	})
	return "http://" + addr
}

// median sorts its argument.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// tusServer is one of those that are measured.
type tusServer struct {
	*bench
	name, base, path string
	jobs             bool // it makes a job of the upload, which is ended with it
}

// upload sends a file in pieces of that size, and deletes it.
func (s *tusServer) upload(path string, size, piece int64) time.Duration {
	source, err := os.Open(path)
	if err != nil {
		s.Fatalf("open the file: %v", err)
	}
	defer source.Close()
	client := &http.Client{Transport: &http.Transport{WriteBufferSize: 1 << 20}}
	defer client.CloseIdleConnections()

	began := time.Now()
	header := s.ask(client, http.MethodPost, s.path, nil, 0, http.StatusCreated, "Upload-Length", strconv.FormatInt(size, 10))
	at, err := url.Parse(header.Get("Location"))
	if err != nil {
		s.Fatalf("begin an upload: %v", err)
	}
	for offset := int64(0); offset < size; offset += piece {
		header = s.ask(client, http.MethodPatch, at.Path, io.NewSectionReader(source, offset, piece), min(piece, size-offset), http.StatusNoContent,
			"Upload-Offset", strconv.FormatInt(offset, 10), "Content-Type", "application/offset+octet-stream")
	}
	took := time.Since(began)
	if got := header.Get("Upload-Offset"); got != strconv.FormatInt(size, 10) {
		s.Errorf("the upload ended at %s of %d bytes", got, size)
	}
	if s.jobs {
		s.ask(client, http.MethodPost, "/v1/jobs/"+header.Get("Leat-Job-Id")+"/cancel", nil, 0, http.StatusOK)
		s.ask(client, http.MethodDelete, "/v1/files/"+filepath.Base(at.Path), nil, 0, http.StatusNoContent)
	} else {
		s.ask(client, http.MethodDelete, at.Path, nil, 0, http.StatusNoContent)
	}
	return took
}

// ask sends a request with headers, wants a status, and returns the headers of the answer.
func (s *tusServer) ask(client *http.Client, method, path string, body io.Reader, length int64, status int, headers ...string) http.Header {
	req, err := http.NewRequestWithContext(s.Context(), method, s.base+path, body)
	if err != nil {
		s.Fatalf("%s %s: %v", method, path, err)
	}
	req.ContentLength = length
	req.Header.Set("Tus-Resumable", "1.0.0")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		s.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		s.Fatalf("%s %s: status %d, want %d: %s %v", method, path, resp.StatusCode, status, text, err)
	}
	return resp.Header
}
