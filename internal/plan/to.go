package plan

import (
	"fmt"
	"slices"
	"strings"

	"hongyan/internal/domain"
)

// batch is whom one call is for: members, departments and tags, or a group chat,
// or a robot. Each list is free of duplicates.
type batch struct {
	users, parties, tags []string
	all                  bool
	chat, robot          string
}

func (b *batch) count() int {
	switch {
	case b.all, b.chat != "", b.robot != "":
		return 1
	default:
		return len(b.users) + len(b.parties) + len(b.tags)
	}
}

// lane is the one that the call belongs to.
func (b *batch) lane(app string) string {
	switch {
	case b.robot != "":
		return domain.LaneKey(domain.LaneRobot, b.robot)
	case b.chat != "":
		return domain.LaneKey(domain.LaneChat, app)
	default:
		return domain.LaneKey(domain.LaneApp, app)
	}
}

// dupWindow is for how long WeCom can be told to suppress repetitions: only
// message/send has a duplicate check.
func (b *batch) dupWindow(seconds int) int {
	if b.chat != "" || b.robot != "" {
		return 0
	}
	return seconds
}

// people names the receivers among those of the same lane, for digests.
func (b *batch) people() string {
	switch {
	case b.robot != "":
		return "robot"
	case b.chat != "":
		return "chat " + b.chat
	default:
		return domain.People(b.users, b.parties, b.tags, b.all)
	}
}

// group is all whom a message is for.
type group struct {
	batch         // what goes through the app's message/send
	chats, robots []string
}

func (g *group) count() int { return g.batch.count() + len(g.chats) + len(g.robots) }

// targets are the kinds of receivers, whose rules differ.
type targets struct {
	app   bool // members, through the app: also of its group chats
	robot bool
}

func (g *group) targets() targets {
	return targets{app: g.throughApp() || g.chats != nil, robot: g.robots != nil}
}

// throughApp reports whether the app's own messages are among the calls.
func (g *group) throughApp() bool { return g.batch.count() > 0 }

// sort brings the recipients into an order that does not depend on the caller's,
// so that messages for the same people are divided into the same calls.
func (b *batch) sort() {
	for _, list := range [][]string{b.users, b.parties, b.tags} {
		slices.SortFunc(list, domain.CompareIDs)
	}
}

// to names the receivers as a request does.
func (b *batch) to() domain.To {
	t := domain.To{Users: b.users, Departments: b.parties, Tags: b.tags, All: b.all}
	if b.chat != "" {
		t.Chats = []string{b.chat}
	}
	if b.robot != "" {
		t.Robots = []string{b.robot}
	}
	return t
}

// batches divides the recipients into calls. Users, departments and tags that
// fit go together in one call, which WeCom takes as a union; each group chat and
// each robot has its own.
func (g *group) batches() []batch {
	var out []batch
	if g.all {
		out = append(out, batch{all: true})
	}
	for rest := g.batch; !g.all; {
		var one batch
		one.users, rest.users = head(rest.users, MaxUsers)
		one.parties, rest.parties = head(rest.parties, MaxParties)
		one.tags, rest.tags = head(rest.tags, MaxTags)
		if one.count() == 0 {
			break
		}
		out = append(out, one)
	}
	for _, id := range g.chats {
		out = append(out, batch{chat: id})
	}
	for _, key := range g.robots {
		out = append(out, batch{robot: key})
	}
	return out
}

func head(list []string, n int) (first, rest []string) {
	n = min(n, len(list))
	return list[:n:n], list[n:]
}

// gatherer collects recipients without duplicates.
type gatherer struct {
	names   Names
	out     group
	seen    [3]map[string]bool // users, parties, tags by lower-cased id
	visited map[string]bool
	bad     []domain.FieldError
	over    bool
}

// small is the size up to which a list is searched instead of a map made.
const small = 8

func (g *gatherer) add(which int, list *[]string, id string) {
	if len(*list) < small {
		for _, x := range *list {
			if strings.EqualFold(x, id) {
				return
			}
		}
	} else {
		if g.seen[which] == nil {
			g.seen[which] = map[string]bool{}
			for _, x := range *list {
				g.seen[which][strings.ToLower(x)] = true
			}
		}
		key := strings.ToLower(id)
		if g.seen[which][key] {
			return
		}
		g.seen[which][key] = true
	}
	if g.out.count() >= MaxRecipients {
		g.over = true
		return
	}
	*list = append(*list, id)
}

