package sandbox

import (
	"strings"
	"time"
)

const (
	maxWindows    = 200_000
	maxDuplicates = 200_000
	perAccount    = 200 // person-times a day per account of the corp
)

// chinaTime is where WeCom's days begin. It has no summer time.
func chinaTime() *time.Location { return time.FixedZone("CST", 8*3600) }

type windowKey struct {
	agent int64
	user  string
}

// memberWindow counts what one app sent to one member. at holds the newest
// times, as many as the larger limit.
type memberWindow struct {
	at               []int64
	minute, hour     int64
	inMinute, inHour int
}

// admit reports whether the silent limits let one more message through to
// user, and counts it if so. The caller holds the lock.
func (s *Server) admit(agent int64, user string, now time.Time) bool {
	if s.opt.MemberPerMinute < 0 && s.opt.MemberPerHour < 0 {
		return true
	}
	key := windowKey{agent, strings.ToLower(user)}
	w := s.windows[key]
	if w == nil {
		if len(s.windows) >= maxWindows {
			s.sweepWindows(now)
		}
		w = &memberWindow{}
		s.windows[key] = w
	}
	if s.opt.Window == WindowCalendar {
		return w.admitCalendar(now, s.opt.MemberPerMinute, s.opt.MemberPerHour)
	}
	return w.admitSliding(now, s.opt.MemberPerMinute, s.opt.MemberPerHour)
}

func (w *memberWindow) admitSliding(now time.Time, perMinute, perHour int) bool {
	t := now.UnixNano()
	full := func(limit int, span time.Duration) bool {
		n := len(w.at)
		return limit >= 0 && n >= limit && (limit == 0 || t-w.at[n-limit] < int64(span))
	}
	if full(perMinute, time.Minute) || full(perHour, time.Hour) {
		return false
	}
	keep := max(perMinute, perHour, 1)
	if len(w.at) >= 2*keep {
		w.at = append(w.at[:0], w.at[len(w.at)-keep:]...)
	}
	w.at = append(w.at, t)
	return true
}

func (w *memberWindow) admitCalendar(now time.Time, perMinute, perHour int) bool {
	minute, hour := now.Unix()/60, now.Unix()/3600
	if w.minute != minute {
		w.minute, w.inMinute = minute, 0
	}
	if w.hour != hour {
		w.hour, w.inHour = hour, 0
	}
	if (perMinute >= 0 && w.inMinute >= perMinute) || (perHour >= 0 && w.inHour >= perHour) {
		return false
	}
	w.inMinute++
	w.inHour++
	return true
}

// sweepWindows forgets members that were silent for an hour, and everybody
// when that frees nothing.
func (s *Server) sweepWindows(now time.Time) {
	old := now.Add(-time.Hour).UnixNano()
	for k, w := range s.windows {
		idle := w.hour != now.Unix()/3600
		if n := len(w.at); n > 0 {
			idle = w.at[n-1] < old
		}
		if idle {
			delete(s.windows, k)
		}
	}
	if len(s.windows) >= maxWindows {
		clear(s.windows)
	}
}

// appQuota counts one app's day and minute.
type appQuota struct {
	day     time.Time // start of the counted day
	used    int64
	blocked time.Time // 45009 until then
	minute  time.Time // start of the counted minute
	calls   int
}

func (s *Server) quota(agent int64, now time.Time) *appQuota {
	q := s.quotas[agent]
	if q == nil {
		q = &appQuota{}
		s.quotas[agent] = q
	}
	local := now.In(chinaTime())
	day := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, local.Location())
	if !q.day.Equal(day) {
		q.day, q.used = day, 0
	}
	return q
}

// checkRate gives 45033 and 45009 before the body is looked at.
func (s *Server) checkRate(c *call, app App, now time.Time) *refusal {
	if s.opt.MaxConcurrent > 0 && c.flying > int64(s.opt.MaxConcurrent) {
		return refuse(codeConcurrent)
	}
	q := s.quota(app.AgentID, now)
	if now.Before(q.blocked) {
		return refuse(codeFreq)
	}
	if s.opt.SendPerMinute <= 0 {
		return nil
	}
	if now.Sub(q.minute) >= time.Minute || now.Before(q.minute) {
		q.minute, q.calls = now, 0
	}
	if q.calls++; q.calls > s.opt.SendPerMinute {
		q.blocked = now.Add(time.Minute)
		return refuse(codeFreq)
	}
	return nil
}

// spend takes n person-times off the app's day; over it, the app is blocked
// for the rest of the day.
func (s *Server) spend(agent int64, n int, now time.Time) *refusal {
	if s.opt.Accounts < 0 {
		return nil
	}
	q := s.quota(agent, now)
	if q.used+int64(n) > int64(s.opt.Accounts)*perAccount {
		q.blocked = q.day.AddDate(0, 0, 1)
		return refuse(codeFreq)
	}
	q.used += int64(n)
	return nil
}

type duplicateKey struct {
	agent int64
	sum   [32]byte
}

type firstSeen struct {
	msgID string
	until time.Time
}

// duplicates remembers checked requests; the oldest go first when it is full.
type duplicates struct {
	seen  map[duplicateKey]firstSeen
	order []duplicateKey
}

func newDuplicates() *duplicates { return &duplicates{seen: map[duplicateKey]firstSeen{}} }

// check returns the msgid of the first call when key was seen within its
// interval; otherwise it remembers this one.
func (d *duplicates) check(key duplicateKey, msgID string, window time.Duration, now time.Time) (string, bool) {
	first, known := d.seen[key]
	if known && now.Before(first.until) {
		return first.msgID, true
	}
	if !known {
		if len(d.order) >= maxDuplicates {
			half := d.order[:maxDuplicates/2]
			for _, k := range half {
				delete(d.seen, k)
			}
			d.order = append([]duplicateKey(nil), d.order[len(half):]...)
		}
		d.order = append(d.order, key)
	}
	d.seen[key] = firstSeen{msgID: msgID, until: now.Add(window)}
	return msgID, false
}
