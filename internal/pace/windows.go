package pace

import (
	"slices"
	"time"
)

// Windows remembers for each member the times of what counts against the
// limits. Members are told apart without regard to case, as WeCom does.
type Windows struct {
	limits  []limit
	margin  int64 // microseconds
	keep    int64 // microseconds after which an entry counts nowhere
	most    int   // entries that one member needs at most
	max     int
	members map[string]*member
	all     []int64 // times of messages that count for everybody
}

// limit is a Limit in microseconds, with the margin in it.
type limit struct {
	count  int
	window int64
}

// member holds times in microseconds, oldest first.
type member struct{ at []int64 }

// New returns empty windows.
func New(cfg Config) *Windows {
	cfg = cfg.withDefaults()
	w := &Windows{margin: cfg.Margin.Microseconds(), max: cfg.Members, members: map[string]*member{}}
	w.SetLimits(cfg.Limits)
	return w
}

// SetLimits changes what is allowed. What was counted stays; a limit that is
// raised or widened counts only what was remembered under the old ones.
func (w *Windows) SetLimits(limits []Limit) {
	w.limits, w.keep, w.most = nil, 0, 0
	for _, l := range limits {
		if l.Count <= 0 || l.Window <= 0 {
			continue
		}
		window := l.Window.Microseconds() + w.margin
		w.limits = append(w.limits, limit{l.Count, window})
		w.keep = max(w.keep, window)
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
	start := now.UnixMicro()
	ahead = min(max(ahead, 0), 100_000)
	past := w.past(user)
	if ahead == 0 {
		if at := w.earliest(past, nil, start); at > start {
			return ceil(at, now)
		}
		return now
	}
	future := make([]int64, 0, ahead)
	at := start
	for range ahead + 1 {
		at = w.earliest(past, future, at)
		future = append(future, at)
	}
	if at <= start {
		return now
	}
	return ceil(at, now)
}

// past gives the times that count for a user, oldest first. Do not change it.
func (w *Windows) past(user string) []int64 {
	var own []int64
	if m := w.members[fold(user)]; m != nil {
		own = m.at
	}
	if len(w.all) == 0 {
		return own
	}
	if len(own) == 0 {
		return w.all
	}
	both := make([]int64, 0, len(own)+len(w.all))
	both = append(append(both, own...), w.all...)
	slices.Sort(both)
	return both
}

// NextAll gives the earliest time at which one more message may go to
// everybody, known or not, and names those who have no budget now, at most
// 1000 of them.
func (w *Windows) NextAll(now time.Time) (next time.Time, blocked []string) {
	const most = 1000
	start := now.UnixMicro()
	at := w.earliest(w.all, nil, start)
	for u := range w.members {
		own := w.earliest(w.past(u), nil, start)
		if own > start && len(blocked) < most {
			blocked = append(blocked, u)
		}
		at = max(at, own)
	}
	if at <= start {
		return now, nil
	}
	slices.Sort(blocked)
	return ceil(at, now), blocked
}

// RecordAll counts one message to everybody, as when nobody knows who is in a
// department: an over-count delays, an under-count loses.
func (w *Windows) RecordAll(now time.Time) {
	if len(w.limits) > 0 {
		w.all = w.insert(w.all, now.UnixMicro())
	}
}

// ForgetAll takes a RecordAll of that time back.
func (w *Windows) ForgetAll(at time.Time) {
	if i, found := slices.BinarySearch(w.all, at.UnixMicro()); found {
		w.all = slices.Delete(w.all, i, i+1)
	}
}

// ceil gives the time of that microsecond in now's zone.
func ceil(micro int64, now time.Time) time.Time { return time.UnixMicro(micro).In(now.Location()) }

// earliest finds the first moment from start on at which every window that
// ends there has room, over past followed by future.
func (w *Windows) earliest(past, future []int64, start int64) int64 {
	n := len(past) + len(future)
	for _, l := range w.limits {
		if i := n - l.count; i >= 0 {
			var oldest int64
			if i < len(past) {
				oldest = past[i]
			} else {
				oldest = future[i-len(past)]
			}
			start = max(start, oldest+l.window)
		}
	}
	return start
}

// Record counts one message to each user at now. Call it before the request
// leaves; [Windows.Move] corrects the time when the answer is in.
func (w *Windows) Record(now time.Time, users []string) {
	at := now.UnixMicro()
	for _, u := range users {
		w.add(u, at)
	}
}

// Restore counts past messages, in any order, as after a restart. Those that
// are too old at now are skipped.
func (w *Windows) Restore(now time.Time, records []Record) {
	oldest := now.UnixMicro() - w.keep
	for _, r := range records {
		if at := r.At.UnixMicro(); at > oldest {
			w.add(r.User, at)
		}
	}
}

// Move changes the time of a counted message: the other side counted it
// somewhere between the start and the end of the call, so the later one is the
// safe one. It does nothing for a message that is not there.
func (w *Windows) Move(users []string, from, to time.Time) {
	for _, u := range users {
		if w.remove(u, from.UnixMicro()) {
			w.add(u, to.UnixMicro())
		}
	}
}

// Forget takes back a message that certainly did not reach WeCom.
func (w *Windows) Forget(users []string, at time.Time) {
	for _, u := range users {
		w.remove(u, at.UnixMicro())
	}
}