// addTo adds what is compared as it stands.
func (g *gatherer) addTo(list *[]string, id string) {
	switch {
	case slices.Contains(*list, id):
	case len(*list) >= MaxDeliveries: // each is a call of its own
		g.over = true
	default:
		*list = append(*list, id)
	}
}

// recipients expands whom a message is for.
func (p *Planner) recipients(to domain.To) (group, []domain.FieldError) {
	g := &gatherer{names: p.names}
	g.refuse("mobiles", to.Mobiles)
	g.refuse("emails", to.Emails)
	for _, l := range []struct {
		name  string
		which int
		from  []string
		into  *[]string
	}{
		{"users", 0, to.Users, &g.out.users},
		{"departments", 1, to.Departments, &g.out.parties},
		{"tags", 2, to.Tags, &g.out.tags},
	} {
		for i, id := range l.from {
			if l.which == 0 && id == "@all" {
				to.All = true
				continue
			}
			if !validID(id) {
				g.fail(fmt.Sprintf("/to/%s/%d", l.name, i), "format", "is not an id", "use the id as WeCom shows it, 1 to 64 bytes without spaces and bars", "[^ |]{1,64}")
				continue
			}
			if l.which == 1 && !domain.ValidDepartment(id) {
				g.fail(fmt.Sprintf("/to/departments/%d", i), "department", "is not the id of a department", "use the number that WeCom shows, such as 2")
				continue
			}
			g.add(l.which, l.into, id)
		}
	}
	for i, key := range to.Audiences {
		g.audience(fmt.Sprintf("/to/audiences/%d", i), key)
	}
	for i, key := range to.Robots {
		if _, known := g.names.Robot(key); !known {
			g.fail(fmt.Sprintf("/to/robots/%d", i), "unknown_robot", fmt.Sprintf("there is no robot %q", key), "list them with GET /v1/robots")
			continue
		}
		g.addTo(&g.out.robots, key)
	}
	for i, id := range to.Chats {
		if !validChat(id) {
			g.fail(fmt.Sprintf("/to/chats/%d", i), "format", "is not the id of a group chat", "use the chatid that WeCom gave when the app made the chat, 1 to 64 letters and digits", "[0-9A-Za-z]{1,64}")
			continue
		}
		g.addTo(&g.out.chats, id)
	}
	if g.over {
		g.fail("/to", "max_items", fmt.Sprintf("names more than %d recipients", MaxRecipients), "send several messages, or use departments and tags", MaxRecipients, "more")
	}
	if to.All {
		g.out.batch = batch{all: true} // WeCom ignores the others then
	}
	if len(g.bad) == 0 && g.out.count() == 0 {
		g.fail("/to", "required", "names nobody", "name at least one user, department, tag, robot, group chat or audience that is not empty")
	}
	return g.out, g.bad
}

func (g *gatherer) fail(pointer, code, message, fix string, args ...any) {
	if len(g.bad) < 20 {
		g.bad = append(g.bad, field(pointer, code, message, fix, args...))
	}
}

func (g *gatherer) refuse(name string, list []string) {
	if len(list) == 0 {
		return
	}
	g.fail("/to/"+name, "unsupported", "needs the synced directory, which is not available yet", "use users, departments, tags or audiences")
}

// audience adds an audience and all that it holds. One that was visited before
// adds nothing again, so a circle ends.
func (g *gatherer) audience(pointer, key string) {
	if g.visited[key] || g.over {
		return
	}
	if g.visited == nil {
		g.visited = map[string]bool{}
	}
	if len(g.visited) >= maxAudiences {
		g.over = true
		return
	}
	g.visited[key] = true
	a, ok := g.names.Audience(key)
	if !ok {
		g.fail(pointer, "unknown_audience", fmt.Sprintf("there is no audience %q", key), "list them with GET /v1/audiences")
		return
	}
	for _, id := range a.Users {
		g.add(0, &g.out.users, id)
	}
	for _, id := range a.Departments {
		g.add(1, &g.out.parties, id)
	}
	for _, id := range a.Tags {
		g.add(2, &g.out.tags, id)
	}
	for _, inner := range a.Audiences {
		g.audience(pointer, inner)
	}
}

// validChat holds a chat's id against WeCom's rule for those that an app gives
// (page 90245); WeCom looks at upper and lower case.
func validChat(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] == '|' || id[i] == 0x7f {
			return false
		}
	}
	return true
}
