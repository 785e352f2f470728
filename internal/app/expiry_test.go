package app_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// TestExpiresBehindOthers: what expires behind others that have more time, more
// than a lane keeps in memory, ends when it expires, whatever the lane waits for.
func TestExpiresBehindOthers(t *testing.T) {
	t.Parallel()
	const others, short = 5000, 600
	for _, c := range []struct {
		name string
		stop func(t *testing.T, b *bubble, n *node)
	}{
		{"paused", func(t *testing.T, _ *bubble, n *node) {
			_, err := n.operator.Pause(t.Context(), "ops", "")
			require.NoError(t, err)
		}},
		{"blocked", func(t *testing.T, b *bubble, _ *node) { b.faults(sandbox.Fault{Errcode: 60020}) }},
		{"limited by WeCom", func(t *testing.T, b *bubble, _ *node) { b.faults(sandbox.Fault{Errcode: 45009}) }},
		{"slow", func(t *testing.T, b *bubble, n *node) {
			n.app(t, "ops", func(a *domain.App) { a.Limits.Concurrency = 1 })
			b.faults(sandbox.Fault{Latency: sandbox.Duration(5 * time.Second)})
		}},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", c.name, restart), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := newBubble(t, sandbox.Options{Accounts: -1})
					defer b.close()
					n := b.start("n1")
					n.app(t, "ops", nil)
					n.scene(t, "plain", domain.Policy{})
					c.stop(t, b, n)
					var reqs []domain.SendRequest
					for i := range others + short {
						r := request("plain", fmt.Sprint(i), fmt.Sprintf("load-%d", i))
						if r.ExpiresIn = new("2h"); i >= others {
							r.ExpiresIn = new("90s")
						}
						reqs = append(reqs, r)
					}
					accepted := time.Now()
					ids := n.submit(t, reqs...)
					if restart {
						b.kill(n)
						time.Sleep(10 * time.Second)
						b.start("n1")
					}
					time.Sleep(time.Until(accepted.Add(93 * time.Second)))
					for _, id := range ids[others:] {
						m := b.view(id).Message
						require.Equal(t, domain.StateExpired, m.State)
						require.WithinDuration(t, accepted.Add(90*time.Second), m.FinishedAt, 2500*time.Millisecond)
					}
					open := 0
					for _, id := range ids[:others] {
						if !b.view(id).State.Final() {
							open++
						}
					}
					require.Greater(t, open, others-100)
				})
			})
		}
	}
}

// TestHeldExpiresBehindOthers: likewise what waits for a person.
func TestHeldExpiresBehindOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "plain", domain.Policy{})
		n.scene(t, "careful", domain.Policy{OnUncertain: "hold", DuplicateWindow: "0s"})
		b.faults(sandbox.Fault{HTML: true})
		r := request("careful", "held", "load-1")
		r.ExpiresIn = new("10m")
		accepted := time.Now()
		held := n.submit(t, r)[0]
		b.until("it is held", time.Minute, func() bool { return b.view(held).Deliveries[0].Delivery.WaitReason == domain.WaitHeld })
		_, err := n.operator.Pause(t.Context(), "ops", "")
		require.NoError(t, err)
		var reqs []domain.SendRequest
		for i := range 6000 {
			reqs = append(reqs, request("careful", fmt.Sprint(i), "load-2"), request("plain", fmt.Sprint(i), "load-2"))
		}
		n.submit(t, reqs...)
		time.Sleep(time.Until(accepted.Add(10*time.Minute + 3*time.Second)))
		m := b.view(held).Message
		require.Equal(t, domain.StateUncertain, m.State)
		require.WithinDuration(t, accepted.Add(10*time.Minute), m.FinishedAt, 2500*time.Millisecond)
	})
}
