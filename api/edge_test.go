package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
)

func TestPathsAndMethodsThatAreNotThere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/jobs/", "/v1/jobs/a/b/c", "/v2/jobs", "/docs/", "/schemas/Job", "/openapi.yaml", "/openapi-3.0.json", "/.well-known/x"} {
		f.get(path).fails(wire.CodeNotFound)
	}
	id := uuid.NewString()
	for target, allow := range map[string]string{
		"GET /v1/uploads":                   "POST, OPTIONS",
		"DELETE /v1/uploads":                "POST, OPTIONS",
		"PUT /v1/jobs":                      "GET, HEAD, OPTIONS",
		"POST /v1/jobs":                     "GET, HEAD, OPTIONS",
		"DELETE /v1/jobs/" + id:             "GET, HEAD, OPTIONS",
		"PATCH /v1/jobs/cancel":             "GET, HEAD, POST, OPTIONS",
		"GET /v1/jobs/" + id + "/cancel":    "POST, OPTIONS",
		"POST /v1/files/" + id + "/content": "GET, HEAD, OPTIONS",
		"BREW /docs":                        "GET, HEAD, OPTIONS",
	} {
		method, path, _ := strings.Cut(target, " ")
		r := f.send(method, path, nil)
		r.fails(wire.CodeMethodNotAllowed)
		f.equal(target, allow, r.header.Get("Allow"))
	}
	r := f.send(http.MethodOptions, "/v1/uploads", nil).is(http.StatusNoContent)
	f.equal("OPTIONS", "POST, OPTIONS", r.header.Get("Allow"))
	f.send(http.MethodOptions, "/nowhere", nil).fails(wire.CodeNotFound)
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	u := f.uploadRaw("x", "")
	for _, path := range []string{"/healthz", "/docs", "/openapi.json", "/v1/jobs", "/nowhere", "/v1/jobs/7", "/v1/files/" + u.FileID.String() + "/content"} {
		r := f.get(path)
		if !strings.HasPrefix(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: Content-Security-Policy %q", path, r.header.Get("Content-Security-Policy"))
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			f.equal(path+" "+name, want, r.header.Get(name))
		}
	}
	f.equal("jobs are not kept by caches", "no-store", f.get("/v1/jobs").header.Get("Cache-Control"))
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for given, taken := range map[string]bool{
		"abc-123_X.y": true, "": false, "two words": false, strings.Repeat("x", 65): false, "ünicode": false, "<script>": false,
	} {
		got := f.get("/healthz", "X-Request-Id: "+given).header.Get("X-Request-Id")
		if (got == given) != taken {
			t.Errorf("given %q, answered %q", given, got)
		}
		if _, err := uuid.Parse(got); !taken && err != nil {
			t.Errorf("given %q, answered %q, which is no fresh ID", given, got)
		}
	}
	a, b := f.get("/healthz"), f.get("/healthz")
	if a.header.Get("X-Request-Id") == b.header.Get("X-Request-Id") {
		t.Error("two requests have the same ID")
	}
}

