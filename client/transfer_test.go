package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// fragile is a network that breaks each body after some bytes.
type fragile struct {
	after int64        // bytes; nothing breaks when 0
	sent  atomic.Int64 // bytes of bodies, in all
	heads atomic.Int64
}

func (f *fragile) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodHead {
		f.heads.Add(1)
	}
	if req.Body != nil {
		req = req.Clone(req.Context())
		req.Body = &brittle{ReadCloser: req.Body, of: f, left: f.after}
	}
	return http.DefaultTransport.RoundTrip(req)
}

type brittle struct {
	io.ReadCloser
	of   *fragile
	left int64
}

var errBroken = errors.New("the network is broken")

func (b *brittle) Read(p []byte) (int, error) {
	if b.of.after > 0 {
		if b.left == 0 {
			return 0, errBroken
		}
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	b.of.sent.Add(int64(n))
	return n, err
}

// through makes the fixture's client go through a network.
func (f *fixture) through(network http.RoundTripper) *client.Client {
	f.Helper()
	c, err := client.New(f.base, client.Options{HTTP: &http.Client{Transport: network}})
	if err != nil {
		f.Fatal(err)
	}
	return c
}

func source(size int) (client.Source, []byte) {
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	return client.Source{Name: "a.bin", MediaType: "application/x-mine", Content: bytes.NewReader(content), Size: int64(len(content))}, content
}

// jobCount counts the jobs that there are.
func (f *fixture) jobCount() int {
	f.Helper()
	found, _, err := f.store.ListJobs(f.Context(), jobs.DefaultTenant, store.JobFilter{}, store.Page{Limit: 10})
	if err != nil {
		f.Fatal(err)
	}
	return len(found)
}

func TestUploadInPiecesGoesOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, asItIs)
	src, content := source(5 << 20)
	network := &fragile{after: 1 << 20}
	var seen int64
	options := client.UploadOptions{Kind: "inspect", Progress: func(sent int64) { seen = sent }}
	up, again, err := f.through(network).UploadInPieces(t.Context(), options, src)
	if err != nil || again {
		t.Fatalf("again %v, %v", again, err)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256(content)); up.SHA256 != want || up.Size != src.Size {
		t.Errorf("accepted %+v, want the SHA-256 %s", up, want)
	}
	if seen != src.Size {
		t.Errorf("progress ended at %d", seen)
	}
	if network.heads.Load() < 4 {
		t.Errorf("asked %d times where it stands", network.heads.Load())
	}
	job, err := f.Job(t.Context(), up.JobID)
	if err != nil || job.FileID != up.FileID || f.jobCount() != 1 {
		t.Errorf("job %+v of %d, %v", job, f.jobCount(), err)
	}
}

// TestUploadInPiecesGoesOnInAnotherCall: with the same key, what was begun is gone on with, and what
// was ended is not sent again.
func TestUploadInPiecesGoesOnInAnotherCall(t *testing.T) {
	t.Parallel()
	f := newFixture(t, asItIs)
	src, _ := source(4 << 20)
	ctx, cancel := context.WithCancelCause(t.Context())
	network := &fragile{}
	options := client.UploadOptions{Key: "k", Progress: func(sent int64) {
		if sent >= 2<<20 {
			cancel(errBroken)
		}
	}}
	if _, _, err := f.through(network).UploadInPieces(ctx, options, src); !errors.Is(err, errBroken) && !errors.Is(err, context.Canceled) {
		t.Fatalf("the first call: %v", err)
	}
	options.Progress = nil
	first, again, err := f.through(&fragile{}).UploadInPieces(t.Context(), options, src)
	if err != nil || again {
		t.Fatalf("again %v, %v", again, err)
	}
	silent := &fragile{}
	second, again, err := f.through(silent).UploadInPieces(t.Context(), options, src)
	if err != nil || !again || second != first {
		t.Errorf("again %v: %+v, want %+v; %v", again, second, first, err)
	}
	if silent.sent.Load() != 0 || f.jobCount() != 1 {
		t.Errorf("%d bytes were sent again, there are %d jobs", silent.sent.Load(), f.jobCount())
	}
	src.Size--
	var problem *wire.Problem
	if _, _, err := f.UploadInPieces(t.Context(), options, src); !errors.As(err, &problem) || problem.Code != wire.CodeKeyReused {
		t.Errorf("another file with the key: %v", err)
	}
}

func TestUploadInPiecesOfNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, asItIs)
	src, _ := source(0)
	up, _, err := f.UploadInPieces(t.Context(), client.UploadOptions{}, src)
	if err != nil || up.Size != 0 || f.jobCount() != 1 {
		t.Errorf("%+v, %d jobs, %v", up, f.jobCount(), err)
	}
}

func TestUploadInPiecesThatIsRefusedIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *api.Options) { o.Limits.File = 100 })
	var problem *wire.Problem
	src, _ := source(1600)
	network := &fragile{}
	if _, _, err := f.through(network).UploadInPieces(t.Context(), client.UploadOptions{}, src); !errors.As(err, &problem) || problem.Code != wire.CodeFileTooLarge {
		t.Errorf("a file that is too large: %v", err)
	}
	if _, _, err := f.UploadInPieces(t.Context(), client.UploadOptions{Kind: "nonsense"}, client.Source{Content: bytes.NewReader(nil)}); !errors.As(err, &problem) || problem.Code != wire.CodeUnknownKind {
		t.Errorf("an unknown kind: %v", err)
	}
}

// TestUploadInPiecesGivesUp: a server that is not there is not asked forever.
func TestUploadInPiecesGivesUp(t *testing.T) {
	t.Parallel()
	tries := 0
	var waited time.Duration
	c, err := client.New("http://127.0.0.1:1", client.Options{Sleep: func(_ context.Context, d time.Duration) error {
		tries, waited = tries+1, waited+d
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	src, _ := source(16)
	if _, _, err := c.UploadInPieces(t.Context(), client.UploadOptions{}, src); err == nil {
		t.Fatal("an upload to nobody")
	}
	if tries != 30 || waited < 3*time.Minute || waited > 5*time.Minute {
		t.Errorf("%d tries in %v", tries, waited)
	}
}
