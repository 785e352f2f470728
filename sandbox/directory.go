package sandbox

import (
	"net/netip"
	"slices"
	"strings"
)

// App is a self-built app of the corp.
type App struct {
	AgentID int64  `json:"agentid"`
	Name    string `json:"name"`
	Secret  string `json:"secret"`
	// Disabled makes gettoken answer 40001 and every other call 50003.
	Disabled bool `json:"disabled"`
	// TrustedIPs are addresses or CIDRs that may call; empty means any.
	// Others get 60020.
	TrustedIPs []string `json:"trusted_ips"`
	// NoCallback says that the app has no callback URL: cards that call back
	// get 43012.
	NoCallback bool `json:"no_callback"`
	// Visible is the visible range: nobody else can be reached or read. Nil
	// means everybody.
	Visible *Range `json:"visible,omitempty"`
}

// The states of a member, as in WeCom's directory.
const (
	StatusActive       = 1
	StatusDisabled     = 2
	StatusNotActivated = 4
	StatusLeft         = 5
)

// Member is a person of the corp. Userids are compared without regard to case.
type Member struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	EnglishName string `json:"english_name"`
	Position    string `json:"position"`
	Departments []int  `json:"departments"`
	// Status: only StatusActive members receive; 0 means active.
	Status int `json:"status"`
	// Unlicensed members are reported in unlicenseduser.
	Unlicensed bool `json:"unlicensed"`
}

// Department is a node of the corp's tree; the root has ParentID 0.
type Department struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	ParentID int    `json:"parentid"`
}

// Tag is a labelled set of members and departments.
type Tag struct {
	ID          int      `json:"id"`
	Name        string   `json:"name"`
	Users       []string `json:"users"`
	Departments []int    `json:"departments"`
}

func seedApps() []App {
	return []App{{AgentID: DevAgentID, Name: "鸿雁", Secret: DevSecret}}
}

func seedDepartments() []Department {
	return []Department{
		{ID: 1, Name: "鸿雁示例公司"},
		{ID: 2, Name: "研发部", ParentID: 1},
		{ID: 3, Name: "运维部", ParentID: 1},
		{ID: 4, Name: "仓储物流部", ParentID: 1},
		{ID: 5, Name: "财务部", ParentID: 1},
		{ID: 6, Name: "客服部", ParentID: 1},
		{ID: 21, Name: "数据库组", ParentID: 2},
	}
}

func seedMembers() []Member {
	return []Member{
		{ID: "zhangsan", Name: "张三", EnglishName: "Zhang San", Position: "后端工程师", Departments: []int{2}},
		{ID: "lisi", Name: "李四", EnglishName: "Li Si", Position: "数据库工程师", Departments: []int{21}},
		{ID: "wangwu", Name: "王五", EnglishName: "Wang Wu", Position: "值班运维", Departments: []int{3}},
		{ID: "zhaoliu", Name: "赵六", EnglishName: "Zhao Liu", Position: "仓库主管", Departments: []int{4}},
		{ID: "sunqi", Name: "孙七", EnglishName: "Sun Qi", Position: "会计", Departments: []int{5}},
		{ID: "HanMeimei", Name: "韩梅梅", EnglishName: "Han Meimei", Position: "客服组长", Departments: []int{6}},
		{ID: "zhouba", Name: "周八", EnglishName: "Zhou Ba", Position: "司机（已停用）", Departments: []int{4}, Status: StatusDisabled},
		{ID: "wujiu", Name: "吴九", EnglishName: "Wu Jiu", Position: "外包（无接口许可）", Departments: []int{6}, Unlicensed: true},
	}
}

func seedTags() []Tag {
	return []Tag{
		{ID: 7, Name: "值班", Users: []string{"wangwu", "lisi"}},
		{ID: 8, Name: "管理层", Users: []string{"zhaoliu", "HanMeimei"}, Departments: []int{5}},
	}
}

// directory answers who exists and who belongs where. The server's lock
// guards it.
type directory struct {
	order   []string // lower-case ids in the order they were added
	members map[string]Member
	parties map[string]Department
	tags    map[string]Tag
}

func newDirectory(o Options) *directory {
	d := &directory{members: map[string]Member{}, parties: map[string]Department{}, tags: map[string]Tag{}}
	for _, m := range o.Members {
		d.put(m)
	}
	for _, p := range o.Departments {
		d.parties[itoa(p.ID)] = p
	}
	for _, t := range o.Tags {
		d.tags[itoa(t.ID)] = t
	}
	return d
}

func (d *directory) put(m Member) {
	if m.Status == 0 {
		m.Status = StatusActive
	}
	key := strings.ToLower(m.ID)
	if _, ok := d.members[key]; !ok {
		d.order = append(d.order, key)
	}
	d.members[key] = m
}

func (d *directory) list() []Member {
	out := make([]Member, 0, len(d.order))
	for _, key := range d.order {
		out = append(out, d.members[key])
	}
	return out
}

// within reports whether department id is root or below it. The depth is
// bounded, so that a cycle in given departments ends.
func (d *directory) within(id int, root string) bool {
	for range 32 {
		if itoa(id) == root {
			return true
		}
		p, ok := d.parties[itoa(id)]
		if !ok || p.ParentID == 0 {
			return false
		}
		id = p.ParentID
	}
	return false
}

func (d *directory) inParty(m Member, party string) bool {
	return slices.ContainsFunc(m.Departments, func(id int) bool { return d.within(id, party) })
}

func (d *directory) inTag(m Member, t Tag) bool {
	if slices.ContainsFunc(t.Users, func(u string) bool { return strings.EqualFold(u, m.ID) }) {
		return true
	}
	return slices.ContainsFunc(t.Departments, func(id int) bool { return d.inParty(m, itoa(id)) })
}

// trusts reports whether the app may be called from ip.
func (a App) trusts(ip string) bool {
	if len(a.TrustedIPs) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	addr = addr.Unmap()
	for _, t := range a.TrustedIPs {
		if p, err := netip.ParsePrefix(t); err == nil && p.Contains(addr) {
			return true
		}
		if one, err := netip.ParseAddr(t); err == nil && one.Unmap() == addr {
			return true
		}
	}
	return false
}
