package pace

import (
	"math"
	"slices"
	"strings"
)

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
