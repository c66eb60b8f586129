package api

import (
	"net/http"
	"slices"

	"github.com/leat-dev/leat/access"
	"github.com/leat-dev/leat/api/wire"
)

// The groups in which the routes are shown.
const (
	tagUploads = "Uploads"
	tagJobs    = "Jobs"
	tagFiles   = "Files"
	tagQueues  = "Queues"
	tagScaling = "Scaling"
	tagAbout   = "About"
)

const (
	filterText = "What a list with the same parameters shows is what is changed, in the order in which the jobs were made. " +
		"At least one of state, kind, queue, file_id and parent_id must be given. One call changes a bounded number: repeat it while more is true."
	contentText = "Answers ranges and conditions; the ETag is the SHA-256. HEAD answers the same without the bytes. " +
		"Browsers are told to save the file, not to show it."
)

// with adds codes to those that any call which asks the store can answer.
func with(codes ...wire.Code) []wire.Code {
	return append(slices.Clone(codes), wire.CodeStoreUnavailable)
}

// routes is the table of everything that the API serves.
func (a *API) routes() []route {
	return slices.Concat(a.uploadRoutes(), a.transferRoutes(), a.jobRoutes(), a.fileRoutes(), a.queueRoutes(), a.scalingRoutes(), a.aboutRoutes())
}

func (a *API) uploadRoutes() []route {
	upload := route{
		Method: http.MethodPost, Path: "/v1/uploads", ID: "upload", Scope: access.Upload, Tag: tagUploads, raw: a.upload,
		Brief: "Upload files and have them processed",
		Text: "Send a form (multipart/form-data) with one or more parts named file, or any other content type with the file as the body. " +
			"The choices kind, queue, params and run_at are fields of the form, in any place, or parameters of the query; they hold for all files. " +
			"All files are accepted, or none. 202 means that the bytes and the jobs are durable; a form with one file is answered like a raw body, one with several by {\"uploads\": [...]}.",
		Curl:   "curl -F kind=inspect -F file=@photo.jpg {base}/v1/uploads\ncurl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' '{base}/v1/uploads?filename=photo.jpg'",
		Sample: sampleUpload(),
		Params: a.uploadParams(), Body: a.uploadBody(), Answers: uploadAnswers(),
		Codes: with(wire.CodeMalformedRequest, wire.CodeMalformedMultipart, wire.CodeIncompleteBody, wire.CodeDigestMismatch, wire.CodeInvalidParameter,
			wire.CodeInvalidParams, wire.CodeUnknownField, wire.CodeDuplicateField, wire.CodeUnknownKind, wire.CodeNoFile,
			wire.CodeCrossOrigin, wire.CodeRequestTimeout, wire.CodeBodyTooLarge, wire.CodeFileTooLarge, wire.CodeFieldTooLarge,
			wire.CodePartHeaderTooLarge, wire.CodeTooManyParts, wire.CodeUnsupportedEncoding, wire.CodeTypeNotAccepted,
			wire.CodeBytesExhausted, wire.CodeTooManyWaiting, wire.CodeBacklogFull, wire.CodeTooManyUploads,
			wire.CodeBlobUnavailable, wire.CodeInsufficientStorage),
	}
	short := upload
	short.Path, short.ID, short.Brief = "/upload", "upload-short", "The same under a shorter path"
	short.Text, short.Curl = "The same as POST /v1/uploads.", "curl -F file=@photo.jpg {base}/upload"
	short.Params, short.Body, short.Answers = a.uploadParams(), a.uploadBody(), uploadAnswers()
	return []route{upload, short}
}

