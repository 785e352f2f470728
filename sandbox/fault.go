package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Match says which calls a fault touches. Empty fields match everything.
type Match struct {
	// Op is one of the Op constants.
	Op string `json:"op,omitempty"`
	// User is a userid in touser, compared without regard to case.
	User string `json:"user,omitempty"`
	// Group is the name of a robot or the id of a group chat.
	Group string `json:"group,omitempty"`
	// Kind is a msgtype, or the type of a media upload.
	Kind string `json:"kind,omitempty"`
}

// The moments and manners of a fault.
const (
	Before = "before" // WeCom has not taken the message
	After  = "after"  // WeCom has it, only the answer is spoilt

	Hang  = "hang"  // no answer until the caller gives up, MaxHang at most
	Reset = "reset" // the connection is reset
)

// Fault is something that goes wrong on purpose. Latency combines with all;
// of the others exactly one, or none, may be set.
type Fault struct {
	// ID is given by SetFaults when empty; a fault set under the id of a
	// standing one replaces it.
	ID    string `json:"id"`
	Match Match  `json:"match"`
	// Probability in (0,1]; 0 means always.
	Probability float64 `json:"probability,omitempty"`
	// Next ends the fault after that many calls; 0 means it stays.
	Next int `json:"next,omitempty"`
	// For ends it after that time of the sandbox's clock; 0 means it stays.
	For Duration `json:"for,omitempty"`
	// When is Before (default) or After.
	When string `json:"when,omitempty"`

	// Errcode answers a WeCom error; Errmsg replaces its usual text.
	Errcode int    `json:"errcode,omitempty"`
	Errmsg  string `json:"errmsg,omitempty"`
	// HTTPStatus answers that status with an HTML page; Location goes with 3xx.
	HTTPStatus int    `json:"http_status,omitempty"`
	Location   string `json:"location,omitempty"`
	// Drop is Hang or Reset.
	Drop string `json:"drop,omitempty"`
	// Truncate cuts the true answer to that many bytes. Always After.
	Truncate int `json:"truncate,omitempty"`
	// HTML answers 200 with a captive portal's page instead of JSON.
	HTML bool `json:"html,omitempty"`
	// Empty answers 200 with no body.
	Empty bool `json:"empty,omitempty"`
	// Latency delays the taking (Before) or only the answer (After).
	Latency Duration `json:"latency,omitempty"`
}

// Duration is a time.Duration that JSON writes as "1.5s" and also reads as
// milliseconds.
type Duration time.Duration

// MarshalJSON writes the duration as Go prints it.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads "1.5s" or a number of milliseconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var ms float64
	if json.Unmarshal(b, &ms) == nil {
		*d = Duration(ms * float64(time.Millisecond))
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("duration: %w", err)
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("duration: %w", err)
	}
	*d = Duration(v)
	return nil
}

// Validate says what is wrong with the fault, or nil.
func (f Fault) Validate() error {
	kinds := 0
	for _, set := range []bool{f.Errcode != 0, f.HTTPStatus != 0, f.Drop != "", f.Truncate != 0, f.HTML, f.Empty} {
		if set {
			kinds++
		}
	}
	switch {
	case f.Match.Op != "" && !slices.Contains(operations, f.Match.Op):
		return fmt.Errorf("fault %q: no operation %q: use one of %s, or leave it out for all", f.ID, f.Match.Op, strings.Join(operations, ", "))
	case kinds > 1:
		return fmt.Errorf("fault %q: only one of errcode, http_status, drop, truncate, html, empty", f.ID)
	case kinds == 0 && f.Latency <= 0:
		return fmt.Errorf("fault %q: does nothing", f.ID)
	case f.Probability < 0 || f.Probability > 1:
		return fmt.Errorf("fault %q: probability must be within 0 and 1", f.ID)
	case f.Next < 0 || f.For < 0 || f.Latency < 0 || f.Truncate < 0:
		return fmt.Errorf("fault %q: negative number", f.ID)
	case time.Duration(f.Latency) > 10*time.Minute:
		return fmt.Errorf("fault %q: latency over 10 minutes", f.ID)
	case f.When != "" && f.When != Before && f.When != After:
		return fmt.Errorf("fault %q: when must be before or after", f.ID)
	case f.Drop != "" && f.Drop != Hang && f.Drop != Reset:
		return fmt.Errorf("fault %q: drop must be hang or reset", f.ID)
	case f.HTTPStatus != 0 && (f.HTTPStatus < 200 || f.HTTPStatus > 599):
		return fmt.Errorf("fault %q: http_status must be within 200 and 599", f.ID)
	}
	return nil
}

