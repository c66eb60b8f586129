package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-dev/leat/integration/system"
	"github.com/leat-dev/leat/internal/testserver"
)

// cli runs the leat program against a server.
type cli struct {
	t    *testing.T
	bin  string
	base string
	env  []string
}

// run returns what was printed and the exit code.
func (c cli) run(args ...string) (stdout string, code int) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.bin, args...)
	cmd.Env = append([]string{"LEAT_SERVER=" + c.base}, c.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("leat %v: %v", args, err)
	}
	if cmd.ProcessState.ExitCode() != 0 {
		c.t.Logf("leat %v: %s", args, errs.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// The operator's command line, against leat up.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	bin, addr := build("cmd/leat"), testserver.FreeAddr(t)
	up := system.Start(t, "leat", bin, []string{"up", "--listen", addr, "--admin-listen", "off", "--data", t.TempDir()}, nil)
	up.WaitMessage("worker is ready", patience)
	c := cli{t, bin, "http://" + addr, nil}
	file := writeFile(t, "one line\n", 3).Name()

	if out, code := c.run("kinds", "image"); code != 0 || !strings.Contains(out, "variants[].size") || !strings.Contains(out, "image/webp") {
		t.Errorf("kinds: code %d: %s", code, out)
	}
	if _, code := c.run("kinds", "nothing"); code != 2 {
		t.Errorf("an unknown kind: code %d", code)
	}
	out, code := c.run("upload", file, "--wait", "--json")
	var job struct {
		ID, State string
		Result    struct {
			Size      int64
			MediaType string `json:"media_type"`
			Text      struct{ Lines int }
		}
	}
	if err := json.Unmarshal([]byte(out), &job); err != nil || code != 0 {
		t.Fatalf("upload --wait: code %d, %v: %s", code, err, out)
	}
	if job.State != "succeeded" || job.Result.Size != 27 || job.Result.Text.Lines != 3 || !strings.HasPrefix(job.Result.MediaType, "text/plain") {
		t.Errorf("job %+v", job)
	}

	later := time.Now().Add(time.Hour).Format(time.RFC3339)
	out, code = c.run("upload", file, "--run-at", later)
	id, _, _ := strings.Cut(out, " ")
	if code != 0 {
		t.Fatalf("upload --run-at: code %d", code)
	}
	if out, _ := c.run("jobs", "list", "--state", "pending"); !strings.Contains(out, id) {
		t.Errorf("the job is not among those that wait:\n%s", out)
	}
	if out, code := c.run("jobs", "cancel", id); code != 0 || !strings.Contains(out, "cancelled") {
		t.Errorf("cancel: code %d, %s", code, out)
	}
	if out, code := c.run("jobs", "watch", id); code != 1 || !strings.Contains(out, "cancelled") {
		t.Errorf("watch of a job that did not succeed: code %d, %s; want code 1", code, out)
	}
	if out, code := c.run("queues", "pause", "default"); code != 0 {
		t.Errorf("pause: code %d, %s", code, out)
	}
	if out, _ := c.run("queues", "list"); !strings.Contains(out, "paused") {
		t.Errorf("the queue is not shown as paused:\n%s", out)
	}
	if out, code := c.run("jobs", "retry", "--state", "cancelled"); code != 0 || !strings.Contains(out, "1 jobs") {
		t.Errorf("retry of all: code %d, %s", code, out)
	}
	if out, code := c.run("queues", "resume", "default"); code != 0 {
		t.Errorf("resume: code %d, %s", code, out)
	}
	if out, code := c.run("jobs", "watch", id); code != 0 || !strings.Contains(out, "succeeded") {
		t.Errorf("watch: code %d, %s", code, out)
	}
	if out, code := c.run("jobs", "show", id); code != 0 || !strings.Contains(out, `"lines": 3`) {
		t.Errorf("show: code %d, %s", code, out)
	}
	fileID := shown(t, c, id)
	if out, code := c.run("files", "show", fileID); code != 0 || !strings.Contains(out, "text/plain") {
		t.Errorf("files show: code %d, %s", code, out)
	}
	if out, code := c.run("files", "delete", fileID); code != 0 || !strings.Contains(out, "deleted") {
		t.Errorf("files delete: code %d, %s", code, out)
	}
	if _, code := c.run("jobs", "show", id); code != 1 {
		t.Errorf("show of a job whose file was deleted: code %d, want 1", code)
	}
	if _, code := c.run("upload", filepath.Join(t.TempDir(), "missing")); code != 1 {
		t.Errorf("upload of a file that is not there: code %d, want 1", code)
	}
	if _, code := c.run("jobs", "show", "nonsense"); code != 2 {
		t.Errorf("show of what is no ID: code %d, want 2", code)
	}
	if _, code := c.run("jobs", "cancel"); code != 1 {
		t.Errorf("cancel without an ID or a filter: code %d, want it refused", code)
	}
	if out, code := c.run("version"); code != 0 || !strings.HasPrefix(out, "leat ") {
		t.Errorf("version: code %d, %s", code, out)
	}
}

// shown is the ID of a job's file.
func shown(t *testing.T, c cli, job string) string {
	t.Helper()
	out, code := c.run("jobs", "show", job, "--json")
	var shown struct {
		FileID string `json:"file_id"`
	}
	if err := json.Unmarshal([]byte(out), &shown); err != nil || code != 0 {
		t.Fatalf("jobs show: code %d, %v: %s", code, err, out)
	}
	return shown.FileID
}
