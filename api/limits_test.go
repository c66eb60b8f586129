package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/blob"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// chunked hides a body's length, so that it is sent in chunks.
type chunked struct{ io.Reader }

func TestLimits(t *testing.T) {
	t.Parallel()
	small := limit(func(l *api.Limits) {
		l.Body, l.File, l.Field, l.PartHeader, l.Files = 200<<10, 100<<10, 1000, 2000, 4
	})
	f := newFixture(t, openSQLite(t), small)
	many := []string{field("kind", "inspect"), file("a", "x"), file("a", "x"), file("a", "x"), file("a", "x")}
	full := strings.Repeat("x", 100<<10)
	const raw = "Content-Type: text/plain"
	for _, test := range []struct { //nolint:paralleltest // the blobs that they leave are counted after them
		name, query, body, header string
		code                      wire.Code // none: accepted
	}{
		{"as many files as allowed, and a field", "", form(many...), formType, ""},
		{"one file more", "", form(append(many, file("a", "x"))...), formType, wire.CodeTooManyParts},
		{"a file as large as allowed", "", full, raw, ""},
		{"a file one byte larger", "", full + "y", raw, wire.CodeFileTooLarge},
		{"a form's file as large as allowed", "", form(file("a", full)), formType, ""},
		{"a form's file one byte larger", "", form(file("a", full+"y")), formType, wire.CodeFileTooLarge},
		{"a form's second file one byte larger", "", form(file("a", "x"), file("a", full+"y")), formType, wire.CodeFileTooLarge},
		{"a form that is too large", "", form(file("a", full), file("b", full)), formType, wire.CodeBodyTooLarge},
		{"a field that is too large", "", form(field("params", `{"mode":"`+strings.Repeat("x", 1000)+`"}`), file("a", "x")), formType, wire.CodeFieldTooLarge},
		{"a giant field", "", form(field("params", full), file("a", "x")), formType, wire.CodeFieldTooLarge},
		{"an option in the query that is too large", "params=" + strings.Repeat("1", 1001), "x", raw, wire.CodeFieldTooLarge},
		{"a part's header that is too large", "", form(file("a", "x", "X-Padding: "+strings.Repeat("x", 20000))), formType, wire.CodePartHeaderTooLarge},
		{"many headers of a part", "", form(file("a", "x", strings.Repeat("X-Padding: x\r\n", 2000)+"X-Last: x")), formType, wire.CodePartHeaderTooLarge},
		{"much before the form", "", strings.Repeat("preamble\r\n", 3000) + form(file("a", "x")), formType, wire.CodePartHeaderTooLarge},
	} {
		for _, length := range []string{"with a length", "in chunks"} {
			t.Run(test.name+" "+length, func(t *testing.T) {
				var body io.Reader = strings.NewReader(test.body)
				if length == "in chunks" {
					body = chunked{body}
				}
				f := *f
				f.T = t
				r := f.send(http.MethodPost, "/v1/uploads?"+test.query, body, test.header)
				if test.code == "" {
					r.is(http.StatusAccepted)
					return
				}
				r.fails(test.code)
			})
		}
	}
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader(full+full+full), raw).fails(wire.CodeBodyTooLarge)
	// Only the three that were accepted, both ways, left blobs: two of them one each.
	f.hasBlobs(4)
}

func TestUploadsAtATimeAreLimited(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	f := newFixture(t, openSQLite(t), func(o *api.Options) {
		o.Limits.Uploads, o.Limits.UploadWait, o.Registerer = 1, time.Millisecond, reg
	})
	body, feed := io.Pipe()
	first := make(chan *reply, 1)
	go func() { first <- f.send(http.MethodPost, "/v1/uploads", body) }()
	_, err := feed.Write([]byte("x"))
	f.ok(err)
	f.within("the first upload is under way", func() bool { return gauge(t, reg, "leat_uploads_in_flight") == 1 })

	r := f.send(http.MethodPost, "/v1/uploads", strings.NewReader("y"))
	r.fails(wire.CodeTooManyUploads)
	f.equal("Retry-After", "1", r.header.Get("Retry-After"))
	f.get("/healthz").is(http.StatusOK)

	f.ok(feed.Close())
	(<-first).is(http.StatusAccepted)
	f.uploadRaw("z", "")
}

func TestUploadWaitsAShortWhileForASlot(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	f := newFixture(t, openSQLite(t), func(o *api.Options) {
		o.Limits.Uploads, o.Limits.UploadWait, o.Registerer = 1, patience, reg
	})
	body, feed := io.Pipe()
	answers := make(chan *reply, 2)
	go func() { answers <- f.send(http.MethodPost, "/v1/uploads", body) }()
	_, err := feed.Write([]byte("x"))
	f.ok(err)
	f.within("the first upload is under way", func() bool { return gauge(t, reg, "leat_uploads_in_flight") == 1 })
	go func() { answers <- f.send(http.MethodPost, "/v1/uploads", strings.NewReader("y")) }()
	f.ok(feed.Close())
	(<-answers).is(http.StatusAccepted)
	(<-answers).is(http.StatusAccepted)
}

// gauge returns the value of a metric without labels.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	m := series(t, reg, name, nil)
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

// series returns the series of a metric that has the labels.
func series(t *testing.T, reg *prometheus.Registry, name string, labels map[string]string) *dto.Metric {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			got := map[string]string{}
			for _, label := range m.GetLabel() {
				got[label.GetName()] = label.GetValue()
			}
			if maps.Equal(got, labels) {
				return m
			}
		}
	}
	t.Fatalf("no series %s%v", name, labels)
	return nil
}

