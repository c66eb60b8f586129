package integration

import (
	"bufio"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/internal/testserver"
)

// tusClient is what most browsers upload with.
const tusClient = "tus-js-client@4.3.1"

// installTusClient gives a folder with the client and the script that uses it. It skips the test where
// npm is not installed.
func installTusClient(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not there; Debian has it in the packages nodejs and npm")
	}
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", tusClient)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install %s: %v\n%s", tusClient, err, out)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "tus", "upload.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "upload.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// randomFile makes a file that compresses and repeats as little as any, and returns its SHA-256.
func randomFile(t *testing.T, path string, size int64) string {
	t.Helper()
	block, err := aes.NewCipher([]byte("sixteen bytes of"))
	if err != nil {
		t.Fatal(err)
	}
	random := cipher.StreamReader{S: cipher.NewCTR(block, make([]byte, aes.BlockSize)), R: zeros{}}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(file, sum), random, size); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestP1P3TusClientThroughFaults: a client as browsers have it uploads 1 GiB while its connection is
// cut 50 times and the api is killed 5 times; the file is whole, and there is one job.
func TestP1P3TusClientThroughFaults(t *testing.T) {
	t.Parallel()
	var (
		size  = atLength[int64](1<<30, 96<<20)
		cuts  = atLength(50, 8)
		kills = atLength(5, 2)
	)
	const pace = "100" // MB/s, so that the faults come in the midst of it
	r := newRig(t)
	dir := installTusClient(t)
	path := filepath.Join(t.TempDir(), "large.bin")
	sum := randomFile(t, path, size)
	api := r.API()
	addr := strings.TrimPrefix(api.URL, "http://")
	link := testserver.Proxy(t, api.URL)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := exec.CommandContext(ctx, "node", "upload.mjs", link.URL()+"/tus/", path, t.Name(), pace)
	client.Dir, client.Stderr = dir, os.Stderr
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	var job string
	faults := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var line struct {
			Sent int64
			Job  string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("the client prints %q: %v", lines.Text(), err)
		}
		job = line.Job
		if faults == cuts+kills || line.Sent < int64(faults+1)*size/int64(cuts+kills+1) {
			continue
		}
		faults++
		if faults%((cuts+kills)/kills) == 0 {
			api.Kill()
			api = r.APIAt(addr)
		} else {
			link.Cut()
			link.Restore()
		}
	}
	if err := client.Wait(); err != nil || lines.Err() != nil {
		t.Fatalf("the client: %v, %v", err, lines.Err())
	}
	if faults != cuts+kills {
		t.Errorf("%d faults, want %d", faults, cuts+kills)
	}
	var done wire.Job
	r.fetch(api.URL+"/v1/jobs/"+job, &done)
	var file wire.File
	r.fetch(api.URL+"/v1/files/"+done.FileID.String(), &file)
	if file.SHA256 != sum || file.Size != size {
		t.Errorf("the file has %d bytes and the SHA-256 %s, want %d and %s", file.Size, file.SHA256, size, sum)
	}
	states, err := r.States(t.Context())
	if err != nil || len(states) != 1 || states["pending"] != 1 {
		t.Errorf("jobs by state: %v, %v; want one that is pending", states, err)
	}
}

// fetch reads JSON.
func (r *rig) fetch(url string, into any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: status %d, %v", url, res.StatusCode, err)
	}
}
