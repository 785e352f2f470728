package sandbox

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	minChatUsers   = 2
	maxChatUsers   = 2000
	maxChatName    = 50 // characters
	maxChats       = 10_000
	chatsPerDay    = 1000
	updatesPerHour = 1000
)

// Chat is a group chat that an app made with appchat/create.
type Chat struct {
	ID    string   `json:"chatid"`
	Name  string   `json:"name"`
	Owner string   `json:"owner"`
	Users []string `json:"userlist"`
	// AgentID is the app that made it, and that alone may use it; 0 means the
	// first app.
	AgentID int64 `json:"agentid"`
}

var chatID = regexp.MustCompile(`^[0-9A-Za-z]{1,32}$`)

// Chats returns the group chats in the order in which they were made.
func (s *Server) Chats() []Chat {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.chats)
}

// PutChat adds a chat or replaces the one of that id.
func (s *Server) PutChat(c Chat) error {
	if !chatID.MatchString(c.ID) {
		return fmt.Errorf("chat id %q: 1 to 32 letters and digits", c.ID)
	}
	if len(c.Users) < minChatUsers || len(c.Users) > maxChatUsers {
		return fmt.Errorf("chat %s: %d to %d users", c.ID, minChatUsers, maxChatUsers)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.wake()
	s.own(&c)
	if old := s.chat(c.ID); old != nil {
		*old = c
		return nil
	}
	if len(s.chats) >= maxChats {
		return errors.New("more than 10,000 chats")
	}
	s.chats = append(s.chats, c)
	return nil
}

// own fills what may be left out of a chat.
func (s *Server) own(c *Chat) {
	if c.AgentID == 0 && len(s.apps) > 0 {
		c.AgentID = s.apps[0].AgentID
	}
	if c.Owner == "" && len(c.Users) > 0 {
		c.Owner = c.Users[0]
	}
	c.Users = slices.Clone(c.Users)
}

func (s *Server) chat(id string) *Chat {
	for i := range s.chats {
		if s.chats[i].ID == id {
			return &s.chats[i]
		}
	}
	return nil
}

// mayChat: only an app that sees the whole corp may use chats.
func (s *Server) mayChat(app App) *refusal {
	for _, p := range s.dir.parties {
		if p.ParentID == 0 && s.dir.seesParty(app, p.ID) {
			return nil
		}
	}
	if app.Visible == nil {
		return nil
	}
	return refuse(codeForbidden)
}

// findChat finds a chat of the app.
func (s *Server) findChat(app App, id string) (*Chat, *refusal) {
	chat := s.chat(id)
	switch {
	case id == "":
		return nil, refuseText(codeMissingChat, "chatid missing")
	case chat == nil:
		return nil, refuseText(s.opt.UnknownChatErrcode, "chat not exist")
	case chat.AgentID != app.AgentID:
		return nil, refuseText(codeForeignChat, "chat of another agent")
	}
	return chat, nil
}

// chatSend is appchat/send.
func (s *Server) chatSend(c *call) response {
	now := s.Now()
	e := &c.env
	s.mu.Lock()
	defer s.mu.Unlock()
	app, no := s.authorize(c, now)
	if no == nil {
		no = s.mayChat(app)
	}
	if no == nil {
		no = s.checkPersonsBlock(now)
	}
	if no == nil {
		no = checkRequest(c)
	}
	var chat *Chat
	if no == nil {
		chat, no = s.findChat(app, e.chatID)
	}
	var shown content
	if no == nil {
		shown, no = s.checkChatContent(e, app, now)
	}
	var users []string
	if no == nil {
		users = s.chatUsers(app, chat)
		no = s.spendPersons(len(users), now)
	}
	if no != nil {
		return s.refused(no, c.ip, e.warn || shown.warn)
	}
	entry := c.newEntry(shown, now)
	entry.AgentID, entry.Chat, entry.Safe = app.AgentID, chat.ID, e.safe != 0
	for _, u := range users {
		if s.admitChat(app.AgentID, u, now) {
			entry.Users = append(entry.Users, u)
		} else {
			entry.Dropped = append(entry.Dropped, u)
		}
	}
	s.counts.Delivered += int64(len(entry.Users))
	s.counts.Dropped += int64(len(entry.Dropped))
	s.record(c, entry)
	return takenResponse(entry)
}

// checkChatContent: what an app may send to chats has the app's own rules.
func (s *Server) checkChatContent(e *envelope, app App, now time.Time) (content, *refusal) {
	switch e.MsgType {
	case "template_card", "miniprogram_notice":
		return content{}, refuse(codeMsgType)
	}
	return s.checkContent(e, app, now)
}

// chatUsers are the members of a chat whose phones can show something.
func (s *Server) chatUsers(app App, chat *Chat) []string {
	var out []string
	for _, id := range chat.Users {
		if m, ok := s.chatMember(app, id); ok {
			out = append(out, m.ID)
		}
	}
	return out
}

func (s *Server) chatMember(app App, id string) (Member, bool) {
	m, ok := s.dir.members[strings.ToLower(id)]
	if !ok && s.opt.MembersPattern != nil && s.opt.MembersPattern.MatchString(id) {
		return Member{ID: id, Status: StatusActive}, true
	}
	return m, ok && m.Status == StatusActive && s.dir.seesMember(app, m)
}

type chatBody struct {
	ID    string   `json:"chatid"`
	Name  string   `json:"name"`
	Owner string   `json:"owner"`
	Users []string `json:"userlist"`
	Add   []string `json:"add_user_list"`
	Del   []string `json:"del_user_list"`
}

// changeChat wraps the two calls that write a chat.
func (s *Server) changeChat(change func(app App, b chatBody, now time.Time) (any, *refusal)) func(*call) response {
	return func(c *call) response {
		now := s.Now()
		s.mu.Lock()
		defer s.mu.Unlock()
		app, no := s.authorize(c, now)
		if no == nil {
			no = s.mayChat(app)
		}
		if no == nil {
			no = checkRequest(c)
		}
		var b chatBody
		warn := read(c.body, &b)
		c.group = b.ID
		var answer any
		if no == nil {
			answer, no = change(app, b, now)
		}
		if no != nil {
			return s.refused(no, c.ip, warn)
		}
		s.wake()
		return okResponse(answer)
	}
}

func (s *Server) chatCreate(app App, b chatBody, now time.Time) (any, *refusal) {
	chat := Chat{ID: b.ID, AgentID: app.AgentID, Owner: b.Owner, Name: b.Name}
	switch {
	case b.ID != "" && !chatID.MatchString(b.ID):
		return nil, refuseText(codeChatID, "invalid chatid")
	case s.chat(b.ID) != nil:
		return nil, refuseText(codeChatExists, "chatid existed")
	case len(s.chats) >= maxChats || !s.groups.created.fits(now, day, WindowCalendar, 1, chatsPerDay):
		return nil, refuse(codeFreq)
	}
	if no := s.seat(app, &chat, b.Users); no != nil {
		return nil, no
	}
	if chat.ID == "" {
		chat.ID = "wr" + strings.NewReplacer("-", "A", "_", "B").Replace(s.randomText(30))
	}
	s.groups.created.add(now, 1, chatsPerDay)
	s.chats = append(s.chats, chat)
	return struct {
		status
		ID string `json:"chatid"`
	}{status{Errmsg: "ok"}, chat.ID}, nil
}

func (s *Server) chatUpdate(app App, b chatBody, now time.Time) (any, *refusal) {
	chat, no := s.findChat(app, b.ID)
	if no != nil {
		return nil, no
	}
	if !s.groups.updated.fits(now, time.Hour, WindowCalendar, 1, updatesPerHour) {
		return nil, refuse(codeFreq)
	}
	changed := *chat
	if b.Name != "" {
		changed.Name = b.Name
	}
	if b.Owner != "" {
		changed.Owner = b.Owner
	}
	gone := func(u string) bool { return hasFold(b.Del, u) }
	changed.Users = slices.DeleteFunc(slices.Clone(chat.Users), gone)
	if b.Owner == "" && gone(changed.Owner) {
		changed.Owner = ""
	}
	if no := s.seat(app, &changed, slices.DeleteFunc(b.Add, gone)); no != nil {
		return nil, no
	}
	s.groups.updated.add(now, 1, updatesPerHour)
	*chat = changed
	return status{Errmsg: "ok"}, nil
}

// seat adds members to a chat, as the directory spells them, and gives it an
// owner. Those who are there already may have left the corp since.
func (s *Server) seat(app App, chat *Chat, users []string) *refusal {
	for _, id := range users {
		m, ok := s.chatMember(app, id)
		if !ok {
			return refuseText(codeChatMember, "invalid chat member `%s`", id)
		}
		if !hasFold(chat.Users, m.ID) {
			chat.Users = append(chat.Users, m.ID)
		}
		if len(chat.Users) > maxChatUsers {
			break
		}
	}
	switch n := len(chat.Users); {
	case n < minChatUsers || n > maxChatUsers:
		return refuseText(codeChatSize, "invalid chat member size")
	case chat.Owner != "" && !hasFold(chat.Users, chat.Owner):
		return refuseText(codeChatMember, "owner not in userlist")
	}
	s.own(chat)
	if utf8.RuneCountInString(chat.Name) > maxChatName {
		chat.Name = string([]rune(chat.Name)[:maxChatName])
	}
	return nil
}

func hasFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

// chatGet is appchat/get.
func (s *Server) chatGet(app App, q url.Values) (any, *refusal) {
	if no := s.mayChat(app); no != nil {
		return nil, no
	}
	chat, no := s.findChat(app, q.Get("chatid"))
	if no != nil {
		return nil, no
	}
	type info struct {
		ID    string   `json:"chatid"`
		Name  string   `json:"name"`
		Owner string   `json:"owner"`
		Users []string `json:"userlist"`
		Type  int      `json:"chat_type"`
	}
	return struct {
		status
		Info info `json:"chat_info"`
	}{status{Errmsg: "ok"}, info{chat.ID, chat.Name, chat.Owner, chat.Users, 0}}, nil
}
