package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-dev/leat/integration/system"
)

// P1: the api is killed at every step of an upload, small and large. Whatever was answered with 202
// is done; every job has its bytes; nothing half-made is ever worked on.
func TestP1ApiKilledAtEveryStepOfAnUpload(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Worker()
	small := []byte("a few bytes")
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, point := range []string{"put.before", "put.during", "put.after", "accept.before", "accept.after"} {
		for _, content := range [][]byte{small, large} {
			if strings.HasPrefix(point, "put") && len(content) == len(small) {
				continue // lies in the row
			}
			api := r.API(system.Fault(point, "kill"))
			if _, err := r.Upload(t.Context(), r.client, api.URL, "work", "", content); err == nil {
				t.Errorf("%s: the killed api answered 202", point)
			}
			if code := api.Wait(patience); code != -1 {
				t.Errorf("%s: the api ended with code %d, want it killed", point, code)
			}
		}
	}
	api := r.API()
	whole, err := r.Upload(t.Context(), r.client, api.URL, "work", "", large)
	if err != nil {
		t.Fatalf("upload after the kills: %v", err)
	}
	system.Poll(t.Context(), t, "every job has ended", patience, 100*time.Millisecond, func() bool {
		states, err := r.States(t.Context())
		return err == nil && states["pending"]+states["running"]+states["retrying"] == 0
	})
	states, err := r.States(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Both uploads that were killed after their commit, and the last one.
	if states["succeeded"] != 3 || len(states) != 1 {
		t.Errorf("jobs by state: %v, want the two that were committed unheard and the last one, succeeded", states)
	}
	r.checkBytes(t)
	if want := sha256.Sum256(large); whole.SHA256 != hex.EncodeToString(want[:]) {
		t.Errorf("sha256 %s, want %x", whole.SHA256, want)
	}
}

// checkBytes compares every file's bytes with what its row says.
func (r *rig) checkBytes(t *testing.T) {
	t.Helper()
	objects := map[string]string{}
	err := filepath.WalkDir(r.BlobDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			objects[filepath.Base(path)] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := r.DB().Query(t.Context(), `SELECT content, blob_key::text, sha256, size FROM files`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var content, want []byte
		var key *string
		var size int64
		if err := rows.Scan(&content, &key, &want, &size); err != nil {
			t.Fatal(err)
		}
		if key != nil {
			path, ok := objects[*key]
			if !ok {
				t.Errorf("a file's object %s is not there", *key)
				continue
			}
			if content, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		if got := sha256.Sum256(content); !bytes.Equal(got[:], want) || int64(len(content)) != size {
			t.Errorf("a file has %d bytes with SHA-256 %x, its row says %d and %x", len(content), got, size, want)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
