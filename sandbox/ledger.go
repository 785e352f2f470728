package sandbox

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Entry is one message that WeCom took. Taken is not delivered: Users got it,
// Dropped were over their silent limit, and a Duplicate reached nobody. Who
// reads what a robot says is not known: such an entry has no users.
type Entry struct {
	// ID counts from 1 and has no gaps.
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Op      string    `json:"op"`
	AgentID int64     `json:"agentid"`
	Kind    string    `json:"kind"`
	MsgID   string    `json:"msgid"`
	To      Receivers `json:"to"`
	// Robot is the name of the robot that said it, Chat the group chat it is in.
	Robot string `json:"robot,omitempty"`
	Chat  string `json:"chat,omitempty"`
	// Users are the members whose phone shows it, departments and tags
	// resolved, as the directory spells them.
	Users   []string `json:"users"`
	Dropped []string `json:"dropped,omitempty"`
	// The receivers named in the answer, bar-joined.
	InvalidUser    string `json:"invaliduser,omitempty"`
	InvalidParty   string `json:"invalidparty,omitempty"`
	InvalidTag     string `json:"invalidtag,omitempty"`
	UnlicensedUser string `json:"unlicenseduser,omitempty"`
	Duplicate      bool   `json:"duplicate,omitempty"`
	Safe           bool   `json:"safe,omitempty"`
	// Warning says that the body was not clean JSON and was taken in part.
	Warning bool `json:"warning,omitempty"`
	// BodySHA256 is of the request's bytes, in hex.
	BodySHA256 string `json:"body_sha256"`
	BodyBytes  int    `json:"body_bytes"`
	// Content is the kind's object as the phone shows it; Cut names the
	// fields that WeCom cut.
	Content      json.RawMessage `json:"content"`
	Cut          []string        `json:"cut,omitempty"`
	ResponseCode string          `json:"response_code,omitempty"`
	// Fault says what spoiled the answer, if anything did.
	Fault string `json:"fault,omitempty"`
}

// Receivers are the receiver fields of a request as given.
type Receivers struct {
	Users   string `json:"touser,omitempty"`
	Parties string `json:"toparty,omitempty"`
	Tags    string `json:"totag,omitempty"`
}

func (e *Entry) cost() int {
	return 512 + len(e.Content) + 24*(len(e.Users)+len(e.Dropped)) +
		len(e.To.Users) + len(e.To.Parties) + len(e.To.Tags) + len(e.InvalidUser)
}

// reached reports whether it stands in the app's conversation with user;
// groups are conversations of their own.
func (e *Entry) reached(user string) bool {
	return e.Robot == "" && e.Chat == "" && slices.ContainsFunc(e.Users, func(u string) bool { return strings.EqualFold(u, user) })
}

// ledger keeps the newest entries within two bounds.
type ledger struct {
	entries []Entry
	last    int64 // id of the newest entry ever
	size    int   // most entries
	bytes   int   // most bytes
	used    int
}

func newLedger(size, bytes int) *ledger { return &ledger{size: max(size, 1), bytes: max(bytes, 1)} }

func (l *ledger) add(e Entry) int64 {
	l.last++
	e.ID = l.last
	l.entries = append(l.entries, e)
	l.used += e.cost()
	drop := 0
	for len(l.entries)-drop > l.size || (l.used > l.bytes && len(l.entries)-drop > 1) {
		l.used -= l.entries[drop].cost()
		l.entries[drop] = Entry{}
		drop++
	}
	l.entries = l.entries[drop:]
	return e.ID
}

// place is one conversation: of a member with the app, of a robot, of a chat.
// The zero value is all of them.
type place struct{ user, robot, chat string }

func (p place) has(e *Entry) bool {
	switch {
	case p.user != "":
		return e.reached(p.user)
	case p.robot != "":
		return e.Robot == p.robot
	default:
		return p.chat == "" || e.Chat == p.chat
	}
}

func placeOf(q url.Values, user string) place {
	return place{q.Get(user), q.Get("robot"), q.Get("chat")}
}

// after returns up to limit entries of a place with an id above id, the newest
// ones when there are more, oldest first.
func (l *ledger) after(id int64, p place, limit int) []Entry {
	var out []Entry
	for i := len(l.entries) - 1; i >= 0 && len(out) < limit && l.entries[i].ID > id; i-- {
		if p.has(&l.entries[i]) {
			out = append(out, l.entries[i])
		}
	}
	slices.Reverse(out)
	return out
}

