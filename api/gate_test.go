package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
	"github.com/leat-dev/leat/jobs"
	"github.com/leat-dev/leat/store"
)

// withKeys makes an API ask for keys.
func withKeys(o *api.Options) { o.Auth = api.AuthKeys }

// key makes a key and returns the header that shows it.
func (f *fixture) key(tenant jobs.Tenant, scopes ...access.Scope) string {
	f.Helper()
	header, _ := f.namedKey(tenant, 0, scopes...)
	return header
}

func (f *fixture) namedKey(tenant jobs.Tenant, expires time.Duration, scopes ...access.Scope) (header, name string) {
	f.Helper()
	text, name, hash := access.NewKey()
	_, err := f.store.AddKey(f.Context(), store.NewKey{Name: name, Hash: hash, Tenant: tenant, Scopes: scopes, Expires: expires}, store.Actor{Name: "test"})
	f.ok(err)
	return "Authorization: Bearer " + text, name
}

// operation is a route as the OpenAPI document tells of it.
type operation struct {
	id, method, path string
	scope            access.Scope // empty for everybody
}

// operations reads all routes from the document.
func (f *fixture) operations() []operation {
	f.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
		}
	}
	f.ok(json.Unmarshal(f.get("/openapi.json").is(http.StatusOK).body, &doc))
	var all []operation
	for path, item := range doc.Paths {
		for method, op := range item {
			o := operation{id: op.OperationID, method: strings.ToUpper(method), path: path}
			if len(op.Security) == 1 {
				o.scope = access.Scope(op.Security[0]["key"][0])
			}
			all = append(all, o)
		}
	}
	if len(all) < 20 {
		f.Fatalf("only %d operations in the document", len(all))
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return all
}

// What needs no key, and nothing else.
var openOperations = []string{"discover-upload", "discover-uploads", "discover-uploads-short", "docs", "health", "openapi", "ready"}

func TestEveryRouteAsksForItsScope(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s, withKeys)
		with, without := map[access.Scope]string{}, map[access.Scope]string{}
		for _, scope := range access.All() {
			with[scope] = f.key("acme", scope)
			without[scope] = f.key("acme", slices.DeleteFunc(access.All(), func(s access.Scope) bool { return s == scope })...)
		}
		var open []string
		for _, op := range f.operations() {
			path := strings.NewReplacer("{id}", uuid.NewString(), "{name}", "x", "{target}", "x").Replace(op.path)
			if op.scope == "" {
				open = append(open, op.id)
				f.send(op.method, path, nil).is(http.StatusOK)
				continue
			}
			bare := f.send(op.method, path, nil).is(http.StatusUnauthorized)
			refused := f.send(op.method, path, nil, without[op.scope]).is(http.StatusForbidden)
			if op.method != http.MethodHead { // which shows no body
				bare.fails(wire.CodeUnauthorized)
				refused.fails(wire.CodeMissingScope)
			}
			if got := bare.header.Get("WWW-Authenticate"); got != `Bearer realm="leat"` {
				t.Errorf("%s: WWW-Authenticate %q", op.id, got)
			}
			if op.id == "events" {
				op.method = http.MethodHead // without the stream, which has no end
			}
			if got := f.send(op.method, path, nil, with[op.scope]).status; got == http.StatusUnauthorized || got == http.StatusForbidden {
				t.Errorf("%s: status %d with a key that has the scope %s", op.id, got, op.scope)
			}
		}
		f.equal("what needs no key", openOperations, open)
	})
}

// estate is what a tenant has, and another must not see.
type estate struct {
	job, file, parent, upload uuid.UUID // the upload comes in pieces, and stands at 3 of 6 bytes
}

