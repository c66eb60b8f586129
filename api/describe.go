package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/leat-dev/leat/api/wire"
)

// newDocument begins the OpenAPI document.
func newDocument(version string, registry huma.Registry) *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:       "Leat",
			Version:     version,
			Description: "Takes in files over HTTP and processes each one in the background. Errors are problem+json (RFC 9457) with a stable code. Times are RFC 3339 in UTC, identifiers are UUIDs.",
			License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
		},
		Servers: []*huma.Server{{URL: "/"}},
		Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{keyScheme: {
			Type: "http", Scheme: "bearer", BearerFormat: "leat_...",
			Description: "A key, as leat keys create makes it. Each call names the scope that the key must have. A server that only its own machine can reach may ask for none.",
		}}},
		Tags: []*huma.Tag{
			{Name: tagUploads, Description: "Send files in."},
			{Name: tagJobs, Description: "Follow the work on a file, and steer it."},
			{Name: tagFiles, Description: "Get files back, and what was made of them."},
			{Name: tagQueues, Description: "See what waits, and hold it up."},
			{Name: tagScaling, Description: "How many workers there are, and why."},
			{Name: tagAbout, Description: "The server itself."},
		},
	}
}

// keyScheme names, in the document, the way in which callers show who they are.
const keyScheme = "key"

func text(format string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Format: format} }

func described(s *huma.Schema, description string) *huma.Schema {
	s.Description = description
	return s
}

func pathParam(name, format, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "path", Required: true, Description: doc, Schema: text(format)}
}

func queryParam(name, format, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: doc, Schema: text(format)}
}

func headerParam(name, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "header", Description: doc, Schema: text("")}
}

// What an upload can ask for, in the words of the form and of the query.
var choiceDocs = map[string]string{
	"kind":   "The work to do: one of GET /v1/kinds, or auto, which goes by the file's media type. Default: auto.",
	"queue":  "Where the jobs wait. Default: the kind's queue.",
	"params": "Parameters of the work, a JSON object as the kind takes it.",
	"run_at": "Not to be begun before this time, at most a year ahead.",
	"fresh":  "Do the work, even if its result on the same bytes is there already. Default: false.",
}

func (a *API) choiceSchema(name string) *huma.Schema {
	switch name {
	case "params":
		return a.paramsOfKinds()
	case "run_at":
		return text("date-time")
	case "fresh":
		return &huma.Schema{Type: huma.TypeBoolean}
	}
	return text("")
}

// paramsOfKinds describes what a text of parameters holds: one of the kinds' own.
func (a *API) paramsOfKinds() *huma.Schema {
	var kinds []map[string]any
	for _, kind := range a.kindList.Kinds {
		if len(kind.Params) > 0 {
			var schema map[string]any
			if err := json.Unmarshal(kind.Params, &schema); err != nil {
				panic("api: a schema of ours that is not JSON: " + err.Error())
			}
			// The ID makes what is referred to in a kind's schema that kind's own.
			schema["title"], schema["$id"] = "Parameters of "+kind.Name, "urn:leat:kind:"+kind.Name
			kinds = append(kinds, schema)
		}
	}
	schema := text("")
	if len(kinds) > 0 {
		schema.Extensions = map[string]any{"contentMediaType": "application/json", "contentSchema": map[string]any{"anyOf": kinds}}
	}
	return schema
}

func (a *API) uploadParams() []*huma.Param {
	params := []*huma.Param{queryParam("filename", "", "The file's name, for a raw body.")}
	for _, name := range choiceNames {
		params = append(params, &huma.Param{Name: name, In: "query", Description: choiceDocs[name], Schema: a.choiceSchema(name)})
	}
	for _, field := range digestFields {
		params = append(params, headerParam(field, "What the body adds up to, as RFC 9530 has it, by sha-256 or sha-512. A part of a form can have it as well."))
	}
	return params
}

func (a *API) uploadBody() *huma.RequestBody {
	form := &huma.Schema{
		Type:     huma.TypeObject,
		Required: []string{"file"},
		Properties: map[string]*huma.Schema{
			"file": {
				Type:        huma.TypeArray,
				Items:       text("binary"),
				Description: "The file. Repeat the part for several files.",
			},
		},
	}
	for _, name := range choiceNames {
		form.Properties[name] = described(a.choiceSchema(name), choiceDocs[name])
	}
	return &huma.RequestBody{
		Required: true,
		Content: map[string]*huma.MediaType{
			"multipart/form-data": {Schema: form},
			"*/*":                 {Schema: described(text("binary"), "The file itself.")},
		},
	}
}

func uploadAnswers() map[string]*huma.Response {
	one := &huma.Schema{Ref: "#/components/schemas/Upload"}
	many := &huma.Schema{Ref: "#/components/schemas/Uploads"}
	return map[string]*huma.Response{"202": {
		Description: "Accepted: the bytes and the jobs are durable.",
		Headers:     map[string]*huma.Param{"Location": {Description: "Of the job; absent for several files.", Schema: text("uri-reference")}},
		Content:     map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{OneOf: []*huma.Schema{one, many}}}},
	}}
}

func contentParams(params ...*huma.Param) []*huma.Param {
	return append(params,
		headerParam("Range", "Only a part of the bytes."),
		headerParam("If-None-Match", "Nothing, if the ETag is still this one."),
		headerParam("Want-Repr-Digest", "sha-256=1 has the Repr-Digest answered."))
}

