package pace_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hongyan/internal/pace"
)

// waiter is one ticket of the naive room, with its members in lower case.
type waiter struct {
	pace.Ticket
	members []string
}

// plainRoom is what Room promises: one list, searched from end to end.
type plainRoom struct {
	max  int
	list []waiter // in order
	wake map[string]time.Time
}

func inOrder(a, b pace.Ticket) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
}

func (r *plainRoom) line(member string) (line []pace.Ticket) {
	for _, x := range r.list {
		if slices.Contains(x.members, strings.ToLower(member)) {
			line = append(line, x.Ticket)
		}
	}
	return line
}

func (r *plainRoom) find(id string) int {
	return slices.IndexFunc(r.list, func(x waiter) bool { return x.ID == id })
}

func (r *plainRoom) join(t pace.Ticket, wake time.Time, members []string) bool {
	if len(r.list) >= r.max || len(members) == 0 || r.find(t.ID) >= 0 {
		return false
	}
	x := waiter{Ticket: t}
	for _, m := range members {
		m = strings.ToLower(m)
		if at, waits := r.wake[m]; !waits || wake.Before(at) {
			r.wake[m] = wake
		}
		if !slices.Contains(x.members, m) {
			x.members = append(x.members, m)
		}
	}
	r.list = append(r.list, x)
	slices.SortFunc(r.list, func(a, b waiter) int { return inOrder(a.Ticket, b.Ticket) })
	return true
}

func (r *plainRoom) leave(id string) bool {
	i := r.find(id)
	if i < 0 {
		return false
	}
	before := maps.Clone(r.wake)
	members, first := r.list[i].members, map[string]bool{}
	for _, m := range members {
		first[m] = r.line(m)[0].ID == id
	}
	r.list = slices.Delete(r.list, i, i+1)
	for _, m := range members {
		switch line := r.line(m); {
		case len(line) == 0:
			delete(r.wake, m)
		case first[m] && line[0].At.Before(before[m]): // the next one may want to go
			r.wake[m] = line[0].At
		}
	}
	return true
}

func (r *plainRoom) ready(now time.Time, n int, free func(string) int) (out []pace.Ticket) {
	for m, at := range r.wake {
		if at.After(now) {
			continue
		}
		for i, t := range r.line(m) {
			if i < max(free(m), 1) && !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	slices.SortFunc(out, inOrder)
	return out[:min(len(out), max(n, 0))]
}

// TestRoomIsThePlainOne does the same to a Room and to the plain one and asks
// both everything after every step.
func TestRoomIsThePlainOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, 2, 5, 30}).Draw(t, "max")
		room, plain := pace.NewRoom(n), &plainRoom{max: n, wake: map[string]time.Time{}}
		now := start
		id := func(t *rapid.T) string { return fmt.Sprint("t", rapid.IntRange(0, 15).Draw(t, "id")) }
		moment := rapid.Custom(func(t *rapid.T) time.Time {
			return now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "s")) * time.Second)
		})
		drawTicket := func(t *rapid.T) pace.Ticket {
			x := pace.Ticket{ID: id(t), Priority: rapid.SampledFrom([]int{-1 << 63, -1, 0, 1, 2, 3, 1<<63 - 1}).Draw(t, "priority"), At: moment.Draw(t, "at")}
			if rapid.Bool().Draw(t, "ends") {
				x.Expires = moment.Draw(t, "expires")
			}
			return x
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				x, wake := drawTicket(t), moment.Draw(t, "wake")
				members := rapid.SliceOfN(rapid.SampledFrom(names), 0, 3).Draw(t, "members")
				want := plain.join(x, wake, members)
				if got := room.Join(x, wake, members...); got != want {
					t.Fatalf("join of %v: %v, want %v", x, got, want)
				}
			},
			"join many": func(t *rapid.T) { // more lines than Ready looks through at once
				for i := range 12 {
					x, wake := drawTicket(t), moment.Draw(t, "wake")
					x.ID = fmt.Sprint("m", i)
					if room.Join(x, wake, x.ID) != plain.join(x, wake, []string{x.ID}) {
						t.Fatalf("join of %v", x)
					}
				}
			},
			"leave": func(t *rapid.T) {
				id := id(t)
				want := plain.leave(id)
				if got := room.Leave(id); got != want {
					t.Fatalf("leave of %s: %v, want %v", id, got, want)
				}
			},
			"wake": func(t *rapid.T) {
				m, at := rapid.SampledFrom(names).Draw(t, "member"), moment.Draw(t, "at")
				if _, waits := plain.wake[strings.ToLower(m)]; waits {
					plain.wake[strings.ToLower(m)] = at
				}
				room.Wake(m, at)
			},
			"wake all": func(t *rapid.T) {
				at := moment.Draw(t, "at")
				for m := range plain.wake {
					plain.wake[m] = at
				}
				room.WakeAll(at)
			},
			"clear": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "sure") == 0 {
					room.Clear()
					plain.list = nil
					clear(plain.wake)
				}
			},
			"later": func(*rapid.T) { now = now.Add(time.Second) },
			"":      func(t *rapid.T) { compareRooms(t, room, plain, now, drawTicket(t)) },
		})
	})
}

