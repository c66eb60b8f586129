package api

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api/wire"
)

// route is one row of the table that drives the mux, the OpenAPI document, the page that people
// read and the metrics.
type route struct {
	Method string
	Path   string
	ID     string // of the operation, unique
	Scope  access.Scope
	Tag    string
	Brief  string // one line
	Text   string // the rest
	Curl   string // an example; {base} stands for the server's address
	Sample any    // of an answer
	Codes  []wire.Code

	// One of them: a call that huma serves, or a handler that it only documents, with its
	// parameters, body and answers.
	json    func(*API, huma.API, huma.Operation)
	raw     http.HandlerFunc
	Params  []*huma.Param
	Body    *huma.RequestBody
	Answers map[string]*huma.Response
}

// pattern is the mux's; a path that ends in a slash stands for no other.
func (rt *route) pattern() string {
	if strings.HasSuffix(rt.Path, "/") {
		return rt.Method + " " + rt.Path + "{$}"
	}
	return rt.Method + " " + rt.Path
}

// call makes a function that answers JSON a route's. What it returns as an error becomes a
// problem.
func call[I, O any](h func(context.Context, *I) (*O, error)) func(*API, huma.API, huma.Operation) {
	return func(a *API, api huma.API, op huma.Operation) {
		huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := h(ctx, in)
			if err != nil {
				return nil, a.explain(ctx, err)
			}
			return out, nil
		})
	}
}

// mount puts the routes into the mux and describes them.
func (a *API) mount(routes []route) {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	// Where huma documents its own errors, ours are meant.
	registry.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[wire.Problem]())
	config := huma.Config{
		OpenAPI:       newDocument(a.version, registry),
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{a.asProblem},
	}
	config.AllowAdditionalPropertiesByDefault = true // answers may grow
	api := humago.New(a.mux, config)
	api.UseMiddleware(a.strictly)
	doc := api.OpenAPI()
	for _, told := range []reflect.Type{reflect.TypeFor[wire.Event](), reflect.TypeFor[wire.Progress](), reflect.TypeFor[wire.Place]()} {
		registry.Schema(told, true, "")
	}
	registry.Schema(reflect.TypeFor[wire.Uploads](), true, "") // huma does not see what upload answers
	for i := range routes {
		rt := &routes[i]
		op := rt.operation(registry, a.gate.auth)
		if rt.json != nil {
			rt.json(a, api, op)
		} else {
			doc.AddOperation(&op)
			a.mux.HandleFunc(rt.pattern(), rt.raw)
			a.readers[rt.pattern()] = rt.Body != nil
		}
		a.scopes[rt.pattern()] = rt.Scope
		rt.addSample(operationAt(doc, rt))
		if !slices.Contains(a.methods, rt.Method) {
			a.methods = append(a.methods, rt.Method)
		}
	}
	slices.Sort(a.methods)
	a.docJSON = sync.OnceValue(func() []byte { return mustJSON(doc) })
	a.page = newPage(doc, routes, a.gate.auth)
}

// operation describes the route.
func (rt *route) operation(registry huma.Registry, auth Auth) huma.Operation {
	op := huma.Operation{
		Method:      rt.Method,
		Path:        rt.Path,
		OperationID: rt.ID,
		Tags:        []string{rt.Tag},
		Summary:     rt.Brief,
		Description: rt.Text,
		Parameters:  rt.Params,
		RequestBody: rt.Body,
		Responses:   map[string]*huma.Response{},
	}
	if rt.Scope != everybody {
		op.Security = []map[string][]string{{keyScheme: {string(rt.Scope)}}}
	}
	if rt.Method == http.MethodPost {
		op.Parameters = append(slices.Clone(op.Parameters), headerParam(onceHeader,
			"A name that the sender makes up for the request. Sent again with it, within 24 hours, the request has no second effect and is answered as it was the first time, with "+replayHeader+": true."))
	}
	if rt.Curl != "" {
		op.Extensions = map[string]any{"x-codeSamples": []codeSample{{"Shell", strings.ReplaceAll(rt.curl(auth), "{base}", sampleBase)}}}
	}
	maps.Copy(op.Responses, rt.Answers)
	problem := registry.Schema(reflect.TypeFor[wire.Problem](), true, "")
	for _, code := range append(rt.codes(), wire.CodeInternal) {
		status := strconv.Itoa(meaning(code).Status)
		if r, ok := op.Responses[status]; ok {
			r.Description += ", " + string(code)
			continue
		}
		op.Responses[status] = &huma.Response{
			Description: "Problem, with one of these codes: " + string(code),
			Content:     map[string]*huma.MediaType{wire.ProblemType: {Schema: problem}},
		}
	}
	return op
}

