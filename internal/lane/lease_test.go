package lane

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A lease is trusted only as long as both clocks agree that it runs: the
// monotonic one stands still while a machine sleeps, the other one jumps.
func TestR34_BothClocksMustTrustALease(t *testing.T) {
	t.Parallel()
	began := time.Now()
	until := began.Add(9 * time.Second)
	for _, c := range []struct {
		name            string
		ran, wallJumped time.Duration // since the renewal
		trusted         bool
	}{
		{"fresh", 0, 0, true},
		{"nearly over", 8900 * time.Millisecond, 0, true},
		{"over", 9 * time.Second, 0, false},
		{"frozen by a signal", time.Minute, 0, false},
		{"asleep for three hours, the monotonic clock stood still", time.Second, 3 * time.Hour, false},
		{"set an hour ahead", time.Second, time.Hour, false},
		{"set an hour back, still running", time.Second, -time.Hour, true},
		{"set an hour back, over", 10 * time.Second, -time.Hour, false},
		{"set a day back, over", 10 * time.Second, -24 * time.Hour, false},
	} {
		now := began.Add(c.ran)
		require.Equal(t, c.trusted, within(until, now, now.Add(c.wallJumped).Round(0)), c.name)
	}
}
