package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/blob/fsblob"
	"github.com/leat-dev/leat/internal/testserver"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
	"github.com/leat-dev/leat/store/postgres"
	"github.com/leat-dev/leat/store/sqlite"
	"github.com/leat-dev/leat/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must come.
const patience = 20 * time.Second

// eachStore runs a behaviour test over every store.
func eachStore(t *testing.T, run func(t *testing.T, s store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, openSQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, openPostgres(t))
	})
}

func openSQLite(t testing.TB) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: sqlitetest.Path(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func openPostgres(t testing.TB) store.Store {
	t.Helper()
	url := testserver.PostgresTemplate(t, "api", func(ctx context.Context, url string) error {
		s, err := postgres.Open(ctx, postgres.Options{URL: url})
		if err != nil {
			return err
		}
		return s.Close()
	})
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t testing.TB, s store.Store) {
	if err := s.Close(); err != nil {
		t.Errorf("close the store: %v", err)
	}
}

// convertParams are what the kind "convert" of these tests takes.
type convertParams struct {
	Width int    `json:"width" doc:"Pixels."`
	Mode  string `json:"mode,omitempty"`
}

func (p *convertParams) Validate() error {
	if p.Width < 0 {
		return &jobs.ParamError{Field: "width", Reason: "is negative"}
	}
	return nil
}

func testSpecs(t testing.TB) *jobs.Specs {
	t.Helper()
	specs, err := jobs.NewSpecs("inspect",
		jobs.Spec{Name: "inspect", Version: 1, Summary: "Looks."},
		jobs.Spec{
			Name: "convert", Version: 3, Summary: "Converts.", Params: convertParams{},
			MediaTypes: []string{"image/*"}, Queue: "pictures", FailWithChildren: true, Reusable: true,
		})
	if err != nil {
		t.Fatal(err)
	}
	return specs
}

// fixture is an API that serves, over a store and a folder of blobs.
type fixture struct {
	*testing.T
	store store.Store
	blobs blob.Store
	api   *api.API
	url   string
	over  chan []store.Delivery // what was handed over
}

// newFixture serves an API. Each change may alter its options.
func newFixture(t *testing.T, s store.Store, changes ...func(*api.Options)) *fixture {
	t.Helper()
	blobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, store: s, blobs: blobs, over: make(chan []store.Delivery, 100)}
	o := api.DefaultOptions()
	o.Store, o.Blobs, o.Specs = s, blobs, testSpecs(t)
	o.Auth, o.Keys = api.AuthLoopback, s
	o.HandOver = func(d []store.Delivery) { f.over <- d }
	for _, change := range changes {
		change(&o)
	}
	f.blobs = o.Blobs
	a, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	server.Config = api.NewServer(a, o.Logger)
	server.Start()
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
		if err := blobs.Close(); err != nil {
			t.Errorf("close the blob store: %v", err)
		}
	})
	f.api, f.url = a, server.URL
	return f
}

// limit changes the limits of an API.
func limit(change func(*api.Limits)) func(*api.Options) {
	return func(o *api.Options) { change(&o.Limits) }
}