func (a *API) jobRoutes() []route {
	byID := with(wire.CodeInvalidParameter, wire.CodeUnknownField, wire.CodeMalformedRequest, wire.CodeNotFound)
	byFilter := with(wire.CodeInvalidParameter, wire.CodeUnknownField, wire.CodeDuplicateField, wire.CodeMalformedRequest)
	return []route{
		{
			Method: http.MethodGet, Path: "/v1/jobs/{id}", ID: "get-job", Scope: access.Read, Tag: tagJobs, json: call(a.getJob),
			Brief: "Get a job", Codes: byID, Sample: sampleJob(),
			Text: "With its result, the files that it made, and its children's states.",
			Curl: "curl {base}/v1/jobs/" + sampleJobID,
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs", ID: "list-jobs", Scope: access.Read, Tag: tagJobs, json: call(a.listJobs),
			Brief: "List jobs", Codes: append(byFilter, wire.CodeInvalidCursor), Sample: wire.Jobs{Jobs: []wire.Job{sampleListed()}, NextCursor: "AQGPH_..."},
			Text: "Newest first, a page at a time, without results, artifacts and children.",
			Curl: "curl '{base}/v1/jobs?state=failed&limit=10'",
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs/{id}/attempts", ID: "list-attempts", Scope: access.Read, Tag: tagJobs, json: call(a.attempts),
			Brief: "List a job's runs", Codes: byID, Sample: wire.Attempts{Attempts: []wire.Attempt{sampleAttempt()}},
			Text: "Those that failed, were lost with their worker or were handed back by it, the last one, and the present one.",
			Curl: "curl {base}/v1/jobs/" + sampleJobID + "/attempts",
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs/{id}/events", ID: "job-events", Scope: access.Read, Tag: tagJobs, raw: a.jobEvents,
			Brief: "Follow a job until it ends", Codes: append(slices.Clone(byID), wire.CodeTooManyStreams),
			Text: "Server-sent events: each that has happened to the job, in order, then each as it happens, its progress while it runs, and while it waits " +
				"its place in the queue with an estimate. The stream ends with the job; with the Last-Event-ID of its end there is nothing more: 204.",
			Params: streamParams(pathParam("id", "uuid", "Of the job.")), Answers: streamAnswers("204", "The job has ended, and the client has all events."),
			Curl: "curl -N {base}/v1/jobs/" + sampleJobID + "/events",
		},
		{
			Method: http.MethodGet, Path: "/v1/events", ID: "events", Scope: access.Read, Tag: tagJobs, raw: a.tenantEvents,
			Brief: "Follow all jobs", Codes: with(wire.CodeInvalidParameter, wire.CodeTooManyStreams),
			Text: "Server-sent events of all the tenant's jobs, from now on, or from the Last-Event-ID. Those of one job come in order; none is skipped, " +
				"and after a broken connection some may come again.",
			Params: streamParams(), Answers: streamAnswers("", ""), Curl: "curl -N {base}/v1/events",
		},
		{
			Method: http.MethodPost, Path: "/v1/jobs/{id}/cancel", ID: "cancel-job", Scope: access.Operate, Tag: tagJobs, json: call(a.cancelJob),
			Brief: "Cancel a job", Codes: append(byID, wire.CodeStateConflict, wire.CodeCrossOrigin), Sample: sampleCancelled(),
			Text: "A job that waits is cancelled at once. One that runs is asked to stop, within seconds; if it ends first, its end stands. Repeating the call is harmless.",
			Curl: "curl -X POST {base}/v1/jobs/" + sampleJobID + "/cancel",
		},
		{
			Method: http.MethodPost, Path: "/v1/jobs/{id}/retry", ID: "retry-job", Scope: access.Operate, Tag: tagJobs, json: call(a.retryJob),
			Brief: "Run a failed or cancelled job again", Codes: append(byID, wire.CodeStateConflict, wire.CodeCrossOrigin), Sample: sampleListed(),
			Text: "It starts anew, with all its attempts.",
			Curl: "curl -X POST {base}/v1/jobs/" + sampleJobID + "/retry",
		},
		{
			Method: http.MethodPost, Path: "/v1/jobs/cancel", ID: "cancel-jobs", Scope: access.Operate, Tag: tagJobs, json: call(a.cancelJobs),
			Brief: "Cancel all jobs that fit a filter", Codes: append(byFilter, wire.CodeFilterRequired, wire.CodeCrossOrigin), Sample: wire.Changed{Changed: 1000, More: true},
			Text: filterText, Curl: "curl -X POST '{base}/v1/jobs/cancel?state=pending&kind=inspect'",
		},
		{
			Method: http.MethodPost, Path: "/v1/jobs/retry", ID: "retry-jobs", Scope: access.Operate, Tag: tagJobs, json: call(a.retryJobs),
			Brief: "Run all failed or cancelled jobs that fit a filter again", Codes: append(byFilter, wire.CodeFilterRequired, wire.CodeCrossOrigin), Sample: wire.Changed{Changed: 17},
			Text: filterText, Curl: "curl -X POST '{base}/v1/jobs/retry?state=failed'",
		},
	}
}

