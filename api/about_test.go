package api_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/api/wire"
)

// served is everything that the API promises to serve.
var served = []string{
	"DELETE /tus/{id}", "DELETE /v1/files/{id}",
	"GET /docs", "GET /healthz", "GET /openapi.json", "GET /readyz",
	"GET /v1/events",
	"GET /v1/files/{id}", "GET /v1/files/{id}/content",
	"GET /v1/jobs", "GET /v1/jobs/{id}", "GET /v1/jobs/{id}/artifacts/{name}", "GET /v1/jobs/{id}/attempts", "GET /v1/jobs/{id}/events",
	"GET /v1/kinds", "GET /v1/queues", "GET /v1/scaling", "GET /v1/scaling/{target}/decisions",
	"HEAD /tus/{id}", "OPTIONS /tus", "OPTIONS /tus/", "OPTIONS /tus/{id}", "PATCH /tus/{id}",
	"POST /tus", "POST /tus/", "POST /tus/{id}", "POST /upload", "POST /v1/jobs/cancel", "POST /v1/jobs/retry", "POST /v1/jobs/{id}/cancel", "POST /v1/jobs/{id}/retry",
	"POST /v1/queues/{name}/pause", "POST /v1/queues/{name}/resume",
	"POST /v1/scaling/{target}/pause", "POST /v1/scaling/{target}/pin", "POST /v1/scaling/{target}/resume", "POST /v1/scaling/{target}/unpin",
	"POST /v1/uploads",
}

// document is what these tests look at in the OpenAPI document.
type document struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]struct {
		OperationID string
		Summary     string
		Parameters  []struct{ Name, In string }
		Responses   map[string]struct {
			Description string
			Content     map[string]struct {
				Schema  json.RawMessage
				Example json.RawMessage
			}
		}
		Samples []struct{ Source string } `json:"x-codeSamples"`
	}
	Components struct{ Schemas map[string]schema }
}

type schema struct {
	Properties map[string]json.RawMessage
	Required   []string
}

func (f *fixture) document() (document, string) {
	f.Helper()
	r := f.get("/openapi.json").is(http.StatusOK)
	f.equal("Content-Type", "application/json", r.header.Get("Content-Type"))
	var doc document
	f.ok(json.Unmarshal(r.body, &doc))
	return doc, string(r.body)
}

func TestEveryRouteIsDocumentedAndServed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	doc, _ := f.document()
	f.equal("OpenAPI", "3.1.0", doc.OpenAPI)
	var documented []string
	ids := map[string]bool{}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			method = strings.ToUpper(method)
			name := method + " " + path
			documented = append(documented, name)
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s: operation ID %q", name, op.OperationID)
			}
			ids[op.OperationID] = true
			if op.Summary == "" || len(op.Responses) < 2 {
				t.Errorf("%s: summary %q, %d answers", name, op.Summary, len(op.Responses))
			}
			for _, param := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == param[1] && p.In == "path" }) {
					t.Errorf("%s: parameter %s is not documented", name, param[1])
				}
			}
			for status, answer := range op.Responses {
				if _, ok := answer.Content[wire.ProblemType]; status >= "400" && !ok && name != "GET /readyz" {
					t.Errorf("%s: %s is no problem", name, status)
				}
			}
			if op.OperationID == "events" {
				method = http.MethodHead // without the stream, which has no end
			}
			r := f.send(method, strings.NewReplacer("{id}", uuid.NewString(), "{name}", "x").Replace(path), nil)
			if r.status == http.StatusMethodNotAllowed || strings.Contains(string(r.body), "nothing at this path") {
				t.Errorf("%s: status %d", name, r.status)
			}
		}
	}
	slices.Sort(documented)
	f.equal("routes", served, documented)
}

