package pace

import (
	"slices"
	"time"
)

// ChinaTime is the zone in which WeCom's days begin. It has no summer time.
func ChinaTime() *time.Location { return time.FixedZone("UTC+8", 8*3600) }

// dayMargin is how near to midnight a moment counts on both days: the clocks of
// both sides differ a little.
const dayMargin = 5 * time.Second

// Quota counts the person-times of an app's day: a call to 1000 people counts
// 1000. What goes a few seconds before or after midnight counts on both days:
// nobody knows on which of them WeCom counts it. Days are told apart, so that a
// clock that is set back goes on where that day was; the latest four that were
// counted are remembered. The zero value allows everything. Not safe for
// concurrent use.
type Quota struct {
	Allowed int64 // per day; 0: unknown, nothing is held back
	days    []*day
}

const daysKept = 4

type day struct {
	start  time.Time
	used   int64
	warned bool
}

// Day returns the start of the day that t counts for, the earlier one if there
// are two.
func Day(t time.Time) time.Time { return midnight(t.Add(-dayMargin)) }

// NextDay returns when the next day's quota may be used.
func NextDay(t time.Time) time.Time { return Day(t).AddDate(0, 0, 1).Add(dayMargin) }

func midnight(t time.Time) time.Time {
	local := t.In(ChinaTime())
	return time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, local.Location())
}

// Used tells how many person-times of today are gone; of the two days around
// midnight, of the one with more.
func (q *Quota) Used(now time.Time) int64 {
	used := int64(0)
	for _, start := range around(now) {
		used = max(used, q.find(start).used)
	}
	return used
}

// Left tells how many person-times may still go now; 0 also when the quota is
// unknown.
func (q *Quota) Left(now time.Time) int64 { return max(q.Allowed-q.Used(now), 0) }

// Fits reports whether n more may go now. What is larger than a whole day's
// quota would never fit and is let through on an untouched day, so that WeCom
// and not we refuse it.
func (q *Quota) Fits(now time.Time, n int) bool {
	used := q.Used(now)
	return q.Allowed <= 0 || used+int64(n) <= q.Allowed || used == 0
}

// Add counts n person-times. It reports whether 80 % of the day's quota are
// used and that was not reported yet.
func (q *Quota) Add(now time.Time, n int) (warn bool) {
	for _, start := range around(now) {
		warn = q.add(start, n) || warn
	}
	return warn
}

// Move says that what was counted at from may have reached WeCom as late as to.
func (q *Quota) Move(from, to time.Time, n int) {
	before := around(from)
	for _, start := range around(to) {
		if !slices.ContainsFunc(before, start.Equal) {
			q.add(start, n)
		}
	}
}

// TakeBack undoes an Add of that time.
func (q *Quota) TakeBack(at time.Time, n int) {
	for _, start := range around(at) {
		d := q.find(start)
		d.used = max(d.used-int64(n), 0)
	}
}

// Restore sets what was used today before this start. Who had to be warned of
// it has been.
func (q *Quota) Restore(now time.Time, used int64) {
	d := q.keep(Day(now))
	d.used, d.warned = used, q.much(used)
}

// around returns the days that t counts for.
func around(t time.Time) []time.Time {
	first, last := Day(t), midnight(t.Add(dayMargin))
	if first.Equal(last) {
		return []time.Time{first}
	}
	return []time.Time{first, last}
}

func (q *Quota) add(start time.Time, n int) (warn bool) {
	d := q.keep(start)
	d.used += int64(n)
	warn = !d.warned && q.much(d.used)
	d.warned = d.warned || warn
	return warn
}

func (q *Quota) much(used int64) bool { return q.Allowed > 0 && used >= (q.Allowed*8+9)/10 }

// find returns a day; an empty one that is not kept when nothing was counted.
func (q *Quota) find(start time.Time) *day {
	for _, d := range q.days {
		if d.start.Equal(start) {
			return d
		}
	}
	return &day{start: start}
}

// keep returns a day to be counted on, and makes it the latest.
func (q *Quota) keep(start time.Time) *day {
	d := q.find(start)
	q.days = slices.DeleteFunc(q.days, func(x *day) bool { return x == d })
	if len(q.days) == daysKept {
		q.days = slices.Delete(q.days, 0, 1)
	}
	q.days = append(q.days, d)
	return d
}
