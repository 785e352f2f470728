package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

const (
	// DefaultZone is where cron expressions are read unless a schedule says
	// otherwise.
	DefaultZone = "Asia/Shanghai"

	maxCron   = 200 // bytes
	everyHour = 1<<24 - 1
	starred   = 1 << 63 // of a field of cron.SpecSchedule: it was written as a star
	horizon   = 9       // years; 29 February is never further away
)

var errNever = errors.New("no time fits it")

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Cron is a parsed expression in its zone. It works on the wall clock there: a
// time that the clock skips in spring does not come about, and one that it
// repeats in autumn comes about once, the first time; but an expression for
// every hour goes on every hour. Immutable.
type Cron struct {
	spec *cron.SpecSchedule // only its fields are used
	zone *time.Location
}

// ParseCron reads five fields (minute, hour, day of month, month, day of week)
// or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and
// @annually. What depends on when it was started (@every) or names a zone
// itself is refused, as is what never comes about.
func ParseCron(expr string, zone *time.Location) (Cron, error) {
	expr = strings.TrimSpace(expr)
	switch {
	case len(expr) > maxCron:
		return Cron{}, fmt.Errorf("longer than %d bytes", maxCron)
	case strings.HasPrefix(expr, "@every"):
		return Cron{}, errors.New("@every has no fixed times; write */10 * * * *")
	case strings.Contains(expr, "="):
		return Cron{}, errors.New("the zone has a field of its own")
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(sundays(expr))
	if err != nil {
		return Cron{}, err
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Cron{}, errors.New("has no fixed times")
	}
	c := Cron{spec: spec, zone: zone}
	for _, f := range []uint64{spec.Minute, spec.Hour, spec.Dom, spec.Month, spec.Dow} {
		if f&^starred == 0 { // a lone comma
			return Cron{}, errors.New("a field is empty")
		}
	}
	if c.Next(time.Now()).IsZero() {
		return Cron{}, errNever
	}
	return c, nil
}

// sundays writes 7, which is Sunday in every crontab, as the 0 that the parser
// knows; a range up to it becomes a list. What it does not understand it leaves to
// the parser.
func sundays(expr string) string {
	fields := strings.Fields(expr)
	if len(fields) != 5 || !strings.Contains(fields[4], "7") {
		return expr
	}
	items := strings.Split(fields[4], ",")
	for i, item := range items {
		days, every, stepped := strings.Cut(item, "/")
		from, to, ranged := strings.Cut(days, "-")
		switch {
		case item == "7":
			items[i] = "0"
		case ranged && to == "7":
			step := 1
			if n, err := strconv.Atoi(every); stepped && (err != nil || n < 1) {
				continue
			} else if stepped {
				step = min(n, 7)
			}
			first := slices.Index(weekdays, strings.ToLower(from))
			if n, err := strconv.Atoi(from); err == nil {
				first = n
			}
			if first < 0 || first > 7 {
				continue
			}
			var list []string
			for d := first; d <= 7; d += step {
				list = append(list, strconv.Itoa(d%7))
			}
			items[i] = strings.Join(list, ",")
		}
	}
	fields[4] = strings.Join(items, ",")
	return strings.Join(fields, " ")
}

// Next returns the first time after t, to the minute and in the cron's zone;
// zero when there is none within nine years.
func (c Cron) Next(t time.Time) time.Time {
	t = t.In(c.zone).Truncate(time.Minute).Add(time.Minute)
	for end := t.AddDate(horizon, 0, 0); t.Before(end); {
		switch y, m, d := t.Date(); {
		case c.spec.Month>>uint(m)&1 == 0:
			t = c.dayStart(t, y, m+1, 1)
		case !c.day(t):
			t = c.dayStart(t, y, m, d+1)
		case c.spec.Hour>>uint(t.Hour())&1 == 0:
			t = nextHour(t)
		case c.spec.Minute>>uint(t.Minute())&1 == 0 || c.repeated(t):
			t = t.Add(time.Minute)
		default:
			return t
		}
	}
	return time.Time{}
}

// Upcoming returns the next n times after t.
func (c Cron) Upcoming(t time.Time, n int) []time.Time {
	out := make([]time.Time, 0, n)
	for len(out) < n {
		if t = c.Next(t); t.IsZero() {
			break
		}
		out = append(out, t)
	}
	return out
}

// day reports whether t's date fits. As everywhere with cron, when both day
// fields are given either will do.
func (c Cron) day(t time.Time) bool {
	dom := c.spec.Dom>>uint(t.Day())&1 == 1
	dow := c.spec.Dow>>uint(t.Weekday())&1 == 1
	if c.spec.Dom&starred != 0 || c.spec.Dow&starred != 0 {
		return dom && dow
	}
	return dom || dow
}

// dayStart finds the first minute of a date after t. Midnight itself may be
// skipped by the clock, so it is approached from noon, which never is.
func (c Cron) dayStart(t time.Time, y int, m time.Month, d int) time.Time {
	noon := time.Date(y, m, d, 12, 0, 0, 0, c.zone)
	s := noon.Add(-16 * time.Hour)
	for s.Before(noon) && (s.Day() != noon.Day() || !s.After(t)) {
		s = s.Add(15 * time.Minute)
	}
	if !s.After(t) { // a date that the zone left out
		return t.Add(time.Hour)
	}
	return s
}

// nextHour goes to the next full hour on the wall clock, by minutes when the
// clock is changed on the way.
func nextHour(t time.Time) time.Time {
	next := t.Add(time.Duration(60-t.Minute()) * time.Minute)
	_, was := t.Zone()
	if _, is := next.Zone(); is != was {
		return t.Add(time.Minute)
	}
	return next
}

// repeated reports whether the wall clock has shown t before, after it was put
// back.
func (c Cron) repeated(t time.Time) bool {
	if c.spec.Hour&everyHour == everyHour {
		return false
	}
	since, _ := t.ZoneBounds()
	if since.IsZero() {
		return false
	}
	_, is := t.Zone()
	_, was := since.Add(-time.Second).Zone()
	return t.Sub(since) < time.Duration(was-is)*time.Second
}
