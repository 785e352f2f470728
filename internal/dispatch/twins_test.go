package dispatch

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

func first(content string) *domain.Delivery {
	return &domain.Delivery{
		Body: json.RawMessage(`{"touser":"a","msgtype":"text","text":{"content":"` + content + `"}}`), DupWindow: 1800, DupInterval: -1, Recipients: 1,
	}
}

// A request repeated under its Idempotency-Key may book a slot before the true
// one is admitted. It must not cost that one the duplicate check.
func TestTwins(t *testing.T) {
	t.Parallel()
	now := time.Now()
	admits := func(p *pacer, d *domain.Delivery, reserved bool) bool {
		d.StartedAt = now
		a, _ := p.admit(d, now, reserved)
		if a.Until.IsZero() {
			return true
		}
		require.True(t, a.Until.After(now))
		require.Equal(t, domain.WaitBackoff, a.Reason)
		return false
	}
	fresh := func() *pacer { return New(Config{}).newPacer("app:ops", domain.App{}) }

	p, repeat, original := fresh(), first("x"), first("x")
	require.True(t, admits(p, repeat, true))
	require.False(t, admits(p, original, false), "nobody knows yet whether the other one is a repeat")
	require.False(t, admits(p, first("x"), true), "nor is a third one reserved")
	require.True(t, admits(p, first("y"), true), "others go")
	p.retract(repeat)
	require.True(t, admits(p, original, false))
	require.Equal(t, 1800, original.DupInterval)
	require.Equal(t, 28, p.free("a", now), "what was retracted is free again")

	p = fresh()
	a, b := first("x"), first("x")
	require.True(t, admits(p, a, true))
	p.begun(a)
	require.True(t, admits(p, b, false), "an honest twin")
	require.Equal(t, 1800, a.DupInterval)
	require.Equal(t, 0, b.DupInterval, "WeCom would swallow it")

	p = fresh()
	require.True(t, admits(p, first("x"), true))
	now = now.Add(twinsFor)
	require.True(t, admits(p, first("x"), false), "it does not wait for ever")
}

// What a lane remembers of sent bodies is bounded by what is in its window, not
// by how long the lane has worked.
func TestTwinsAreForgotten(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := New(Config{}).newPacer("app:ops", domain.App{})
	send := func(h uint64) *domain.Delivery {
		d := first("x")
		p.duplicateCheck(d, h, now)
		return d
	}
	const window, each = 1800, 1000 // a message every second
	for h := range uint64(100 * each) {
		now = now.Add(time.Second)
		require.Equal(t, window, send(h).DupInterval)
		require.LessOrEqual(t, len(p.recent), window+window/4+1)
	}
	require.Zero(t, p.blind)
	require.Zero(t, send(100*each-window/2).DupInterval, "what is in its window is known")
	require.Equal(t, window, send(100*each-2*window).DupInterval)
}
