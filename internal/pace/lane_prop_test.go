package pace_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hongyan/internal/pace"
)

// mail is one message to one member in the simulated lane.
type mail struct {
	pace.Ticket
	member, scene string
	sent          time.Time // zero: waits
}

// miniLane is a lane made of the pure parts: what comes in stands in streams
// that share by weight, who has no budget stands in the room.
type miniLane struct {
	t       *rapid.T
	now     time.Time
	windows *pace.Windows
	room    *pace.Room
	shares  [4]pace.Shares[string]
	streams map[string][]*mail // by priority and scene
	mails   map[string]*mail
	sent    []*mail
}

func (l *miniLane) stream(p int, scene string) string { return fmt.Sprint(p, scene) }

func (l *miniLane) arrive(m *mail) {
	key := l.stream(m.Priority, m.scene)
	l.mails[m.ID] = m
	l.streams[key] = append(l.streams[key], m)
	l.shares[m.Priority].Join(m.scene, 1+len(m.scene))
}

// pop takes the next one of the most urgent streams, if it is not less urgent
// than p.
func (l *miniLane) pop(p int) *mail {
	for i := range min(p, 3) + 1 {
		scene, some := l.shares[i].First()
		if !some {
			continue
		}
		key := l.stream(i, scene)
		m := l.streams[key][0]
		l.shares[i].Took(scene)
		if l.streams[key] = l.streams[key][1:]; len(l.streams[key]) == 0 {
			l.shares[i].Leave(scene)
		}
		return m
	}
	return nil
}

// slot sends one message if any may go, as lane.Lane does it.
func (l *miniLane) slot() bool {
	for {
		p := 3
		ready := l.room.Ready(l.now, 1, pace.Budget{Free: func(m string) int { return l.windows.Free(l.now, m) }})
		if len(ready) > 0 {
			p = ready[0].Priority - 1 // of equals the one that waits already
		}
		m := l.pop(p)
		switch {
		case m != nil && l.room.Ahead(m.member, m.Ticket) > 0:
			l.park(m)
		case m == nil && len(ready) == 0:
			return false
		case m == nil:
			m = l.mails[ready[0].ID]
			if next := l.windows.NextOne(l.now, m.member, 0); next.After(l.now) {
				l.room.Wake(m.member, next)
				continue
			}
			l.send(m)
			return true
		case l.windows.NextOne(l.now, m.member, 0).After(l.now):
			l.park(m)
		default:
			l.send(m)
			return true
		}
	}
}

func (l *miniLane) park(m *mail) {
	if !l.room.Join(m.Ticket, l.windows.NextOne(l.now, m.member, 0), m.member) {
		l.t.Fatalf("%v is in the room twice", m.Ticket)
	}
}

func (l *miniLane) send(m *mail) {
	if n := l.room.Ahead(m.member, m.Ticket); n > 0 {
		l.t.Fatalf("%v goes although %d stand before it in the line of %s", m.Ticket, n, m.member)
	}
	if !m.sent.IsZero() {
		l.t.Fatalf("%v goes twice", m.Ticket)
	}
	l.room.Leave(m.ID)
	l.windows.Record(l.now, []string{m.member})
	m.sent = l.now
	l.sent = append(l.sent, m)
}

// drawMails draws what will come in, in order of time, no two at the same.
func drawMails(t *rapid.T) []*mail {
	var out []*mail
	at := start
	for i := range rapid.IntRange(1, 80).Draw(t, "messages") {
		at = at.Add((drawGap(t) / 100).Truncate(time.Microsecond) + time.Microsecond)
		out = append(out, &mail{
			Ticket: pace.Ticket{ID: fmt.Sprintf("m%02d", i), Priority: rapid.IntRange(0, 3).Draw(t, "priority"), At: at},
			member: rapid.SampledFrom([]string{"ann", "ann", "bob", "cid"}).Draw(t, "member"),
			scene:  rapid.SampledFrom([]string{"s", "ss", "ssssss"}).Draw(t, "scene"),
		})
	}
	return out
}

