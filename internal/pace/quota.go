package pace

import "time"

// ChinaTime is the zone in which WeCom's days begin. It has no summer time.
func ChinaTime() *time.Location { return time.FixedZone("UTC+8", 8*3600) }

// dayMargin is kept after midnight before the new day's quota is used: the
// clocks of both sides differ a little.
const dayMargin = 5 * time.Second

// Quota counts the person-times of an app's day: a call to 1000 people counts
// 1000. The zero value allows everything. Not safe for concurrent use.
type Quota struct {
	Allowed int64 // per day; 0: unknown, nothing is held back
	day     time.Time
	used    int64
}

// Day returns the start of the day that t counts for.
func Day(t time.Time) time.Time {
	local := t.Add(-dayMargin).In(ChinaTime())
	return time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, local.Location())
}

// NextDay returns when the next day's quota may be used.
func NextDay(t time.Time) time.Time { return Day(t).AddDate(0, 0, 1).Add(dayMargin) }

// Used tells how many person-times of today are gone.
func (q *Quota) Used(now time.Time) int64 {
	q.turn(now)
	return q.used
}

// Left tells how many person-times of today are left; 0 also when the quota is
// unknown.
func (q *Quota) Left(now time.Time) int64 {
	q.turn(now)
	return max(q.Allowed-q.used, 0)
}

// Fits reports whether n more may go today. What is larger than a whole day's
// quota would never fit and is let through on an untouched day, so that WeCom
// and not we refuse it.
func (q *Quota) Fits(now time.Time, n int) bool {
	q.turn(now)
	return q.Allowed <= 0 || q.used+int64(n) <= q.Allowed || q.used == 0
}

// Add counts n person-times; a negative n takes them back. It reports whether
// the share of the day's quota that is used has just reached 80 %.
func (q *Quota) Add(now time.Time, n int) (warn bool) {
	before := q.Warns(now)
	q.used = max(q.used+int64(n), 0)
	return !before && q.Warns(now)
}

// Warns reports whether at least 80 % of the day's quota is used.
func (q *Quota) Warns(now time.Time) bool {
	q.turn(now)
	return q.Allowed > 0 && q.used >= (q.Allowed*8+9)/10
}

// Restore sets what was used today before this start.
func (q *Quota) Restore(now time.Time, used int64) {
	q.turn(now)
	q.used = used
}

func (q *Quota) turn(now time.Time) {
	if d := Day(now); d.After(q.day) { // never back, whatever the clock does
		q.day, q.used = d, 0
	}
}
