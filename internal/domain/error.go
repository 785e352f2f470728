package domain

import (
	"errors"
	"fmt"
)

// Error is an error with a stable code that edges translate into a status and
// a text. Detail is in English and safe to show; Err is for the log only.
type Error struct {
	Code   string       // one of the Code constants
	Detail string       // one sentence about this occurrence; safe to show
	Args   []any        // values for the translated text, in its order
	Fields []FieldError // which fields are wrong
	Err    error        // cause, never shown

	format     string // that Errorf made Detail of
	formatArgs []any
}

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Pointer string // RFC 6901 pointer into the request body: "/to/users/0"; or "?limit", "header:If-Match"
	Code    string // rule: required, type, unknown, max_bytes, enum, …
	Args    []any  // values for the translated text: the limit, the value seen…
	Message string // English; filled by the producer, translated at the edge by Code and Args where it can
	Fix     string // English; what to do
}

// The error codes. Each has a status, a title and a fix in zh and en in
// internal/i18n, and a line in docs/errors.md.
const (
	CodeMalformedJSON       = "malformed_json"         // 400
	CodeKeyInURL            = "key_in_url"             // 400
	CodeIdempotencyRequired = "idempotency_required"   // 400
	CodeUnauthorized        = "unauthorized"           // 401
	CodeForbidden           = "forbidden"              // 403: scope, scene, app or network not allowed
	CodeNotFound            = "not_found"              // 404: no such route or object
	CodeSceneNotFound       = "scene_not_found"        // 404 on its own path, 422 in a send
	CodeAppNotFound         = "app_not_found"          // likewise
	CodeMethodNotAllowed    = "method_not_allowed"     // 405
	CodeConflict            = "conflict"               // 409: the state forbids it
	CodeInUse               = "in_use"                 // 409: something live needs what is to be deleted
	CodeNotHeld             = "not_held"               // 409: nothing of the message waits for a decision
	CodePreconditionFailed  = "precondition_failed"    // 412: If-Match lost
	CodeTooLarge            = "too_large"              // 413
	CodeUnsupportedMedia    = "unsupported_media_type" // 415
	CodeInvalid             = "invalid"                // 422
	CodeIdempotencyMismatch = "idempotency_mismatch"   // 422
	CodeRateLimited         = "rate_limited"           // 429
	CodeUnavailable         = "unavailable"            // 503: cannot accept now
	CodeTimeout             = "timeout"                // 408: the request body came too slowly
	CodeDiskFull            = "disk_full"              // 507
	CodeInternal            = "internal"               // 500
)

// Error gives code, detail and cause, for the log.
func (e *Error) Error() string {
	s := e.Code
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	for _, f := range e.Fields {
		s += fmt.Sprintf(" [%s %s]", f.Pointer, f.Code)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrInDoubt is in the chain of a write's error when nobody knows whether the
// write has happened; all others say that it has not.
var ErrInDoubt = errors.New("outcome of the commit is unknown")

// Errorf makes an Error with a detail. What people see has its format in
// internal/i18n, too.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...), format: format, formatArgs: args}
}

// Said returns what Detail was made of, for its translation.
func (e *Error) Said() (format string, args []any) {
	if e.format == "" {
		return e.Detail, nil
	}
	return e.format, e.formatArgs
}

// Resaid makes e say what Said gave elsewhere: of an error that was stored.
func (e *Error) Resaid(format string, args []any) {
	if len(args) > 0 {
		e.format, e.formatArgs = format, args
	}
}

// Invalid makes a CodeInvalid error from field errors.
func Invalid(fields ...FieldError) *Error {
	return &Error{Code: CodeInvalid, Fields: fields}
}

// CodeOf returns the code of err: CodeInternal when it carries none, empty
// when err is nil.
func CodeOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
