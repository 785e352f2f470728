package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const maxDuplicateInterval = 14400

type sendBody struct {
	status
	lists
	MsgID        string `json:"msgid,omitempty"`
	ResponseCode string `json:"response_code,omitempty"`
}

// audience is who a call reaches, and who it names in vain.
type audience struct {
	lists
	users []string
}

// send is message/send: the checks in WeCom's order, then the taking.
func (s *Server) send(c *call) response {
	now := s.Now()
	e := &c.env
	s.mu.Lock()
	defer s.mu.Unlock()
	app, no := s.authorize(c, now)
	if no == nil {
		no = s.checkRate(c, app, now)
	}
	if no == nil {
		no = checkRequest(c)
	}
	if no == nil {
		no = checkAgent(e.agentID, app)
	}
	var shown content
	if no == nil {
		shown, no = s.checkContent(e, app, now)
	}
	var to audience
	if no == nil {
		to, no = s.address(app, e)
	}
	if no == nil {
		no = s.spend(app.AgentID, len(to.users), now)
	}
	if no != nil {
		return s.refused(no, c.ip, e.warn || shown.warn)
	}
	return s.take(c, app, shown, to, now)
}

func checkRequest(c *call) *refusal {
	switch {
	case c.tooBig:
		return refuseText(codeBodyTooLarge, "request body too large")
	case c.r.Method != http.MethodPost:
		return refuse(codeInvalidParam)
	}
	return nil
}

// address resolves the receivers.
func (s *Server) address(app App, e *envelope) (audience, *refusal) {
	users, parties, tags := splitList(e.ToUser), splitList(e.ToParty), splitList(e.ToTag)
	switch {
	case len(users)+len(parties)+len(tags) == 0:
		return audience{}, refuse(s.opt.NoReceiverErrcode)
	case len(users) > maxUsers:
		return audience{}, refuse(codeTooManyUsers)
	case len(parties) > maxParties:
		return audience{}, refuse(codeTooManyParties)
	case len(tags) > maxTags:
		return audience{}, refuse(codeTooManyTags)
	}
	a := &addressing{app: app, dir: s.dir, seen: map[string]bool{}}
	if len(users) == 1 && users[0] == "@all" {
		if e.MsgType == "miniprogram_notice" {
			return audience{}, refuseText(codeInvalidParam, "touser @all not allowed. invalid Request Parameter")
		}
		for _, m := range s.dir.list() {
			a.add(m)
		}
	} else {
		for _, u := range users {
			s.addUser(a, u)
		}
		for _, p := range parties {
			a.addParty(p)
		}
		for _, t := range tags {
			a.addTag(t)
		}
	}
	out := audience{users: a.users, lists: lists{
		InvalidUser:    strings.Join(a.badUsers, "|"),
		InvalidParty:   strings.Join(a.badParties, "|"),
		InvalidTag:     strings.Join(a.badTags, "|"),
		UnlicensedUser: strings.Join(a.unlicensed, "|"),
	}}
	if !a.found && !s.opt.AllInvalidOK {
		r := refuse(codeAllInvalid)
		r.lists = out.lists
		return audience{}, r
	}
	return out, nil
}

type addressing struct {
	app                                       App
	dir                                       *directory
	seen                                      map[string]bool
	users                                     []string
	badUsers, badParties, badTags, unlicensed []string
	found                                     bool // any receiver is valid, even an empty department
}

func (a *addressing) add(m Member) {
	key := strings.ToLower(m.ID)
	if m.Status != StatusActive || a.seen[key] || !a.dir.seesMember(a.app, m) {
		return
	}
	a.seen[key] = true
	if m.Unlicensed {
		a.unlicensed = append(a.unlicensed, key)
		return
	}
	a.found = true
	a.users = append(a.users, m.ID)
}

func (s *Server) addUser(a *addressing, id string) {
	key := strings.ToLower(id)
	m, ok := a.dir.members[key]
	if !ok && s.opt.MembersPattern != nil && s.opt.MembersPattern.MatchString(id) {
		m, ok = Member{ID: id, Status: StatusActive}, true
	}
	if !ok || m.Status != StatusActive || !a.dir.seesMember(a.app, m) {
		if !a.seen[key] {
			a.seen[key] = true
			a.badUsers = append(a.badUsers, key)
		}
		return
	}
	a.add(m)
}

