package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"hongyan/internal/access"
	"hongyan/internal/domain"
)

const maxRequestID = 128

// requestID takes the caller's X-Request-Id if it is harmless, else makes one.
func requestID(r *http.Request, ids *domain.IDs) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= maxRequestID && printable(id) {
		return id
	}
	return ids.New("req_")
}

// printable reports whether s is visible ASCII.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// traceParent takes a W3C traceparent of the known form, else nothing.
func traceParent(h http.Header) string {
	t := h.Get("Traceparent")
	if len(t) != 55 || t[2] != '-' || t[35] != '-' || t[52] != '-' || strings.Trim(t, "0123456789abcdef-") != "" {
		return ""
	}
	return t
}

// keyNames are query parameters that elsewhere carry credentials.
var keyNames = map[string]bool{
	"key": true, "token": true, "access_token": true, "api_key": true, "apikey": true, "authorization": true, "bearer": true,
}

// keyInURL refuses credentials in path and query: they end up in logs.
func keyInURL(u *url.URL) error {
	if strings.Contains(u.Path, "/"+access.Prefix) {
		return &domain.Error{Code: domain.CodeKeyInURL}
	}
	if u.RawQuery == "" {
		return nil
	}
	q, _ := url.ParseQuery(u.RawQuery) // what cannot be read is refused by the handler
	for name, values := range q {
		if keyNames[strings.ToLower(name)] || strings.HasPrefix(name, access.Prefix) {
			return &domain.Error{Code: domain.CodeKeyInURL}
		}
		for _, v := range values {
			if strings.HasPrefix(v, access.Prefix) || len(v) > 7 && strings.EqualFold(v[:7], "bearer ") {
				return &domain.Error{Code: domain.CodeKeyInURL}
			}
		}
	}
	return nil
}

// maxIdempotencyKey is the longest Idempotency-Key.
const maxIdempotencyKey = 255

// idempotencyKey reads the header. Quotes, which the IETF draft asks for, are
// part of the key.
func idempotencyKey(h http.Header) (string, error) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", domain.Invalid(domain.FieldError{
			Pointer: headerMark + "Idempotency-Key", Code: "idempotency_key", Args: []any{maxIdempotencyKey},
			Message: "must be one text of 1 to 255 characters without control characters", Fix: "make a shorter one, such as a UUID",
		})
	}
	return key, nil
}