func (a *API) fileRoutes() []route {
	content := with(wire.CodeInvalidParameter, wire.CodeNotFound, wire.CodePreconditionFailed, wire.CodeRangeNotSatisfiable, wire.CodeContentMissing)
	return []route{
		{
			Method: http.MethodGet, Path: "/v1/files/{id}", ID: "get-file", Scope: access.Read, Tag: tagFiles, json: call(a.getFile),
			Brief: "Get what is known of a file", Sample: sampleFile(),
			Codes: with(wire.CodeInvalidParameter, wire.CodeUnknownField, wire.CodeMalformedRequest, wire.CodeNotFound),
			Curl:  "curl {base}/v1/files/" + sampleFileID,
		},
		{
			Method: http.MethodDelete, Path: "/v1/files/{id}", ID: "delete-file", Scope: access.Operate, Tag: tagFiles, json: call(a.deleteFile),
			Brief: "Delete a file with all that was made of it",
			Text:  "Its jobs, their results and artifacts, and the files and jobs that these have spawned. All of them must have ended. Results that jobs on the same bytes of another file have taken over are that file's.",
			Codes: with(wire.CodeInvalidParameter, wire.CodeUnknownField, wire.CodeMalformedRequest, wire.CodeNotFound, wire.CodeFileInUse, wire.CodeCrossOrigin),
			Curl:  "curl -X DELETE {base}/v1/files/" + sampleFileID,
		},
		{
			Method: http.MethodGet, Path: "/v1/files/{id}/content", ID: "get-content", Scope: access.Read, Tag: tagFiles, raw: a.fileContent,
			Brief: "Download a file", Text: contentText, Codes: content,
			Params: contentParams(pathParam("id", "uuid", "Of the file.")), Answers: contentAnswers(),
			Curl: "curl -OJ {base}/v1/files/" + sampleFileID + "/content",
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs/{id}/artifacts/{name}", ID: "get-artifact", Scope: access.Read, Tag: tagFiles, raw: a.artifactContent,
			Brief: "Download a file that a job made", Text: contentText, Codes: content,
			Params:  contentParams(pathParam("id", "uuid", "Of the job."), pathParam("name", "", "Of the artifact.")),
			Answers: contentAnswers(),
			Curl:    "curl -OJ {base}/v1/jobs/" + sampleJobID + "/artifacts/preview.png",
		},
	}
}

func (a *API) queueRoutes() []route {
	codes := with(wire.CodeInvalidParameter, wire.CodeUnknownField, wire.CodeMalformedRequest, wire.CodeCrossOrigin)
	return []route{
		{
			Method: http.MethodGet, Path: "/v1/queues", ID: "list-queues", Scope: access.Read, Tag: tagQueues, json: call(a.queues),
			Brief: "List queues: depth, oldest job, rates", Sample: wire.Queues{Queues: []wire.Queue{sampleQueue()}},
			Codes: with(wire.CodeUnknownField, wire.CodeMalformedRequest), Curl: "curl {base}/v1/queues",
		},
		{
			Method: http.MethodPost, Path: "/v1/queues/{name}/pause", ID: "pause-queue", Scope: access.Admin, Tag: tagQueues, json: call(a.pauseQueue),
			Brief: "Start no more jobs of a queue", Codes: codes, Sample: wire.QueueState{Name: "default", Paused: true},
			Text: "Uploads are still accepted, and runs that have begun go on. Repeating the call is harmless.",
			Curl: "curl -X POST {base}/v1/queues/default/pause",
		},
		{
			Method: http.MethodPost, Path: "/v1/queues/{name}/resume", ID: "resume-queue", Scope: access.Admin, Tag: tagQueues, json: call(a.resumeQueue),
			Brief: "Start jobs of a queue again", Codes: codes, Sample: wire.QueueState{Name: "default"},
			Curl: "curl -X POST {base}/v1/queues/default/resume",
		},
		{
			Method: http.MethodGet, Path: "/v1/kinds", ID: "list-kinds", Scope: access.Read, Tag: tagQueues, json: call(a.kinds),
			Brief: "List the kinds of work, with their parameters", Sample: a.kindList,
			Codes: []wire.Code{wire.CodeUnknownField, wire.CodeMalformedRequest},
			Text:  "An upload names one, or leaves it to the file's media type by auto.", Curl: "curl {base}/v1/kinds",
		},
	}
}

