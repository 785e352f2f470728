package client

import (
	"strconv"
	"strings"
	"time"
)

// Error is a refusal of the gateway (RFC 9457).
type Error struct {
	Type      string       `json:"type,omitempty"`
	Title     string       `json:"title,omitempty"`
	Status    int          `json:"status,omitempty"`
	Detail    string       `json:"detail,omitempty"`
	Fix       string       `json:"fix,omitempty"`  // what to do about it
	Code      string       `json:"code,omitempty"` // stable: scene_not_found, invalid, …; empty when a proxy answered
	RequestID string       `json:"request_id,omitempty"`
	Fields    []FieldError `json:"errors,omitempty"`

	RetryAfter time.Duration `json:"-"` // zero when the gateway named no time
}

// FieldError is one wrong field of a request.
type FieldError struct {
	Pointer   string `json:"pointer"`             // RFC 6901, into the request body
	Parameter string `json:"parameter,omitempty"` // a query parameter, when that is what is wrong
	Header    string `json:"header,omitempty"`    // a header, when that is what is wrong
	Code      string `json:"code"`
	Message   string `json:"message"`
	Fix       string `json:"fix,omitempty"`
}

// Error gives title, detail, code and the wrong fields in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(e.Status))
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	b.WriteString(": " + e.Title)
	if e.Detail != "" && e.Detail != e.Title {
		b.WriteString(": " + e.Detail)
	}
	for _, f := range e.Fields {
		b.WriteString("; " + f.Pointer + f.Parameter + f.Header + ": " + f.Message)
	}
	return b.String()
}

// TransportError means that no answer came: the gateway may or may not have
// acted.
type TransportError struct {
	Op  string // "POST /v1/messages"
	Err error
}

// Error names the call and the cause.
func (e *TransportError) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *TransportError) Unwrap() error { return e.Err }
