package pace

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Free tells how many messages may go to a user now.
func (w *Windows) Free(now time.Time, user string) int {
	past, free := w.past(user), math.MaxInt
	m := w.moment(now)
	for _, l := range w.limits {
		free = min(free, l.count-used(past, m, l.window))
		if w.unknown > 0 && m < w.unknown+l.window {
			return 0
		}
	}
	return max(free, 0)
}

// used counts the times that lie in the window that ends at now.
func used(past []int64, now, window int64) int {
	from, _ := slices.BinarySearch(past, now-window+1)
	return len(past) - from
}

// Used tells how many messages to a user count in each of the limits' windows
// that end at now, in the order of the limits.
func (w *Windows) Used(now time.Time, user string) []int {
	out := make([]int, len(w.limits))
	past := w.past(user)
	m := w.moment(now)
	for i, l := range w.limits {
		out[i] = used(past, m, l.window)
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
	n = max(n, 0)
	var out []Usage
	for u := range w.members {
		x := Usage{User: u, Used: w.Used(now, u)}
		if !slices.ContainsFunc(x.Used, func(n int) bool { return n > 0 }) {
			continue
		}
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