// ok ends the test when err is not nil.
func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// equal reports how got differs from want.
func (f *fixture) equal(what string, want, got any) {
	f.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// reply is an answer, read to its end.
type reply struct {
	*testing.T
	status int
	header http.Header
	body   []byte
	last   bool // on its connection
}

// header is one header of a request, as "Name: value".
func (f *fixture) send(method, path string, body io.Reader, headers ...string) *reply {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, f.url+path, body)
	f.ok(err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	return f.do(req)
}

func (f *fixture) do(req *http.Request) *reply {
	f.Helper()
	// Redirects would hide what the API answered.
	res, err := http.DefaultTransport.RoundTrip(req)
	f.ok(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	f.ok(err)
	return &reply{f.T, res.StatusCode, res.Header, text, res.Close}
}

func (f *fixture) get(path string, headers ...string) *reply {
	f.Helper()
	return f.send(http.MethodGet, path, nil, headers...)
}

func (f *fixture) post(path string) *reply {
	f.Helper()
	return f.send(http.MethodPost, path, nil)
}

// is ends the test unless the answer has the status.
func (r *reply) is(status int) *reply {
	r.Helper()
	if r.status != status {
		r.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// into decodes the answer, which must be known to the last field.
func into[T any](r *reply) T {
	r.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		r.Fatalf("decode %s: %v", r.body, err)
	}
	return v
}

// fails checks that the answer is a problem with the code, and all that must be true of any.
func (r *reply) fails(code wire.Code) wire.Problem {
	r.Helper()
	if got := r.header.Get("Content-Type"); got != wire.ProblemType {
		r.Fatalf("content type %q of status %d: %s", got, r.status, r.body)
	}
	p := into[wire.Problem](r)
	if p.Code != code || p.Status != r.status || p.Title == "" || p.Type != "/docs#error-"+string(code) {
		r.Fatalf("want the code %s, got status %d: %s", code, r.status, r.body)
	}
	if p.RequestID != r.header.Get("X-Request-Id") || p.RequestID == "" {
		r.Errorf("request ID %q in the body, %q in the header", p.RequestID, r.header.Get("X-Request-Id"))
	}
	for _, row := range api.ErrorCodes() {
		if row.Code == code && row.Status != r.status {
			r.Errorf("status %d, the table has %d", r.status, row.Status)
		}
	}
	return p
}

// uploadRaw uploads content as a raw body and returns what was accepted.
func (f *fixture) uploadRaw(content, query string) wire.Upload {
	f.Helper()
	r := f.send(http.MethodPost, "/v1/uploads?"+query, strings.NewReader(content))
	u := into[wire.Upload](r.is(http.StatusAccepted))
	f.equal("Location", "/v1/jobs/"+u.JobID.String(), r.header.Get("Location"))
	return u
}

// keptNothing checks that neither a job nor a blob is there.
func (f *fixture) keptNothing() {
	f.Helper()
	found, _, err := f.store.ListJobs(f.Context(), jobs.DefaultTenant, store.JobFilter{}, store.Page{Limit: 10})
	f.ok(err)
	if len(found) > 0 {
		f.Errorf("%d jobs were made", len(found))
	}
	f.hasBlobs(0)
}

// hasBlobs checks that there are n blobs, at last: what a refused upload has left is deleted once
// the client was told.
func (f *fixture) hasBlobs(n int) {
	f.Helper()
	f.within(fmt.Sprintf("there are %d blobs", n), func() bool {
		found, err := f.blobs.List(f.Context(), blob.Key{}, 1000)
		f.ok(err)
		return len(found) == n
	})
}

// within waits until cond holds.
func (f *fixture) within(what string, cond func() bool) {
	f.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			f.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// worker registers a worker and returns its ID.
func (f *fixture) worker() uuid.UUID {
	f.Helper()
	id := jobs.NewID()
	f.ok(f.store.Register(f.Context(), store.WorkerStatus{ID: id, Label: "test-worker", Slots: 100, Free: 100}))
	return id
}

// claim starts a job at a generation.
func (f *fixture) claim(job uuid.UUID, generation int, worker uuid.UUID) uuid.UUID {
	f.Helper()
	claim := jobs.NewID()
	got, err := f.store.Claim(f.Context(), store.ClaimRequest{
		JobID: job, Generation: generation, Claim: claim, Worker: worker, Kinds: []string{"inspect", "convert"},
	})
	f.ok(err)
	if got.Refused != "" {
		f.Fatalf("claim refused: %s", got.Refused)
	}
	return claim
}

// run runs a job to the end given, which names no job and no claim.
func (f *fixture) run(job uuid.UUID, generation int, end store.RunEnd) {
	f.Helper()
	end.JobID, end.Claim = job, f.claim(job, generation, f.worker())
	_, err := f.store.End(f.Context(), end)
	f.ok(err)
}

func hexOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// boundary stands between the parts of the forms of these tests.
const boundary = "frontier"

const formType = "Content-Type: multipart/form-data; boundary=" + boundary

// form puts parts together, each its headers, an empty line and its content.
func form(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n" + p + "\r\n")
	}
	return b.String() + "--" + boundary + "--\r\n"
}

func field(name, value string) string {
	return `Content-Disposition: form-data; name="` + name + "\"\r\n\r\n" + value
}

func file(name, content string, headers ...string) string {
	return `Content-Disposition: form-data; name="file"; filename="` + name + "\"\r\n" +
		strings.Join(append(headers, ""), "\r\n") + "\r\n" + content
}

// sendForm posts a form.
func (f *fixture) sendForm(parts ...string) *reply {
	f.Helper()
	return f.send(http.MethodPost, "/v1/uploads", strings.NewReader(form(parts...)), formType)
}