func (f *Fault) after() bool { return f.When == After || f.Truncate > 0 }

func (f *Fault) ends() bool {
	return f.Errcode != 0 || f.HTTPStatus != 0 || f.Drop != "" || f.Truncate != 0 || f.HTML || f.Empty
}

func (f *Fault) label() string {
	when := Before
	if f.after() {
		when = After
	}
	switch {
	case f.Errcode != 0:
		return fmt.Sprintf("errcode=%d %s", f.Errcode, when)
	case f.HTTPStatus != 0:
		return fmt.Sprintf("http=%d %s", f.HTTPStatus, when)
	case f.Drop != "":
		return f.Drop + " " + when
	case f.Truncate != 0:
		return "truncate"
	case f.HTML:
		return "html " + when
	case f.Empty:
		return "empty " + when
	default:
		return "latency=" + time.Duration(f.Latency).String()
	}
}

type armedFault struct {
	Fault
	until time.Time // zero: no end
}

// MaxFaults is how many faults may stand at once.
const MaxFaults = 64

// SetFaults replaces the standing faults. Nothing changes when one is invalid.
// They are tried in order: latencies add up, the first other effect wins.
func (s *Server) SetFaults(faults ...Fault) error {
	if len(faults) > MaxFaults {
		return fmt.Errorf("more than %d faults", MaxFaults)
	}
	for _, f := range faults {
		if err := f.Validate(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	for _, f := range faults {
		s.arm(f)
	}
	s.wake()
	return nil
}

// AddFault adds a fault to the standing ones, or replaces the one of its id,
// and returns its id.
func (s *Server) AddFault(f Fault) (string, error) {
	if err := f.Validate(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disarm(f.ID)
	if len(s.faults) >= MaxFaults {
		return "", fmt.Errorf("more than %d faults", MaxFaults)
	}
	defer s.wake()
	return s.arm(f), nil
}

// RemoveFault ends the fault of that id and reports whether it stood.
func (s *Server) RemoveFault(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.wake()
	return s.disarm(id)
}

// Faults returns the standing faults with what is left of Next.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standingFaults()
}

func (s *Server) standingFaults() []Fault {
	now := s.Now()
	out := []Fault{}
	for _, f := range s.faults {
		if f.until.IsZero() || now.Before(f.until) {
			out = append(out, f.Fault)
		}
	}
	return out
}

func (s *Server) arm(f Fault) string {
	if f.ID == "" {
		s.faultID++
		f.ID = "fault-" + itoa(s.faultID)
	}
	a := armedFault{Fault: f}
	if f.For > 0 {
		a.until = s.Now().Add(time.Duration(f.For))
	}
	s.faults = append(s.faults, a)
	return f.ID
}

func (s *Server) disarm(id string) bool {
	for i := range s.faults {
		if id != "" && s.faults[i].ID == id {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			return true
		}
	}
	return false
}

// struck is what the standing faults do to one call.
type struck struct {
	before, afterwards time.Duration
	out                *Fault
	label              string
}

// pickFault rolls the dice for c and uses up what is counted.
func (s *Server) pickFault(c *call) struck {
	var hit struck
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 {
		return hit
	}
	now := s.Now()
	var labels []string
	var spent []string
	for i := range s.faults {
		f := &s.faults[i]
		switch {
		case !f.until.IsZero() && !now.Before(f.until):
			spent = append(spent, f.ID)
			continue
		case !f.Match.matches(c), hit.out != nil && f.ends(), f.Probability > 0 && s.dice.Float64() >= f.Probability:
			continue
		}
		if f.after() {
			hit.afterwards += time.Duration(f.Latency)
		} else {
			hit.before += time.Duration(f.Latency)
		}
		if f.ends() {
			one := f.Fault
			hit.out = &one
		}
		labels = append(labels, f.label())
		if f.Next > 0 {
			if f.Next--; f.Next == 0 {
				spent = append(spent, f.ID)
			}
		}
	}
	for _, id := range spent {
		s.disarm(id)
	}
	hit.label = strings.Join(labels, ", ")
	return hit
}

func (m Match) matches(c *call) bool {
	if m.Op != "" && m.Op != c.op {
		return false
	}
	if m.Group != "" && m.Group != c.group {
		return false
	}
	if m.Kind != "" && m.Kind != c.kind {
		return false
	}
	if m.User == "" {
		return true
	}
	for _, u := range splitList(c.env.ToUser) {
		if strings.EqualFold(u, m.User) {
			return true
		}
	}
	return false
}
