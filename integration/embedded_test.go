package integration

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

// P2: the embedded default, killed in mid-work and started again on its folder, loses nothing.
func TestP2EmbeddedDefaultLosesNothingWhenKilledInMidWork(t *testing.T) {
	t.Parallel()
	bin := build("cmd/leat")
	data, addr := t.TempDir(), testserver.FreeAddr(t)
	start := func() *system.Process {
		p := system.Start(t, "leat", bin, []string{"up", "--listen", addr, "--admin-listen", "off", "--data", data, "--concurrency", "2"}, nil)
		p.WaitMessage("worker is ready", patience)
		return p
	}
	c, err := client.New("http://"+addr, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	leat := start()
	var accepted []uuid.UUID
	for round := range atLength(3, 1) {
		for i := range 60 {
			file := writeFile(t, fmt.Sprintf("line %d of round %d\n", i, round), 200+i*500)
			accepted = append(accepted, upload(t, c, file))
		}
		leat.Kill()
		leat = start()
	}
	// Runs that the kills cut off are noticed after 15 s.
	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, id := range accepted {
		job, err := c.WaitJob(deadline, id, client.WaitOptions{})
		if err != nil {
			t.Fatalf("job %s: %v", id, err)
		}
		if job.State != "succeeded" || job.Attempt != 1 {
			t.Errorf("job %s is %s at attempt %d: %v", id, job.State, job.Attempt, job.Error)
		}
	}
	second := system.Start(t, "second", bin, []string{"up", "--listen", testserver.FreeAddr(t), "--admin-listen", "off", "--data", data}, nil)
	if code := second.Wait(patience); code != 1 {
		t.Errorf("a second process on the same folder ended with code %d, want it refused", code)
	}
	leat.Terminate()
	if code := leat.Wait(patience); code != 0 {
		t.Errorf("ended with code %d", code)
	}
}

// writeFile makes a file of the text again and again.
func writeFile(t *testing.T, text string, lines int) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "upload-*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for range lines {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func upload(t *testing.T, c *client.Client, f *os.File) uuid.UUID {
	t.Helper()
	defer f.Close()
	up, err := c.Upload(t.Context(), client.UploadOptions{Kind: "inspect"}, client.File{Name: "some.txt", Content: f, Size: -1})
	if err != nil {
		t.Fatalf("upload: %v", err)
	}
	return up[0].JobID
}
