package jobs

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Code is a stable, machine-readable reason for which a job failed.
type Code string

// The codes that a job's error can carry. Handlers of an operator's own may use further ones.
const (
	CodeHandlerError  Code = "handler_error"
	CodePanic         Code = "panic"
	CodeTimeout       Code = "timeout"
	CodeWorkerLost    Code = "worker_lost"
	CodeInvalidResult Code = "invalid_result"
	CodeInputMissing  Code = "input_missing"
	CodeInputCorrupt  Code = "input_corrupt"
	CodeChildren      Code = "children_failed"
	CodeMalformed     Code = "malformed"
	CodeUnsupported   Code = "unsupported"
	CodeInvalidParams Code = "invalid_params"
	CodeEncrypted     Code = "encrypted"
	CodeLimitMemory   Code = "limit_memory"
	CodeLimitTime     Code = "limit_time"
	CodeLimitOutput   Code = "limit_output"
)

// CodeMeaning explains a code to a person.
type CodeMeaning struct {
	Code    Code
	Meaning string
	Retried bool // whether a job that failed with it is tried again while attempts are left
}

// Codes lists every code that Leat itself gives to a failed job. The table in the documentation
// is made from it.
func Codes() []CodeMeaning {
	return []CodeMeaning{
		{CodeHandlerError, "The handler returned an error without a code of its own; the message is the error's.", true},
		{CodePanic, "The handler panicked. The worker goes on; its log has the stack.", true},
		{CodeTimeout, "The run took longer than its kind allows.", true},
		{CodeWorkerLost, "The worker died with this job more than once, the last time while the job ran alone in its process.", false},
		{CodeInvalidResult, "The handler's result cannot be stored: not JSON, not UTF-8, holding a NUL character, or too large.", false},
		{CodeInputMissing, "The file's bytes are not where the store says they are.", true},
		{CodeInputCorrupt, "The file's bytes are not the ones that were uploaded.", false},
		{CodeChildren, "The job itself was done, but jobs that it had spawned failed.", false},
		{CodeMalformed, "The file is not what its type promises: truncated, damaged or hostile.", false},
		{CodeUnsupported, "The handler cannot work on a file of this type.", false},
		{CodeInvalidParams, "The job's parameters are not what its kind takes.", false},
		{CodeEncrypted, "The file is encrypted, and there is no password to be had.", false},
		{CodeLimitMemory, "Work on the file would take, or took, more memory than the kind allows.", false},
		{CodeLimitTime, "Work on the file took more processor time than the kind allows.", false},
		{CodeLimitOutput, "The file makes more of itself than is allowed: pixels, bytes, entries, jobs, or jobs within jobs.", false},
	}
}

// Error is why a job, or one of its attempts, failed. It is what a person or a program reads in
// the job; it holds no internal detail.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error makes *Error an error, so that a handler can return it.
func (e *Error) Error() string {
	if e == nil { // a handler's nil *Error, returned as an error, is not nil
		return "unknown error"
	}
	return string(e.Code) + ": " + e.Message
}

// maxMessage bounds the message that is stored with a job, in bytes.
const maxMessage = 4096

// Permanent wraps err so that the job fails at once, whatever attempts are left. It returns nil
// for a nil err.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// Fail makes a permanent error with a code and a formatted message: the usual way for a handler to
// refuse its input.
func Fail(code Code, format string, args ...any) error {
	return Permanent(&Error{Code: code, Message: fmt.Sprintf(format, args...)})
}

// RetryAfter wraps err so that the job's next attempt starts d from now instead of after its
// kind's backoff. It still counts as a failure. It returns nil for a nil err.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err: err, after: max(d, 0)}
}

// IsPermanent reports whether err says that trying again is of no use.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// RetryDelay is the wait that RetryAfter has put into err, if it has.
func RetryDelay(err error) (time.Duration, bool) {
	var r *retryAfterError
	if !errors.As(err, &r) {
		return 0, false
	}
	return r.after, true
}

// AsError gives the form of err that is stored with the job: its code where it has one that
// CheckName allows, else CodeHandlerError, and a message that is valid UTF-8 without NUL and of
// bounded length.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e != nil && CheckName(string(e.Code)) == nil {
		return &Error{Code: e.Code, Message: cleanText(e.Message, maxMessage)}
	}
	return &Error{Code: CodeHandlerError, Message: cleanText(err.Error(), maxMessage)}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

type retryAfterError struct {
	err   error
	after time.Duration
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }

// cleanText makes text storable: valid UTF-8 without NUL, at most limit bytes, cut at a rune.
func cleanText(text string, limit int) string {
	out := make([]byte, 0, min(len(text), limit))
	for _, r := range text { // invalid bytes come as utf8.RuneError
		if r == 0 {
			r = utf8.RuneError
		}
		if len(out)+utf8.RuneLen(r) > limit {
			break
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}