func (a *addressing) addParty(id string) {
	if p, ok := a.dir.parties[id]; !ok || !a.dir.seesParty(a.app, p.ID) {
		a.badParties = append(a.badParties, id)
		return
	}
	a.found = true
	for _, m := range a.dir.list() {
		if a.dir.inParty(m, id) {
			a.add(m)
		}
	}
}

func (a *addressing) addTag(id string) {
	t, ok := a.dir.tags[id]
	if !ok {
		a.badTags = append(a.badTags, id)
		return
	}
	a.found = true
	for _, m := range a.dir.list() {
		if a.dir.inTag(m, t) {
			a.add(m)
		}
	}
}

// take is the moment a message becomes WeCom's: the duplicate check, the
// silent limits, the ledger.
func (s *Server) take(c *call, app App, shown content, to audience, now time.Time) response {
	e := &c.env
	entry := c.newEntry(shown, now)
	entry.AgentID, entry.To, entry.Safe = app.AgentID, Receivers{e.ToUser, e.ToParty, e.ToTag}, e.safe != 0
	entry.InvalidUser, entry.InvalidParty, entry.InvalidTag, entry.UnlicensedUser = to.InvalidUser, to.InvalidParty, to.InvalidTag, to.UnlicensedUser
	entry.MsgID = s.randomText(88)
	if shown.answers {
		entry.ResponseCode = s.randomText(64)
	}
	if e.check == 1 {
		if first, dup := s.seen.check(s.duplicateKey(app.AgentID, c.body), entry.MsgID, interval(e.interval), now); dup {
			return s.duplicate(c, entry, to, first)
		}
	}
	for _, u := range to.users {
		if s.admit(app.AgentID, u, now) {
			entry.Users = append(entry.Users, u)
		} else {
			entry.Dropped = append(entry.Dropped, u)
		}
	}
	s.counts.Delivered += int64(len(entry.Users))
	s.counts.Dropped += int64(len(entry.Dropped))
	s.record(c, entry)
	return s.accepted(entry, to)
}

func (s *Server) duplicate(c *call, entry Entry, to audience, first string) response {
	if s.opt.Duplicate == DuplicateRefused {
		return s.refused(refuseText(s.opt.DuplicateErrcode, "duplicate request"), c.ip, entry.Warning)
	}
	entry.Duplicate = true
	s.quota(entry.AgentID, entry.At).used -= int64(len(to.users)) // a duplicate costs nothing
	if s.opt.Duplicate == DuplicateSameID {
		entry.MsgID = first
	}
	s.counts.Duplicates++
	s.record(c, entry)
	return s.accepted(entry, to)
}

// newEntry is what all messages have in common, whoever they are for.
func (c *call) newEntry(shown content, now time.Time) Entry {
	sum := sha256.Sum256(c.body)
	return Entry{
		At: now, Op: c.op, Kind: c.env.MsgType, BodySHA256: hex.EncodeToString(sum[:]), BodyBytes: len(c.body),
		Warning: c.env.warn || shown.warn, Cut: shown.cut, Content: shown.json(), Fault: c.fault,
	}
}

func (s *Server) record(c *call, entry Entry) {
	c.dropped, c.duplicate = len(entry.Dropped), entry.Duplicate
	c.entry = s.ledger.add(entry)
	s.wake()
}

func (s *Server) accepted(entry Entry, to audience) response {
	return okResponse(sendBody{status: entry.taken(), lists: to.lists, MsgID: entry.MsgID, ResponseCode: entry.ResponseCode})
}

// takenResponse answers for a message to a group, which gets no msgid.
func takenResponse(entry Entry) response { return okResponse(entry.taken()) }

func (e *Entry) taken() status {
	if e.Warning {
		return status{Errmsg: "ok. " + warnJSON}
	}
	return status{Errmsg: "ok"}
}

func interval(seconds int64) time.Duration {
	switch {
	case seconds <= 0:
		seconds = 1800
	case seconds > maxDuplicateInterval:
		seconds = maxDuplicateInterval
	}
	return time.Duration(seconds) * time.Second
}

func (s *Server) duplicateKey(agent int64, body []byte) duplicateKey {
	sum := sha256.Sum256(body)
	if s.opt.DuplicateByValue {
		var v any
		if json.Unmarshal(body, &v) == nil {
			sum = sha256.Sum256(encode(v)) // maps are encoded in key order
		}
	}
	return duplicateKey{agent: agent, sum: sum}
}
