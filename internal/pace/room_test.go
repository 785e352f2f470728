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
	require.Empty(t, r.Ready(now, 10, func(string) int { return 1 }))
	r.WakeAll(now)
	require.Len(t, r.Ready(now, 10, func(string) int { return 1 }), 4)
	r.Wake("b", now.Add(time.Hour))
	r.Leave("a")
	require.Len(t, r.Ready(now, 10, func(string) int { return 1 }), 2, "the order of the lines is kept")
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
		"Ready":   func(n int) int { return len(r.Ready(now, n, func(string) int { return n })) },
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
