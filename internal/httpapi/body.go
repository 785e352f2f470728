package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/jsontree"
)

// The largest bodies.
const (
	limitDefault  = 1 << 20
	limitMessages = 32 << 20 // media in base64
	limitMedia    = 20 << 20 // one file; the multipart frame comes on top
	mediaFrame    = 64 << 10
)

// bodyPerMiB is how much longer a large body may take.
const bodyPerMiB = 2 * time.Second

// readBody reads the whole body within the route's size and time.
func (s *Server) readBody(w http.ResponseWriter, r *request) ([]byte, error) {
	if err := checkEncoding(r.Request); err != nil {
		return nil, err
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return nil, &domain.Error{Code: domain.CodeUnsupportedMedia, Args: []any{"application/json"}, Detail: "this path reads application/json"}
	}
	rd, done, err := s.limitBody(w, r, r.route.limit)
	if err != nil {
		return nil, err
	}
	var b []byte
	if n := r.ContentLength; n >= 0 && n <= 64<<10 {
		b = make([]byte, n) // net/http gives no more than was announced
		_, err = io.ReadFull(rd, b)
	} else {
		b, err = io.ReadAll(rd)
	}
	if err != nil {
		return nil, bodyError(err, r.route.limit)
	}
	done()
	return b, nil
}

// limitBody bounds the body in size and time. done must be called when it has
// been read: without it a deadline would end the answer, too. After a failure
// the deadline stays: what is left must not be waited for.
func (s *Server) limitBody(w http.ResponseWriter, r *request, limit int64) (rd io.Reader, done func(), err error) {
	if r.ContentLength > limit {
		return nil, nil, tooLarge(limit)
	}
	r.reading = true
	size := r.ContentLength
	if size < 0 {
		size = limit
	}
	c := http.NewResponseController(w)
	wait := s.cfg.BodyTimeout + time.Duration(size>>20)*bodyPerMiB
	if c.SetReadDeadline(time.Now().Add(wait)) != nil {
		return http.MaxBytesReader(w, r.Body, limit), func() {}, nil // a test recorder
	}
	return http.MaxBytesReader(w, r.Body, limit), func() { _ = c.SetReadDeadline(time.Time{}) }, nil
}

// How much of a body that nobody reads any more is taken in.
const (
	drainBytes = 64 << 20
	drainTime  = 10 * time.Second
	restTime   = time.Second // before the answer
)

// boundRest bounds the time for what no handler reads of a body. net/http takes
// in up to 256 KiB of it before it sends the answer and again behind it, both
// without an end: a stranger could keep a connection for ever with half a
// request.
func boundRest(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(restTime)) // a test recorder has none
	}
}

// drain reads what is left of the body of a refused request, within bounds.
// Many clients send everything before they read the answer: to them an early
// end of the connection looks like a failure of the network, and they would
// repeat what can never be taken.
func (s *Server) drain(w *recorder, r *request) {
	if w.status == http.StatusRequestTimeout || r.Header.Get("Expect") != "" && !r.reading {
		return // it does not come, or was never asked for
	}
	c := http.NewResponseController(w)
	if c.Flush() != nil || c.SetReadDeadline(time.Now().Add(drainTime)) != nil {
		return
	}
	// A stop ends it. The deadline stays behind only where the connection ends.
	unhook := context.AfterFunc(s.ends, func() { _ = c.SetReadDeadline(time.Now()) })
	_, err := io.CopyN(io.Discard, r.Body, drainBytes)
	if unhook() && errors.Is(err, io.EOF) {
		_ = c.SetReadDeadline(time.Time{})
	}
}

func checkEncoding(r *http.Request) error {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return &domain.Error{Code: domain.CodeUnsupportedMedia, Detail: "compressed bodies are not read"}
	}
	return nil
}

// isJSON accepts application/json, +json types, and no type at all.
func isJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch strings.ToLower(params["charset"]) {
	case "", "utf-8", "utf8": // the second is no registered name, and common
	default:
		return false
	}
	return t == "application/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json")
}

func tooLarge(limit int64) error {
	return domain.Errorf(domain.CodeTooLarge, "the body may have at most %d bytes", limit)
}

// bodyError tells why a body could not be read.
func bodyError(err error, limit int64) error {
	var n net.Error
	switch {
	case isTooLarge(err):
		return tooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &n) && n.Timeout():
		return &domain.Error{Code: domain.CodeTimeout}
	default: // cut off, or broken chunks
		return &domain.Error{Code: domain.CodeMalformedJSON, Detail: "the body ended before its announced length", Err: err}
	}
}

func isTooLarge(err error) bool {
	_, ok := errors.AsType[*http.MaxBytesError](err)
	return ok
}

// parseBody reads and parses the body.
func (s *Server) parseBody(w http.ResponseWriter, r *request) (jsontree.Node, error) {
	b, err := s.readBody(w, r)
	if err != nil {
		return jsontree.Node{}, err
	}
	return parse(b)
}

// optionalBody is parseBody for a route that takes an empty body for {}.
func (s *Server) optionalBody(w http.ResponseWriter, r *request) (jsontree.Node, error) {
	b, err := s.readBody(w, r)
	if err != nil {
		return jsontree.Node{}, err
	}
	if blank(b) {
		b = []byte("{}")
	}
	return parse(b)
}

func blank(body []byte) bool { return len(strings.TrimSpace(string(body[:min(len(body), 64)]))) == 0 }

func parse(b []byte) (jsontree.Node, error) {
	n, err := jsontree.Parse(b)
	if err != nil {
		return jsontree.Node{}, malformed(err)
	}
	return n, nil
}

func malformed(err error) error {
	at, ok := errors.AsType[*jsontree.SyntaxError](err)
	if !ok {
		return &domain.Error{Code: domain.CodeMalformedJSON}
	}
	return domain.Errorf(domain.CodeMalformedJSON, "the body is not JSON: %s at line %d, column %d", at.Msg, at.Line, at.Column)
}

// decode reads the body into v, which must be what shape was compiled from.
// An empty body counts as {} when optional is set.
func (s *Server) decode(w http.ResponseWriter, r *request, sh *shape, optional bool, v any) error {
	b, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	if optional && blank(b) {
		return nil
	}
	n, err := parse(b)
	if err != nil {
		return err
	}
	return fit(&n, sh, v)
}

// fit checks n against the shape and puts it into v, which then points into
// the text that n was parsed from.
func fit(n *jsontree.Node, sh *shape, v any) error {
	if bad := sh.check(n); len(bad) > 0 {
		return domain.Invalid(bad...)
	}
	if err := sh.assign(n, reflect.ValueOf(v).Elem()); err != nil {
		return domain.Invalid(domain.FieldError{Code: "type", Message: "does not have the right form", Fix: "compare it with the documentation"})
	}
	return nil
}

// dropNull turns a raw null into nothing and reports whether there was one.
func dropNull(raws ...*json.RawMessage) (found bool) {
	for _, r := range raws {
		if string(*r) == "null" {
			*r, found = nil, true
		}
	}
	return found
}

func shapeFor[T any]() *shape { return shapeOf(reflect.TypeFor[T]()) }