func TestAnythingMayAskForWhateverItAccepts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	for _, accept := range []string{"text/html", "application/xml;q=1", "*/*", "nonsense", "application/cbor"} {
		r := f.get("/v1/jobs", "Accept: "+accept).is(http.StatusOK)
		f.equal("Content-Type for "+accept, "application/json", r.header.Get("Content-Type"))
		f.get("/v1/jobs/7", "Accept: "+accept).fails(wire.CodeInvalidParameter)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t), func(o *api.Options) { o.CORSOrigins = []string{"https://app.example", "http://localhost:3000"} })
	const ours, theirs = "https://app.example", "https://evil.example"

	r := f.send(http.MethodOptions, "/v1/uploads", nil, "Origin: "+ours, "Access-Control-Request-Method: POST").is(http.StatusNoContent)
	f.equal("preflight: origin", ours, r.header.Get("Access-Control-Allow-Origin"))
	f.equal("preflight: methods", "POST, OPTIONS", r.header.Get("Access-Control-Allow-Methods"))
	if !strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("preflight: headers %q", r.header.Get("Access-Control-Allow-Headers"))
	}
	r = f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), "Origin: "+ours, "Sec-Fetch-Site: cross-site").is(http.StatusAccepted)
	f.equal("origin", ours, r.header.Get("Access-Control-Allow-Origin"))
	f.equal("Vary", "Origin", r.header.Get("Vary"))
	for _, name := range []string{"Location", "Retry-After", "X-Request-Id", "ETag"} {
		if !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), name) {
			t.Errorf("a page may not see %s", name)
		}
	}

	r = f.send(http.MethodOptions, "/v1/uploads", nil, "Origin: "+theirs, "Access-Control-Request-Method: POST").is(http.StatusNoContent)
	f.equal("another origin's preflight", "", r.header.Get("Access-Control-Allow-Origin")+r.header.Get("Access-Control-Allow-Methods"))
	r = f.get("/v1/jobs", "Origin: "+theirs).is(http.StatusOK)
	f.equal("another origin's read", "", r.header.Get("Access-Control-Allow-Origin"))
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), "Origin: "+theirs, "Sec-Fetch-Site: cross-site").fails(wire.CodeCrossOrigin)
	f.send(http.MethodPost, "/v1/jobs/cancel?state=pending", nil, "Origin: "+theirs).fails(wire.CodeCrossOrigin)
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), "Origin: null", "Sec-Fetch-Site: cross-site").fails(wire.CodeCrossOrigin)
	f.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), "Origin: "+f.url, "Sec-Fetch-Site: same-origin").is(http.StatusAccepted)

	open := newFixture(t, openSQLite(t), func(o *api.Options) { o.CORSOrigins = []string{"*"} })
	r = open.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), "Origin: "+theirs, "Sec-Fetch-Site: cross-site").is(http.StatusAccepted)
	open.equal("any origin", "*", r.header.Get("Access-Control-Allow-Origin"))

	closed := newFixture(t, openSQLite(t))
	closed.send(http.MethodPost, "/v1/uploads", strings.NewReader("x"), "Origin: "+ours, "Sec-Fetch-Site: cross-site").fails(wire.CodeCrossOrigin)
	closed.equal("no origin", "", closed.get("/v1/jobs", "Origin: "+ours).header.Get("Access-Control-Allow-Origin"))
}

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, trusted, peer, forwarded, want string
	}{
		{"nobody is trusted", "", "10.0.0.1:99", "1.2.3.4", "10.0.0.1"},
		{"a stranger's word", "10.0.0.0/8", "9.9.9.9:99", "1.2.3.4", "9.9.9.9"},
		{"one proxy", "10.0.0.0/8", "10.0.0.1:99", "1.2.3.4", "1.2.3.4"},
		{"two proxies", "10.0.0.0/8", "10.0.0.1:99", "1.2.3.4, 10.0.0.2", "1.2.3.4"},
		{"a client that lies", "10.0.0.0/8", "10.0.0.1:99", "6.6.6.6, 1.2.3.4", "1.2.3.4"},
		{"only proxies", "10.0.0.0/8", "10.0.0.1:99", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
		{"no header", "10.0.0.0/8", "10.0.0.1:99", "", "10.0.0.1"},
		{"nonsense", "10.0.0.0/8", "10.0.0.1:99", "unknown", "10.0.0.1"},
		{"nonsense behind a proxy", "10.0.0.0/8", "10.0.0.1:99", "unknown, 10.0.0.2", "10.0.0.2"},
		{"IPv6", "fd00::/8", "[fd00::1]:99", "2001:db8::7", "2001:db8::7"},
		{"IPv4 in IPv6", "10.0.0.0/8", "[::ffff:10.0.0.1]:99", "::ffff:1.2.3.4", "1.2.3.4"},
	} {
		var log safeBuffer
		o := plainOptions(t)
		o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		o.AccessLog = slog.LevelInfo
		if test.trusted != "" {
			o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(test.trusted)}
		}
		a := mustAPI(t, o)
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.RemoteAddr = test.peer
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		a.ServeHTTP(httptest.NewRecorder(), r)
		var line struct{ Client string }
		if err := json.Unmarshal([]byte(log.String()), &line); err != nil {
			t.Fatalf("%s: %v in %q", test.name, err, log.String())
		}
		if line.Client != test.want {
			t.Errorf("%s: client %q, want %q", test.name, line.Client, test.want)
		}
	}
}

func TestForwardedProtoNamesThePagesAddress(t *testing.T) {
	t.Parallel()
	o := plainOptions(t)
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	a := mustAPI(t, o)
	for peer, want := range map[string]string{"10.0.0.1:9": "https://files.example/v1/uploads", "9.9.9.9:9": "http://files.example/v1/uploads"} {
		r := httptest.NewRequest(http.MethodGet, "http://files.example/docs", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-Proto", "https")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("from %s, the page's examples lack %s", peer, want)
		}
	}
}

