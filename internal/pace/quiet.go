package pace

import (
	"fmt"
	"strings"
	"time"
)

// Quiet is a part of each day in which nothing is sent: from is inside, to is
// not; from after to spans midnight; equal ones are never. A time that a change
// of clocks skips counts as the moment after it.
type Quiet struct {
	from, to time.Time // hour and minute
	zone     *time.Location
}

// ParseQuiet reads what domain.QuietHours.For writes: "22:00-08:00 Asia/Shanghai".
func ParseQuiet(s string) (Quiet, error) {
	hours, zone, _ := strings.Cut(s, " ")
	from, to, _ := strings.Cut(hours, "-")
	var q Quiet
	var err error
	if q.zone, err = time.LoadLocation(zone); err != nil {
		return q, fmt.Errorf("reading the zone of quiet hours: %w", err)
	}
	if q.from, err = time.Parse("15:04", from); err != nil {
		return q, fmt.Errorf("reading the start of quiet hours: %w", err)
	}
	if q.to, err = time.Parse("15:04", to); err != nil {
		return q, fmt.Errorf("reading the end of quiet hours: %w", err)
	}
	return q, nil
}

// At reports whether a moment is quiet, and until when that does not change.
func (q Quiet) At(at time.Time) (quiet bool, until time.Time) {
	y, m, d := at.In(q.zone).Date()
	on := func(day int, clock time.Time) time.Time {
		t := time.Date(y, m, day, clock.Hour(), clock.Minute(), 0, 0, q.zone)
		_, offset := t.Zone()
		shown, wanted := t.Unix()+int64(offset), time.Date(y, m, day, clock.Hour(), clock.Minute(), 0, 0, time.UTC).Unix()
		switch before, after := t.ZoneBounds(); {
		case shown < wanted:
			return after
		case shown > wanted:
			return before
		}
		return t
	}
	for day := d - 1; day <= d+1; day++ {
		start, stop := on(day, q.from), on(day, q.to)
		if q.to.Before(q.from) {
			stop = on(day+1, q.to)
		}
		switch {
		case !at.Before(start) && at.Before(stop):
			return true, stop
		case start.After(at) && (until.IsZero() || start.Before(until)):
			until = start
		}
	}
	return false, until
}

// quietBound is how many different quiet hours are remembered.
const quietBound = 1024

// Quiets knows many quiet hours and looks at the calendar only when one begins
// or ends. The zero value is ready; not safe for concurrent use.
type Quiets struct{ known map[string]*quietNow }

// quietNow is what holds for some quiet hours from one moment to another.
type quietNow struct {
	hours       Quiet
	err         error // they cannot be read
	since, till time.Time
	quiet       bool
}

// End reports whether now lies in quiet hours, and when those end.
func (s *Quiets) End(hours string, now time.Time) (end time.Time, quiet bool, err error) {
	if hours == "" {
		return time.Time{}, false, nil
	}
	k := s.known[hours]
	if k == nil {
		if s.known == nil || len(s.known) >= quietBound {
			s.known = map[string]*quietNow{}
		}
		k = &quietNow{}
		k.hours, k.err = ParseQuiet(hours)
		s.known[hours] = k
	}
	if k.err != nil {
		return time.Time{}, false, k.err
	}
	if now.Before(k.since) || !now.Before(k.till) {
		k.since = now
		k.quiet, k.till = k.hours.At(now)
	}
	return k.till, k.quiet, nil
}
