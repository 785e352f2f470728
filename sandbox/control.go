package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxControlBody = 256 << 10

func (s *Server) controlRoutes(m *http.ServeMux) {
	route := func(pattern string, h func(r *http.Request) (any, error)) {
		m.Handle(pattern, s.guard.Handler(control(h)))
	}
	route("GET /sandbox/api/info", s.apiInfo)
	route("GET /sandbox/api/counts", func(*http.Request) (any, error) { return s.Counts(), nil })
	route("GET /sandbox/api/ledger", s.apiLedger)
	route("GET /sandbox/api/calls", s.apiCalls)
	route("GET /sandbox/api/members", s.apiMembers)
	route("PUT /sandbox/api/members", put(s.PutMember))
	route("GET /sandbox/api/apps", func(*http.Request) (any, error) { return items(s.Apps()), nil })
	route("PUT /sandbox/api/apps", put(s.PutApp))
	route("GET /sandbox/api/robots", func(*http.Request) (any, error) { return items(s.Robots()), nil })
	route("PUT /sandbox/api/robots", put(s.PutRobot))
	route("GET /sandbox/api/chats", func(*http.Request) (any, error) { return items(s.Chats()), nil })
	route("PUT /sandbox/api/chats", put(s.PutChat))
	route("GET /sandbox/api/faults", func(*http.Request) (any, error) { return items(s.Faults()), nil })
	route("PUT /sandbox/api/faults", s.apiSetFaults)
	route("POST /sandbox/api/faults", s.apiAddFault)
	route("DELETE /sandbox/api/faults/{id}", s.apiRemoveFault)
	route("DELETE /sandbox/api/faults", func(*http.Request) (any, error) { return items([]Fault{}), s.SetFaults() })
	route("GET /sandbox/api/clock", s.apiClock)
	route("POST /sandbox/api/clock", s.apiMoveClock)
	route("POST /sandbox/api/tokens/expire", s.apiExpireTokens)
	route("POST /sandbox/api/reset", func(*http.Request) (any, error) { s.Reset(); return s.Counts(), nil })
}

type list[T any] struct {
	Items []T `json:"items"`
}

func items[T any](v []T) list[T] {
	if v == nil {
		v = []T{}
	}
	return list[T]{v}
}

// control answers with JSON: 200 and what h returns, or 400 and {"error"}.
func control(h func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := h(r)
		code := http.StatusOK
		if err != nil {
			code = http.StatusBadRequest
			if errors.Is(err, errNotFound) {
				code = http.StatusNotFound
			}
			v = map[string]string{"error": err.Error()}
		}
		body := encode(v)
		head := w.Header()
		head.Set("Content-Type", "application/json; charset=utf-8")
		head.Set("Cache-Control", "no-store")
		head.Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(code)
		_, _ = w.Write(body)
	})
}

var errNotFound = errors.New("not found")

// readControl decodes a strict JSON body; an empty one leaves v as it is.
func readControl(r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxControlBody))
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if len(body) == 0 {
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	return nil
}

func (s *Server) apiInfo(*http.Request) (any, error) {
	apps, robots := s.Apps(), s.Robots()
	return struct {
		CorpID          string    `json:"corpid"`
		Apps            []App     `json:"apps"`
		Robots          []Robot   `json:"robots"`
		Now             time.Time `json:"now"`
		MemberPerMinute int       `json:"member_per_minute"`
		MemberPerHour   int       `json:"member_per_hour"`
		Window          Window    `json:"window"`
		NoOp            bool      `json:"no_op"`
	}{s.opt.CorpID, apps, robots, s.Now(), s.opt.MemberPerMinute, s.opt.MemberPerHour, s.opt.Window, s.opt.NoOp}, nil
}

// apiLedger takes after (id), one of user, robot and chat, and limit (default and most 1000). Without
// after it gives the newest.
func (s *Server) apiLedger(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit, err := number(q.Get("limit"), 1000)
	if err != nil {
		return nil, err
	}
	after, err := number(q.Get("after"), 0)
	if err != nil {
		return nil, err
	}
	limit = min(max(limit, 1), 1000)
	where := placeOf(q, "user")
	s.mu.Lock()
	defer s.mu.Unlock()
	var page []Entry
	if q.Has("after") {
		for i := range s.ledger.entries {
			if e := &s.ledger.entries[i]; e.ID > after && where.has(e) {
				if page = append(page, *e); len(page) == int(limit) {
					break
				}
			}
		}
	} else {
		page = s.ledger.after(0, where, int(limit))
	}
	return struct {
		list[Entry]
		Total int64 `json:"total"`
	}{items(page), s.ledger.last}, nil
}

func (s *Server) apiCalls(r *http.Request) (any, error) {
	limit, err := number(r.URL.Query().Get("limit"), maxCalls)
	if err != nil {
		return nil, err
	}
	calls := s.Calls()
	return items(calls[max(0, len(calls)-int(max(limit, 0))):]), nil
}

