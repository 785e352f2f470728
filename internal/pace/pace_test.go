package pace_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

// What was counted under lower limits, or restored under them, counts in full
// when they are raised.
func TestRaisedLimitsCountWhatWas(t *testing.T) {
	low := pace.Config{Limits: pace.MemberLimits(2, 2)}
	recorded, restored := pace.New(pace.Config{}), pace.New(low)
	for i := range 25 {
		at := start.Add(time.Duration(i) * time.Second)
		recorded.Record(at, []string{"a"})
		restored.Restore(start.Add(30*time.Second), []pace.Record{{User: "a", At: at}})
	}
	recorded.SetLimits(low.Limits)
	for _, w := range []*pace.Windows{recorded, restored} {
		now := start.Add(30 * time.Second)
		require.Zero(t, w.Free(now, "a"))
		w.Record(now, []string{"a"})
		w.SetLimits(pace.MemberLimits(0, 0))
		require.Equal(t, 30-26, w.Free(now, "a"))
		require.Equal(t, []int{26, 26}, w.Used(now, "a"))
	}
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

	for range 30_000 {
		w.Record(start.Add(2*time.Hour), []string{"flooded"})
	}
	require.Equal(t, []int{20_000, 20_000}, w.Used(start.Add(2*time.Hour), "flooded"))
}

func TestBusiest(t *testing.T) {
	w := pace.New(pace.Config{})
	for i := range 9 {
		for range i + 1 {
			w.Record(start, []string{fmt.Sprint("U", i)})
		}
	}
	w.Record(start.Add(-2*time.Minute), []string{"u8", "long ago"})
	w.Record(start.Add(-61*time.Minute), []string{"longer ago"})
	got := w.Busiest(start, 2)
	require.Equal(t, []pace.Usage{{User: "u8", Used: []int{9, 10}}, {User: "u7", Used: []int{8, 8}}}, got)
	require.Len(t, w.Busiest(start, 100), 10, "nobody who has not used anything")
	require.Empty(t, w.Busiest(start, 0))
}

func TestNoLimits(t *testing.T) {
	w := pace.New(pace.Config{Limits: []pace.Limit{{Count: 0, Window: time.Minute}}})
	w.Record(start, []string{"a"})
	require.Equal(t, start, w.NextOne(start, "a", 9))
	require.Zero(t, w.Members())
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
