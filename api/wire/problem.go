package wire

import (
	"strconv"
	"strings"
)

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// Problem is the body of every answer that refuses a request, as RFC 9457 has it. Code is what a
// program should look at: it is stable, while title and detail may be reworded.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type      string       `json:"type" format:"uri-reference" doc:"Where the code is explained."`
	Title     string       `json:"title" doc:"What the code means."`
	Status    int          `json:"status" doc:"The HTTP status."`
	Code      Code         `json:"code" doc:"Stable, for programs."`
	Detail    string       `json:"detail,omitempty" doc:"What was wrong this time."`
	RequestID string       `json:"request_id,omitempty" doc:"Names the request in the server's log."`
	Errors    []FieldError `json:"errors,omitempty" nullable:"false" doc:"The fields at fault, where there are any."`
}

// FieldError says what is wrong with one field of a form, one query parameter, or one part of the
// path.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error makes *Problem an error.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(string(p.Code))
	if p.Code == "" {
		b.WriteString("status " + strconv.Itoa(p.Status))
	}
	switch {
	case p.Detail != "":
		b.WriteString(": " + p.Detail)
	case p.Title != "":
		b.WriteString(": " + p.Title)
	}
	for _, e := range p.Errors {
		b.WriteString(" [" + e.Field + ": " + e.Message + "]")
	}
	return b.String()
}

// Code is a stable, machine-readable reason for which a request was refused.
type Code string

// The codes. The API's documentation explains each.
const (
	CodeUnauthorized        Code = "unauthorized"
	CodeMissingScope        Code = "missing_scope"
	CodeForbiddenHost       Code = "forbidden_host"
	CodeDigestMismatch      Code = "digest_mismatch"
	CodeKeyReused           Code = "idempotency_key_reused"
	CodeRequestInProgress   Code = "request_in_progress"
	CodeTooManyStreams      Code = "too_many_streams"
	CodeFileInUse           Code = "file_in_use"
	CodeMalformedRequest    Code = "malformed_request"
	CodeMalformedMultipart  Code = "malformed_multipart"
	CodeIncompleteBody      Code = "incomplete_body"
	CodeInvalidParameter    Code = "invalid_parameter"
	CodeInvalidParams       Code = "invalid_params"
	CodeInvalidCursor       Code = "invalid_cursor"
	CodeUnknownField        Code = "unknown_field"
	CodeDuplicateField      Code = "duplicate_field"
	CodeUnknownKind         Code = "unknown_kind"
	CodeNoFile              Code = "no_file"
	CodeFilterRequired      Code = "filter_required"
	CodeCrossOrigin         Code = "cross_origin"
	CodeNotFound            Code = "not_found"
	CodeMethodNotAllowed    Code = "method_not_allowed"
	CodeRequestTimeout      Code = "request_timeout"
	CodeStateConflict       Code = "state_conflict"
	CodePreconditionFailed  Code = "precondition_failed"
	CodeBodyTooLarge        Code = "body_too_large"
	CodeFileTooLarge        Code = "file_too_large"
	CodeFieldTooLarge       Code = "field_too_large"
	CodePartHeaderTooLarge  Code = "part_header_too_large"
	CodeTooManyParts        Code = "too_many_parts"
	CodeUnsupportedEncoding Code = "unsupported_encoding"
	CodeRangeNotSatisfiable Code = "range_not_satisfiable"
	CodeInternal            Code = "internal"
	CodeContentMissing      Code = "content_missing"
	CodeStoreUnavailable    Code = "store_unavailable"
	CodeBlobUnavailable     Code = "blob_store_unavailable"
	CodeTooManyUploads      Code = "too_many_uploads"
	CodeInsufficientStorage Code = "insufficient_storage"
	CodeTypeNotAccepted     Code = "type_not_accepted"
	CodeRateLimited         Code = "rate_limited"
	CodeBytesExhausted      Code = "bytes_exhausted"
	CodeTooManyWaiting      Code = "too_many_jobs_waiting"
	CodeBacklogFull         Code = "backlog_full"
	CodeUnsupportedTus      Code = "unsupported_tus_version"
	CodeOffsetMismatch      Code = "offset_mismatch"
	CodeChecksumMismatch    Code = "checksum_mismatch"
	CodePartsUnfinished     Code = "parts_unfinished"
	CodeUploadExpired       Code = "upload_expired"
	CodeUploadFinished      Code = "upload_finished"
	CodeUploadFromParts     Code = "upload_from_parts"
	CodeUploadInterrupted   Code = "upload_interrupted"
	CodeUploadLocked        Code = "upload_locked"
)