// The document says of an upload's parameters what each kind takes.
func TestDocumentDescribesParameters(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	_, text := f.document()
	type param struct {
		Name   string
		Schema struct {
			ContentMediaType string
			ContentSchema    struct {
				AnyOf []struct {
					ID         string `json:"$id"`
					Properties map[string]struct{ Type string }
				}
			}
		}
	}
	var doc struct {
		Paths map[string]map[string]struct{ Parameters []param }
	}
	f.ok(json.Unmarshal([]byte(text), &doc))
	list := doc.Paths["/v1/uploads"]["post"].Parameters
	at := slices.IndexFunc(list, func(p param) bool { return p.Name == "params" })
	if at < 0 {
		t.Fatal("params are not documented")
	}
	schema := list[at].Schema
	f.equal("media type", "application/json", schema.ContentMediaType)
	f.equal("kinds with parameters", 1, len(schema.ContentSchema.AnyOf))
	f.equal("kind", "urn:leat:kind:convert", schema.ContentSchema.AnyOf[0].ID)
	f.equal("width", "integer", schema.ContentSchema.AnyOf[0].Properties["width"].Type)
}

func TestDocumentHoldsTogether(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	doc, text := f.document()
	for _, ref := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(text, -1) {
		name, ok := strings.CutPrefix(ref[1], "#/components/schemas/")
		if _, found := doc.Components.Schemas[name]; !ok || !found {
			t.Errorf("reference %s leads nowhere", ref[1])
		}
	}
	for _, theirs := range []string{"ErrorModel", "ErrorDetail", "$schema"} {
		if strings.Contains(text, theirs) {
			t.Errorf("the document speaks of %s", theirs)
		}
	}
	// The samples have every field that they must have, and no other.
	samples := 0
	for path, operations := range doc.Paths {
		for method, op := range operations {
			for status, answer := range op.Responses {
				media := answer.Content["application/json"]
				if len(media.Example) == 0 {
					continue
				}
				samples++
				var ref struct {
					Ref   string `json:"$ref"`
					OneOf []struct {
						Ref string `json:"$ref"`
					}
				}
				f.ok(json.Unmarshal(media.Schema, &ref))
				if len(ref.OneOf) > 0 {
					ref.Ref = ref.OneOf[0].Ref
				}
				want := doc.Components.Schemas[strings.TrimPrefix(ref.Ref, "#/components/schemas/")]
				checkSample(t, method+" "+path+" "+status, want, media.Example)
			}
		}
	}
	if samples < 10 {
		t.Errorf("only %d samples", samples)
	}
}

func checkSample(t *testing.T, where string, want schema, sample json.RawMessage) {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(sample, &fields); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	for _, name := range want.Required {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s: the sample lacks %s", where, name)
		}
	}
	for name := range fields {
		if _, ok := want.Properties[name]; !ok {
			t.Errorf("%s: the sample has %s, the schema has not", where, name)
		}
	}
}

func TestCurlSamplesAreOfTheirRoute(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	doc, _ := f.document()
	for path, operations := range doc.Paths {
		pattern := regexp.MustCompile("http://127.0.0.1:8080" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `[\w.-]+`) + `(\?|'|$)`)
		for method, op := range operations {
			for _, sample := range op.Samples {
				for line := range strings.Lines(sample.Source) {
					line = strings.TrimSpace(line)
					post := strings.Contains(line, "-X POST") || strings.Contains(line, "-F ") || strings.Contains(line, "--data-binary") && !strings.Contains(line, "-X PATCH")
					if !pattern.MatchString(line) || post != (method == "post") {
						t.Errorf("%s %s: %s", method, path, line)
					}
				}
			}
		}
	}
}

