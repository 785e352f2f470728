package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/lane"
)

// TestUnclearAnswers goes from one lost answer, which is chance, to many in a
// row, which are trouble.
func TestUnclearAnswers(t *testing.T) {
	p := &pacer{}
	now := time.Now()
	lost := func() lane.Control {
		d := &domain.Delivery{StartedAt: now}
		now = now.Add(10 * time.Second)
		return unclear(p, d, now)
	}
	for range 3 { // alone among good ones, again and again
		require.Equal(t, lane.Control{}, lost(), "one is bad luck")
		p.answered(now)
	}
	require.Equal(t, lane.Control{}, lost())
	for range fogPatience - 1 {
		require.Equal(t, lane.Control{Narrow: true}, lost(), "fewer at once")
	}
	pause := lost().Pause
	require.Equal(t, domain.WaitBackoff, pause.Reason, "none for a while")
	require.True(t, pause.Until.After(now))
	p.answered(now)
	require.Equal(t, lane.Control{}, lost(), "over")
}