// What another tenant gets of each call, for the IDs of this one. A route that is new must be added.
func intrusions() map[string]func(f *fixture, op operation, e estate, intruder string) {
	at := func(status int, code wire.Code) func(*fixture, operation, estate, string) {
		return func(f *fixture, op operation, e estate, intruder string) {
			f.Helper()
			id := e.job
			switch {
			case strings.HasPrefix(op.path, "/v1/files/"):
				id = e.file
			case strings.HasPrefix(op.path, "/tus/"):
				id = e.upload
			}
			path := strings.NewReplacer("{id}", id.String(), "{name}", "a").Replace(op.path)
			r := f.send(op.method, path, nil, intruder, tusVersion).is(status)
			if code != "" {
				r.fails(code)
			}
		}
	}
	sees := func(query func(estate) string, want string) func(*fixture, operation, estate, string) {
		return func(f *fixture, op operation, e estate, intruder string) {
			f.Helper()
			f.equal(op.id, want, strings.TrimSpace(string(f.send(op.method, op.path+query(e), nil, intruder).is(http.StatusOK).body)))
		}
	}
	ofFile := func(e estate) string { return "?file_id=" + e.file.String() }
	foreign := at(http.StatusNotFound, wire.CodeNotFound)
	nothing := func(*fixture, operation, estate, string) {} // it names nothing of a tenant
	return map[string]func(*fixture, operation, estate, string){
		"get-job": foreign, "list-attempts": foreign, "cancel-job": foreign, "retry-job": foreign,
		"get-file": foreign, "delete-file": foreign, "get-content": foreign, "get-artifact": foreign, "job-events": foreign,
		"events": func(f *fixture, op operation, _ estate, _ string) {
			third, fourth := f.key("third", access.Upload, access.Read), f.key("fourth", access.Upload)
			stream := f.stream(op.path, third)
			f.send(http.MethodPost, "/v1/uploads", strings.NewReader("not theirs"), fourth).is(http.StatusAccepted)
			mine := into[wire.Upload](f.send(http.MethodPost, "/v1/uploads", strings.NewReader("theirs"), third).is(http.StatusAccepted))
			f.equal("the first event", mine.JobID, stream.next().JobID)
		},
		"list-jobs": func(f *fixture, op operation, e estate, intruder string) {
			for _, query := range []string{"", "?file_id=" + e.file.String(), "?parent_id=" + e.parent.String(), "?state=pending"} {
				f.equal("list"+query, `{"jobs":[]}`, strings.TrimSpace(string(f.get("/v1/jobs"+query, intruder).is(http.StatusOK).body)))
			}
		},
		"cancel-jobs": sees(ofFile, `{"changed":0,"more":false}`),
		"retry-jobs":  sees(ofFile, `{"changed":0,"more":false}`),
		"list-queues": func(f *fixture, op operation, _ estate, intruder string) {
			for _, q := range into[wire.Queues](f.get(op.path, intruder).is(http.StatusOK)).Queues {
				if q.Rates != nil || q.Name != "default" || q.Depth.Ready+q.Depth.Later+q.Depth.Running != 0 {
					f.Errorf("another tenant's queue is seen: %+v", q)
				}
			}
		},
		"begin-upload": func(f *fixture, op operation, e estate, intruder string) {
			f.send(op.method, op.path, nil, intruder, tusVersion, "Upload-Concat: final;/tus/"+e.upload.String()).is(http.StatusNotFound).fails(wire.CodeNotFound)
		},
		"continue-upload": func(f *fixture, _ operation, e estate, intruder string) {
			f.piece("/tus/"+e.upload.String(), 3, "x", intruder).is(http.StatusNotFound).fails(wire.CodeNotFound)
		},
		"override-upload": func(f *fixture, op operation, e estate, intruder string) {
			f.send(op.method, "/tus/"+e.upload.String(), nil, intruder, tusVersion, "X-HTTP-Method-Override: DELETE").is(http.StatusNotFound).fails(wire.CodeNotFound)
		},
		"resume-upload": at(http.StatusNotFound, ""), "end-upload": foreign,
		"begin-upload-short": nothing, "discover-upload": nothing, "discover-uploads": nothing, "discover-uploads-short": nothing,
		"upload": nothing, "upload-short": nothing, "list-kinds": nothing,
		"pause-queue": nothing, "resume-queue": nothing, // of all tenants, with the scope admin
		"list-scaling": nothing, "list-decisions": nothing, "pin-scaling": nothing, "unpin-scaling": nothing,
		"pause-scaling": nothing, "resume-scaling": nothing,
		"docs": nothing, "health": nothing, "openapi": nothing, "ready": nothing,
	}
}

