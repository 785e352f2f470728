package pace

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestChangedLimitsWakeEveryLine(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	r := NewRoom(10)
	for i, m := range []string{"a", "b", "c", "d"} {
		require.True(t, r.Join(Ticket{ID: m, At: now}, now.Add(time.Duration(4-i)*time.Minute), m))
	}
	require.Empty(t, r.Ready(now, 10, Budget{Free: func(string) int { return 1 }}))
	r.WakeAll(now)
	require.Len(t, r.Ready(now, 10, Budget{Free: func(string) int { return 1 }}), 4)
	r.Wake("b", now.Add(time.Hour))
	r.Leave("a")
	require.Len(t, r.Ready(now, 10, Budget{Free: func(string) int { return 1 }}), 2, "the order of the lines is kept")
}

// TestNoNumberIsTooSmall asks for none or fewer of everything that is listed.
func TestNoNumberIsTooSmall(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	r := NewRoom(10)
	w := New(Config{})
	for _, m := range []string{"a", "b"} {
		require.True(t, r.Join(Ticket{ID: m, At: now, Expires: now}, now, m))
		w.Record(now, []string{m})
	}
	for name, list := range map[string]func(n int) int{
		"Ready":   func(n int) int { return len(r.Ready(now, n, Budget{Free: func(string) int { return n }})) },
		"Longest": func(n int) int { return len(r.Longest(n)) },
		"Expired": func(n int) int { return len(r.Expired(now, n)) },
		"Busiest": func(n int) int { return len(w.Busiest(now, n)) },
	} {
		for n, want := range map[int]int{math.MinInt: 0, -9: 0, -1: 0, 0: 0, 1: 1, 2: 2, 3: 2} {
			require.Equal(t, want, list(n), "%s(%d)", name, n)
		}
	}
	require.Zero(t, NewRoom(-1).Len())
	require.False(t, NewRoom(-1).Join(Ticket{ID: "x"}, now, "a"))
	require.Equal(t, now, w.NextOne(now, "a", math.MinInt))
}

// A ticket that rests holds up nobody for whom there is budget, and keeps no
// line awake.
func TestRest(t *testing.T) {
	now := time.Now()
	room := NewRoom(10)
	a, b, c := Ticket{ID: "a", At: now.Add(-3)}, Ticket{ID: "b", At: now.Add(-2)}, Ticket{ID: "c", At: now.Add(-1)}
	require.True(t, room.Join(a, now, "ann", "bob"))
	require.True(t, room.Join(b, now, "ann"))
	require.True(t, room.Join(c, now, "ann"))
	budget := map[string]int{"ann": 2}
	free := func(m string) int { return budget[m] }
	next := func(m string, ahead int) time.Time {
		if ahead < budget[m] {
			return now
		}
		return now.Add(time.Duration(ahead+1-budget[m]) * time.Minute)
	}
	purse := Budget{Free: free, Next: next}
	ready := func() (ids []string) {
		for _, x := range room.Ready(now, 1, purse) {
			ids = append(ids, x.ID)
		}
		return ids
	}
	require.Equal(t, []string{"a"}, ready())
	room.Rest("a", now.Add(time.Hour), now, purse) // for bob
	require.Equal(t, []string{"b"}, ready(), "ann has budget for both")
	room.Rest("b", now.Add(time.Hour), now, purse)
	require.Empty(t, ready(), "not for three")
	wake, _ := room.NextWake()
	require.Equal(t, now.Add(time.Minute), wake, "then")
	require.True(t, room.Join(Ticket{ID: "d", At: now}, now, "ann"))
	require.Empty(t, ready())
	wake, _ = room.NextWake()
	require.Equal(t, now.Add(time.Minute), wake, "who has come does not keep the line awake")
	room.Rouse("a", now)
	require.Equal(t, []string{"a"}, ready())
	room.Rest("a", now.Add(time.Hour), now, purse)
	require.True(t, room.Leave("a"))
	require.Equal(t, []string{"b"}, ready(), "what it has rested for may have changed")
	room.Rest("b", now.Add(time.Hour), now, purse)
	require.Equal(t, []string{"c"}, ready())
	room.WakeAll(now)
	require.Equal(t, []string{"b"}, ready())
}

func TestWaken(t *testing.T) {
	now := time.Now()
	room := NewRoom(10)
	a, b := Ticket{ID: "a", At: now.Add(-2)}, Ticket{ID: "b", At: now.Add(-1)}
	require.False(t, room.Waken("ann", b, now), "there is no line")
	require.True(t, room.Join(a, now.Add(time.Minute), "Ann"))
	require.True(t, room.Join(b, now.Add(time.Minute), "ann", "bob"))
	require.False(t, room.Waken("bob", b, now), "it is the first")
	require.True(t, room.Waken("ann", b, now))
	wake, _ := room.NextWake()
	require.Equal(t, now, wake)
	require.False(t, room.Waken("ann", b, now), "it is awake")
	purse := Budget{Free: func(string) int { return 2 }, Next: func(string, int) time.Time { return now }}
	room.Rest("a", now.Add(time.Hour), now, purse)
	room.Rest("b", now.Add(time.Minute), now, purse)
	require.False(t, room.Waken("ann", b, now), "who is before it rests")
}
