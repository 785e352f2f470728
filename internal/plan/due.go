package plan

import (
	"fmt"
	"slices"
	"time"

	"hongyan/internal/domain"
)

// dueTime says when the first attempt may be made, and what it waits for. It is
// never after the expiry, so that what waits too long ends on time.
func dueTime(in Input) (time.Time, domain.WaitReason, error) {
	due, reason, err := firstTime(in)
	if !in.ExpiresAt.IsZero() && due.After(in.ExpiresAt) {
		due = in.ExpiresAt
	}
	return due, reason, err
}

func firstTime(in Input) (time.Time, domain.WaitReason, error) {
	due, reason := in.Now, domain.WaitNone
	if in.SendAt.After(in.Now) {
		due, reason = in.SendAt, domain.WaitScheduled
	}
	if in.QuietHours == nil || slices.Contains(in.QuietHours.Except, in.Priority.String()) {
		return due, reason, nil
	}
	end, quiet, err := QuietUntil(*in.QuietHours, due)
	if err != nil {
		return time.Time{}, "", err
	}
	if quiet {
		return end.UTC(), domain.WaitQuietHours, nil
	}
	return due, reason, nil
}

// QuietUntil reports whether at lies in the quiet hours and, if so, when they
// end. From is inside, to is not; from after to spans midnight; equal ones are
// never. A time that a change of clocks skips counts as the moment after it.
func QuietUntil(q domain.QuietHours, at time.Time) (end time.Time, quiet bool, err error) {
	zone := q.Zone
	if zone == "" {
		zone = "Asia/Shanghai"
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("reading the zone of quiet hours: %w", err)
	}
	from, err := time.Parse("15:04", q.From)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("reading the start of quiet hours: %w", err)
	}
	to, err := time.Parse("15:04", q.To)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("reading the end of quiet hours: %w", err)
	}
	local := at.In(loc)
	y, m, d := local.Date()
	for _, day := range []int{d - 1, d} {
		start := time.Date(y, m, day, from.Hour(), from.Minute(), 0, 0, loc)
		stop := time.Date(y, m, day, to.Hour(), to.Minute(), 0, 0, loc)
		if to.Before(from) {
			stop = time.Date(y, m, day+1, to.Hour(), to.Minute(), 0, 0, loc)
		}
		if !at.Before(start) && at.Before(stop) {
			return stop, true, nil
		}
	}
	return time.Time{}, false, nil
}