func TestErrorCodesAreAllInTheTable(t *testing.T) {
	t.Parallel()
	parsed, err := parser.ParseFile(token.NewFileSet(), "wire/problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Code") {
			literal, ok := spec.Values[0].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%s is not written out", spec.Names[0].Name)
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, text)
		}
		return true
	})
	var listed []string
	for _, row := range api.ErrorCodes() {
		listed = append(listed, string(row.Code))
		if row.Status < 400 || row.Status > 599 || row.Meaning == "" {
			t.Errorf("%s: status %d, meaning %q", row.Code, row.Status, row.Meaning)
		}
	}
	if !slices.IsSortedFunc(api.ErrorCodes(), func(a, b api.ErrorCode) int { return a.Status - b.Status }) {
		t.Error("the table is not in the order of the statuses")
	}
	slices.Sort(declared)
	slices.Sort(listed)
	if len(declared) < 20 || !slices.Equal(declared, listed) {
		t.Errorf("declared %v\nlisted   %v", declared, listed)
	}
}

func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	r := f.get("/docs").is(http.StatusOK)
	page := string(r.body)
	f.equal("Content-Type", "text/html; charset=utf-8", r.header.Get("Content-Type"))
	for _, url := range regexp.MustCompile(`(?i)(https?:)?//[^\s"'<)]+`).FindAllString(page, -1) {
		if !strings.HasPrefix(url, f.url) {
			t.Errorf("the page names %s", url)
		}
	}
	for _, never := range []string{"<script", "javascript:", "@import", "url(", "<img", "<link", "<iframe", " style=", "onclick"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %s", never)
		}
	}
	csp := r.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || strings.Contains(csp, "unsafe") {
		t.Errorf("Content-Security-Policy %q", csp)
	}
}

func TestPageHoldsTogether(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	page := string(f.get("/docs").is(http.StatusOK).body)
	ids := map[string]int{}
	for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		ids[id[1]]++
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%d things have the ID %s", n, id)
		}
	}
	for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if id, ok := strings.CutPrefix(link[1], "#"); ok && ids[id] == 0 {
			t.Errorf("the link %s leads nowhere", link[1])
		} else if !ok {
			f.get(link[1]).is(http.StatusOK)
		}
	}
	for _, row := range api.ErrorCodes() {
		if ids["error-"+string(row.Code)] == 0 {
			t.Errorf("the page does not explain %s", row.Code)
		}
	}
	for _, route := range served {
		_, path, _ := strings.Cut(route, " ")
		if !strings.Contains(page, "<code>"+path+"</code>") {
			t.Errorf("the page does not show %s", route)
		}
	}
	if !strings.Contains(page, "curl -F kind=inspect -F file=@photo.jpg "+f.url+"/v1/uploads") {
		t.Error("the page's first example is not of this server")
	}
}

func TestPageDoesNotBelieveAStrangeHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	conn := f.dial()
	_, err := conn.Write([]byte("GET /docs HTTP/1.0\r\nHost: a'b$(x)\r\n\r\n"))
	f.ok(err)
	buf := make([]byte, 200<<10)
	n := 0
	for {
		m, err := conn.Read(buf[n:])
		if n += m; err != nil {
			break
		}
	}
	if strings.Contains(string(buf[:n]), "$(x)") {
		t.Error("the page repeats what the client made up")
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, openSQLite(t))
	got := into[wire.Kinds](f.get("/v1/kinds").is(http.StatusOK)).Kinds
	f.equal("kinds", 2, len(got))
	f.equal("inspect", wire.Kind{Name: "inspect", Version: 1, Summary: "Looks.", Queue: "default", MaxAttempts: 5, Timeout: 1800}, got[0])
	convert := got[1]
	f.equal("media types", []string{"image/*"}, convert.MediaTypes)
	f.equal("queue", "pictures", convert.Queue)
	f.equal("reusable", true, convert.Reusable)
	var params struct {
		Type                 string
		AdditionalProperties bool
		Properties           map[string]struct{ Type, Description string }
		Required             []string
	}
	f.ok(json.Unmarshal(convert.Params, &params))
	f.equal("width", struct{ Type, Description string }{"integer", "Pixels."}, params.Properties["width"])
	f.equal("required", []string{"width"}, params.Required)
	f.equal("others are allowed", false, params.AdditionalProperties)
}
