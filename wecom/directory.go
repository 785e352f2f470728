package wecom

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// maxDirectory is how many bytes are read of an answer that lists members or
// departments: a department may have 30,000 members.
const maxDirectory = 16 << 20

// Department is a node of the department tree as the app sees it.
type Department struct {
	ID       int64
	ParentID int64 // 0 for the root; may name a department that the app does not see
}

// Tag is who belongs to a tag, as far as the app sees them.
type Tag struct {
	Name        string
	Users       []string
	Departments []int64 // with everybody in and below them
}

// Departments lists every department that the app sees, sub-departments
// included, in no particular order. Errors have Op department_simplelist.
// https://developer.work.weixin.qq.com/document/path/95350
func (c *Client) Departments(ctx context.Context, token string) ([]Department, error) {
	var w struct {
		List []struct {
			ID       json.Number `json:"id"`
			ParentID json.Number `json:"parentid"`
		} `json:"department_id"`
	}
	k, err := c.read(ctx, "department_simplelist", "department/simplelist", token, nil, &w)
	if err != nil {
		return nil, err
	}
	if w.List == nil {
		return nil, k.fail(ClassAmbiguous, "the answer holds no department_id")
	}
	out := make([]Department, len(w.List))
	for i, d := range w.List {
		id, err := d.ID.Int64()
		if err != nil || id <= 0 {
			return nil, k.fail(ClassAmbiguous, "the answer holds a department without an id")
		}
		parent, _ := d.ParentID.Int64() // 0 when it is missing
		out[i] = Department{ID: id, ParentID: parent}
	}
	return out, nil
}

// DepartmentMembers lists the userids of a department's own members, whatever
// their state; those of its sub-departments are not among them. Errors have Op
// user_simplelist; errcode 60011 means that the app must not see this
// department, 60003 that there is none.
// https://developer.work.weixin.qq.com/document/path/90200
func (c *Client) DepartmentMembers(ctx context.Context, token string, department int64) ([]string, error) {
	var w struct {
		List users `json:"userlist"`
	}
	q := url.Values{"department_id": {strconv.FormatInt(department, 10)}}
	k, err := c.read(ctx, "user_simplelist", "user/simplelist", token, q, &w)
	if err != nil {
		return nil, err
	}
	if w.List == nil {
		return nil, k.fail(ClassAmbiguous, "the answer holds no userlist")
	}
	return w.List.ids(k)
}

// TagMembers reads who belongs to a tag, as far as the app sees them. Errors
// have Op tag_get; errcode 40068 means that there is no such tag.
// https://developer.work.weixin.qq.com/document/path/90213
func (c *Client) TagMembers(ctx context.Context, token string, tag int64) (Tag, error) {
	var w struct {
		Name    string        `json:"tagname"`
		Users   users         `json:"userlist"`
		Parties []json.Number `json:"partylist"`
	}
	q := url.Values{"tagid": {strconv.FormatInt(tag, 10)}}
	k, err := c.read(ctx, "tag_get", "tag/get", token, q, &w)
	if err != nil {
		return Tag{}, err
	}
	if w.Users == nil && w.Parties == nil {
		return Tag{}, k.fail(ClassAmbiguous, "the answer holds no userlist and no partylist")
	}
	t := Tag{Name: w.Name}
	if t.Users, err = w.Users.ids(k); err != nil {
		return Tag{}, err
	}
	for _, p := range w.Parties {
		id, err := p.Int64()
		if err != nil || id <= 0 {
			return Tag{}, k.fail(ClassAmbiguous, "the answer holds a department without an id")
		}
		t.Departments = append(t.Departments, id)
	}
	return t, nil
}

// users is a list of members of which only the userids matter.
type users []struct {
	UserID string `json:"userid"`
}

// ids fails over a member without a name: nobody could be counted for it.
func (u users) ids(k *call) ([]string, error) {
	out := make([]string, len(u))
	for i := range u {
		if out[i] = u[i].UserID; out[i] == "" {
			return nil, k.fail(ClassAmbiguous, "the answer holds a member without userid")
		}
	}
	return out, nil
}

// read makes a GET call and decodes its answer into v.
func (c *Client) read(ctx context.Context, op, path, token string, q url.Values, v any) (*call, error) {
	k := &call{op: op, secrets: []string{token}, keep: true, limit: maxDirectory}
	query := "access_token=" + url.QueryEscape(token)
	if len(q) > 0 {
		query += "&" + q.Encode()
	}
	if _, _, err := c.ask(ctx, k, http.MethodGet, c.base.Path+"/cgi-bin/"+path, query, nil); err != nil {
		return k, err
	}
	if err := json.Unmarshal(k.raw, v); err != nil {
		return k, k.fail(ClassAmbiguous, "the answer has members of unexpected types")
	}
	return k, nil
}