// TestLaneOfPureParts simulates a lane that can make one call in a while, or as
// many as it likes. It never exceeds a window, wastes no slot while anybody may
// get something, lets nobody overtake in a member's line, and every message
// goes. With no bound but the members' limits each goes at the very time at
// which a scheduler that knows no better way would send it.
func TestLaneOfPureParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits, margin := drawLimits(t)
		l := &miniLane{
			t: t, windows: pace.New(pace.Config{Limits: limits, Margin: margin}), room: pace.NewRoom(100),
			streams: map[string][]*mail{}, mails: map[string]*mail{},
		}
		margin = max(margin, 0)
		every := time.Duration(rapid.SampledFrom([]int{0, 0, 50, 700}).Draw(t, "every")) * time.Millisecond
		mails := drawMails(t)
		free := start // when the next call can be made
		for next := 0; len(l.sent) < len(mails); {
			at := time.Time{} // of what happens next
			if next < len(mails) {
				at = mails[next].At
			}
			if wake, some := l.room.NextWake(); some && (at.IsZero() || wake.Before(at)) {
				at = wake
			}
			for _, s := range l.streams {
				if len(s) > 0 {
					at = l.now
				}
			}
			if at.IsZero() {
				t.Fatalf("%d of %d went, and nothing happens any more", len(l.sent), len(mails))
			}
			l.now = maxTime(l.now, at)
			if next < len(mails) && free.After(l.now) && mails[next].At.Before(free) {
				l.now = mails[next].At
			} else {
				l.now = maxTime(l.now, free)
			}
			for next < len(mails) && !mails[next].At.After(l.now) {
				l.arrive(mails[next])
				next++
			}
			for !free.After(l.now) && l.slot() {
				if every > 0 {
					free = l.now.Add(every)
				}
			}
			if free.After(l.now) {
				continue
			}
			for _, m := range l.mails {
				if m.sent.IsZero() && l.windows.Free(l.now, m.member) > 0 {
					t.Fatalf("at %v %v waits although %s may get it", l.now, m.Ticket, m.member)
				}
			}
		}
		byMember := map[string][]*mail{}
		for _, m := range l.sent {
			byMember[m.member] = append(byMember[m.member], m)
		}
		if l.room.Len() > 0 || len(l.sent) != len(mails) {
			t.Fatalf("%d of %d went, %d are in the room", len(l.sent), len(mails), l.room.Len())
		}
		for member, sent := range byMember {
			times := make([]time.Time, len(sent))
			for i, m := range sent {
				times[i] = m.sent
			}
			if limit, bad := exceeded(limits, times); bad {
				t.Fatalf("more than %v went to %s", limit, member)
			}
			if every == 0 {
				compareToPlain(t, &naive{limits: limits, margin: margin}, sent)
			}
		}
	})
}

// compareToPlain sends a member's messages again: whenever one may go, the
// first in order of those that have come in does.
func compareToPlain(t *rapid.T, n *naive, sent []*mail) {
	waiting := slices.SortedFunc(slices.Values(sent), func(a, b *mail) int { return inOrder(a.Ticket, b.Ticket) })
	var past []time.Time
	now := slices.MinFunc(waiting, func(a, b *mail) int { return a.At.Compare(b.At) }).At
	for len(waiting) > 0 {
		now = n.next(past, now)
		i := slices.IndexFunc(waiting, func(m *mail) bool { return !m.At.After(now) })
		if i < 0 { // nobody is here
			now = slices.MinFunc(waiting, func(a, b *mail) int { return cmp.Compare(a.At.UnixMicro(), b.At.UnixMicro()) }).At
			continue
		}
		if !waiting[i].sent.Equal(now) {
			t.Fatalf("%v went at %v, its turn was at %v", waiting[i].Ticket, waiting[i].sent, now)
		}
		past = append(past, now)
		waiting = slices.Delete(waiting, i, i+1)
	}
}
