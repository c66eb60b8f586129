package archive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/jobs/archive"
	"github.com/leat-dev/leat/jobs/jobtest"
	"github.com/leat-dev/leat/jobs/spec"
)

// An error in reading the file is not the content's fault, and an ended run is neither.
func TestTroubleThatIsNotTheContents(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	tarball := tarOf(t, entry{"a", string(noise(200_000))})
	for name, content := range map[string][]byte{
		"zip": zipOf(t, nil, entry{"a", string(noise(200_000))}), "tar": tarball, "tar.gz": gzipped(t, tarball),
		"xz": xzOf(t, tarball, 1<<20), "zstd": zstdOf(t, tarball),
	} {
		for _, at := range []int64{0, 100_000, int64(len(content)) - 10} {
			made := jobtest.RunAt(t, spec.Archive(), lateFault{archive.New(), at, broken}, name, bytes.NewReader(content), int64(len(content)), "")
			if !errors.Is(made.Err, broken) || jobs.IsPermanent(made.Err) {
				t.Errorf("%s, fault at %d: %v", name, at, made.Err)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("stopped")
		run := &jobs.Run{
			Input:    io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))),
			Recorder: stopping{func() { cancel(stopped) }},
		}
		if _, err := archive.New().Handle(ctx, run); !errors.Is(err, stopped) {
			t.Errorf("%s, stopped: %v", name, err)
		}
	}
}

// lateFault lets a run's input fail from an offset on.
type lateFault struct {
	jobs.Handler
	at  int64
	err error
}

func (l lateFault) Handle(ctx context.Context, run *jobs.Run) (any, error) {
	faulty := *run
	faulty.Input = io.NewSectionReader(faultAt{run.Input, l.at, l.err}, 0, run.Input.Size())
	return l.Handler.Handle(ctx, &faulty)
}

type faultAt struct {
	io.ReaderAt
	at  int64
	err error
}

func (f faultAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.at {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// stopping ends a run when it spawns.
type stopping struct{ stop func() }

func (stopping) Progress(float64) {}

func (stopping) Artifact(context.Context, string, string, io.Reader) (jobs.Artifact, error) {
	return jobs.Artifact{}, errors.New("archive makes no artifacts")
}

func (s stopping) Spawn(_ context.Context, _ jobs.Child, content io.Reader) error {
	s.stop()
	_, err := io.Copy(io.Discard, content)
	return err
}

// What Spawn answers is passed on as it is: a budget's end for good, trouble of the store to be
// tried again.
func TestSpawnFails(t *testing.T) {
	t.Parallel()
	budget := jobs.Fail(jobs.CodeLimitOutput, "too deep")
	trouble := errors.New("the store is away")
	for _, want := range []error{budget, trouble} {
		run := &jobs.Run{Recorder: refusing{err: want}}
		content := zipOf(t, nil, entry{"a", "x"})
		run.Input = io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content)))
		_, err := archive.New().Handle(t.Context(), run)
		if !errors.Is(err, want) || jobs.IsPermanent(err) != jobs.IsPermanent(want) {
			t.Errorf("%v became %v", want, err)
		}
	}
}

type refusing struct {
	stopping
	err error
}

func (r refusing) Spawn(context.Context, jobs.Child, io.Reader) error { return r.err }