func number(text string, def int64) (int64, error) {
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("not a number: %q", text)
	}
	return n, nil
}

// Members returns the directory's members in the order they were added.
func (s *Server) Members() []Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dir.list()
}

const maxMembers = 10_000

// PutMember adds a member or replaces the one of that userid.
func (s *Server) PutMember(m Member) error {
	if m.ID == "" || len(m.ID) > 64 || strings.ContainsAny(m.ID, "| \t\n") {
		return fmt.Errorf("member id %q: 1 to 64 bytes without white space and bars", m.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.dir.members[strings.ToLower(m.ID)]; !known && len(s.dir.order) >= maxMembers {
		return fmt.Errorf("more than %d members", maxMembers)
	}
	s.dir.put(m)
	s.wake()
	return nil
}

// Apps returns the corp's apps.
func (s *Server) Apps() []App {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.apps)
}

// PutApp adds an app or replaces the one of that agentid. A new secret kills
// the tokens of the old one.
func (s *Server) PutApp(a App) error {
	if a.AgentID <= 0 || a.Secret == "" {
		return errors.New("app needs an agentid and a secret")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.app(a.AgentID)
	if old == nil {
		if len(s.apps) >= 300 {
			return errors.New("more than 300 apps")
		}
		s.apps = append(s.apps, a)
		return nil
	}
	if old.Secret != a.Secret {
		for _, t := range s.tokens {
			if t.agent == a.AgentID && t.dead == 0 {
				t.dead = codeInvalidToken
			}
		}
	}
	*old = a
	return nil
}

func (s *Server) apiMembers(*http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	departments := make([]Department, 0, len(s.dir.parties))
	for _, p := range s.dir.parties {
		departments = append(departments, p)
	}
	slices.SortFunc(departments, func(a, b Department) int { return a.ID - b.ID })
	tags := make([]Tag, 0, len(s.dir.tags))
	for _, t := range s.dir.tags {
		tags = append(tags, t)
	}
	slices.SortFunc(tags, func(a, b Tag) int { return a.ID - b.ID })
	return struct {
		list[Member]
		Departments []Department `json:"departments"`
		Tags        []Tag        `json:"tags"`
	}{items(s.dir.list()), departments, tags}, nil
}

// put reads one thing, stores it and answers with it.
func put[T any](store func(T) error) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var v T
		if err := readControl(r, &v); err != nil {
			return nil, err
		}
		return v, store(v)
	}
}

// apiSetFaults takes the list itself or {"items": […]}.
func (s *Server) apiSetFaults(r *http.Request) (any, error) {
	var raw json.RawMessage
	if err := readControl(r, &raw); err != nil {
		return nil, err
	}
	var faults []Fault
	if len(raw) > 0 && raw[0] == '{' {
		var l list[Fault]
		if err := strict(raw, &l); err != nil {
			return nil, err
		}
		faults = l.Items
	} else if err := strict(raw, &faults); err != nil {
		return nil, err
	}
	if err := s.SetFaults(faults...); err != nil {
		return nil, err
	}
	return items(s.Faults()), nil
}

func strict(raw json.RawMessage, v any) error {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("read faults: %w", err)
	}
	return nil
}

func (s *Server) apiAddFault(r *http.Request) (any, error) {
	var f Fault
	if err := readControl(r, &f); err != nil {
		return nil, err
	}
	id, err := s.AddFault(f)
	f.ID = id
	return f, err
}

func (s *Server) apiRemoveFault(r *http.Request) (any, error) {
	if !s.RemoveFault(r.PathValue("id")) {
		return nil, errNotFound
	}
	return items(s.Faults()), nil
}

type clock struct {
	Now    time.Time `json:"now"`
	Offset Duration  `json:"offset"`
}

func (s *Server) apiClock(*http.Request) (any, error) {
	return clock{s.Now(), Duration(s.offset.Load())}, nil
}

// apiMoveClock takes one of advance (a duration), set (a time) and reset.
func (s *Server) apiMoveClock(r *http.Request) (any, error) {
	var b struct {
		Advance Duration   `json:"advance"`
		Set     *time.Time `json:"set"`
		Reset   bool       `json:"reset"`
	}
	if err := readControl(r, &b); err != nil {
		return nil, err
	}
	switch {
	case b.Reset:
		s.offset.Store(0)
	case b.Set != nil:
		s.offset.Store(int64(b.Set.Sub(s.opt.Now())))
	default:
		s.AdvanceClock(time.Duration(b.Advance))
	}
	return s.apiClock(r)
}

func (s *Server) apiExpireTokens(r *http.Request) (any, error) {
	var b struct {
		Errcode int `json:"errcode"`
	}
	if err := readControl(r, &b); err != nil {
		return nil, err
	}
	return map[string]int{"expired": s.ExpireTokens(b.Errcode)}, nil
}