func (a *API) scalingRoutes() []route {
	codes := with(wire.CodeInvalidParameter, wire.CodeUnknownField, wire.CodeMalformedRequest)
	command := append(slices.Clone(codes), wire.CodeCrossOrigin)
	state := wire.ScalingCommand{Target: "worker"}
	paused, pinned := state, state
	paused.Paused = true
	pinned.Pin = &wire.ScalingPin{Replicas: 12, Until: sampleTime(3600)}
	return []route{
		{
			Method: http.MethodGet, Path: "/v1/scaling", ID: "list-scaling", Scope: access.Admin, Tag: tagScaling, json: call(a.scaling),
			Brief: "List the fleets that are scaled", Sample: wire.Scaling{Targets: []wire.ScalingTarget{sampleTarget()}},
			Text:  "With the latest decision on each, and what operators have commanded.",
			Codes: with(wire.CodeUnknownField, wire.CodeMalformedRequest), Curl: "curl {base}/v1/scaling",
		},
		{
			Method: http.MethodGet, Path: "/v1/scaling/{target}/decisions", ID: "list-decisions", Scope: access.Admin, Tag: tagScaling, json: call(a.scalingDecisions),
			Brief: "List decisions on a fleet's size, with their reasons", Codes: append(slices.Clone(codes), wire.CodeDuplicateField, wire.CodeInvalidCursor),
			Sample: wire.ScalingDecisions{Decisions: []wire.ScalingDecision{sampleDecision()}},
			Text:   "Latest first, a page at a time. The detail of each is enough to replay it.",
			Curl:   "curl '{base}/v1/scaling/worker/decisions?limit=1'",
		},
		{
			Method: http.MethodPost, Path: "/v1/scaling/{target}/pin", ID: "pin-scaling", Scope: access.Admin, Tag: tagScaling, json: call(a.pinScaling),
			Brief: "Fix the number of replicas for a time", Codes: append(slices.Clone(command), wire.CodeDuplicateField), Sample: pinned,
			Text: "A pin beats every policy but the maximum. Another one replaces it.",
			Curl: "curl -X POST '{base}/v1/scaling/worker/pin?replicas=12&for=1h'",
		},
		{
			Method: http.MethodPost, Path: "/v1/scaling/{target}/unpin", ID: "unpin-scaling", Scope: access.Admin, Tag: tagScaling, json: call(a.unpinScaling),
			Brief: "Leave the number to the policies again", Codes: command, Sample: state, Curl: "curl -X POST {base}/v1/scaling/worker/unpin",
		},
		{
			Method: http.MethodPost, Path: "/v1/scaling/{target}/pause", ID: "pause-scaling", Scope: access.Admin, Tag: tagScaling, json: call(a.pauseScaling),
			Brief: "Keep the number as it is", Codes: command, Sample: paused, Curl: "curl -X POST {base}/v1/scaling/worker/pause",
		},
		{
			Method: http.MethodPost, Path: "/v1/scaling/{target}/resume", ID: "resume-scaling", Scope: access.Admin, Tag: tagScaling, json: call(a.resumeScaling),
			Brief: "Let the policies decide again", Codes: command, Sample: state, Curl: "curl -X POST {base}/v1/scaling/worker/resume",
		},
	}
}

func (a *API) aboutRoutes() []route {
	return []route{
		{
			Method: http.MethodGet, Path: "/healthz", ID: "health", Tag: tagAbout, json: call(a.health),
			Brief: "Is the process alive?", Sample: wire.Health{Status: "ok", Version: "1.0.0"},
			Codes: []wire.Code{wire.CodeUnknownField, wire.CodeMalformedRequest}, Curl: "curl {base}/healthz",
		},
		{
			Method: http.MethodGet, Path: "/readyz", ID: "ready", Tag: tagAbout, json: call(a.readiness),
			Brief: "Can it do its work?", Sample: sampleReadiness(), Answers: readyAnswers(),
			Codes: []wire.Code{wire.CodeUnknownField, wire.CodeMalformedRequest},
			Text:  "503 when something is missing that it cannot do without. What it can do without is only reported.", Curl: "curl {base}/readyz",
		},
		{
			Method: http.MethodGet, Path: "/openapi.json", ID: "openapi", Tag: tagAbout, raw: a.serveDocument,
			Brief: "This API in OpenAPI 3.1", Answers: staticAnswer("application/json", "The document."), Curl: "curl {base}/openapi.json",
		},
		{
			Method: http.MethodGet, Path: "/docs", ID: "docs", Tag: tagAbout, raw: a.servePage,
			Brief: "This API, for people", Answers: staticAnswer("text/html", "The page."),
		},
	}
}
