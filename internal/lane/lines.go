package lane

import (
	"slices"
	"strings"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
)

// reach names those in whose lines d may stand or, when nobody knows whom it is
// for, all who have one.
func (l *Lane) reach(d *domain.Delivery) []string {
	members, anybody := l.e.sender.Reach(d)
	if anybody {
		return l.room.Everybody()
	}
	return members
}

// behind names the members whom d reaches in whose lines somebody goes before
// it.
func (l *Lane) behind(d *domain.Delivery, t pace.Ticket) (members []string) {
	if l.room.Len() == 0 {
		return nil
	}
	for _, m := range l.reach(d) {
		if l.room.Ahead(m, t) > 0 {
			members = append(members, m)
		}
	}
	return members
}

// ticket is d's place in a line. Pieces of a text are as old as each other, and
// what is left of a divided one has a new id: so a piece is older than the next
// by less than times are told apart.
func ticket(d *domain.Delivery) pace.Ticket {
	at := d.Since.Add(time.Duration(d.Handling.Part) * time.Nanosecond)
	return pace.Ticket{ID: d.ID, Priority: int(d.Priority), At: at, Expires: d.ExpiresAt}
}

// lineUpLocked lets a delivery wait in the lines of members, behind those who
// were there before. The others of its members do not wait with them.
func (l *Lane) lineUpLocked(d *domain.Delivery, members []string, now time.Time, b *batch) {
	var wake time.Time
	for _, m := range members {
		if at := l.e.sender.Next(l.key, m, now, 0); wake.IsZero() || at.Before(wake) {
			wake = at
		}
	}
	if d.Untaken() && len(members) < len(l.e.sender.Members(d)) && l.divideLocked(d, members, wake, l.rate, now, b) {
		return
	}
	l.parkLocked(d, wake, now, b, members...)
}

// giveWayLocked keeps a delivery that one of its lines has called from passing
// those who stand before it in another one: they can have all the budget that is
// there, or have an earlier piece of the same text. Its people in such lines go
// on waiting, the others get it now. It reports false when d may go.
func (l *Lane) giveWayLocked(d *domain.Delivery, now time.Time, b *batch) bool {
	var until, soonest time.Time
	var late []string
	all, t, text, early := l.reach(d), ticket(d), false, false
	first := t
	first.At, first.ID = d.Since, ""
	for _, m := range all {
		ahead := l.room.Ahead(m, t)
		pieces := d.Handling.Part > 1 && ahead > l.room.Ahead(m, first)
		if ahead == 0 || !pieces && ahead < l.e.sender.Free(l.key, m, now) {
			early = l.room.Waken(m, t, now) || early // there is enough for them and for d, and they go first
			continue
		}
		late, text = append(late, m), text || pieces
		at := l.e.sender.Next(l.key, m, now, ahead)
		if at.After(until) {
			until = at
		}
		if soonest.IsZero() || at.Before(soonest) {
			soonest = at
		}
	}
	switch {
	case len(late) == 0:
		return early
	case len(late) < len(all) && d.Untaken() && l.divideLocked(d, late, soonest, l.rate, now, b):
	case text:
		l.parts.setAside(d)
		l.restLocked(d, now.Add(idleCheck), now)
	default:
		l.stayLocked(d, Admission{Members: late, Until: until}, now, b)
	}
	return true
}

// stayLocked keeps a delivery in its lines, and adds those of other members who
// have become the obstacle.
func (l *Lane) stayLocked(d *domain.Delivery, a Admission, now time.Time, b *batch) {
	members := l.room.Members(d.ID)
	for _, m := range a.Members {
		if !slices.ContainsFunc(members, func(x string) bool { return strings.EqualFold(x, m) }) {
			l.room.Leave(d.ID)
			l.parkLocked(d, a.Until, now, b, append(members, a.Members...)...)
			return
		}
	}
	l.restLocked(d, a.Until, now)
}

// restLocked keeps d in its lines until a time. They move earlier for those who
// stand before it, or behind it if there is budget for them as well.
func (l *Lane) restLocked(d *domain.Delivery, until, now time.Time) {
	l.room.Rest(d.ID, until, now, l.budget(now))
}

func (l *Lane) budget(now time.Time) pace.Budget {
	return pace.Budget{
		Free: func(m string) int { return l.e.sender.Free(l.key, m, now) },
		Next: func(m string, ahead int) time.Time { return l.e.sender.Next(l.key, m, now, ahead) },
	}
}

// parkLocked puts a delivery into the lines of members, which may move at wake.
// The table gets the time at which its turn is expected; should the room be
// full, the table is all.
func (l *Lane) parkLocked(d *domain.Delivery, wake, now time.Time, b *batch, members ...string) {
	joined := l.room.Join(ticket(d), wake, members...)
	next := l.nextDue
	turn := l.turnLocked(d, members, now)
	l.deferLocked(d, turn, l.rate, b)
	l.digests.crowded(d, turn)
	if joined { // the room wakes it, not the table
		l.nextDue = next
	}
}
