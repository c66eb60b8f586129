package command_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/command"
)

// The hidden modes of the test's program: the launcher, as the worker's program is one, and a
// worker that runs a script in a scratch folder.
const (
	launchArg = "__launch"
	workArg   = "__work"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == launchArg {
		fmt.Fprintln(os.Stderr, command.Launch(os.Args[2:]))
		os.Exit(1)
	}
	if len(os.Args) > 3 && os.Args[1] == workArg {
		fmt.Fprintln(os.Stderr, work(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func work(scratch, text string) error {
	d := script(text)
	d.Name = "test"
	h, err := command.New(d, scratch, []string{"/proc/self/exe", launchArg})
	if err != nil {
		return err
	}
	_, err = h.Handle(context.Background(), &jobs.Run{Input: io.NewSectionReader(strings.NewReader(""), 0, 0), Recorder: &recorder{}})
	return err
}

// recorder tells of progress.
type recorder struct{ progress func() }

func (r *recorder) Progress(float64) {
	if r.progress != nil {
		r.progress()
	}
}

func (*recorder) Artifact(context.Context, string, string, io.Reader) (jobs.Artifact, error) {
	return jobs.Artifact{}, nil
}

func (*recorder) Spawn(context.Context, jobs.Child, io.Reader) error { return nil }
