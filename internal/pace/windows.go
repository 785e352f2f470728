package pace

import (
	"slices"
	"time"
)

// Windows remembers for each member the times of what counts against the
// limits. Members are told apart without regard to case, as WeCom does.
//
// Times that a process's clock gives ([time.Now]) count by the monotonic
// reading in them: to set the wall clock opens no window early and keeps none
// shut. Others count by the wall.
type Windows struct {
	timeline
	limits  []limit
	margin  int64 // microseconds
	keep    int64 // microseconds after which an entry is forgotten
	most    int   // how many entries of a member can decide anything
	max     int
	members map[string]*member
	all     []int64            // times of messages that count for everybody
	gone    map[uint32]*member // what nobody of a crowd exceeds who is not among members
	unknown int64              // what was sent until then is not known; 0: all is
}

// limit is a Limit in microseconds, with the margin in it.
type limit struct {
	count  int
	window int64
}

// New returns empty windows.
func New(cfg Config) *Windows {
	cfg = cfg.withDefaults()
	w := &Windows{margin: cfg.Margin.Microseconds(), max: cfg.Members, members: map[string]*member{}, gone: map[uint32]*member{}}
	w.SetLimits(cfg.Limits)
	return w
}

// leastMost is how many entries count of each member, whatever the limits are
// now: they may be raised, and none of WeCom's is higher.
const leastMost = ChatMemberPerDay

// SetLimits changes what is allowed. What was counted stays. A limit that is
// widened, or raised above all of WeCom's, counts only what was remembered under
// the old ones.
func (w *Windows) SetLimits(limits []Limit) {
	w.limits, w.keep, w.most = nil, 0, leastMost
	for _, l := range limits {
		if l.Count <= 0 || l.Window <= 0 {
			continue
		}
		window := l.Window.Microseconds() + w.margin
		w.limits = append(w.limits, limit{l.Count, window})
		w.keep = max(w.keep, window+slack)
		w.most = max(w.most, l.Count)
	}
}

// Next gives for each user the earliest time, not before now, at which one more
// message may go to them; now itself means at once.
func (w *Windows) Next(now time.Time, users []string) []time.Time {
	out := make([]time.Time, len(users))
	for i, u := range users {
		out[i] = w.NextOne(now, u, 0)
	}
	return out
}

// NextOne is [Windows.Next] for one user before whom ahead other messages to
// the same user still wait: it answers when this one's turn comes if those go
// as early as they may. A negative ahead counts as 0; more than 100,000 as
// 100,000.
func (w *Windows) NextOne(now time.Time, user string, ahead int) time.Time {
	start := w.moment(now)
	ahead = min(max(ahead, 0), 100_000)
	times := w.past(user)
	if ahead > 0 {
		times = slices.Grow(slices.Clone(times), ahead)
	}
	at := w.earliest(times, start)
	for range ahead {
		times = put(times, at)
		at = w.earliest(times, at)
	}
	if at <= start {
		return now
	}
	return now.Add(time.Duration(at-start) * time.Microsecond)
}

// past gives the times that count for a user, oldest first. Do not change it.
func (w *Windows) past(user string) []int64 {
	key := fold(user)
	m := w.members[key]
	if m == nil && len(w.gone) > 0 {
		m = w.gone[w.crowd(key)]
	}
	return w.withAll(m.times())
}

func (w *Windows) withAll(own []int64) []int64 {
	switch {
	case len(w.all) == 0:
		return own
	case len(own) == 0:
		return w.all
	}
	both := slices.Concat(own, w.all)
	slices.Sort(both)
	return both
}

// NextAll gives the earliest time at which one more message may go to
// everybody, known or not, and names those who have no budget now, at most
// 1000 of them.
func (w *Windows) NextAll(now time.Time) (next time.Time, blocked []string) {
	const most = 1000
	start := w.moment(now)
	at := w.earliest(w.all, start)
	for u, m := range w.members {
		own := w.earliest(w.withAll(m.at), start)
		if own > start && len(blocked) < most {
			blocked = append(blocked, u)
		}
		at = max(at, own)
	}
	for _, m := range w.gone {
		at = max(at, w.earliest(w.withAll(m.at), start))
	}
	if at <= start {
		return now, nil
	}
	slices.Sort(blocked)
	return now.Add(time.Duration(at-start) * time.Microsecond), blocked
}

// RecordAll counts one message to everybody, as when nobody knows who is in a
// department: an over-count delays, an under-count loses.
func (w *Windows) RecordAll(now time.Time) {
	if len(w.limits) > 0 {
		w.all = w.insert(w.all, w.moment(now))
	}
}

// MoveAll is [Windows.Move] for a RecordAll.
func (w *Windows) MoveAll(from, to time.Time) {
	if w.ForgetAll(from) {
		w.RecordAll(to)
	}
}

// ForgetAll takes a RecordAll of that time back; it reports false when there
// was none.
func (w *Windows) ForgetAll(at time.Time) bool {
	i, found := slices.BinarySearch(w.all, w.moment(at))
	if found {
		w.all = slices.Delete(w.all, i, i+1)
	}
	return found
}

// earliest finds the first moment from start on at which every window that
// ends there has room.
func (w *Windows) earliest(times []int64, start int64) int64 {
	for _, l := range w.limits {
		if i := len(times) - l.count; i >= 0 {
			start = max(start, times[i]+l.window)
		}
		if w.unknown > 0 {
			start = max(start, w.unknown+l.window)
		}
	}
	return start
}

// Unknown says that what was sent until then, noted by the wall clock, is not
// known: windows that reach back to it have no room for anybody.
func (w *Windows) Unknown(now, until time.Time) {
	w.unknown, _ = w.before(now, until, w.keep)
}

// Record counts one message to each user at now. Call it before the request
// leaves; [Windows.Move] corrects the time when the answer is in.
func (w *Windows) Record(now time.Time, users []string) {
	at := w.moment(now)
	for _, u := range users {
		w.add(u, at)
	}
}

// Restore counts past messages, in any order, as after a restart. Those that
// are too old at now are skipped.
func (w *Windows) Restore(now time.Time, records []Record) {
	for _, r := range records {
		if at, fresh := w.before(now, r.At, w.keep); fresh {
			w.add(r.User, at)
		}
	}
}

// RestoreAll is [Windows.Restore] for one message to everybody.
func (w *Windows) RestoreAll(now, at time.Time) {
	if at, fresh := w.before(now, at, w.keep); fresh && len(w.limits) > 0 {
		w.all = w.insert(w.all, at)
	}
}

// Move changes the time of a counted message: the other side counted it
// somewhere between the start and the end of the call, so the later one is the
// safe one. It does nothing for a message that is not there.
func (w *Windows) Move(users []string, from, to time.Time) {
	for _, u := range users {
		w.move(u, w.moment(from), w.moment(to))
	}
}

// Forget takes back a message that certainly did not reach WeCom.
func (w *Windows) Forget(users []string, at time.Time) {
	for _, u := range users {
		w.remove(u, w.moment(at))
	}
}
