package integration

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leat-dev/leat/integration/system"
)

// gzipBomb is 256 MiB of zeros in 256 KiB.
func gzipBomb(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	zeros := make([]byte, 1<<20)
	for range 256 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// hugePNG says that it has 60,000 by 60,000 pixels, and has a few bytes of them.
func hugePNG() []byte {
	out := []byte("\x89PNG\r\n\x1a\n")
	for _, chunk := range []string{"IHDR\x00\x00\xea\x60\x00\x00\xea\x60\x08\x06\x00\x00\x00", "IDAT\x78\x9c\x63\x00\x00", "IEND"} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(chunk)-4))
		out = append(out, chunk...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE([]byte(chunk)))
	}
	return out
}

// P7: every kind through the running system, chosen by content, in processes of their own; what is
// broken, locked or a bomb ends with its code, the neighbours succeed, and no worker is lost.
func TestP7KindsAndBombsThroughTheSystem(t *testing.T) {
	t.Parallel()
	r := newPlainRig(t)
	api := r.API()
	r.Worker(system.With("LEAT_SCRATCH", t.TempDir()))

	sample := func(path ...string) []byte {
		content, err := os.ReadFile(filepath.Join(append([]string{"..", "jobs"}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	cases := []struct {
		name          string
		content       []byte
		kind, state   string
		code, has     string // of the error; a field of the result
		children, own int    // that succeeded; artifacts
	}{
		{"text", []byte("just text\n"), "inspect", "succeeded", "", "sha256", 0, 0},
		{"image", sample("image", "testdata", "orientation_6.jpg"), "image", "succeeded", "", "variants", 0, 2},
		{"image bomb", hugePNG(), "image", "failed", "limit_memory", "", 0, 0},
		{"broken image", sample("image", "testdata", "orientation_6.jpg")[:600], "image", "failed", "malformed", "", 0, 0},
		{"table", []byte("name,born\nada,1815-12-10\ngrace,1906-12-09\n"), "table", "succeeded", "", "columns", 0, 2},
		{"hostile archive", sample("archive", "testdata", "traverse.tar"), "archive", "succeeded", "", "refused", 1, 0},
		{"archive bomb", gzipBomb(t), "archive", "failed", "limit_output", "", 0, 0},
		{"document", sample("document", "testdata", "basicapi.pdf"), "document", "succeeded", "", "pages", 0, 3},
		{"locked document", sample("document", "testdata", "encrypted-user.pdf"), "document", "failed", "encrypted", "", 0, 0},
	}
	ids := make([]string, len(cases))
	for i, c := range cases {
		up, err := r.Upload(t.Context(), r.client, api.URL, "auto", "", c.content)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		ids[i] = up.JobID.String()
	}
	system.Poll(t.Context(), t, "every job has ended", 3*time.Minute, 200*time.Millisecond, func() bool {
		busy, err := r.Busy(t.Context())
		return err == nil && !busy
	})
	for i, c := range cases {
		job, err := system.Job(t.Context(), r.client, api.URL, ids[i])
		if err != nil {
			t.Fatal(err)
		}
		code, children := "", 0
		if job.Error != nil {
			code = job.Error.Code
		}
		if job.Children != nil {
			children = job.Children.Succeeded
		}
		result := map[string]json.RawMessage{}
		if len(job.Result) > 0 {
			if err := json.Unmarshal(job.Result, &result); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if job.Kind != c.kind || job.State != c.state || code != c.code || job.Losses != 0 || children != c.children || len(job.Artifacts) != c.own {
			t.Errorf("%s: kind %s, %s, code %q, %d losses, %d children, %d artifacts: %v; want %+v", c.name, job.Kind, job.State, code,
				job.Losses, children, len(job.Artifacts), job.Error, c)
		}
		if _, ok := result[c.has]; c.has != "" && !ok {
			t.Errorf("%s: no %q in %s", c.name, c.has, job.Result)
		}
	}
}
