package sandbox

import (
	"strings"
	"time"
)

const day = 24 * time.Hour

// tally counts over one window what happened when.
type tally struct {
	at  []spent
	sum int64
}

type spent struct{ at, n int64 }

// fits reports whether n more stay within limit, negative meaning none, in the
// last span or, on the calendar, in the running minute, hour or day of China.
func (t *tally) fits(now time.Time, span time.Duration, window Window, n, limit int) bool {
	if limit < 0 {
		return true
	}
	gone := now.Add(-span).UnixNano() // and what was before
	if window == WindowCalendar {
		const china = 8 * time.Hour
		gone = now.Add(china).Truncate(span).Add(-china).UnixNano() - 1
	}
	for len(t.at) > 0 && t.at[0].at <= gone {
		t.sum -= t.at[0].n
		t.at = t.at[1:]
	}
	return t.sum+int64(n) <= int64(limit)
}

func (t *tally) add(now time.Time, n, limit int) {
	if limit >= 0 {
		t.at = append(t.at, spent{now.UnixNano(), int64(n)})
		t.sum += int64(n)
	}
}

// groupLimits count what goes to groups.
type groupLimits struct {
	robots           map[string]*robotLimit // by key
	members          map[windowKey]*chatWindow
	minute, hour     tally // person-times of the corp
	blocked          time.Time
	created, updated tally
}

type robotLimit struct {
	minute  tally
	blocked time.Time
}

// chatWindow counts what one app sent to one member over all its chats.
type chatWindow struct{ minute, day tally }

func newGroupLimits() *groupLimits {
	return &groupLimits{robots: map[string]*robotLimit{}, members: map[windowKey]*chatWindow{}}
}

func (s *Server) robotLimit(key string) *robotLimit {
	l := s.groups.robots[key]
	if l == nil {
		l = &robotLimit{}
		s.groups.robots[key] = l
	}
	return l
}

func (s *Server) checkRobotBlock(key string, now time.Time) *refusal {
	if now.Before(s.robotLimit(key).blocked) {
		return refuse(codeFreq)
	}
	return nil
}

// admitRobot counts a message; one too many blocks the robot for a minute.
func (s *Server) admitRobot(key string, now time.Time) *refusal {
	l := s.robotLimit(key)
	if !l.minute.fits(now, time.Minute, s.opt.Window, 1, s.opt.RobotPerMinute) {
		l.blocked = now.Add(time.Minute)
		return refuse(codeFreq)
	}
	l.minute.add(now, 1, s.opt.RobotPerMinute)
	return nil
}

// admitChat reports whether the silent limits of chats let one more message
// through to user, and counts it if so.
func (s *Server) admitChat(agent int64, user string, now time.Time) bool {
	key := windowKey{agent, strings.ToLower(user)}
	w := s.groups.members[key]
	if w == nil {
		if len(s.groups.members) >= maxWindows {
			clear(s.groups.members)
		}
		w = &chatWindow{}
		s.groups.members[key] = w
	}
	o := &s.opt
	if !w.minute.fits(now, time.Minute, o.Window, 1, o.ChatMemberPerMinute) || !w.day.fits(now, day, o.Window, 1, o.ChatMemberPerDay) {
		return false
	}
	w.minute.add(now, 1, o.ChatMemberPerMinute)
	w.day.add(now, 1, o.ChatMemberPerDay)
	return true
}

func (s *Server) checkPersonsBlock(now time.Time) *refusal {
	if now.Before(s.groups.blocked) {
		return refuse(codeFreq)
	}
	return nil
}

// spendPersons takes n person-times off what the corp may send to chats; over
// it, all its chats are blocked for as long as the window that is full.
func (s *Server) spendPersons(n int, now time.Time) *refusal {
	g, o := s.groups, &s.opt
	switch {
	case !g.hour.fits(now, time.Hour, o.Window, n, o.ChatPersonsPerHour):
		g.blocked = now.Add(time.Hour)
	case !g.minute.fits(now, time.Minute, o.Window, n, o.ChatPersonsPerMinute):
		g.blocked = now.Add(time.Minute)
	default:
		g.minute.add(now, n, o.ChatPersonsPerMinute)
		g.hour.add(now, n, o.ChatPersonsPerHour)
		return nil
	}
	return refuse(codeFreq)
}
