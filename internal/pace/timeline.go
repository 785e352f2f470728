package pace

import "time"

// timeline is the line on which windows are counted, in microseconds. Its
// zero is the first time that was seen.
type timeline struct{ zero time.Time }

// moment is when t is on the line.
func (l *timeline) moment(t time.Time) int64 {
	if l.zero.IsZero() {
		l.zero = t.Add(-time.Duration(t.Nanosecond() % 1000))
	}
	since := t.Sub(l.zero)
	whole := since.Microseconds()
	if since < 0 && since%time.Microsecond != 0 {
		whole-- // down, as after zero
	}
	return l.zero.UnixMicro() + whole
}

// before is the moment of what was noted by the wall clock, and whether it may
// still count at now: it is no older than keep.
func (l *timeline) before(now, at time.Time, keep int64) (moment int64, fresh bool) {
	m := l.moment(now)
	past := m - (now.UnixMicro() - at.UnixMicro())
	return past, past > m-keep
}