// Ledger returns what WeCom took, oldest first, as far as it is still kept
// (Options.LedgerSize).
func (s *Server) Ledger() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ledger.entries)
}

// Inbox returns the newest limit entries that user's phone shows in the
// conversation with the app, oldest first. Groups are not among them.
func (s *Server) Inbox(user string, limit int) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.after(0, place{user: user}, limit)
}

// Counts are totals since New or Reset. They outlive the ledger's ring.
type Counts struct {
	GetToken   int64            `json:"gettoken"`
	Send       int64            `json:"send"`       // message/send calls, whatever came of them
	Taken      int64            `json:"taken"`      // ledger entries ever
	Delivered  int64            `json:"delivered"`  // member × message
	Dropped    int64            `json:"dropped"`    // silently, member × message
	Duplicates int64            `json:"duplicates"` // suppressed by the duplicate check
	Faults     int64            `json:"faults"`     // calls that a fault touched
	MaxFlying  int64            `json:"max_flying"` // most message/send calls at once
	ByErrcode  map[int]int64    `json:"by_errcode"` // answers given, faults that end without one not counted
	ByOp       map[string]int64 `json:"by_op"`
}

func newCounts() Counts { return Counts{ByErrcode: map[int]int64{}, ByOp: map[string]int64{}} }

// Counts returns the totals. With Options.NoOp the sends are counted as taken.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.countsLocked()
}

func (s *Server) countsLocked() Counts {
	c := s.counts
	c.ByErrcode, c.ByOp = maps.Clone(c.ByErrcode), maps.Clone(c.ByOp)
	c.Taken = s.ledger.last
	if n, bad := s.noOpSends.Load(), s.noOpRefused.Load(); n+bad > 0 {
		c.Taken += n
		c.Send += n + bad
		c.ByOp[OpSend] += n + bad
		c.ByErrcode[0] += n
		c.ByErrcode[codeMissingToken] += bad
	}
	return c
}

// Call is one request to a WeCom route, refused ones included.
type Call struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Op      string    `json:"op"`
	AgentID int64     `json:"agentid,omitempty"`
	IP      string    `json:"ip"`
	Kind    string    `json:"kind,omitempty"`
	To      string    `json:"to,omitempty"`
	Errcode int       `json:"errcode"`
	// Entry is the ledger id of what was taken, 0 when nothing was.
	Entry int64 `json:"entry,omitempty"`
	// Dropped members did not get it, and the answer did not say so.
	Dropped   int    `json:"dropped,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
	Fault     string `json:"fault,omitempty"`
}

const maxCalls = 2000

// callLog keeps the newest calls.
type callLog struct {
	calls []Call
	last  int64
}

func newCallLog() *callLog { return &callLog{} }

// Calls returns the newest calls (at most 2,000), oldest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls.calls)
}

// logCall counts a call and its errcode, if the caller is told one.
func (s *Server) logCall(c *call, errcode int, told bool) {
	to := orText(c.group, strings.TrimSpace(c.env.ToUser+" "+c.env.ToParty+" "+c.env.ToTag))
	if len(to) > 120 {
		to = strings.ToValidUTF8(to[:120], "") + "…"
	}
	kind := c.kind
	if len(kind) > 40 {
		kind = strings.ToValidUTF8(kind[:40], "") + "…"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.calls
	l.last++
	l.calls = append(l.calls, Call{
		ID: l.last, At: s.Now(), Op: c.op, AgentID: c.agent, IP: c.ip, Kind: kind,
		To: to, Errcode: errcode, Entry: c.entry, Dropped: c.dropped, Duplicate: c.duplicate, Fault: c.fault,
	})
	if len(l.calls) > maxCalls {
		l.calls = l.calls[len(l.calls)-maxCalls:]
	}
	s.counts.ByOp[c.op]++
	if told {
		s.counts.ByErrcode[errcode]++
	}
	switch c.op {
	case OpGetToken:
		s.counts.GetToken++
	case OpSend:
		s.counts.Send++
		s.counts.MaxFlying = max(s.counts.MaxFlying, c.flying)
	}
	if c.fault != "" {
		s.counts.Faults++
	}
	s.wake()
}
