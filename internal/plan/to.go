package plan

import (
	"fmt"
	"slices"
	"strings"

	"hongyan/internal/domain"
)

// batch is a set of recipients; each list is free of duplicates.
type batch struct {
	users, parties, tags []string
	all                  bool
}

func (b *batch) count() int {
	if b.all {
		return 1
	}
	return len(b.users) + len(b.parties) + len(b.tags)
}

// sort brings the recipients into an order that does not depend on the caller's,
// so that messages for the same people are divided into the same calls.
func (b *batch) sort() {
	for _, list := range [][]string{b.users, b.parties, b.tags} {
		slices.SortFunc(list, domain.CompareIDs)
	}
}

func (b *batch) recipients(dst []domain.Recipient, message, delivery string) []domain.Recipient {
	add := func(kind domain.RecipientKind, ids ...string) {
		for _, id := range ids {
			dst = append(dst, domain.Recipient{
				MessageID: message, DeliveryID: delivery, Kind: kind, ID: id, Outcome: domain.OutcomeWaiting,
			})
		}
	}
	if b.all {
		add(domain.KindAll, "@all")
		return dst
	}
	add(domain.KindUser, b.users...)
	add(domain.KindDepartment, b.parties...)
	add(domain.KindTag, b.tags...)
	return dst
}

// batches divides the recipients into calls. Users, departments and tags that
// fit go together in one call, which WeCom takes as a union.
func (b *batch) batches() []batch {
	if b.all {
		return []batch{{all: true}}
	}
	var out []batch
	for rest := *b; ; {
		var one batch
		one.users, rest.users = head(rest.users, MaxUsers)
		one.parties, rest.parties = head(rest.parties, MaxParties)
		one.tags, rest.tags = head(rest.tags, MaxTags)
		if one.count() == 0 {
			return out
		}
		out = append(out, one)
	}
}

func head(list []string, n int) (first, rest []string) {
	n = min(n, len(list))
	return list[:n:n], list[n:]
}

// gatherer collects recipients without duplicates.
type gatherer struct {
	audiences Audiences
	out       batch
	seen      [3]map[string]bool // users, parties, tags by lower-cased id
	visited   map[string]bool
	bad       []domain.FieldError
	over      bool
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

// recipients expands whom a message is for.
func (p *Planner) recipients(to domain.To) (batch, []domain.FieldError) {
	g := &gatherer{audiences: p.audiences}
	g.refuse("mobiles", to.Mobiles)
	g.refuse("emails", to.Emails)
	g.refuse("robots", to.Robots)
	g.refuse("chats", to.Chats)
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
				g.fail(fmt.Sprintf("/to/%s/%d", l.name, i), "format", "is not an id", "use the id as WeCom shows it, 1 to 64 bytes without spaces and bars", "an id of 1 to 64 bytes")
				continue
			}
			g.add(l.which, l.into, id)
		}
	}
	for i, key := range to.Audiences {
		g.audience(fmt.Sprintf("/to/audiences/%d", i), key)
	}
	if g.over {
		g.fail("/to", "max_items", fmt.Sprintf("names more than %d recipients", MaxRecipients), "send several messages, or use departments and tags", MaxRecipients, "more")
	}
	if to.All {
		g.out = batch{all: true} // WeCom ignores the others then
	}
	if len(g.bad) == 0 && g.out.count() == 0 {
		g.fail("/to", "required", "names nobody", "name at least one user, department, tag or audience that is not empty")
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
	fix := "use users, departments, tags or audiences"
	message := "is not available yet"
	if name == "mobiles" || name == "emails" {
		message = "needs the synced directory, which is not available yet"
	}
	g.fail("/to/"+name, "unsupported", message, fix)
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
	a, ok := g.audiences.Audience(key)
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