// faultyStore is a store whose commits fail, before or after they happened.
type faultyStore struct {
	store.Tenanted
	err   error
	after bool
}

func (s *faultyStore) Accept(ctx context.Context, tenant jobs.Tenant, uploads []store.Upload) ([]store.Accepted, error) {
	if s.after {
		if _, err := s.Tenanted.Accept(ctx, tenant, uploads); err != nil {
			return nil, err
		}
	}
	return nil, s.err
}

func (s *faultyStore) Job(context.Context, jobs.Tenant, uuid.UUID) (*jobs.Job, error) {
	return nil, s.err
}

func TestStoreThatCannotCommit(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		large := strings.Repeat("x", 100<<10)
		for _, test := range []struct {
			err   error
			code  wire.Code
			retry string
		}{
			{fmt.Errorf("%w: connection refused to 10.0.0.7", store.ErrUnavailable), wire.CodeStoreUnavailable, "3"},
			{store.ErrNoSpace, wire.CodeInsufficientStorage, "60"},
			{store.ErrStale, wire.CodeRequestTimeout, ""},
			{context.DeadlineExceeded, wire.CodeStoreUnavailable, "3"},
			{errors.New("syntax error in SQL"), wire.CodeInternal, ""},
		} {
			f := newFixture(t, s, func(o *api.Options) { o.Store = &faultyStore{Tenanted: o.Store, err: test.err} })
			r := f.send(http.MethodPost, "/v1/uploads", strings.NewReader("small"))
			p := r.fails(test.code)
			f.equal("Retry-After", test.retry, r.header.Get("Retry-After"))
			if strings.Contains(string(r.body), "10.0.0.7") || strings.Contains(string(r.body), "SQL") {
				t.Errorf("the answer tells what only the log may: %+v", p)
			}
			f.keptNothing()
			f.get("/v1/jobs/" + jobs.NewID().String()).fails(test.code)

			f.send(http.MethodPost, "/v1/uploads", strings.NewReader(large)).fails(test.code)
			f.hasBlobs(1) // after a commit that failed they are left to the sweep
		}
	})
}

func TestCommitWithoutAnAnswerKeepsTheBytes(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s, func(o *api.Options) {
			o.Store = &faultyStore{Tenanted: o.Store, err: store.ErrUnavailable, after: true}
		})
		large := strings.Repeat("x", 100<<10)
		f.send(http.MethodPost, "/v1/uploads", strings.NewReader(large)).fails(wire.CodeStoreUnavailable)
		found, _, err := s.ListJobs(t.Context(), jobs.DefaultTenant, store.JobFilter{}, store.Page{Limit: 10})
		f.ok(err)
		f.equal("jobs", 1, len(found))
		_, content, _ := f.read(found[0].FileID)
		f.equal("bytes", len(large), len(content))
	})
}

// faultyBlobs is a blob store whose Puts fail.
type faultyBlobs struct {
	blob.Store
	err  error
	from int // the number of the first Put that fails
	puts int
}

func (b *faultyBlobs) Put(ctx context.Context, key blob.Key, content io.Reader) (blob.Info, error) {
	if b.puts++; b.puts >= b.from {
		return blob.Info{}, b.err
	}
	return b.Store.Put(ctx, key, content)
}

func TestBlobStoreThatCannotStore(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 100<<10)
	for _, test := range []struct {
		err  error
		code wire.Code
	}{
		{fmt.Errorf("put: %w", blob.ErrNoSpace), wire.CodeInsufficientStorage},
		{errors.New("input/output error on /dev/sda"), wire.CodeBlobUnavailable},
	} {
		f := newFixture(t, openSQLite(t), func(o *api.Options) { o.Blobs = &faultyBlobs{Store: o.Blobs, err: test.err, from: 2} })
		r := f.sendForm(file("a", large), file("b", large))
		r.fails(test.code)
		if strings.Contains(string(r.body), "/dev/sda") {
			t.Errorf("the answer tells what only the log may: %s", r.body)
		}
		f.keptNothing()
		f.uploadRaw("small content needs no blob store", "")
	}
}

func TestMetricsOfUploads(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	f := newFixture(t, openSQLite(t), func(o *api.Options) { o.Registerer = reg })
	f.uploadRaw("12345", "")
	f.sendForm(file("a", "x"), file("b", "y")).is(http.StatusAccepted)
	f.send(http.MethodPost, "/v1/uploads?bogus=1", nil).fails(wire.CodeUnknownField)
	f.get("/v1/jobs/" + jobs.NewID().String()).fails(wire.CodeNotFound)
	f.get("/nowhere").fails(wire.CodeNotFound)
	f.equal("accepted", 3.0, gauge(t, reg, "leat_uploads_accepted_total"))
	for _, want := range []struct {
		route, method, status string
		n                     float64
	}{
		{"/v1/uploads", "POST", "2xx", 2},
		{"/v1/uploads", "POST", "4xx", 1},
		{"/v1/uploads", "POST", "5xx", 0},
		{"/v1/jobs/{id}", "GET", "4xx", 1},
		{"none", "any", "4xx", 1},
	} {
		got := series(t, reg, "leat_http_requests_total", map[string]string{"route": want.route, "method": want.method, "status": want.status})
		f.equal(want.method+" "+want.route+" "+want.status, want.n, got.GetCounter().GetValue())
	}
	took := series(t, reg, "leat_http_request_duration_seconds", map[string]string{"route": "/v1/uploads", "method": "POST"})
	f.equal("durations", uint64(3), took.GetHistogram().GetSampleCount())
}
