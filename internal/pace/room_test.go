package pace

import (
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