func compareRooms(t *rapid.T, room *pace.Room, plain *plainRoom, now time.Time, x pace.Ticket) {
	if room.Len() != len(plain.list) || room.Full() != (len(plain.list) >= plain.max) || room.Has(x.ID) != (plain.find(x.ID) >= 0) {
		t.Fatalf("%d wait, want %d; full %v; %s is there: %v", room.Len(), len(plain.list), room.Full(), x.ID, room.Has(x.ID))
	}
	for _, w := range plain.list {
		members := room.Members(w.ID)
		for i := range members {
			members[i] = strings.ToLower(members[i])
		}
		if !slices.Equal(members, w.members) {
			t.Fatalf("%s stands in the lines of %v, want %v", w.ID, members, w.members)
		}
	}
	for _, m := range names {
		line := plain.line(m)
		ahead := len(slices.DeleteFunc(slices.Clone(line), func(y pace.Ticket) bool { return inOrder(y, x) >= 0 }))
		if room.Line(m) != len(line) || room.Ahead(m, x) != ahead {
			t.Fatalf("%d stand in the line of %s, %d before %v; want %d and %d", room.Line(m), m, room.Ahead(m, x), x, len(line), ahead)
		}
	}
	var first time.Time
	for _, at := range plain.wake {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	if at, some := room.NextWake(); some != (len(plain.wake) > 0) || !at.Equal(first) {
		t.Fatalf("the first line moves at %v, want %v", at, first)
	}
	n := rapid.IntRange(-1, 12).Draw(t, "n")
	budget := rapid.IntRange(-1, 4).Draw(t, "free")
	free := func(m string) int { return budget + len(m)%2 }
	if got, want := room.Ready(now, n, pace.Budget{Free: free}), plain.ready(now, n, free); !slices.Equal(got, want) {
		t.Fatalf("ready are %v, want %v", got, want)
	}
	compareExpiry(t, room, plain, now, n)
	longest := room.Longest(n)
	if len(longest) != min(len(plain.wake), max(n, 0)) {
		t.Fatalf("%d lines of %d are the longest %d", len(longest), len(plain.wake), n)
	}
	lengths := slices.Collect(maps.Values(lineLengths(plain)))
	slices.SortFunc(lengths, func(a, b int) int { return b - a })
	for i, q := range longest {
		if q.Waiting != lengths[i] || q.Waiting != len(plain.line(q.Member)) || !q.Next.Equal(plain.wake[strings.ToLower(q.Member)]) {
			t.Fatalf("line %d is %+v, the lengths are %v", i, q, lengths)
		}
	}
}

func lineLengths(plain *plainRoom) map[string]int {
	out := map[string]int{}
	for m := range plain.wake {
		out[m] = len(plain.line(m))
	}
	return out
}

// compareExpiry checks that Expired misses none, names none twice, and that
// NextExpiry is never after the first end.
func compareExpiry(t *rapid.T, room *pace.Room, plain *plainRoom, now time.Time, n int) {
	over := map[string]pace.Ticket{}
	for _, w := range plain.list {
		if w.Expires.IsZero() {
			continue
		}
		if next := room.NextExpiry(); next.IsZero() || next.After(w.Expires) {
			t.Fatalf("nothing ends before %v, but %v", next, w.Ticket)
		}
		if !w.Expires.After(now) {
			over[w.ID] = w.Ticket
		}
	}
	got := room.Expired(now, n)
	if len(got) != min(len(over), max(n, 0)) {
		t.Fatalf("expired, at most %d: %v, want %v", n, got, over)
	}
	for _, x := range got {
		if over[x.ID] != x {
			t.Fatalf("%v is not expired, or twice", x)
		}
		delete(over, x.ID)
	}
	if next := room.NextExpiry(); len(over) == 0 && len(got) == 0 && !next.IsZero() && !next.After(now) {
		t.Fatalf("nothing is expired at %v, but something ended at %v", now, next)
	}
}
