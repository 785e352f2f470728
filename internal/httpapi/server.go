package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
)

// Config sets up a Server. Services may be nil: their routes answer 503.
type Config struct {
	Messages  Messages
	History   History
	Events    Events
	Resources Resources
	Scenes    Scenes
	Schedules Schedules
	Apps      Apps
	Lanes     Lanes
	Directory Directory
	Held      Held
	Uploads   Uploads
	Keys      Keys
	Setup     Setup // nil: closed

	Ready     func(context.Context) error // nil: always ready
	PublicURL string                      // without a slash at the end; empty: links are relative
	Version   string                      // of the program, shown in the OpenAPI description
	Log       *slog.Logger                // nil: none
	Meter     Meter                       // nil: none
	Fallback  http.Handler                // for paths that are not the API's; nil: a 404 problem

	BodyTimeout time.Duration // how long a body of up to 1 MiB may take; 0: 10 s
	Streams     int           // open event streams; 0: 256
}

const (
	defaultBodyTimeout = 10 * time.Second
	readyTimeout       = 2 * time.Second
	readTimeout        = 10 * time.Second // of a handler that only reads
)

// Server is the API as an http.Handler. Safe for concurrent use.
type Server struct {
	cfg    Config
	mux    *http.ServeMux
	origin *http.CrossOriginProtection
	ids    domain.IDs
	hub    *hub
	ends   context.Context // until Close
	end    context.CancelFunc
	spec   func() (spec, error) // built at the first request for it
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if _, err := docsTemplate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.BodyTimeout <= 0 {
		cfg.BodyTimeout = defaultBodyTimeout
	}
	cfg.PublicURL = strings.TrimSuffix(cfg.PublicURL, "/")
	s := &Server{cfg: cfg, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(), hub: newHub(cfg.Events, cfg.Streams, cfg.Log)}
	s.ends, s.end = context.WithCancel(context.Background())
	s.spec = sync.OnceValues(func() (spec, error) { return newSpec(cfg.Version) })
	s.register(routes())
	return s, nil
}

// Close ends what would outlive a graceful stop: the event streams, for whose
// feed it waits, and those who wait for something, who are answered at once
// with what is known. Other requests are answered as before.
func (s *Server) Close() {
	s.end()
	s.hub.close()
}

// patience ends after d, when the caller is gone, and when the server closes.
func (s *Server) patience(r *request, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), d)
	unhook := context.AfterFunc(s.ends, cancel)
	return ctx, func() { unhook(); cancel() }
}

// HTTPServer returns a server for the main listener with the limits on slow
// and large headers set. Bodies have their own, per route; answers have none,
// because of event streams.
func HTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    12 << 10, // net/http adds 4 KiB
	}
}

// knownMethods are those that have a handler on every path: the route, or the
// 405 with Allow.
var knownMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// register puts every route into the mux, and for every path the answers to
// other methods.
func (s *Server) register(table []route) {
	allowed := map[string][]string{}
	for i := range table {
		r := &table[i]
		s.mux.Handle(r.method+" "+r.path, s.serve(r))
		allowed[r.path] = append(allowed[r.path], r.method)
		if r.method == http.MethodGet {
			allowed[r.path] = append(allowed[r.path], http.MethodHead)
		}
	}
	for path, methods := range allowed {
		allow := strings.Join(methods, ", ")
		refuse := s.serve(&route{path: path, public: true, handle: func(_ *Server, w http.ResponseWriter, _ *request) error {
			w.Header().Set("Allow", allow)
			return &domain.Error{Code: domain.CodeMethodNotAllowed, Args: []any{allow}, Detail: "this path knows " + allow}
		}})
		// One pattern per method: a pattern for all methods would conflict with
		// "GET /v1/messages/{id}" on "/v1/messages/batch".
		for _, m := range knownMethods {
			if !slices.Contains(methods, m) {
				s.mux.Handle(m+" "+path, refuse)
			}
		}
	}
	fallback := s.cfg.Fallback
	if fallback == nil {
		fallback = s.serve(&route{path: "/", public: true, handle: notFound})
	}
	s.mux.Handle("/", fallback)
	s.mux.Handle("/v1/", s.serve(&route{path: "/v1/", public: true, handle: notFound}))
}

