package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/client"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/sqlite"
	"github.com/leat-dev/leat/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a client of an API that serves.
type fixture struct {
	*testing.T
	*client.Client
	store store.Store
	base  string // of the server
}

func newFixture(t *testing.T, change func(*api.Options)) *fixture {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: sqlitetest.Path(t)})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), blobs.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	specs, err := jobs.NewSpecs("inspect", jobs.Spec{Name: "inspect", Version: 1, Summary: "Looks."})
	if err != nil {
		t.Fatal(err)
	}
	o := api.DefaultOptions()
	o.Store, o.Blobs, o.Specs = s, blobs, specs
	o.Auth, o.Keys = api.AuthLoopback, s
	change(&o)
	a, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	base := newServer(t, a)
	c, err := client.New(base, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{t, c, s, base}
}

func asItIs(*api.Options) {}

// newClient serves a handler and returns a client of it.
func newClient(t *testing.T, h http.Handler, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(newServer(t, h), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newServer serves a handler and returns its address.
func newServer(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		server.Close()
	})
	return server.URL
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) equal(what string, want, got any) {
	f.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func text(name, content string) client.File {
	return client.File{Name: name, Content: strings.NewReader(content), Size: int64(len(content))}
}

// refusal ends the test unless err is a problem with the code.
func refusal(t *testing.T, err error, code wire.Code) {
	t.Helper()
	var p *wire.Problem
	if !errors.As(err, &p) || p.Code != code {
		t.Fatalf("want a problem with the code %s, got %v", code, err)
	}
}

// claim starts a job.
func (f *fixture) claim(job uuid.UUID) uuid.UUID {
	f.Helper()
	worker, claim := jobs.NewID(), jobs.NewID()
	f.ok(f.store.Register(f.Context(), store.WorkerStatus{ID: worker, Label: "w", Slots: 1, Free: 1}))
	got, err := f.store.Claim(f.Context(), store.ClaimRequest{JobID: job, Generation: 1, Claim: claim, Worker: worker, Kinds: []string{"inspect"}})
	f.ok(err)
	f.equal("refusal", store.Refusal(""), got.Refused)
	return claim
}

func TestWholeWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, asItIs)
	var sent atomic.Int64
	got, err := f.Upload(t.Context(), client.UploadOptions{Kind: "inspect", Queue: "mine", Progress: sent.Store}, text("a \"b\" €.txt", "hello"))
	f.ok(err)
	f.equal("uploads", 1, len(got))
	f.equal("told of", int64(5), sent.Load())

	file, err := f.File(t.Context(), got[0].FileID)
	f.ok(err)
	f.equal("name", `a "b" €.txt`, file.Name)
	content, err := f.FileContent(t.Context(), got[0].FileID)
	f.ok(err)
	body, err := io.ReadAll(content.Body)
	f.ok(errors.Join(err, content.Body.Close()))
	f.equal("content", "hello", string(body))
	f.equal("size", int64(5), content.Size)
	f.equal("SHA-256", got[0].SHA256, content.SHA256)

	claim := f.claim(got[0].JobID)
	_, err = f.store.End(t.Context(), store.RunEnd{
		JobID: got[0].JobID, Claim: claim, Outcome: jobs.RunSucceeded, Result: json.RawMessage(`{"n":1}`),
		Artifacts: []store.NewArtifact{{Artifact: jobs.Artifact{Name: "a b.txt", MediaType: "text/plain", Size: 3}, Content: []byte("art")}},
	})
	f.ok(err)
	job, err := f.WaitJob(t.Context(), got[0].JobID, client.WaitOptions{})
	f.ok(err)
	f.equal("state", wire.Succeeded, job.State)
	f.equal("result", `{"n":1}`, string(job.Result))
	art, err := f.ArtifactContent(t.Context(), job.ID, job.Artifacts[0].Name)
	f.ok(err)
	body, err = io.ReadAll(art.Body)
	f.ok(errors.Join(err, art.Body.Close()))
	f.equal("artifact", "art", string(body))
	attempts, err := f.Attempts(t.Context(), job.ID)
	f.ok(err)
	f.equal("attempts", "succeeded", attempts[0].Outcome)

	queues, err := f.Queues(t.Context())
	f.ok(err)
	f.equal("queue", "mine", queues[0].Name)
	f.ok(f.PauseQueue(t.Context(), "mine"))
	queues, err = f.Queues(t.Context())
	f.ok(err)
	f.equal("paused", true, queues[0].Paused)
	f.ok(f.ResumeQueue(t.Context(), "mine"))
	kinds, err := f.Kinds(t.Context())
	f.ok(err)
	f.equal("kind", "inspect", kinds[0].Name)
}