// codes are the route's own, and those of what it has in common with others.
func (rt *route) codes() []wire.Code {
	codes := slices.Clone(rt.Codes)
	if rt.Scope != everybody {
		codes = append(codes, wire.CodeUnauthorized, wire.CodeMissingScope, wire.CodeForbiddenHost, wire.CodeStoreUnavailable, wire.CodeRateLimited)
	}
	if rt.Method == http.MethodPost {
		codes = append(codes, wire.CodeInvalidParameter, wire.CodeKeyReused, wire.CodeRequestInProgress)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// curl is the route's example, for a server that asks for keys or not.
func (rt *route) curl(auth Auth) string {
	if auth != AuthKeys || rt.Scope == everybody {
		return rt.Curl
	}
	return strings.ReplaceAll(rt.Curl, "curl ", `curl -H "Authorization: Bearer $LEAT_API_KEY" `)
}

// codeSample is what tools that show OpenAPI documents know as x-codeSamples.
type codeSample struct {
	Lang   string `json:"lang"`
	Source string `json:"source"`
}

// addSample puts the route's sample where its answer in JSON is described.
func (rt *route) addSample(op *huma.Operation) {
	if rt.Sample == nil {
		return
	}
	for status, answer := range op.Responses {
		if media, ok := answer.Content["application/json"]; ok && strings.HasPrefix(status, "2") {
			media.Example = rt.Sample
		}
	}
}

func operationAt(doc *huma.OpenAPI, rt *route) *huma.Operation {
	item := doc.Paths[rt.Path]
	switch rt.Method {
	case http.MethodPost:
		return item.Post
	case http.MethodDelete:
		return item.Delete
	case http.MethodPatch:
		return item.Patch
	case http.MethodHead:
		return item.Head
	case http.MethodOptions:
		return item.Options
	}
	return item.Get
}

// strictly refuses a query that says more, or less clearly, than the call understands, instead of
// ignoring it: a filter misspelt in a call that cancels jobs must not cancel others. It also has
// huma answer 400 to all that is wrong with a request.
func (a *API) strictly(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if err := checkQuery(r, ctx.Operation()); err != nil {
		a.refuse(w, r, err)
		return
	}
	next(badRequests{ctx})
}

func checkQuery(r *http.Request, op *huma.Operation) error {
	if r.Method == http.MethodPost && r.ContentLength != 0 && takesQuery(op) {
		return fail(wire.CodeMalformedRequest, "This call takes its parameters from the query, and no body.")
	}
	if r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fail(wire.CodeMalformedRequest, "The query is not percent-encoded as it should be.")
	}
	for name, values := range query {
		i := slices.IndexFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "query" && p.Name == name })
		switch {
		case i < 0:
			return failUnknown(name)
		case len(values) > 1:
			return failField(wire.CodeDuplicateField, name, "given more than once")
		case values[0] == "" && name != "cursor":
			return failField(wire.CodeInvalidParameter, name, "empty; leave it out")
		case op.Parameters[i].Schema.Format == "uuid" && !isID(values[0]):
			return failField(wire.CodeInvalidParameter, name, "not the ID of anything")
		}
	}
	return nil
}

// isID tells whether text is a UUID, and not the one that stands for none.
func isID(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id != uuid.Nil
}

func takesQuery(op *huma.Operation) bool {
	return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "query" })
}

// badRequests is a context in which huma's 422 is 400.
type badRequests struct{ humaContext }

// humaContext can be embedded: its name is not that of a method of huma.Context.
type humaContext huma.Context

// Unwrap gives humago its own context back.
func (c badRequests) Unwrap() huma.Context { return c.humaContext }

func (c badRequests) SetStatus(status int) {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	c.humaContext.SetStatus(status)
}

// asProblem puts our problem in the place of huma's own error. Only the checks of parameters are
// left to huma, so that is what it is about.
func (a *API) asProblem(ctx huma.Context, _ string, v any) (any, error) {
	theirs, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	f := &failure{code: wire.CodeInvalidParameter}
	for _, e := range theirs.Errors {
		_, field, _ := strings.Cut(e.Location, ".")
		f.fields = append(f.fields, wire.FieldError{Field: field, Message: e.Message})
	}
	if theirs.Status >= http.StatusInternalServerError {
		f = &failure{code: wire.CodeInternal, cause: theirs}
	}
	return a.explain(ctx.Context(), f).Problem, nil
}
