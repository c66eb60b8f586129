package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// page is the API's documentation for people, made from its OpenAPI document. It loads nothing
// from anywhere and runs no script.
type page struct {
	template *template.Template
	csp      string
	data     pageData
}

type pageData struct {
	Title, Version, About string
	Style                 template.CSS
	Base                  string // the server's address, as the reader sees it
	Groups                []pageGroup
	Types                 []pageType
	Codes                 []ErrorCode
}

type pageGroup struct {
	Name, About string
	Calls       []pageCall
}

type pageCall struct {
	ID, Method, Path, Brief, Text string
	Scope                         string // that the key must have; empty when none is needed
	curl                          string
	Params                        []pageField
	Bodies                        []pageBody
	Answers                       []pageAnswer
	Codes                         []ErrorCode
}

// Curl is the call's example, for a server at the given address.
func (c pageCall) Curl(base string) string { return strings.ReplaceAll(c.curl, "{base}", base) }

type pageField struct {
	Name, In, About string
	Type            pageRef
	Required        bool
}

type pageBody struct {
	MediaType, About string
	Fields           []pageField
}

type pageAnswer struct {
	Status, About string
	Types         []pageRef
	Sample        string
}

type pageType struct {
	Name   string
	Fields []pageField
}

// pageRef names a type; Link is the part of it that is explained on the page.
type pageRef struct{ Before, Link, After string }

func newPage(doc *huma.OpenAPI, routes []route, auth Auth) *page {
	sum := sha256.Sum256([]byte(pageCSS))
	p := &page{
		template: template.Must(template.New("page").Parse(pageHTML)),
		csp: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		data: pageData{
			Title: doc.Info.Title, Version: doc.Info.Version, About: doc.Info.Description,
			Style: template.CSS(pageCSS), //nolint:gosec // our own file
			Codes: ErrorCodes(),
		},
	}
	for _, tag := range doc.Tags {
		group := pageGroup{Name: tag.Name, About: tag.Description}
		for i := range routes {
			if routes[i].Tag == tag.Name {
				group.Calls = append(group.Calls, newPageCall(&routes[i], operationAt(doc, &routes[i]), auth))
			}
		}
		p.data.Groups = append(p.data.Groups, group)
	}
	for name, schema := range doc.Components.Schemas.Map() {
		p.data.Types = append(p.data.Types, pageType{name, pageFields(schema)})
	}
	slices.SortFunc(p.data.Types, func(a, b pageType) int { return cmp.Compare(a.Name, b.Name) })
	return p
}

func newPageCall(rt *route, op *huma.Operation, auth Auth) pageCall {
	c := pageCall{ID: op.OperationID, Method: rt.Method, Path: rt.Path, Brief: op.Summary, Text: op.Description, Scope: string(rt.Scope), curl: rt.curl(auth)}
	for _, param := range op.Parameters {
		c.Params = append(c.Params, pageField{Name: param.Name, In: param.In, About: param.Description, Type: refOf(param.Schema), Required: param.Required})
	}
	if op.RequestBody != nil {
		for _, mediaType := range slices.Sorted(maps.Keys(op.RequestBody.Content)) {
			schema := op.RequestBody.Content[mediaType].Schema
			c.Bodies = append(c.Bodies, pageBody{mediaType, schema.Description, pageFields(schema)})
		}
		slices.Reverse(c.Bodies) // the form first
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		answer := op.Responses[status]
		if strings.HasPrefix(answer.Description, "Problem") {
			continue
		}
		shown := pageAnswer{Status: status, About: answer.Description}
		if media, ok := answer.Content["application/json"]; ok && media.Schema != nil {
			shown.Types = refsOf(media.Schema)
			shown.Sample = sampleText(media.Example)
		}
		c.Answers = append(c.Answers, shown)
	}
	for _, code := range rt.codes() {
		c.Codes = append(c.Codes, meaning(code))
	}
	return c
}

func sampleText(sample any) string {
	if sample == nil {
		return ""
	}
	var out bytes.Buffer
	if err := json.Indent(&out, mustJSON(sample), "", "  "); err != nil {
		panic(fmt.Errorf("api: indent a sample: %w", err)) // it was encoded just now
	}
	return strings.TrimSpace(out.String())
}

func pageFields(schema *huma.Schema) []pageField {
	var fields []pageField
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		p := schema.Properties[name]
		fields = append(fields, pageField{Name: name, About: p.Description, Type: refOf(p), Required: slices.Contains(schema.Required, name)})
	}
	slices.SortStableFunc(fields, func(a, b pageField) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	return fields
}

func refsOf(schema *huma.Schema) []pageRef {
	if len(schema.OneOf) == 0 {
		return []pageRef{refOf(schema)}
	}
	var refs []pageRef
	for _, s := range schema.OneOf {
		refs = append(refs, refOf(s))
	}
	return refs
}

// refOf puts a schema's type into a few words.
func refOf(schema *huma.Schema) pageRef {
	switch {
	case schema == nil:
		return pageRef{}
	case schema.Ref != "":
		return pageRef{Link: schema.Ref[strings.LastIndexByte(schema.Ref, '/')+1:]}
	case schema.Type == huma.TypeArray:
		inner := refOf(schema.Items)
		inner.Before = "list of " + inner.Before
		return inner
	case len(schema.Enum) > 0:
		words := make([]string, len(schema.Enum))
		for i, e := range schema.Enum {
			words[i] = fmt.Sprint(e)
		}
		return pageRef{Before: strings.Join(words, " | ")}
	case schema.Format != "" && schema.Type == huma.TypeString:
		return pageRef{Before: schema.Format}
	case schema.Type == "":
		return pageRef{Before: "any JSON"}
	}
	return pageRef{Before: schema.Type}
}

// servePage shows the page, with examples for the address that the reader used.
func (a *API) servePage(w http.ResponseWriter, r *http.Request) {
	data := a.page.data
	data.Base = baseURL(r)
	var out bytes.Buffer
	if err := a.page.template.Execute(&out, data); err != nil {
		a.refuse(w, r, fmt.Errorf("render the page: %w", err))
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", a.page.csp)
	h.Set("Cache-Control", "no-cache")
	writeBody(w, http.StatusOK, "text/html; charset=utf-8", out.Bytes())
}

// baseURL is the server's address as the client wrote it, if it is fit to be shown.
func baseURL(r *http.Request) string {
	odd := func(c rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]", c)
	}
	if r.Host == "" || strings.IndexFunc(r.Host, odd) >= 0 {
		return sampleBase
	}
	if exchangeOf(r.Context()).https {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