func TestUploadOfSeveralFiles(t *testing.T) {
	t.Parallel()
	f := newFixture(t, asItIs)
	large := strings.Repeat("0123456789", 50_000)
	unknown := client.File{Name: "c", Content: strings.NewReader("ccc"), Size: -1, MediaType: "text/x-c"}
	var last atomic.Int64
	got, err := f.Upload(t.Context(), client.UploadOptions{RunAt: time.Now().Add(time.Hour), Progress: last.Store}, text("a", "a"), text("b", large), unknown)
	f.ok(err)
	f.equal("uploads", 3, len(got))
	f.equal("sizes", []int64{1, 500_000, 3}, []int64{got[0].Size, got[1].Size, got[2].Size})
	f.equal("told of", int64(500_004), last.Load())
	job, err := f.Job(t.Context(), got[2].JobID)
	f.ok(err)
	if job.RunAt.Before(time.Now().Add(50 * time.Minute)) {
		t.Errorf("run at %v", job.RunAt)
	}
	_, err = f.Upload(t.Context(), client.UploadOptions{})
	if err == nil {
		t.Error("an upload of no file")
	}
}

func TestRefusalsAreProblems(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *api.Options) { o.Limits.File = 1000 })
	_, err := f.Job(t.Context(), jobs.NewID())
	refusal(t, err, wire.CodeNotFound)
	_, err = f.Upload(t.Context(), client.UploadOptions{Kind: "launder"}, text("a", strings.Repeat("x", 10<<20)))
	refusal(t, err, wire.CodeUnknownKind)
	f.equal("message", "unknown_kind: There is no such kind of work. GET /v1/kinds lists them. [kind: there is no such kind of work]", err.Error())
	_, err = f.Upload(t.Context(), client.UploadOptions{}, text("a", strings.Repeat("x", 10<<20)))
	refusal(t, err, wire.CodeFileTooLarge)
	_, err = f.CancelJobs(t.Context(), client.Filter{})
	refusal(t, err, wire.CodeFilterRequired)
	refusal(t, f.PauseQueue(t.Context(), "A/B"), wire.CodeInvalidParameter)
}

func TestUploadOfAFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, asItIs)
	broken := errors.New("the disk is gone")
	for _, size := range []int64{1000, -1} {
		file := client.File{Name: "a", Content: io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), Size: size}
		if _, err := f.Upload(t.Context(), client.UploadOptions{}, file); !errors.Is(err, broken) {
			t.Errorf("size %d: %v", size, err)
		}
	}
	if _, err := f.Upload(t.Context(), client.UploadOptions{}, client.File{Name: "a", Content: strings.NewReader("abc"), Size: 1000}); err == nil {
		t.Error("a file that is shorter than it was said to be")
	}
	for job, err := range f.Jobs(t.Context(), client.Filter{}) {
		t.Errorf("job %v, %v", job.ID, err)
	}
}

func TestJobsGoesThroughAllPages(t *testing.T) {
	t.Parallel()
	f := newFixture(t, asItIs)
	for range 3 {
		var files []client.File
		for i := range 90 {
			files = append(files, text(fmt.Sprint(i), "x"))
		}
		_, err := f.Upload(t.Context(), client.UploadOptions{Queue: "q"}, files...)
		f.ok(err)
	}
	var ids []string
	for job, err := range f.Jobs(t.Context(), client.Filter{State: wire.Pending, Kind: "inspect", Queue: "q"}) {
		f.ok(err)
		ids = append(ids, job.ID.String())
	}
	slices.Reverse(ids)
	f.equal("jobs", 270, len(ids))
	f.equal("newest first", true, slices.IsSorted(ids) && len(slices.Compact(ids)) == 270)
	n := 0
	for _, err := range f.Jobs(t.Context(), client.Filter{}) {
		f.ok(err)
		if n++; n == 5 {
			break
		}
	}
	page, err := f.JobPage(t.Context(), client.Filter{FileID: jobs.NewID(), ParentID: jobs.NewID()}, 7, "")
	f.ok(err)
	f.equal("none fits", 0, len(page.Jobs))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range f.Jobs(ctx, client.Filter{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t, asItIs)
	got, err := f.Upload(t.Context(), client.UploadOptions{}, text("a", "a"), text("b", "b"), text("c", "c"))
	f.ok(err)
	job, err := f.Cancel(t.Context(), got[0].JobID)
	f.ok(err)
	f.equal("state", wire.Cancelled, job.State)
	job, err = f.Retry(t.Context(), got[0].JobID)
	f.ok(err)
	f.equal("state", wire.Pending, job.State)
	n, err := f.CancelJobs(t.Context(), client.Filter{State: wire.Pending})
	f.ok(err)
	f.equal("cancelled", 3, n)
	n, err = f.RetryJobs(t.Context(), client.Filter{State: wire.Cancelled})
	f.ok(err)
	f.equal("retried", 3, n)
	_, err = f.Retry(t.Context(), got[0].JobID)
	refusal(t, err, wire.CodeStateConflict)
}