func notFound(*Server, http.ResponseWriter, *request) error {
	return &domain.Error{Code: domain.CodeNotFound}
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	boundRest(w, r)
	if r.URL.Path == "" { // CONNECT, or a URL that ends with its host: the mux would redirect
		r = withPath(r, "/")
	}
	if p := r.URL.Path; strings.Contains(p, "//") || strings.Contains(p, "/.") {
		if strings.HasPrefix(p, "/v1/") || strings.HasPrefix(p, "//") {
			// The mux would redirect; a call with a body must not be moved.
			s.serve(&route{path: "/", public: true, handle: notFound}).ServeHTTP(w, r)
			return
		}
	}
	if !slices.Contains(knownMethods, r.Method) {
		// No route takes OPTIONS, so that its answer on a path is the refusal
		// that names the path's methods, or that there is no such path.
		probe := *r
		probe.Method = http.MethodOptions
		h, _ := s.mux.Handler(&probe)
		h.ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// withPath is r with another path.
func withPath(r *http.Request, path string) *http.Request {
	out, u := *r, *r.URL
	u.Path = path
	out.URL = &u
	return &out
}

// request is a request with what the edge knows of it.
type request struct {
	*http.Request
	route   *route
	reading bool // of the body has begun
	id      string
	caller  domain.Caller
	query   query
	lang    i18n.Lang // empty: not looked at yet
}

func (r *request) language() i18n.Lang {
	if r.lang == "" {
		r.lang = i18n.Choose(r.Header.Get("Accept-Language"))
	}
	return r.lang
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

var (
	nosniff    = []string{"nosniff"}
	noStore    = []string{"no-store"}
	noReferrer = []string{"no-referrer"}
	lockedDown = []string{"default-src 'none'; frame-ancestors 'none'"}
)

// serve wraps a route: it names the request, keeps panics in, checks who asks,
// answers errors, logs one line and counts.
func (s *Server) serve(rt *route) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, hr *http.Request) {
		start := time.Now()
		w := &recorder{ResponseWriter: rw}
		r := &request{Request: hr, route: rt, id: requestID(hr, &s.ids)}
		h := w.Header()
		h["X-Request-Id"] = []string{r.id}
		h["X-Content-Type-Options"] = nosniff
		h["Cache-Control"] = noStore
		h["Referrer-Policy"] = noReferrer
		h["Content-Security-Policy"] = lockedDown

		err := s.call(w, r)
		if err != nil && w.status == 0 {
			s.fail(w, r, err)
		}
		s.note(r, w, err, time.Since(start))
		boundRest(w, hr)
		if err != nil && hr.ContentLength != 0 {
			s.drain(w, r)
		}
	})
}

// call runs the checks and the handler; a panic becomes an error.
func (s *Server) call(w *recorder, r *request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
				panic(p)
			}
			s.cfg.Log.Error("panic in a handler", "request_id", r.id, "route", r.route.path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = &domain.Error{Code: domain.CodeInternal, Err: errors.New("panic")}
		}
	}()
	if err := keyInURL(r.URL); err != nil {
		return err
	}
	if err := s.origin.Check(r.Request); err != nil {
		return &domain.Error{Code: domain.CodeForbidden, Detail: "a page of another origin may not send this request", Err: err}
	}
	if !r.route.public {
		if err := s.authorize(w, r); err != nil {
			return err
		}
		if r.URL.RawQuery != "" {
			if err := r.readQuery(); err != nil {
				return err
			}
		}
	}
	return r.route.handle(s, w, r)
}

// errNoService answers for a part that is not there.
var errNoService error = &domain.Error{Code: domain.CodeUnavailable, Detail: "this part of the gateway is not running"}

// note logs and counts a request.
func (s *Server) note(r *request, w *recorder, err error, took time.Duration) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if s.cfg.Meter != nil {
		s.cfg.Meter.Request(r.route.path, knownMethod(r.Method), w.status, took)
	}
	level := slog.LevelInfo
	switch {
	case w.status == http.StatusInternalServerError:
		level = slog.LevelError
	case w.status > http.StatusInternalServerError: // busy, stopping, full: said often, and nobody's bug
		level = slog.LevelWarn
	case r.route.quiet:
		level = slog.LevelDebug
	}
	if !s.cfg.Log.Enabled(r.Context(), level) {
		return
	}
	path := cut(r.URL.Path, 300)
	if strings.Contains(r.route.path, "{token}") {
		path = r.route.path
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", path), slog.Int("status", w.status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.Int64("bytes", w.bytes), slog.String("request_id", r.id),
		slog.String("remote", r.RemoteAddr),
	}
	if r.caller.KeyID != "" {
		attrs = append(attrs, slog.String("key_id", r.caller.KeyID))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.cfg.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// knownMethod keeps strangers' words out of the metrics.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete:
		return m
	default:
		return "other"
	}
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
