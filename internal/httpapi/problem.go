package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
)

// Problem is the body of every answer that is not a success (RFC 9457).
type Problem struct {
	Type      string         `json:"type" doc:"Link to the page about this code"`
	Title     string         `json:"title" doc:"The code in words, in the language of Accept-Language"`
	Status    int            `json:"status" doc:"The HTTP status"`
	Detail    string         `json:"detail" doc:"What is wrong with this request"`
	Fix       string         `json:"fix,omitempty" doc:"What to do about it"`
	Code      string         `json:"code" doc:"Stable word for programs"`
	RequestID string         `json:"request_id" doc:"Names the request in the log"`
	Errors    []ProblemField `json:"errors,omitempty" doc:"Every wrong field, at most 50"`
}

// ProblemField is one wrong field.
type ProblemField struct {
	Pointer   string `json:"pointer" doc:"RFC 6901 JSON Pointer into the request body; empty for the whole body"`
	Parameter string `json:"parameter,omitempty" doc:"Query parameter, when that is what is wrong"`
	Header    string `json:"header,omitempty" doc:"Header, when that is what is wrong"`
	Code      string `json:"code" doc:"The rule that it breaks"`
	Message   string `json:"message"`
	Fix       string `json:"fix"`
}

// statuses gives the HTTP status of each error code.
var statuses = map[string]int{
	domain.CodeMalformedJSON:       http.StatusBadRequest,
	domain.CodeKeyInURL:            http.StatusBadRequest,
	domain.CodeIdempotencyRequired: http.StatusBadRequest,
	domain.CodeUnauthorized:        http.StatusUnauthorized,
	domain.CodeForbidden:           http.StatusForbidden,
	domain.CodeNotFound:            http.StatusNotFound,
	domain.CodeSceneNotFound:       http.StatusNotFound,
	domain.CodeAppNotFound:         http.StatusNotFound,
	domain.CodeMethodNotAllowed:    http.StatusMethodNotAllowed,
	domain.CodeTimeout:             http.StatusRequestTimeout,
	domain.CodeConflict:            http.StatusConflict,
	domain.CodeNotHeld:             http.StatusConflict,
	domain.CodeInUse:               http.StatusConflict,
	domain.CodePreconditionFailed:  http.StatusPreconditionFailed,
	domain.CodeTooLarge:            http.StatusRequestEntityTooLarge,
	domain.CodeUnsupportedMedia:    http.StatusUnsupportedMediaType,
	domain.CodeInvalid:             http.StatusUnprocessableEntity,
	domain.CodeIdempotencyMismatch: http.StatusUnprocessableEntity,
	domain.CodeRateLimited:         http.StatusTooManyRequests,
	domain.CodeInternal:            http.StatusInternalServerError,
	domain.CodeUnavailable:         http.StatusServiceUnavailable,
	domain.CodeDiskFull:            http.StatusInsufficientStorage,
}

// problemOf translates an error. inBody says that an unknown scene or app was
// named by the body (422), not by the path (404).
func (s *Server) problemOf(err error, lang i18n.Lang, requestID string, inBody bool) Problem {
	e, ok := errors.AsType[*domain.Error](err)
	switch {
	case ok:
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e = &domain.Error{Code: domain.CodeUnavailable}
	default:
		e = &domain.Error{Code: domain.CodeInternal}
	}
	status, known := statuses[e.Code]
	if !known {
		e, status = &domain.Error{Code: domain.CodeInternal}, http.StatusInternalServerError
	}
	if inBody && status == http.StatusNotFound && (e.Code != domain.CodeNotFound) {
		status = http.StatusUnprocessableEntity
	}
	text, _ := i18n.ProblemText(lang, e.Code, e.Args)
	p := Problem{
		Type: s.cfg.PublicURL + "/docs/errors#" + e.Code, Title: text.Title, Status: status, Detail: text.Detail, Fix: text.Fix,
		Code: e.Code, RequestID: requestID,
	}
	if e.Detail != "" && status != http.StatusInternalServerError {
		format, args := e.Said()
		if said, ok := i18n.DetailText(lang, format, args); ok {
			p.Detail = said
		} else if len(e.Args) == 0 { // as another process kept it: of a schedule's run
			p.Detail = strings.TrimSuffix(p.Detail, "。") + "（" + e.Detail + "）。"
		}
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, fieldText(lang, f))
		if len(p.Errors) == maxFieldErrors {
			break
		}
	}
	return p
}

// headerMark stands before the name of a header in a domain.FieldError, as ?
// does before that of a query parameter.
const headerMark = "header:"

// fieldText gives a field error its words. In English the producer's own win:
// they know the case; in Chinese the catalogue's, with the producer's fix
// behind it when it says more than the catalogue's.
func fieldText(lang i18n.Lang, f domain.FieldError) ProblemField {
	out := ProblemField{Pointer: f.Pointer, Code: f.Code, Message: f.Message, Fix: f.Fix}
	if name, ok := strings.CutPrefix(f.Pointer, "?"); ok {
		out.Pointer, out.Parameter = "", name
	}
	if name, ok := strings.CutPrefix(f.Pointer, headerMark); ok {
		out.Pointer, out.Header = "", name
	}
	message, fix, ok := i18n.RuleText(lang, f.Code, f.Args)
	if !ok {
		return out
	}
	if lang == i18n.EN {
		if out.Message == "" {
			out.Message = message
		}
		if out.Fix == "" {
			out.Fix = fix
		}
		return out
	}
	out.Message = message
	if own, ok := i18n.FixText(lang, f.Fix); ok {
		fix = own
	}
	out.Fix = fix
	return out
}

// fail answers with a problem.
func (s *Server) fail(w http.ResponseWriter, r *request, err error) {
	inBody := r.route != nil && r.route.namesInBody
	p := s.problemOf(err, r.language(), r.id, inBody)
	h := w.Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="hongyan"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "1")
		}
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // the rest of the body is not read, or not all of it
	}
	h.Set("Content-Language", string(r.language()))
	h.Add("Vary", "Accept-Language")
	h.Del("ETag")
	h.Del("Location")
	body, mErr := json.Marshal(p)
	if mErr != nil { // a Problem always marshals; keep the promise of a body anyway
		body = []byte(`{"code":"internal","status":500}`)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; nothing is left to tell it
	return nil
}

var jsonType = []string{"application/json"}
