package pace

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"time"
)

// Ticket is something that waits for a member's budget. Lower priorities go
// first; among equals the older one, then the smaller id.
type Ticket struct {
	ID       string
	Priority int
	At       time.Time
	Expires  time.Time // when it stops waiting; zero: never
}

func (t Ticket) compare(o Ticket) int {
	return cmp.Or(cmp.Compare(t.Priority, o.Priority), t.At.Compare(o.At), strings.Compare(t.ID, o.ID))
}

// Room is where messages wait whose member has no budget left: a line for each
// member, ordered by [Ticket], and the time at which the line may move. It
// keeps ids only. A message that needs budget of several members at once stands
// in all their lines, so that each lets it pass in its turn: otherwise two
// members who are never free at the same moment would keep it out for ever.
// Members are told apart without regard to case.
//
// The zero value has no room; use NewRoom. Not safe for concurrent use.
type Room struct {
	max   int
	next  time.Time // no ticket expires before it; zero: none does
	lines map[string]*line
	where map[string][]*line   // by ticket id
	rests map[string]time.Time // by ticket id: it cannot go before that, whatever its lines say
	wakes lineHeap
}

// Budget tells what members may get: how many now, and when one more after so
// many others.
type Budget struct {
	Free func(member string) int
	Next func(member string, ahead int) time.Time
}

type line struct {
	member  string
	tickets []Ticket
	wake    time.Time
	index   int
}

// NewRoom makes a room for at most n tickets.
func NewRoom(n int) *Room {
	return &Room{max: n, lines: map[string]*line{}, where: map[string][]*line{}, rests: map[string]time.Time{}}
}

// Join puts a ticket into the lines of members, which move at wake or earlier.
// It reports false, and changes nothing, when the room is full, the ticket is
// in it already, or members is empty.
func (r *Room) Join(t Ticket, wake time.Time, members ...string) bool {
	if len(r.where) >= r.max || r.where[t.ID] != nil || len(members) == 0 {
		return false
	}
	for _, m := range members {
		key := fold(m)
		l := r.lines[key]
		if l == nil {
			l = &line{member: m, wake: wake}
			r.lines[key] = l
			heap.Push(&r.wakes, l)
		} else if wake.Before(l.wake) {
			l.wake = wake
			heap.Fix(&r.wakes, l.index)
		}
		if slices.Contains(r.where[t.ID], l) {
			continue // named twice
		}
		i, _ := slices.BinarySearchFunc(l.tickets, t, Ticket.compare)
		l.tickets = slices.Insert(l.tickets, i, t)
		r.where[t.ID] = append(r.where[t.ID], l)
	}
	if !t.Expires.IsZero() && (r.next.IsZero() || t.Expires.Before(r.next)) {
		r.next = t.Expires
	}
	return true
}

// NextExpiry tells before which moment no ticket expires; zero when none does.
func (r *Room) NextExpiry() time.Time { return r.next }

// Expired returns at most n tickets whose time is over. They stay until they
// Leave. It looks at every ticket, but only when one may have expired.
func (r *Room) Expired(now time.Time, n int) []Ticket {
	if r.next.IsZero() || now.Before(r.next) {
		return nil
	}
	var out []Ticket
	next := time.Time{}
	for _, l := range r.lines {
		for _, t := range l.tickets {
			if r.where[t.ID][0] != l {
				continue // counted in the first of its lines
			}
			switch {
			case t.Expires.IsZero():
			case !t.Expires.After(now) && len(out) < n:
				out = append(out, t)
			case next.IsZero() || t.Expires.Before(next):
				next = t.Expires
			}
		}
	}
	if len(out) == 0 { // else they are still here, should nobody take them out
		r.next = next
	}
	return out
}

// Leave takes a ticket out of every line; it reports false when it is not there.
// Where it was the first the line may move at once.
func (r *Room) Leave(id string) bool {
	lines := r.where[id]
	if lines == nil {
		return false
	}
	delete(r.where, id)
	delete(r.rests, id)
	for _, l := range lines {
		i := slices.IndexFunc(l.tickets, func(t Ticket) bool { return t.ID == id })
		l.tickets = slices.Delete(l.tickets, i, i+1)
		if len(r.rests) > 0 { // what they rest for may have changed
			for _, t := range l.tickets[i:] {
				delete(r.rests, t.ID)
			}
		}
		switch {
		case len(l.tickets) == 0:
			heap.Remove(&r.wakes, l.index)
			delete(r.lines, fold(l.member))
		case i == 0 && l.tickets[0].At.Before(l.wake): // the line moved when that one could
			l.wake = l.tickets[0].At
			heap.Fix(&r.wakes, l.index)
		}
	}
	return true
}

// Has reports whether a ticket waits here.
func (r *Room) Has(id string) bool { return r.where[id] != nil }

// Members tells in whose lines a ticket stands.
func (r *Room) Members(id string) []string {
	var out []string
	for _, l := range r.where[id] {
		out = append(out, l.member)
	}
	return out
}

// Everybody names all who have a line, in no order.
func (r *Room) Everybody() []string {
	out := make([]string, 0, len(r.wakes))
	for _, l := range r.wakes {
		out = append(out, l.member)
	}
	return out
}

// Ahead counts those in a member's line that go before t.
func (r *Room) Ahead(member string, t Ticket) int {
	l := r.lines[fold(member)]
	if l == nil {
		return 0
	}
	i, _ := slices.BinarySearchFunc(l.tickets, t, Ticket.compare)
	return i
}

