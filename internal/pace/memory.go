package pace

import (
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"strings"
)

// member holds times in microseconds, oldest first.
type member struct{ at []int64 }

// slack is how much longer than they count times are remembered, in
// microseconds: the clock may have been set back meanwhile.
const slack = 60_000_000

func (w *Windows) add(user string, at int64) {
	if len(w.limits) == 0 {
		return
	}
	key := fold(user)
	m := w.members[key]
	if m == nil {
		w.evict(at)
		m = &member{at: slices.Clone(w.gone[w.crowd(key)].times())}
		w.members[key] = m
	}
	m.at = w.insert(m.at, at)
}

// times is nil for a member that there is not.
func (m *member) times() []int64 {
	if m == nil {
		return nil
	}
	return m.at
}

// crowd tells with whom a forgotten member is remembered.
func (w *Windows) crowd(key string) uint32 {
	return crc32.ChecksumIEEE([]byte(key)) % uint32(min(w.max, math.MaxInt32)) //nolint:gosec // positive
}

// insert adds a time in order and drops what can decide nothing any more.
func (w *Windows) insert(times []int64, at int64) []int64 {
	old := 0 // what counts nowhere any more
	for old < len(times) && times[old] <= at-w.keep {
		old++
	}
	if old > 0 {
		times = append(times[:0], times[old:]...)
	}
	times = put(times, at)
	// Only as many as a limit allows, now or when it is raised, can be the
	// deciding entry of its window. Twice as many are kept, for some may be taken
	// back.
	if over := len(times) - 2*w.most; over > 0 {
		times = append(times[:0], times[over:]...)
	}
	return times
}

// put adds a time in order.
func put(times []int64, at int64) []int64 {
	i := len(times)
	for i > 0 && times[i-1] > at {
		i--
	}
	return slices.Insert(times, i, at)
}

// move changes a member's time. When they were forgotten meanwhile, it stands
// in what is left of them as a time that is no earlier: which one is not known,
// so the oldest gives way.
func (w *Windows) move(user string, from, to int64) {
	key := fold(user)
	left := w.gone[w.crowd(key)]
	m := w.members[key]
	if m == nil {
		m = left
	}
	i, found := slices.BinarySearch(m.times(), from)
	switch {
	case len(m.times()) == 0, !found && left == nil:
		return
	case !found:
		i = 0
	}
	m.at = put(slices.Delete(m.at, i, i+1), to)
}

func (w *Windows) remove(user string, at int64) {
	m := w.members[fold(user)]
	if i, found := slices.BinarySearch(m.times(), at); found {
		m.at = slices.Delete(m.at, i, i+1)
	}
}

// evict keeps the number of members bounded: each new member pays for looking
// at a few others and dropping those that are idle. When the table is full of
// active members, those who got least go first; many of them share what is left
// of them, so that they are still never sent too much.
func (w *Windows) evict(now int64) {
	idle := func(m *member) bool { return len(m.at) == 0 || m.at[len(m.at)-1] <= now-w.keep }
	someIdle(w.members, idle)
	someIdle(w.gone, idle)
	if len(w.members) < w.max {
		return
	}
	allIdle(w.members, idle)
	allIdle(w.gone, idle)
	target := w.max - max(w.max/10, 1)
	for most := 1; len(w.members) > target; most *= 2 {
		for k, m := range w.members {
			if len(w.members) <= target {
				return
			}
			if len(m.at) > most {
				continue
			}
			delete(w.members, k)
			if c := w.crowd(k); w.gone[c] == nil {
				w.gone[c] = m
			} else {
				w.gone[c].at = cover(w.gone[c].at, m.at)
			}
		}
	}
}

func someIdle[K comparable](members map[K]*member, idle func(*member) bool) {
	looked := 0
	for k, m := range members {
		if idle(m) {
			delete(members, k)
		}
		if looked++; looked == 4 {
			break
		}
	}
}

func allIdle[K comparable](members map[K]*member, idle func(*member) bool) {
	maps.DeleteFunc(members, func(_ K, m *member) bool { return idle(m) })
}

// cover raises a so that its newest entry is no older than the newest of b, its
// second newest no older than the second newest of b, and so on: what has room
// after a has room after b.
func cover(a, b []int64) []int64 {
	if short := len(b) - len(a); short > 0 {
		a = slices.Concat(b[:short], a)
	}
	tail := a[len(a)-len(b):]
	for i := range b {
		tail[i] = max(tail[i], b[i])
	}
	return a
}

func fold(user string) string { return strings.ToLower(user) }
