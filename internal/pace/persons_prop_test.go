package pace_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/pace"
)

// costs is what Persons promises, without thought for speed: it forgets
// nothing and tries each moment that could be the first one with room.
type costs []cost

type cost struct {
	at     time.Time
	n      int
	stream string
}

func (c costs) used(l pace.Limit, at time.Time) (n int) {
	for _, x := range c {
		if x.at.After(at.Add(-l.Window - pace.DefaultMargin)) {
			n += x.n
		}
	}
	return n
}

func (c costs) room(n int, limits []pace.Limit, at time.Time) bool {
	return !slices.ContainsFunc(limits, func(l pace.Limit) bool {
		used := c.used(l, at)
		return n > 0 && used > 0 && used+n > l.Count
	})
}

func (c costs) next(n int, limits []pace.Limit, now time.Time) time.Time {
	ends := []time.Time{now}
	for _, l := range limits {
		for _, x := range c {
			if end := x.at.Add(l.Window + pace.DefaultMargin); end.After(now) {
				ends = append(ends, end)
			}
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	for _, end := range ends {
		if c.room(n, limits, end) {
			return end
		}
	}
	panic("no end of any window has room")
}

// exceeded reports whether more than a limit lie in one of its windows,
// sliding or of the calendar. A single one that is larger than the limit is
// meant to be refused.
func (c costs) exceeded(l pace.Limit) bool {
	calendar := map[time.Time]costs{}
	for _, x := range c {
		if slide := slices.DeleteFunc(slices.Clone(c), func(y cost) bool { return y.at.After(x.at) || x.at.Sub(y.at) >= l.Window }); slide.over(l) {
			return true
		}
		calendar[x.at.Truncate(l.Window)] = append(calendar[x.at.Truncate(l.Window)], x)
	}
	for _, in := range calendar {
		if in.over(l) {
			return true
		}
	}
	return false
}

func (c costs) over(l pace.Limit) bool {
	sum := 0
	for _, x := range c {
		sum += x.n
	}
	return sum > l.Count && len(c) > 1
}

func (c costs) without(i int) costs { return slices.Delete(slices.Clone(c), i, i+1) }

func drawPersonLimits(t *rapid.T) []pace.Limit {
	limits := make([]pace.Limit, rapid.IntRange(1, 2).Draw(t, "limits"))
	for i := range limits {
		limits[i] = pace.Limit{
			Count:  rapid.IntRange(1, 40).Draw(t, "count"),
			Window: time.Duration(rapid.SampledFrom([]int{1, 10, 60, 3600}).Draw(t, "window")) * time.Second,
		}
	}
	return limits
}

// TestPersonsOfOneStreamAreTheNaiveAnswer compares Persons with the naive one
// while messages go when it says so, are moved, taken back and restored.
func TestPersonsOfOneStreamAreTheNaiveAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := drawPersonLimits(t)
		var p pace.Persons
		var naive costs
		now := start
		alive := func(t *rapid.T) int {
			if len(naive) == 0 {
				return -1
			}
			return rapid.IntRange(0, len(naive)-1).Draw(t, "which")
		}
		t.Repeat(map[string]func(*rapid.T){
			"later": func(t *rapid.T) { now = now.Add(drawGap(t)) },
			"take": func(t *rapid.T) {
				n := rapid.IntRange(0, 50).Draw(t, "n")
				want := naive.next(n, limits, now)
				got := p.Take(now, "a", n, limits)
				if !got.Equal(want) {
					t.Fatalf("%d may go at %v, not at %v: %v", n, want, got, naive)
				}
				if rapid.Bool().Draw(t, "waits") && got.After(now) {
					now = got
					if got = p.Take(now, "a", n, limits); !got.Equal(now) {
						t.Fatalf("told to come at %v, and then at %v", now, got)
					}
				}
				if got.Equal(now) && n > 0 {
					naive = append(naive, cost{now, n, "a"})
				}
			},
			"take back": func(t *rapid.T) {
				if i := alive(t); i >= 0 {
					p.TakeBack(naive[i].at, "a", naive[i].n)
					naive = naive.without(i)
				}
			},
			"move": func(t *rapid.T) {
				if i := alive(t); i >= 0 && now.Sub(naive[i].at) < time.Hour {
					p.Move(naive[i].at, now, "a", naive[i].n)
					naive = append(naive.without(i), cost{now, naive[i].n, "a"})
				}
			},
			"restart": func(t *rapid.T) {
				var sent []pace.PersonCost
				for _, x := range naive {
					sent = append(sent, pace.PersonCost{At: x.at.Round(0), N: x.n})
				}
				if rapid.Bool().Draw(t, "other process") {
					p = pace.Persons{}
				}
				p.Restore(now, "a", sent)
			},
			"": func(t *rapid.T) {
				for i, used := range p.Used(now, limits) {
					if want := naive.used(limits[i], now); int(used) != want {
						t.Fatalf("%d of %v are used, not %d", want, limits[i], used)
					}
				}
			},
		})
	})
}