// Rest says that a ticket cannot go before a time: its lines do not wait for it
// where there is budget for those behind it as well. It ends early when somebody
// who stands before it leaves, or with Rouse.
func (r *Room) Rest(id string, until, now time.Time, b Budget) {
	lines := r.where[id]
	if lines == nil {
		return
	}
	r.rests[id] = until
	for _, l := range lines {
		r.sleep(l, now, b)
	}
}

// sleep lets a line move when the first of its tickets neither rests nor wants
// budget.
func (r *Room) sleep(l *line, now time.Time, b Budget) {
	wake, free := time.Time{}, b.Free(l.member)
	for i, t := range l.tickets {
		at, last := now, i >= free // nor may those behind it
		if last {
			at = b.Next(l.member, i)
		}
		if rest := r.rests[t.ID]; rest.After(at) {
			at = rest
		}
		if wake.IsZero() || at.Before(wake) {
			wake = at
		}
		if last || !wake.After(now) {
			break
		}
	}
	l.wake = wake
	heap.Fix(&r.wakes, l.index)
}

// Waken lets a member's line that was to move later move at once, if somebody
// stands before t in it who does not rest. It reports whether that is so.
func (r *Room) Waken(member string, t Ticket, now time.Time) bool {
	l := r.lines[fold(member)]
	if l == nil || !l.wake.After(now) {
		return false
	}
	for _, x := range l.tickets {
		if x.compare(t) >= 0 {
			return false
		}
		if !r.rests[x.ID].After(now) {
			r.Wake(member, now)
			return true
		}
	}
	return false
}

// Rouse ends a ticket's rest and lets its lines move at a time.
func (r *Room) Rouse(id string, at time.Time) {
	delete(r.rests, id)
	for _, l := range r.where[id] {
		l.wake = at
		heap.Fix(&r.wakes, l.index)
	}
}

// Wake sets when a member's line may move next.
func (r *Room) Wake(member string, at time.Time) {
	if l := r.lines[fold(member)]; l != nil {
		l.wake = at
		heap.Fix(&r.wakes, l.index)
	}
}

// WakeAll lets every line move at a time: the limits have changed.
func (r *Room) WakeAll(at time.Time) {
	clear(r.rests)
	for _, l := range r.wakes {
		l.wake = at
	}
}

// NextWake tells when the first line may move; false when nobody waits.
func (r *Room) NextWake() (time.Time, bool) {
	if len(r.wakes) == 0 {
		return time.Time{}, false
	}
	return r.wakes[0].wake, true
}

// Ready collects the heads of the lines that may move at now: of each line at
// most as many as its member may get, at least one, at most n in all,
// those with the highest priority and the longest wait first, but for those that
// rest. The tickets stay in their lines until they Leave.
func (r *Room) Ready(now time.Time, n int, b Budget) []Ticket {
	n = max(n, 0)
	var out []Ticket
	seen := map[string]struct{}{} // of those that stand in several lines
	due := r.due(now, nil, 0)
	for _, l := range due {
		took := 0
		for _, t := range l.tickets[:min(len(l.tickets), max(b.Free(l.member), 1))] {
			if r.rests[t.ID].After(now) {
				continue
			}
			if took++; took > n {
				break
			}
			if len(r.where[t.ID]) > 1 {
				if _, twice := seen[t.ID]; twice {
					continue
				}
				seen[t.ID] = struct{}{}
			}
			out = append(out, t)
		}
		if took == 0 && n > 0 { // all who could go rest
			r.sleep(l, now, b)
		}
		if len(out) > 8*n { // many lines move at once: keep to what can go
			slices.SortFunc(out, Ticket.compare)
			out = out[:n]
		}
	}
	slices.SortFunc(out, Ticket.compare)
	return out[:min(len(out), n)]
}

// due walks the part of the heap whose time has come.
func (r *Room) due(now time.Time, out []*line, i int) []*line {
	if i >= len(r.wakes) || r.wakes[i].wake.After(now) {
		return out
	}
	out = append(out, r.wakes[i])
	out = r.due(now, out, 2*i+1)
	return r.due(now, out, 2*i+2)
}

// Len is how many tickets wait.
func (r *Room) Len() int { return len(r.where) }

// Full reports whether no ticket can join.
func (r *Room) Full() bool { return len(r.where) >= r.max }

// Line is how long a member's line is.
func (r *Room) Line(member string) int {
	if l := r.lines[fold(member)]; l != nil {
		return len(l.tickets)
	}
	return 0
}

// Queue is a member's line as others see it.
type Queue struct {
	Member  string
	Waiting int
	Next    time.Time // when it may move
}

// Longest returns the longest lines, the longest first, at most n.
func (r *Room) Longest(n int) []Queue {
	out := make([]Queue, 0, len(r.lines))
	for _, l := range r.lines {
		out = append(out, Queue{l.member, len(l.tickets), l.wake})
	}
	slices.SortFunc(out, func(a, b Queue) int {
		if a.Waiting != b.Waiting {
			return b.Waiting - a.Waiting
		}
		return strings.Compare(a.Member, b.Member)
	})
	return out[:min(len(out), max(n, 0))]
}

// Clear empties the room.
func (r *Room) Clear() {
	clear(r.lines)
	clear(r.where)
	clear(r.rests)
	r.wakes, r.next = nil, time.Time{}
}

type lineHeap []*line

func (h lineHeap) Len() int           { return len(h) }
func (h lineHeap) Less(i, j int) bool { return h[i].wake.Before(h[j].wake) }
func (h lineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is part of heap.Interface.
func (h *lineHeap) Push(x any) {
	l := x.(*line)
	l.index = len(*h)
	*h = append(*h, l)
}

// Pop is part of heap.Interface.
func (h *lineHeap) Pop() any {
	old := *h
	n := len(old) - 1
	l := old[n]
	old[n] = nil
	*h = old[:n]
	return l
}
