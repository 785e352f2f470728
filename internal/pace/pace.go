// Package pace counts what was sent to whom, so that nobody is sent more than
// WeCom lets through.
//
// WeCom drops the 31st message of a minute and the 1001st of an hour to one
// member without a word. Whether it counts over sliding or over calendar
// windows is not documented; [Windows] counts over sliding windows that are
// longer by a margin, and a calendar window lies always inside a sliding one,
// so neither counter at the other side is ever exceeded.
//
// The package is pure: it reads no clock and starts nothing. A [Windows]
// belongs to one owner (a lane); it is not safe for concurrent use.
package pace

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Limit allows Count messages in any Window.
type Limit struct {
	Count  int
	Window time.Duration
}

// Defaults of [Config].
const (
	DefaultMargin  = time.Second
	DefaultMembers = 200_000
)

// Config says what is allowed. The zero value takes WeCom's limits for one
// member of one app.
type Config struct {
	Limits []Limit // default 30 in a minute and 1000 in an hour; entries with a Count or Window of 0 are ignored
	// Margin is added to every window: it covers the time between our clock and
	// the moment when the other side counts. Negative means none; 0 the default.
	Margin  time.Duration
	Members int // how many members are remembered at most; default 200,000
}

func (c Config) withDefaults() Config {
	if c.Limits == nil {
		c.Limits = MemberLimits(0, 0)
	}
	if c.Margin == 0 {
		c.Margin = DefaultMargin
	}
	c.Margin = max(c.Margin, 0)
	if c.Members <= 0 {
		c.Members = DefaultMembers
	}
	return c
}

// Record is one past message to one member.
type Record struct {
	User string
	At   time.Time
}

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

// Free tells how many messages may go to a user now.
func (w *Windows) Free(now time.Time, user string) int {
	past, free := w.past(user), math.MaxInt
	for _, l := range w.limits {
		free = min(free, l.count-used(past, now.UnixMicro(), l.window))
	}
	return max(free, 0)
}

// used counts the times that lie in the window that ends at now.
func used(past []int64, now, window int64) int {
	from, _ := slices.BinarySearch(past, now-window+1)
	return len(past) - from
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

// Used tells how many messages to a user count in each of the limits' windows
// that end at now, in the order of the limits.
func (w *Windows) Used(now time.Time, user string) []int {
	out := make([]int, len(w.limits))
	past := w.past(user)
	for i, l := range w.limits {
		out[i] = used(past, now.UnixMicro(), l.window)
	}
	return out
}

// Limits returns what is allowed, without the margin, in the order of Used.
func (w *Windows) Limits() []Limit {
	out := make([]Limit, len(w.limits))
	for i, l := range w.limits {
		out[i] = Limit{l.count, time.Duration(l.window-w.margin) * time.Microsecond}
	}
	return out
}

// Busiest returns the users closest to the first limit at now, the closest
// first, at most n. It looks at every remembered member.
func (w *Windows) Busiest(now time.Time, n int) []Usage {
	var out []Usage
	for u, m := range w.members {
		if len(m.at) == 0 || m.at[len(m.at)-1] <= now.UnixMicro()-w.keep {
			continue
		}
		x := Usage{User: u, Used: w.Used(now, u)}
		i, _ := slices.BinarySearchFunc(out, x, compareUsage)
		if i < n {
			out = slices.Insert(out, i, x)
			out = out[:min(len(out), n)]
		}
	}
	return out
}

// Usage is how much of each limit a user has used.
type Usage struct {
	User string
	Used []int
}

func compareUsage(a, b Usage) int {
	for i := range a.Used {
		if a.Used[i] != b.Used[i] {
			return b.Used[i] - a.Used[i]
		}
	}
	return strings.Compare(a.User, b.User)
}

// Members tells how many members are remembered.
func (w *Windows) Members() int { return len(w.members) }

func (w *Windows) add(user string, at int64) {
	if len(w.limits) == 0 {
		return
	}
	key := fold(user)
	m := w.members[key]
	if m == nil {
		w.evict(at)
		m = &member{}
		w.members[key] = m
	}
	m.at = w.insert(m.at, at)
}

// insert adds a time in order and drops what can decide nothing any more.
func (w *Windows) insert(times []int64, at int64) []int64 {
	for drop := 0; ; drop++ { // what counts nowhere any more
		if drop == len(times) || times[drop] > at-w.keep {
			if drop > 0 {
				times = append(times[:0], times[drop:]...)
			}
			break
		}
	}
	i := len(times)
	for i > 0 && times[i-1] > at {
		i--
	}
	times = slices.Insert(times, i, at)
	if over := len(times) - w.most; over > 0 { // older ones cannot be the deciding entry of any window
		times = append(times[:0], times[over:]...)
	}
	return times
}

func (w *Windows) remove(user string, at int64) bool {
	m := w.members[fold(user)]
	if m == nil {
		return false
	}
	i, found := slices.BinarySearch(m.at, at)
	if found {
		m.at = slices.Delete(m.at, i, i+1)
	}
	return found
}

// evict keeps the number of members bounded: each new member pays for looking
// at a few others and dropping those that are idle. When the table is full of
// active members, those furthest from every limit go first.
func (w *Windows) evict(now int64) {
	looked := 0
	for k, m := range w.members {
		if len(m.at) == 0 || m.at[len(m.at)-1] <= now-w.keep {
			delete(w.members, k)
		}
		if looked++; looked == 4 {
			break
		}
	}
	if len(w.members) < w.max {
		return
	}
	target := w.max - w.max/10
	for most := 0; len(w.members) > target; most = most*2 + 1 {
		for k, m := range w.members {
			if len(m.at) <= most || m.at[len(m.at)-1] <= now-w.keep {
				delete(w.members, k)
			}
			if len(w.members) <= target {
				return
			}
		}
		if most > math.MaxInt32 {
			return
		}
	}
}

func fold(user string) string { return strings.ToLower(user) }
