package pace_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hongyan/internal/pace"
)

// naive is what Windows promises, without thought for memory: it forgets
// nothing and tries each moment that could be the first free one.
type naive struct {
	limits []pace.Limit
	margin time.Duration
	sent   map[string][]time.Time // by folded user
	all    []time.Time
}

func (n *naive) past(user string) []time.Time {
	return append(slices.Clone(n.sent[strings.ToLower(user)]), n.all...)
}

// free reports whether one more may go at a moment: every window that ends
// there has room. What is later than the moment counts as well.
func (n *naive) free(past []time.Time, at time.Time) bool {
	for _, l := range n.limits {
		used := 0
		for _, x := range past {
			if x.After(at.Add(-l.Window - n.margin)) {
				used++
			}
		}
		if used >= l.Count {
			return false
		}
	}
	return true
}

func (n *naive) next(past []time.Time, now time.Time) time.Time {
	if n.free(past, now) {
		return now
	}
	var ends []time.Time
	for _, l := range n.limits {
		for _, x := range past {
			if end := x.Add(l.Window + n.margin); end.After(now) {
				ends = append(ends, end)
			}
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	for _, end := range ends {
		if n.free(past, end) {
			return end
		}
	}
	panic("no end of any window is free")
}

func (n *naive) take(user string, at time.Time) {
	user = strings.ToLower(user)
	n.sent[user] = append(n.sent[user], at)
}

func (n *naive) drop(user string, at time.Time) bool {
	user = strings.ToLower(user)
	i := slices.IndexFunc(n.sent[user], at.Equal)
	if i >= 0 {
		n.sent[user] = slices.Delete(n.sent[user], i, i+1)
	}
	return i >= 0
}

// exceeded names a limit that more messages than allowed lie in, over sliding
// and over calendar windows without the margin.
func exceeded(limits []pace.Limit, at []time.Time) (pace.Limit, bool) {
	at = slices.Clone(at)
	slices.SortFunc(at, time.Time.Compare)
	for _, l := range limits {
		calendar := map[time.Time]int{}
		for i, x := range at {
			if i >= l.Count && x.Sub(at[i-l.Count]) < l.Window {
				return l, true
			}
			if calendar[x.Truncate(l.Window)]++; calendar[x.Truncate(l.Window)] > l.Count {
				return l, true
			}
		}
	}
	return pace.Limit{}, false
}

// drawLimits draws one to three limits and a margin for which the sum of the
// windows is small enough for a test to see them end.
func drawLimits(t *rapid.T) ([]pace.Limit, time.Duration) {
	limits := make([]pace.Limit, rapid.IntRange(1, 3).Draw(t, "limits"))
	for i := range limits {
		limits[i] = pace.Limit{
			Count:  rapid.IntRange(1, 7).Draw(t, "count"),
			Window: time.Duration(rapid.SampledFrom([]int{1, 2, 10, 60}).Draw(t, "window")) * time.Second,
		}
	}
	return limits, time.Duration(rapid.SampledFrom([]int{-1, 1, 500_000}).Draw(t, "margin")) * time.Microsecond
}

// drawGap draws how far a clock moves: often not at all, seldom a lot.
func drawGap(t *rapid.T) time.Duration {
	most := rapid.SampledFrom([]int64{0, 1000, 400_000, 3_000_000, 70_000_000, 7_200_000_000}).Draw(t, "most")
	return time.Duration(rapid.Int64Range(0, most).Draw(t, "gap")) * time.Microsecond
}

var names = []string{"ann", "Ann", "BOB", "bob", "李四"}

// TestNextIsTheNaiveAnswer compares Windows with the naive one while messages
// go when it says now, are moved, taken back and restored, and the clock moves
// forward, jumps, and steps back a little.
func TestNextIsTheNaiveAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits, margin := drawLimits(t)
		w := pace.New(pace.Config{Limits: limits, Margin: margin})
		n := &naive{limits: limits, margin: max(margin, 0), sent: map[string][]time.Time{}}
		now, latest := start, start
		user := func() string { return rapid.SampledFrom(names).Draw(t, "user") }
		// one draws a message of those that were counted.
		one := func() (user string, at time.Time) {
			user = strings.ToLower(rapid.SampledFrom(names).Draw(t, "whose"))
			if len(n.sent[user]) == 0 {
				t.Skip("nothing was sent to them")
			}
			return user, rapid.SampledFrom(n.sent[user]).Draw(t, "which")
		}
		t.Repeat(map[string]func(*rapid.T){
			"later": func(t *rapid.T) { now = now.Add(drawGap(t)); latest = maxTime(latest, now) },
			"back": func(t *rapid.T) {
				now = maxTime(now.Add((-drawGap(t) / 1000).Truncate(time.Microsecond)), latest.Add(-10*time.Second))
			},
			"send": func(*rapid.T) {
				u := user()
				if w.NextOne(now, u, 0).Equal(now) {
					w.Record(now, []string{u})
					n.take(u, now)
				}
			},
			"wait and send": func(*rapid.T) {
				u := user()
				now = w.NextOne(now, u, 0)
				latest = maxTime(latest, now)
				w.Record(now, []string{u})
				n.take(u, now)
			},
			"send to all": func(*rapid.T) {
				if next, _ := w.NextAll(now); next.Equal(now) {
					w.RecordAll(now)
					n.all = append(n.all, now)
				}
			},
			"forget all": func(t *rapid.T) {
				if len(n.all) > 0 {
					i := rapid.IntRange(0, len(n.all)-1).Draw(t, "which")
					w.ForgetAll(n.all[i])
					n.all = slices.Delete(n.all, i, i+1)
				}
			},
			"move": func(t *rapid.T) {
				u, from := one()
				to := from.Add((drawGap(t) / 1000).Truncate(time.Microsecond))
				if to.After(now) || now.Sub(from) > time.Second {
					return
				}
				w.Move([]string{u}, from, to)
				n.drop(u, from)
				n.take(u, to)
			},
			"forget": func(*rapid.T) {
				u, at := one()
				w.Forget([]string{strings.ToUpper(u)}, at)
				n.drop(u, at)
			},
			"restart": func(t *rapid.T) {
				w = pace.New(pace.Config{Limits: limits, Margin: margin})
				for _, at := range n.all {
					w.RecordAll(at)
				}
				var records []pace.Record
				for u, at := range n.sent {
					for _, x := range at {
						records = append(records, pace.Record{User: u, At: x})
					}
				}
				w.Restore(now, rapid.Permutation(records).Draw(t, "order"))
			},
			"": func(t *rapid.T) {
				u := user()
				past := n.past(u)
				want := n.next(past, now)
				if got := w.NextOne(now, u, 0); !got.Equal(want) {
					t.Fatalf("at %v: next for %s is %v, want %v; sent at %v", now, u, got, want, past)
				}
				free := w.Free(now, u)
				if free > 0 != want.Equal(now) {
					t.Fatalf("%d are free, but the next goes at %v, now is %v", free, want, now)
				}
				if free > 0 && !w.NextOne(now, u, free-1).Equal(now) || w.NextOne(now, u, free).Equal(now) {
					t.Fatalf("%d are free, but it is not that many that go now", free)
				}
				everybody := n.next(n.all, now)
				var blocked []string
				for u := range n.sent {
					next := n.next(n.past(u), now)
					everybody = maxTime(everybody, next)
					if next.After(now) {
						blocked = append(blocked, u)
					}
				}
				slices.Sort(blocked)
				if got, who := w.NextAll(now); !got.Equal(everybody) || len(n.all) == 0 && !slices.Equal(blocked, who) {
					t.Fatalf("at %v: next for all is %v because of %v, want %v because of %v", now, got, who, everybody, blocked)
				}
			},
		})
	})
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// TestAheadForetells compares the foretold time with what really happens when
// all who are ahead go as early as they may, also when the clock was turned
// back and some of the past lies in the future.
func TestAheadForetells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits, margin := drawLimits(t)
		w := pace.New(pace.Config{Limits: limits, Margin: margin})
		for range rapid.IntRange(0, 10).Draw(t, "past") {
			w.Record(start.Add(-time.Duration(rapid.Int64Range(-5_000, 70_000).Draw(t, "age"))*time.Millisecond), []string{"u"})
		}
		if rapid.Bool().Draw(t, "all") {
			w.RecordAll(start.Add(-time.Second))
		}
		ahead := rapid.IntRange(0, 40).Draw(t, "ahead")
		foretold := w.NextOne(start, "u", ahead)
		now := start
		for i := range ahead + 1 {
			now = w.NextOne(now, "u", 0)
			if i < ahead {
				w.Record(now, []string{"u"})
			}
		}
		if !now.Equal(foretold) {
			t.Fatalf("foretold %v, was %v", foretold, now)
		}
	})
}

// TestNoSlotIsWasted sends without a pause for a while and compares the number
// with what the limits allow: the k-th message can go no earlier than any sum
// of windows in which fewer than k may go.
func TestNoSlotIsWasted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits, margin := drawLimits(t)
		w := pace.New(pace.Config{Limits: limits, Margin: margin})
		margin = max(margin, 0)
		T := time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second
		sent := 0
		for now := start; ; sent++ {
			if now = w.NextOne(now, "u", 0); now.After(start.Add(T)) {
				break
			}
			w.Record(now, []string{"u"})
		}
		earliest := []time.Duration{0}
		for k := 1; earliest[k-1] <= T; k++ {
			at := time.Duration(0)
			for _, l := range limits {
				if k >= l.Count {
					at = max(at, earliest[k-l.Count]+l.Window+margin)
				}
			}
			earliest = append(earliest, at)
		}
		if allowed := len(earliest) - 1; sent != allowed {
			t.Fatalf("%d were sent in %v, %d were allowed", sent, T, allowed)
		}
		if l := limits[0]; len(limits) == 1 && sent != (int(T/(l.Window+margin))+1)*l.Count {
			t.Fatalf("%d were sent in %v under %v", sent, T, l)
		}
	})
}