func contentAnswers() map[string]*huma.Response {
	headers := map[string]*huma.Param{
		"ETag":                {Description: "The SHA-256 in hex, quoted.", Schema: text("")},
		"Content-Disposition": {Description: "attachment, with the file's name.", Schema: text("")},
		"Accept-Ranges":       {Description: "bytes", Schema: text("")},
	}
	bytes := map[string]*huma.MediaType{"*/*": {Schema: text("binary")}}
	return map[string]*huma.Response{
		"200": {Description: "The bytes.", Headers: headers, Content: bytes},
		"206": {Description: "A part of them.", Headers: headers, Content: bytes},
		"304": {Description: "They are the ones that If-None-Match names."},
	}
}

func streamParams(params ...*huma.Param) []*huma.Param {
	return append(params, headerParam(lastEventID, "The ID of the last event that was received: those after it are sent."))
}

// streamAnswers describes a stream, and another answer where there is one.
func streamAnswers(status, description string) map[string]*huma.Response {
	answers := map[string]*huma.Response{"200": {
		Description: "The events. The data of each is an Event.",
		Content:     map[string]*huma.MediaType{wire.EventStream: {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	if status != "" {
		answers[status] = &huma.Response{Description: description}
	}
	return answers
}

func readyAnswers() map[string]*huma.Response {
	return map[string]*huma.Response{"503": {
		Description: "Not ready.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/Readiness"}}},
	}}
}

func staticAnswer(mediaType, what string) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: what, Content: map[string]*huma.MediaType{mediaType: {Schema: &huma.Schema{}}}}}
}

// serveDocument gives out the OpenAPI document.
func (a *API) serveDocument(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	writeBody(w, http.StatusOK, "application/json", a.docJSON())
}

// What the samples speak of.
const (
	sampleBase   = "http://127.0.0.1:8080"
	sampleJobID  = "018f1f3c-7c00-7a3e-9c51-2f6d8e4b0a17"
	sampleFileID = "018f1f3c-7c00-7b02-8d44-91c0a7e6f35d"
	sampleSHA256 = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"
)

func sampleTime(seconds int) time.Time {
	return time.Date(2030, 1, 31, 12, 0, seconds, 0, time.UTC)
}

func sampleUpload() wire.Upload {
	return wire.Upload{
		Status: wire.StatusProcessing, FileID: uuid.MustParse(sampleFileID), JobID: uuid.MustParse(sampleJobID),
		Size: 48211, SHA256: sampleSHA256, MediaType: "image/jpeg",
	}
}

func sampleListed() wire.Job {
	return wire.Job{
		ID: uuid.MustParse(sampleJobID), FileID: uuid.MustParse(sampleFileID), Kind: "inspect", Queue: "default", State: wire.Pending,
		Attempt: 1, MaxAttempts: 5, RunAt: sampleTime(0), CreatedAt: sampleTime(0),
	}
}

func sampleJob() wire.Job {
	j := sampleListed()
	j.State, j.Progress = wire.Succeeded, new(1.0)
	j.StartedAt, j.FinishedAt = sampleTime(1), sampleTime(2)
	j.Result = []byte(`{"size":48211,"sha256":"` + sampleSHA256 + `","media_type":"image/jpeg","image":{"format":"jpeg","width":640,"height":480,"orientation":1,"frames":1}}`)
	return j
}

func sampleCancelled() wire.Job {
	j := sampleListed()
	j.State, j.FinishedAt = wire.Cancelled, sampleTime(3)
	return j
}

func sampleAttempt() wire.Attempt {
	return wire.Attempt{
		Run: 1, Worker: uuid.MustParse("018f1f3c-0000-7c11-a3b2-5d0e6f7a8b9c"), Label: "worker-0",
		StartedAt: sampleTime(1), FinishedAt: sampleTime(2), Outcome: "succeeded",
	}
}

func sampleFile() wire.File {
	id := uuid.MustParse(sampleFileID)
	return wire.File{
		ID: id, Name: "photo.jpg", Size: 48211, SHA256: sampleSHA256, MediaType: "image/jpeg",
		ClaimedType: "image/jpeg", CreatedAt: sampleTime(0), URL: filePath(id),
	}
}

func sampleQueue() wire.Queue {
	return wire.Queue{
		Name: "default", Depth: wire.Depth{Ready: 12, Running: 8}, OldestAt: sampleTime(0), OldestAge: 1.5,
		Rates: &wire.Rates{Arrived: 20.5, Succeeded: 19.8, BusySeconds: 7.2},
	}
}

func sampleTarget() wire.ScalingTarget {
	latest := sampleDecision()
	latest.Detail = nil
	return wire.ScalingTarget{Name: "worker", Latest: &latest}
}

func sampleDecision() wire.ScalingDecision {
	return wire.ScalingDecision{
		ID: uuid.MustParse(sampleJobID), At: sampleTime(0), Until: sampleTime(0), Current: 2, Replicas: 5,
		Rule: "drain", Outcome: "applied", Detail: json.RawMessage(`{"decision":{"why":"40 jobs wait."}}`),
	}
}

func sampleReadiness() wire.Readiness {
	return wire.Readiness{Status: "ready", Checks: []wire.Check{
		{Name: "store", OK: true, Required: true},
		{Name: "redis", Detail: "no answer"},
	}}
}
