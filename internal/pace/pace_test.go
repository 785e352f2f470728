package pace_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/pace"
)

var start = time.Date(2026, 11, 24, 8, 59, 30, 0, time.UTC)

func TestMinuteLimit(t *testing.T) {
	w := pace.New(pace.Config{})
	for i := range 30 {
		at := start.Add(time.Duration(i) * time.Second)
		require.Equal(t, at, w.NextOne(at, "Bob", 0))
		w.Record(at, []string{"Bob"})
	}
	now := start.Add(30 * time.Second)
	next := w.Next(now, []string{"bOB", "carol"})
	require.Equal(t, start.Add(61*time.Second), next[0])
	require.Equal(t, now, next[1])
	require.Equal(t, start.Add(62*time.Second), w.NextOne(now, "bob", 1))
	require.Equal(t, start.Add((61+61)*time.Second), w.NextOne(now, "bob", 30))
	require.Equal(t, []int{30, 30}, w.Used(now, "bob"))
}

func TestMoveAndForget(t *testing.T) {
	w := pace.New(pace.Config{Limits: []pace.Limit{{Count: 1, Window: time.Minute}}, Margin: -1})
	w.Record(start, []string{"a"})
	w.Move([]string{"a", "b"}, start, start.Add(9*time.Second))
	require.Equal(t, start.Add(69*time.Second), w.NextOne(start, "a", 0))
	w.Forget([]string{"A"}, start.Add(9*time.Second))
	require.Equal(t, start, w.NextOne(start, "a", 0))
	require.Equal(t, start, w.NextOne(start, "b", 0))
}

func TestRestoreSkipsOldAndTakesAnyOrder(t *testing.T) {
	w := pace.New(pace.Config{Limits: []pace.Limit{{Count: 2, Window: time.Minute}}, Margin: -1})
	w.Restore(start, []pace.Record{
		{User: "a", At: start.Add(-10 * time.Second)},
		{User: "a", At: start.Add(-30 * time.Second)},
		{User: "a", At: start.Add(-2 * time.Minute)},
	})
	require.Equal(t, start.Add(30*time.Second), w.NextOne(start, "a", 0))
}

func TestMemoryIsBounded(t *testing.T) {
	w := pace.New(pace.Config{Members: 1000})
	for range 25 {
		w.Record(start, []string{"busy"})
	}
	for i := range 20_000 {
		w.Record(start, []string{fmt.Sprint("u", i)})
		require.LessOrEqual(t, w.Members(), 1000)
	}
	require.Equal(t, []int{25, 25}, w.Used(start, "busy"), "members near a limit are kept")

	w = pace.New(pace.Config{})
	for i := range 10_000 {
		w.Record(start, []string{fmt.Sprint("u", i)})
	}
	for i := range 10_000 {
		w.Record(start.Add(2*time.Hour), []string{fmt.Sprint("v", i)})
	}
	require.Less(t, w.Members(), 11_000, "idle members go")
}

func TestNoLimits(t *testing.T) {
	w := pace.New(pace.Config{Limits: []pace.Limit{{Count: 0, Window: time.Minute}}})
	w.Record(start, []string{"a"})
	require.Equal(t, start, w.NextOne(start, "a", 9))
	require.Zero(t, w.Members())
}

// TestWindowsAreNeverExceeded sends at arbitrary times, as early as Next
// allows, and counts like WeCom might: over sliding and over calendar windows,
// each message arriving a little later than it was recorded.
func TestWindowsAreNeverExceeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := []pace.Limit{
			{Count: rapid.IntRange(1, 6).Draw(t, "few"), Window: 10 * time.Second},
			{Count: rapid.IntRange(1, 20).Draw(t, "many"), Window: 60 * time.Second},
		}
		const margin = 500 * time.Millisecond
		w := pace.New(pace.Config{Limits: limits, Margin: margin})
		jitter := rapid.Int64Range(0, margin.Microseconds()-1)
		gap := rapid.Int64Range(0, 20_000_000)
		now := start
		var arrived, sent []time.Time
		for range rapid.IntRange(1, 120).Draw(t, "n") {
			now = now.Add(time.Duration(gap.Draw(t, "gap")/4) * time.Microsecond)
			next := w.NextOne(now, "u", 0)
			// Nothing wasted: a wait is only for a window that is full.
			if next.After(now) {
				full := false
				for _, l := range limits {
					full = full || count(sent, next.Add(-l.Window-margin), next.Add(-time.Microsecond)) >= l.Count
				}
				if !full {
					t.Fatalf("waits until %v although no window is full", next)
				}
				now = next
			}
			w.Record(now, []string{"u"})
			sent = append(sent, now)
			arrived = append(arrived, now.Add(time.Duration(jitter.Draw(t, "jitter"))*time.Microsecond))
		}
		slices.SortFunc(arrived, time.Time.Compare)
		for _, l := range limits {
			for _, at := range arrived {
				if n := count(arrived, at, at.Add(l.Window-time.Microsecond)); n > l.Count {
					t.Fatalf("%d in a sliding window of %v, allowed %d", n, l.Window, l.Count)
				}
				from := at.Truncate(l.Window)
				if n := count(arrived, from, from.Add(l.Window-time.Microsecond)); n > l.Count {
					t.Fatalf("%d in a calendar window of %v, allowed %d", n, l.Window, l.Count)
				}
			}
		}
	})
}

// TestAheadForetells compares the foretold time with what really happens when
// all who are ahead go as early as they may.
func TestAheadForetells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := pace.New(pace.Config{Limits: []pace.Limit{{Count: 3, Window: 10 * time.Second}, {Count: 7, Window: time.Minute}}})
		for range rapid.IntRange(0, 10).Draw(t, "past") {
			w.Record(start.Add(-time.Duration(rapid.Int64Range(0, 70_000).Draw(t, "age"))*time.Millisecond), []string{"u"})
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

// TestUtilisation shows that a saturated member uses at least 97 % of what is
// allowed.
func TestUtilisation(t *testing.T) {
	w := pace.New(pace.Config{})
	now, n := start, 0
	for end := start.Add(30 * time.Minute); now.Before(end); n++ {
		w.Record(now, []string{"u"})
		now = w.NextOne(now, "u", 0)
	}
	require.GreaterOrEqual(t, float64(n), 0.97*30*30)
	require.LessOrEqual(t, n, 30*30+30)
}

func count(at []time.Time, from, to time.Time) int {
	n := 0
	for _, x := range at {
		if !x.Before(from) && !x.After(to) {
			n++
		}
	}
	return n
}

func BenchmarkThousandUsers(b *testing.B) {
	w := pace.New(pace.Config{})
	users := make([]string, 1000)
	for i := range users {
		users[i] = fmt.Sprint("user", i)
	}
	now := start
	for b.Loop() {
		now = now.Add(3 * time.Second)
		w.Next(now, users)
		w.Record(now, users)
	}
}