func TestBrowsersAreHeldToHTTPS(t *testing.T) {
	t.Parallel()
	const year = "max-age=31536000"
	for _, test := range []struct {
		name, target, peer, forwarded, hsts, want string
	}{
		{"by TLS", "https://files.example/healthz", "9.9.9.9:9", "", year, year},
		{"by TLS, a path that is none", "https://files.example/nowhere", "9.9.9.9:9", "", year, year},
		{"a proxy had it by TLS", "http://files.example/healthz", "10.0.0.1:9", "https", year, year},
		{"a proxy had it in plain text", "http://files.example/healthz", "10.0.0.1:9", "http", year, ""},
		{"a stranger claims it", "http://files.example/healthz", "9.9.9.9:9", "https", year, ""},
		{"in plain text", "http://files.example/healthz", "9.9.9.9:9", "", year, ""},
		{"this machine", "https://localhost:8443/healthz", "127.0.0.1:9", "", year, ""},
		{"this machine's address", "https://127.0.0.1/healthz", "127.0.0.1:9", "", year, ""},
		{"off", "https://files.example/healthz", "9.9.9.9:9", "", "", ""},
	} {
		o := plainOptions(t)
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		o.HSTS = test.hsts
		r := httptest.NewRequest(http.MethodGet, test.target, nil)
		r.RemoteAddr = test.peer
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-Proto", test.forwarded)
		}
		w := httptest.NewRecorder()
		mustAPI(t, o).ServeHTTP(w, r)
		if got := w.Header().Get("Strict-Transport-Security"); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// plainOptions are those of an API that no test talks to the store through.
func plainOptions(t testing.TB) api.Options {
	t.Helper()
	o := api.DefaultOptions()
	o.Store, o.Blobs, o.Specs = strangeStore{}, emptyBlobs{}, testSpecs(t)
	o.Auth = api.AuthOff
	return o
}

func mustAPI(t testing.TB, o api.Options) *api.API {
	t.Helper()
	a, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// blobsOf has an API use the blobs of another.
func blobsOf(f *fixture) func(*api.Options) {
	return func(o *api.Options) { o.Blobs = f.blobs }
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*api.Options){
		"Store":             func(o *api.Options) { o.Store = nil },
		"Blobs":             func(o *api.Options) { o.Blobs = nil },
		"Specs":             func(o *api.Options) { o.Specs = nil },
		"HandOver":          func(o *api.Options) { o.HandOver = nil },
		"Ready":             func(o *api.Options) { o.Ready = nil },
		"Logger":            func(o *api.Options) { o.Logger = nil },
		"Settings":          func(o *api.Options) { o.Settings = nil },
		"Now":               func(o *api.Options) { o.Now = nil },
		"InlineLimit":       func(o *api.Options) { o.InlineLimit = -1 },
		"InlineLimit 99":    func(o *api.Options) { o.InlineLimit = 99 << 20 },
		"Limits.Body":       func(o *api.Options) { o.Limits.Body = 0 },
		"Limits.File":       func(o *api.Options) { o.Limits.File = -1 },
		"Limits.Field":      func(o *api.Options) { o.Limits.Field = 0 },
		"Limits.PartHeader": func(o *api.Options) { o.Limits.PartHeader = 0 },
		"Limits.Files":      func(o *api.Options) { o.Limits.Files = 0 },
		"Limits.BodyChunk":  func(o *api.Options) { o.Limits.BodyChunk = 0 },
		"Limits.BodyWait":   func(o *api.Options) { o.Limits.BodyWait = 0 },
		"Limits.Uploads":    func(o *api.Options) { o.Limits.Uploads = 0 },
		"Limits.UploadWait": func(o *api.Options) { o.Limits.UploadWait = -1 },
		"Limits.Commit":     func(o *api.Options) { o.Limits.Commit = 0 },
		"CORSOrigins":       func(o *api.Options) { o.CORSOrigins = []string{"app.example"} },
		`"*" must stand`:    func(o *api.Options) { o.CORSOrigins = []string{"*", "https://a.example"} },
		"https://a/b":       func(o *api.Options) { o.CORSOrigins = []string{"https://a/b"} },
		"TrustedProxies":    func(o *api.Options) { o.TrustedProxies = []netip.Prefix{{}} },
	} {
		o := plainOptions(t)
		change(&o)
		_, err := api.New(o)
		if err == nil || !strings.Contains(err.Error(), strings.Fields(want)[0]) {
			t.Errorf("%s: %v", want, err)
		}
	}
	o := plainOptions(t)
	o.Registerer = prometheus.NewRegistry()
	mustAPI(t, o)
	var twice prometheus.AlreadyRegisteredError
	if _, err := api.New(o); !errors.As(err, &twice) {
		t.Errorf("a second API on the same registry: %v", err)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	checks := []wire.Check{{Name: "store", OK: true, Required: true}, {Name: "redis", OK: false, Detail: "no answer"}}
	f := newFixture(t, openSQLite(t), func(o *api.Options) {
		o.Version = "1.2.3"
		o.Ready = func(context.Context) []wire.Check { return checks }
	})
	f.equal("health", wire.Health{Status: "ok", Version: "1.2.3"}, into[wire.Health](f.get("/healthz").is(http.StatusOK)))
	f.equal("without Redis", wire.Readiness{Status: "ready", Checks: checks}, into[wire.Readiness](f.get("/readyz").is(http.StatusOK)))
	checks[0] = wire.Check{Name: "store", Required: true, Detail: "no answer"}
	f.equal("without the store", wire.Readiness{Status: "unready", Checks: checks}, into[wire.Readiness](f.get("/readyz").is(http.StatusServiceUnavailable)))
}

func TestLogOfAnUpload(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	f := newFixture(t, openSQLite(t), func(o *api.Options) { o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	u := f.uploadRaw("12345", "")
	var line struct {
		Msg       string
		Jobs      []string
		Bytes     int
		RequestID string `json:"request_id"`
	}
	f.within("the upload is logged", func() bool { return log.String() != "" })
	if err := json.Unmarshal([]byte(log.String()), &line); err != nil {
		t.Fatalf("want one line at level info: %v in %q", err, log.String())
	}
	f.equal("message", "upload accepted", line.Msg)
	f.equal("jobs", []string{u.JobID.String()}, line.Jobs)
	f.equal("bytes", 5, line.Bytes)
}