// Another tenant's things are not there, whatever is asked of them.
func TestTenantsAreKeptApart(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		f := newFixture(t, s, withKeys)
		owner := f.key("acme", access.All()...)
		up := into[wire.Upload](f.send(http.MethodPost, "/v1/uploads?queue=secret&kind=inspect", strings.NewReader("mine"), owner).is(http.StatusAccepted))
		path := f.begin(owner, length(6))
		f.piece(path, 0, "abc", owner).is(http.StatusNoContent)
		e := estate{upload: uuid.MustParse(strings.TrimPrefix(path, "/tus/")), job: up.JobID, file: up.FileID, parent: up.JobID}
		before := f.get("/v1/jobs/"+up.JobID.String(), owner).is(http.StatusOK).body
		intruder := f.key("other", access.Upload, access.Read, access.Operate)
		tries := intrusions()
		for _, op := range f.operations() {
			try, known := tries[op.id]
			if !known {
				t.Errorf("%s: say what another tenant gets of it", op.id)
				continue
			}
			try(f, op, e, intruder)
			delete(tries, op.id)
		}
		if len(tries) > 0 {
			t.Errorf("there are no operations %v", slices.Sorted(maps.Keys(tries)))
		}
		f.became(f.piece(path, 3, "def", owner).is(http.StatusNoContent), path, "abcdef", owner)
		f.equal("the owner's job", string(before), string(f.get("/v1/jobs/"+up.JobID.String(), owner).is(http.StatusOK).body))
		f.get("/v1/files/"+up.FileID.String()+"/content", owner).is(http.StatusOK)
		mine := into[wire.Jobs](f.get("/v1/jobs", owner).is(http.StatusOK))
		if len(mine.Jobs) != 2 {
			t.Errorf("the owner sees %d jobs, want its two", len(mine.Jobs))
		}
	})
}

func TestKeysThatOpenNothing(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		var now atomic.Pointer[time.Time]
		set := func(at time.Time) { now.Store(&at) }
		set(time.Now())
		f := newFixture(t, s, withKeys, func(o *api.Options) { o.Now = func() time.Time { return *now.Load() } })
		text, _, _ := access.NewKey()
		for _, header := range []string{
			"Authorization: Bearer", "Authorization: Bearer x", "Authorization: Basic dXNlcjpwYXNz",
			"Authorization: " + text, "Authorization: Bearer " + text, "Authorization: Bearer " + strings.Repeat("x", 10_000),
		} {
			p := f.get("/v1/jobs", header).is(http.StatusUnauthorized).fails(wire.CodeUnauthorized)
			if strings.Contains(p.Detail, text) {
				t.Errorf("the answer shows the key: %s", p.Detail)
			}
		}

		revoked, name := f.namedKey("acme", 0, access.Read)
		f.get("/v1/jobs", revoked).is(http.StatusOK)
		_, err := s.RevokeKey(t.Context(), name, store.Actor{Name: "test"})
		f.ok(err)
		f.get("/v1/jobs", revoked).is(http.StatusOK) // remembered
		set(now.Load().Add(11 * time.Second))
		f.get("/v1/jobs", revoked).is(http.StatusUnauthorized)

		expiring, _ := f.namedKey("acme", time.Hour, access.Read)
		f.get("/v1/jobs", expiring).is(http.StatusOK)
		set(now.Load().Add(time.Hour))
		f.get("/v1/jobs", expiring).is(http.StatusUnauthorized).fails(wire.CodeUnauthorized)
	})
}

// countingKeys counts what the store is asked.
type countingKeys struct {
	api.Keys
	looked, touched atomic.Int64
	away            atomic.Bool
}

func (c *countingKeys) Key(ctx context.Context, name string) (store.Key, error) {
	c.looked.Add(1)
	if c.away.Load() {
		return store.Key{}, errors.Join(errors.New("connection refused"), store.ErrUnavailable)
	}
	return c.Keys.Key(ctx, name)
}

func (c *countingKeys) TouchKey(ctx context.Context, name string) error {
	c.touched.Add(1)
	return c.Keys.TouchKey(ctx, name)
}

