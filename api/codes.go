package api

import (
	"net/http"
	"slices"

	"github.com/leat-dev/leat/api/wire"
)

// ErrorCode explains one code that a refused request can carry.
type ErrorCode struct {
	Code    wire.Code
	Status  int    // of HTTP
	Meaning string // one or more sentences
	Retry   bool   // the same request may succeed later
}

// ErrorCodes lists every code, by status and name. The documentation is made from it.
func ErrorCodes() []ErrorCode {
	return slices.Clone(errorCodes)
}

var errorCodes = []ErrorCode{
	{wire.CodeDigestMismatch, http.StatusBadRequest, "What arrived does not add up to the Content-Digest or Repr-Digest that was sent with it. Nothing was kept.", true},
	{wire.CodeDuplicateField, http.StatusBadRequest, "A field of the form, or a parameter of the query, is given more than once, or in both places.", false},
	{wire.CodeFilterRequired, http.StatusBadRequest, "A call that changes many jobs names no filter. It does not change them all by accident.", false},
	{wire.CodeIncompleteBody, http.StatusBadRequest, "The body ended before its declared length, or before the end of the form. Nothing was kept.", true},
	{wire.CodeInvalidCursor, http.StatusBadRequest, "The cursor is not one that this list gave out.", false},
	{wire.CodeInvalidParameter, http.StatusBadRequest, "A field or parameter has a value that it cannot have; errors names it.", false},
	{wire.CodeInvalidParams, http.StatusBadRequest, "The parameters of the work are not what its kind takes; errors names the field.", false},
	{wire.CodeMalformedMultipart, http.StatusBadRequest, "The body is not the multipart form that its content type promises.", false},
	{wire.CodeMalformedRequest, http.StatusBadRequest, "The request cannot be understood.", false},
	{wire.CodeNoFile, http.StatusBadRequest, "The form holds no part named file.", false},
	{wire.CodePartsUnfinished, http.StatusBadRequest, "One of the parts that are to be joined has not come in whole.", false},
	{wire.CodeUnknownField, http.StatusBadRequest, "The form holds a field, or the query a parameter, that the call does not know.", false},
	{wire.CodeUnknownKind, http.StatusBadRequest, "There is no such kind of work. GET /v1/kinds lists them.", false},
	{wire.CodeUnauthorized, http.StatusUnauthorized, "The call needs a key that is known, not revoked and not expired, as Authorization: Bearer leat_...", false},
	{wire.CodeCrossOrigin, http.StatusForbidden, "A browser sent the request for a page of another origin, which is not on the list of those allowed.", false},
	{wire.CodeForbiddenHost, http.StatusForbidden, "The server asks nobody for a key, so it takes only requests whose Host is localhost or a loopback address.", false},
	{wire.CodeMissingScope, http.StatusForbidden, "The key does not have the scope that the call needs.", false},
	{wire.CodeUploadFromParts, http.StatusForbidden, "The upload is made of parts. Nothing can be added to it.", false},
	{wire.CodeNotFound, http.StatusNotFound, "There is no such thing, or it is not yours.", false},
	{wire.CodeMethodNotAllowed, http.StatusMethodNotAllowed, "The path takes other methods; the header Allow lists them.", false},
	{wire.CodeRequestTimeout, http.StatusRequestTimeout, "The body came too slowly. Nothing was kept.", true},
	{wire.CodeFileInUse, http.StatusConflict, "Jobs on the file, or one that made it, have not ended. Cancel them, or wait.", true},
	{wire.CodeOffsetMismatch, http.StatusConflict, "The upload does not stand at the Upload-Offset of the request. HEAD tells where it stands.", false},
	{wire.CodeRequestInProgress, http.StatusConflict, "A request with the same Idempotency-Key is under way. Send this one again to get its answer.", true},
	{wire.CodeStateConflict, http.StatusConflict, "The job's state does not allow this.", false},
	{wire.CodeUploadFinished, http.StatusConflict, "The upload has become a file. DELETE /v1/files/{id} deletes it.", false},
	{wire.CodeUploadExpired, http.StatusGone, "Nobody has gone on with the upload for too long. Begin a new one.", false},
	{wire.CodePreconditionFailed, http.StatusPreconditionFailed, "The content is not the one that If-Match names.", false},
	{wire.CodeUnsupportedTus, http.StatusPreconditionFailed, "The header Tus-Resumable is missing, or names another version than 1.0.0.", false},
	{wire.CodeBodyTooLarge, http.StatusRequestEntityTooLarge, "The body is larger than this server takes.", false},
	{wire.CodeFieldTooLarge, http.StatusRequestEntityTooLarge, "A field of the form, or an option in the query, is larger than this server takes.", false},
	{wire.CodeFileTooLarge, http.StatusRequestEntityTooLarge, "A file is larger than this server takes.", false},
	{wire.CodePartHeaderTooLarge, http.StatusRequestEntityTooLarge, "The headers of a part of the form are larger than this server takes.", false},
	{wire.CodeTooManyParts, http.StatusRequestEntityTooLarge, "The form has more parts than this server takes.", false},
	{wire.CodeTypeNotAccepted, http.StatusUnsupportedMediaType, "The file's content is of a type that this server does not take, whatever its name and its content type say.", false},
	{wire.CodeUnsupportedEncoding, http.StatusUnsupportedMediaType, "The body, or a part of the form, has a content encoding or transfer encoding. Send the plain bytes.", false},
	{wire.CodeRangeNotSatisfiable, http.StatusRequestedRangeNotSatisfiable, "The range asked for lies beyond the content.", false},
	{wire.CodeKeyReused, http.StatusUnprocessableEntity, "The Idempotency-Key was used within the last 24 hours for a request that differs from this one. Nothing was done.", false},
	{wire.CodeUploadLocked, http.StatusLocked, "Another request writes to the upload, or has taken it over. HEAD tells where it stands.", true},
	{wire.CodeBacklogFull, http.StatusTooManyRequests, "More jobs are ready than the workers can do in time, and more of them are yours than your share. Retry-After is when that will be over at the present pace.", true},
	{wire.CodeBytesExhausted, http.StatusTooManyRequests, "Your tenant has uploaded as many bytes as it may in a day. They come back evenly; Retry-After is when there are enough for this request.", true},
	{wire.CodeRateLimited, http.StatusTooManyRequests, "Your tenant sends more requests than it may. Retry-After is when the next one is taken.", true},
	{wire.CodeTooManyWaiting, http.StatusTooManyRequests, "As many of your tenant's jobs are ready to run as may be. Retry-After is when there will be fewer at the present pace.", true},
	{wire.CodeChecksumMismatch, 460, "The body does not add up to its Upload-Checksum. Nothing of it was kept.", true},
	{wire.CodeContentMissing, http.StatusInternalServerError, "The bytes are not where the store says they are. The server's log has more.", false},
	{wire.CodeInternal, http.StatusInternalServerError, "Something went wrong in the server. Its log has more, under the request's ID.", true},
	{wire.CodeBlobUnavailable, http.StatusServiceUnavailable, "The blob store cannot be written or read now.", true},
	{wire.CodeStoreUnavailable, http.StatusServiceUnavailable, "The store cannot be reached now. An upload that is answered so may have been accepted nevertheless, if only the store's answer was lost.", true},
	{wire.CodeTooManyStreams, http.StatusServiceUnavailable, "As many streams of events are open as this server serves at a time.", true},
	{wire.CodeTooManyUploads, http.StatusServiceUnavailable, "As many uploads are under way as this server takes at a time.", true},
	{wire.CodeUploadInterrupted, http.StatusServiceUnavailable, "The body of a part of an upload broke off, came too slowly, or the server is about to end. What came is kept: HEAD tells where the upload stands.", true},
	{wire.CodeInsufficientStorage, http.StatusInsufficientStorage, "The storage is full. Nothing was kept.", true},
}

// meaning returns the row of a code. Every code that the package uses is in the table; a test
// sees to it.
func meaning(code wire.Code) ErrorCode {
	i := slices.IndexFunc(errorCodes, func(e ErrorCode) bool { return e.Code == code })
	if i < 0 {
		return ErrorCode{code, http.StatusInternalServerError, "", false}
	}
	return errorCodes[i]
}
