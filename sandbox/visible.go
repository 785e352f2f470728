package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Range is an app's visible range: whom it may send to and read. Departments
// count with everything below them, tags with their members.
type Range struct {
	Users       []string `json:"users"`
	Departments []int    `json:"departments"`
	Tags        []int    `json:"tags"`
}

// seesParty reports whether the app sees a department and all below it.
func (d *directory) seesParty(a App, id int) bool {
	return a.Visible == nil || slices.ContainsFunc(a.Visible.Departments, func(root int) bool { return d.within(id, itoa(root)) })
}

func (d *directory) seesMember(a App, m Member) bool {
	if a.Visible == nil || slices.ContainsFunc(a.Visible.Users, func(u string) bool { return strings.EqualFold(u, m.ID) }) {
		return true
	}
	if slices.ContainsFunc(m.Departments, func(id int) bool { return d.seesParty(a, id) }) {
		return true
	}
	return slices.ContainsFunc(a.Visible.Tags, func(id int) bool {
		t, ok := d.tags[itoa(id)]
		return ok && d.inTag(m, t)
	})
}

// rangeOf is the visible range as agent/get tells it. Without one it is the
// roots, and whoever is in no department.
func (d *directory) rangeOf(a App) Range {
	if a.Visible != nil {
		return *a.Visible
	}
	var r Range
	for _, m := range d.list() {
		if len(m.Departments) == 0 {
			r.Users = append(r.Users, m.ID)
		}
	}
	for _, p := range d.parties {
		if p.ParentID == 0 {
			r.Departments = append(r.Departments, p.ID)
		}
	}
	slices.Sort(r.Departments)
	return r
}

// reading wraps a handler that only reads the directory with the checks of
// every call.
func (s *Server) reading(read func(app App, q url.Values) (any, *refusal)) func(*call) response {
	return func(c *call) response {
		s.mu.Lock()
		defer s.mu.Unlock()
		app, no := s.authorize(c, s.Now())
		var body any
		switch {
		case no != nil:
		case c.r.Method != http.MethodGet:
			no = refuse(codeInvalidParam)
		default:
			body, no = read(app, c.r.URL.Query())
		}
		if no != nil {
			return s.refused(no, c.ip, false)
		}
		return okResponse(body)
	}
}

// party finds a department that the app sees.
func (s *Server) party(app App, id string) (Department, *refusal) {
	p, ok := s.dir.parties[id]
	switch {
	case id == "":
		return p, refuseText(codeInvalidParam, "missing department_id. invalid Request Parameter")
	case !ok:
		return p, refuse(codeNoDepartment)
	case !s.dir.seesParty(app, p.ID):
		return p, refuse(codeNoPrivilege)
	}
	return p, nil
}

type partyItem struct {
	ID       int `json:"id"`
	ParentID int `json:"parentid"`
	Order    int `json:"order"`
}

// departmentList is department/simplelist: a department and all below it, or
// all that the app sees.
func (s *Server) departmentList(app App, q url.Values) (any, *refusal) {
	if id := q.Get("id"); id != "" {
		if _, no := s.party(app, id); no != nil {
			return nil, no
		}
	}
	out := []partyItem{}
	for _, p := range s.dir.parties {
		if s.dir.seesParty(app, p.ID) && (q.Get("id") == "" || s.dir.within(p.ID, q.Get("id"))) {
			out = append(out, partyItem{ID: p.ID, ParentID: p.ParentID})
		}
	}
	slices.SortFunc(out, func(a, b partyItem) int { return a.ID - b.ID })
	return struct {
		status
		Departments []partyItem `json:"department_id"`
	}{status{Errmsg: "ok"}, out}, nil
}

type userItem struct {
	UserID      string `json:"userid"`
	Name        string `json:"name"`
	Departments []int  `json:"department,omitempty"`
}

// userList is user/simplelist: one department's own members, in whatever
// state. fetch_child is gone from WeCom's page and ignored here.
func (s *Server) userList(app App, q url.Values) (any, *refusal) {
	p, no := s.party(app, q.Get("department_id"))
	if no != nil {
		return nil, no
	}
	out := []userItem{}
	for _, m := range s.dir.list() {
		if slices.Contains(m.Departments, p.ID) {
			out = append(out, userItem{UserID: m.ID, Name: m.Name, Departments: m.Departments})
		}
	}
	return struct {
		status
		Users []userItem `json:"userlist"`
	}{status{Errmsg: "ok"}, out}, nil
}

// tagGet is tag/get: the part of a tag that the app sees.
func (s *Server) tagGet(app App, q url.Values) (any, *refusal) {
	t, ok := s.dir.tags[q.Get("tagid")]
	if _, err := strconv.Atoi(q.Get("tagid")); err != nil || !ok {
		return nil, refuse(codeInvalidTag)
	}
	users, parties := []userItem{}, []int{}
	for _, id := range t.Users {
		if m, ok := s.dir.members[strings.ToLower(id)]; ok && s.dir.seesMember(app, m) {
			users = append(users, userItem{UserID: m.ID, Name: m.Name})
		}
	}
	for _, id := range t.Departments {
		if s.dir.seesParty(app, id) {
			parties = append(parties, id)
		}
	}
	return struct {
		status
		Name    string     `json:"tagname"`
		Users   []userItem `json:"userlist"`
		Parties []int      `json:"partylist"`
	}{status{Errmsg: "ok"}, t.Name, users, parties}, nil
}