func TestStoreIsSeldomAskedForAKey(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store.Store) {
		keys := &countingKeys{Keys: s}
		f := newFixture(t, s, withKeys, func(o *api.Options) { o.Keys = keys })
		header, name := f.namedKey("acme", 0, access.Read)
		for range 20 {
			f.get("/v1/jobs", header).is(http.StatusOK)
		}
		text, _, _ := access.NewKey()
		for range 20 {
			f.get("/v1/jobs", "Authorization: Bearer "+text).is(http.StatusUnauthorized)
		}
		if keys.looked.Load() > 6 || keys.touched.Load() > 2 { // 2 and 1, or more if this takes 10 s
			t.Errorf("looked up %d times, touched %d times", keys.looked.Load(), keys.touched.Load())
		}
		key, err := s.Key(t.Context(), name)
		f.ok(err)
		if key.UsedAt.IsZero() {
			t.Error("the key is in use, and the store does not know")
		}
		keys.away.Store(true)
		other := f.key("acme", access.Read)
		f.get("/v1/jobs", other).is(http.StatusServiceUnavailable).fails(wire.CodeStoreUnavailable)
		keys.away.Store(false)
		f.get("/v1/jobs", other).is(http.StatusOK)
	})
}

// A page that gives its own name this machine's address is of the same origin as the server.
func TestServerWithoutKeysTakesItsOwnNamesOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for host, status := range map[string]int{
		"localhost": 200, "LOCALHOST:8080": 200, "127.0.0.1": 200, "127.9.9.9:80": 200, "[::1]:80": 200, "[::1]": 200,
		"leat.localhost": 200, "localhost.": 200,
		"evil.example": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403, "192.168.0.1": 403, "0.0.0.0": 403, "[::]": 403,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/v1/jobs", nil)
		f.ok(err)
		req.Host = host
		res, err := http.DefaultTransport.RoundTrip(req)
		f.ok(err)
		if err := res.Body.Close(); err != nil || res.StatusCode != status {
			t.Errorf("Host %s: status %d, want %d (%v)", host, res.StatusCode, status, err)
		}
	}
	open := newFixture(t, openSQLite(t), func(o *api.Options) { o.Auth = api.AuthOff })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, open.url+"/v1/jobs", nil)
	f.ok(err)
	req.Host = "files.example.com"
	res, err := http.DefaultTransport.RoundTrip(req)
	f.ok(err)
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("with something in front: status %d (%v)", res.StatusCode, err)
	}
}

func TestDocumentationShowsHowToSendAKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), withKeys)
	page := string(f.get("/docs").is(http.StatusOK).body)
	for _, want := range []string{
		`curl -H &#34;Authorization: Bearer $LEAT_API_KEY&#34; -F kind=inspect`, `scope <code>operate</code>`, "curl " + f.url + "/healthz",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %s", want)
		}
	}
}

func BenchmarkKeyCheck(b *testing.B) {
	s := openSQLite(b)
	text, name, hash := access.NewKey()
	_, err := s.AddKey(b.Context(), store.NewKey{Name: name, Hash: hash, Tenant: "acme", Scopes: access.All()}, store.Actor{Name: "test"})
	if err != nil {
		b.Fatal(err)
	}
	for _, auth := range []api.Auth{api.AuthOff, api.AuthKeys} {
		b.Run(fmt.Sprint(auth), func(b *testing.B) {
			o := api.DefaultOptions()
			o.Store, o.Blobs, o.Specs, o.Auth, o.Keys = s, emptyBlobs{}, testSpecs(b), auth, s
			a := mustAPI(b, o)
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/kinds", nil)
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+text)
			for b.Loop() {
				w := discardResponse{http.Header{}}
				a.ServeHTTP(w, req)
			}
		})
	}
}

// discardResponse is an answer that nobody reads.
type discardResponse struct{ header http.Header }

func (d discardResponse) Header() http.Header         { return d.header }
func (d discardResponse) Write(p []byte) (int, error) { return len(p), nil }
func (d discardResponse) WriteHeader(int)             {}
