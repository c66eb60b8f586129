package integration

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/integration/system"
)

var mixedJobs = flag.Int("mixed.jobs", 40, "how many jobs TestP6P7MixedJobs uploads to each installation")

// P6, P7: of many jobs of all kinds, a tenth of them bombs, all end as they should; no worker dies or
// loses a run, and its memory stays what it was.
func TestP6P7MixedJobs(t *testing.T) {
	if testing.Short() {
		t.Skip("left to make test-all: many jobs of what TestP7KindsAndBombsThroughTheSystem has one each of")
	}
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (string, *system.Process){
		"embedded": func(t *testing.T) (string, *system.Process) {
			u := startUp(t, "cmd/leat")
			return u.base, u.Process
		},
		"production": func(t *testing.T) (string, *system.Process) {
			r := newPlainRig(t)
			api := r.API()
			return api.URL, r.Worker(system.With("LEAT_SCRATCH", t.TempDir()), system.With("LEAT_QUEUES", "default"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, worker := start(t)
			c, err := client.New(base, client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			jobs := mixture(t)
			warm := max(*mixedJobs/5, len(jobs)) // each kind has had its largest by then
			runMixed(t, c, jobs, 0, warm)
			before := worker.PeakRSS()
			runMixed(t, c, jobs, warm, *mixedJobs)
			after := worker.PeakRSS()
			t.Logf("peak memory of the worker: %d MiB after %d jobs, %d MiB after %d", before>>20, warm, after>>20, *mixedJobs)
			if after > before+before/4+(32<<20) {
				t.Errorf("the worker's memory has grown from %d to %d MiB", before>>20, after>>20)
			}
			if !worker.Running() {
				t.Error("the worker has died")
			}
		})
	}
}

// mixedJob is a file and how the job on it is to end.
type mixedJob struct {
	name    string
	content []byte
	state   string
	code    string
}

// mixture is nine harmless files of all kinds, then a bomb, and again with the other bomb.
func mixture(t *testing.T) []mixedJob {
	t.Helper()
	var good []mixedJob
	for _, name := range []string{
		"image/orientation_6.jpg", "table/pipe_delim_quote.csv", "archive/traverse.tar", "document/basicapi.pdf",
		"image/orientation_3.jpg", "table/time_date_timestamp.csv", "archive/winshort.zip", "table/semicolon_quote.csv",
	} {
		content, ok := sample(t, name)
		if !ok {
			t.Fatalf("sample %s is not there", name)
		}
		good = append(good, mixedJob{name, content, wire.Succeeded, ""})
	}
	good = append(good, mixedJob{"notes.txt", []byte("just text\n"), wire.Succeeded, ""})
	one := append(slices.Clip(good), mixedJob{"huge.png", hugePNG(), wire.Failed, "limit_memory"})
	return append(append(one, good...), mixedJob{"bomb.gz", gzipBomb(t), wire.Failed, "limit_output"})
}

// runMixed uploads the jobs numbered from begin to end, then waits for each.
func runMixed(t *testing.T, c *client.Client, jobs []mixedJob, begin, end int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	accepted := make([]wire.Upload, 0, end-begin)
	for i := begin; i < end; i++ {
		job := jobs[i%len(jobs)]
		uploads, err := c.Upload(ctx, client.UploadOptions{Fresh: true}, client.File{
			Name: fmt.Sprintf("%d-%s", i, job.name), Content: bytes.NewReader(job.content), Size: int64(len(job.content)),
		})
		if err != nil {
			t.Fatalf("%s: %v", job.name, err)
		}
		accepted = append(accepted, uploads[0])
	}
	for i, up := range accepted {
		want := jobs[(begin+i)%len(jobs)]
		job, err := c.WaitJob(ctx, up.JobID, client.WaitOptions{})
		if err != nil {
			t.Fatalf("%s: %v", want.name, err)
		}
		code := ""
		if job.Error != nil {
			code = job.Error.Code
		}
		if job.State != want.state || code != want.code || job.Losses != 0 {
			t.Errorf("%s: %s, %d losses, %v; want %s %s", want.name, job.State, job.Losses, job.Error, want.state, want.code)
		}
	}
}