// TestPersonsAreShared lets streams send what they have whenever they are told
// to ask, a little late or much too late. No window is ever exceeded, no
// stream is kept out by the others, and what has room goes when nobody waits.
func TestPersonsAreShared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := drawPersonLimits(t)
		streams := []string{"a", "b", "c"}
		var p pace.Persons
		var sent costs
		now := start
		ask := map[string]time.Time{} // when a refused stream comes again
		want := map[string]int{}      // with how much
		var line []string             // the refused, in order
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "passes") {
				now = now.Add(drawGap(t))
			}
			s := rapid.SampledFrom(streams).Draw(t, "stream")
			if at, waits := ask[s]; !waits {
				want[s] = rapid.IntRange(1, 50).Draw(t, "n")
			} else if at.After(now) {
				now = at
			}
			// Whoever was told to come earlier did so, but for one in a while.
			for _, o := range streams {
				if at, waits := ask[o]; waits && o != s && !at.After(now) && rapid.IntRange(0, 9).Draw(t, "comes") > 0 {
					s = o
				}
			}
			line = slices.DeleteFunc(line, func(o string) bool { return o != s && now.Sub(ask[o]) > time.Second }) // did not come
			idle := len(line) == 0
			had := sent.room(want[s], limits, now)
			next := p.Take(now, s, want[s], limits)
			if next.After(now) {
				if idle && had {
					t.Fatalf("%d of %s wait until %v although there is room and nobody waits", want[s], s, next)
				}
				if next.Sub(now) > 2*time.Hour+time.Minute {
					t.Fatalf("%s waits for %v", s, next.Sub(now))
				}
				ask[s] = next
				if !slices.Contains(line, s) {
					line = append(line, s)
				}
				continue
			}
			if !had {
				t.Fatalf("%d of %s went without room", want[s], s)
			}
			sent = append(sent, cost{now, want[s], s})
			delete(ask, s)
			if len(line) > 0 && line[0] != s {
				t.Fatalf("%s overtook %s, whose time is %v", s, line[0], ask[line[0]])
			}
			line = line[min(len(line), 1):]
		}
		for _, l := range limits {
			if sent.exceeded(l) {
				t.Fatalf("more than %v went: %v", l, sent)
			}
		}
	})
}

func TestPersonsOfLargeChatsAreNotStarved(t *testing.T) {
	limits := pace.ChatPersons(100, 0, 1)
	var p pace.Persons
	require.Equal(t, start, p.Take(start, "small", 60, limits))
	at := start.Add(time.Second)
	large := p.Take(at, "large", 90, limits)
	require.Equal(t, start.Add(61*time.Second), large)
	require.Equal(t, large, p.Take(at.Add(time.Second), "small", 10, limits), "there is room, but it is the large one's")
	require.Equal(t, large, p.Take(large, "large", 90, limits))
	require.Equal(t, large, p.Take(large, "small", 10, limits), "and then it goes")

	late := p.Take(large, "large", 90, limits)
	p.Take(large, "small", 5, limits)
	require.Equal(t, late.Add(time.Second+time.Microsecond), p.Take(late, "small", 5, limits), "it is not here yet")
	require.Equal(t, late.Add(2*time.Second), p.Take(late.Add(2*time.Second), "small", 5, limits), "nor ever")
}

func TestPersonsForgetWhatCannotCount(t *testing.T) {
	var p pace.Persons
	limits := []pace.Limit{{Count: 10, Window: time.Hour}, {Count: 0, Window: time.Minute}, {Count: 3, Window: 0}}
	require.Equal(t, start, p.Take(start, "a", 1000, limits), "WeCom refuses it")
	require.Equal(t, start.Add(time.Hour+time.Second), p.Take(start, "a", 1000, limits))
	p.TakeBack(start, "b", 1000)
	p.TakeBack(start, "a", 999)
	require.Equal(t, []int64{1000, 1000, 0}, p.Used(start, limits))
	p.Restore(start, "b", []pace.PersonCost{{At: start.Add(-time.Minute), N: 5}, {At: start.Add(-2 * time.Hour), N: 7}, {At: start, N: -3}})
	require.Equal(t, []int64{1005, 1005, 0}, p.Used(start, limits))
	p.Restore(start, "b", nil)
	require.Equal(t, []int64{1000, 1000, 0}, p.Used(start, limits))
	require.Equal(t, start, p.Take(start, "b", -5, limits), "nothing needs no room")
}

func TestChatLimits(t *testing.T) {
	require.Equal(t, []pace.Limit{{Count: 200, Window: time.Minute}, {Count: 10_000, Window: 24 * time.Hour}}, pace.ChatLimits(0, -1))
	require.Equal(t, []pace.Limit{{Count: 5, Window: time.Minute}, {Count: 6, Window: 24 * time.Hour}}, pace.ChatLimits(5, 6))
	require.Equal(t, []pace.Limit{{Count: 20_000, Window: time.Minute}, {Count: 150_000, Window: time.Hour}}, pace.ChatPersons(0, 0, 0))
	require.Equal(t, []pace.Limit{{Count: 6_666, Window: time.Minute}, {Count: 100_000, Window: time.Hour}}, pace.ChatPersons(0, 300_000, 3))
	require.Equal(t, []pace.Limit{{Count: 1, Window: time.Minute}, {Count: pace.MaxPersons, Window: time.Hour}}, pace.ChatPersons(2, 1<<40, 4))
}
