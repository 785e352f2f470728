package app_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// TestR35_Outage takes the network away for five minutes, with messages coming
// in all the time.
func TestR35_Outage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, shown string
		fault       func(context.Context) error
	}{
		{"refused", "connection refused", refused},
		{"dns", "no such host", unknownHost},
		{"connect timeout", "i/o timeout", unanswered},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := newPipedBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				n.scene(t, "plain", domain.Policy{})
				ids := n.submit(t, request("plain", "before", "load-1"))
				b.becomes(ids[0], domain.StateSent, time.Minute)
				b.pipes.set(func() { b.pipes.fault = c.fault })
				dials := b.pipes.dials
				for i := range 300 {
					ids = append(ids, n.submit(t, request("plain", fmt.Sprint("in the dark ", i), people(i, 1)...))...)
					time.Sleep(time.Second)
				}
				last := len(ids) - 1
				b.until("it says why it waits", 10*time.Second, func() bool {
					v := b.explained(n, ids[last])
					return v.WaitReason == domain.WaitBackoff && v.NextAttemptAt.After(time.Now())
				})
				require.Less(t, b.pipes.dials-dials, 200, "no hammering")
				taken := len(b.taken())
				b.pipes.set(nil)
				b.until("WeCom gets the first", 10*time.Second, func() bool { return len(b.taken()) > taken })
				for _, id := range ids {
					b.becomes(id, domain.StateSent, 10*time.Second)
				}
				failed := 0
				for _, id := range ids {
					v := b.view(id)
					require.Less(t, len(v.Deliveries[0].Attempts), 30, "who is tried all the time does not fill the ledger")
					require.Equal(t, 1, v.Deliveries[0].Delivery.Attempts, "only the one that worked counts")
					for _, a := range v.Deliveries[0].Attempts {
						if a.Class == "ok" {
							continue
						}
						failed++
						require.Equal(t, "not_sent", a.Class)
						require.Contains(t, a.Errmsg, c.shown, "the attempt says what was wrong")
					}
				}
				require.Positive(t, failed)
				require.Len(t, b.taken(), len(ids), "each once")
				require.Equal(t, 1, b.logs.count("WeCom cannot be reached"))
			})
		})
	}
}

// TestAgentIDIsCorrected changes the agent of an app while messages wait that
// were accepted for the old one.
func TestAgentIDIsCorrected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		require.NoError(t, b.wecom.PutApp(sandbox.App{AgentID: 1000077, Name: "other", Secret: "another secret"}))
		n.scene(t, "plain", domain.Policy{})
		later := request("plain", "accepted before", "load-1")
		later.SendAt = new(time.Now().Add(time.Minute).Format(time.RFC3339))
		ids := n.submit(t, later)
		n.app(t, "ops", func(a *domain.App) { a.AgentID, a.Secret = 1000077, "another secret" })
		time.Sleep(2 * time.Minute)
		ids = append(ids, n.submit(t, request("plain", "accepted after", "load-1"))...)
		for _, id := range ids {
			b.becomes(id, domain.StateSent, time.Second)
		}
		// The same words once more: an honest twin, whatever agent the first was
		// accepted for.
		ids = append(ids, n.submit(t, request("plain", "accepted before", "load-1"))...)
		b.becomes(ids[2], domain.StateSent, time.Second)
		require.Len(t, b.taken(), 3, "WeCom has suppressed none")
		for _, e := range b.taken() {
			require.EqualValues(t, 1000077, e.AgentID)
			require.False(t, e.Duplicate)
		}
		require.Equal(t, domain.HealthOK, n.sender.Health().Of("ops").State)
	})
}

// TestProbeWithAnother lets WeCom refuse the app for one receiver only.
func TestProbeWithAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{Accounts: -1, Latency: 50 * time.Millisecond})
		defer b.close()
		n.app(t, "ops", func(a *domain.App) { a.Limits.Concurrency = 1 })
		n.scene(t, "plain", domain.Policy{})
		b.faults(sandbox.Fault{Errcode: 60011, Match: sandbox.Match{User: "load-0"}})
		ids := n.submit(t, request("plain", "refused", "load-0"), request("plain", "a", "load-1"), request("plain", "b", "load-2"))
		for _, id := range ids[1:] {
			b.becomes(id, domain.StateSent, 90*time.Second)
		}
		require.Equal(t, domain.StateQueued, b.view(ids[0]).State)
	})
}

// TestR33_BlockedApp breaks the settings of an app that is under way: few
// calls, the messages are held, and everything goes at once when it is mended.
func TestR33_BlockedApp(t *testing.T) {
	t.Parallel()
	const wrong = "not the secret"
	for _, c := range []struct {
		name, cause string
		with        func(b *bubble, n *node)
		mend        func(b *bubble, n *node)
		first       int // calls in the first minute at most, beside those in flight
		probes      int // in half an hour at least
	}{
		{
			name: "untrusted ip", cause: "untrusted_ip", first: 0, probes: 30,
			with: func(b *bubble, _ *node) { b.faults(sandbox.Fault{Errcode: 60020}) },
			mend: func(b *bubble, n *node) { b.faults(); n.app(b.t, "ops", nil) },
		},
		{
			name: "secret changed at WeCom", cause: "bad_secret", first: 1, probes: 14, // one gettoken for all in flight
			with: func(b *bubble, _ *node) {
				require.NoError(b.t, b.wecom.PutApp(sandbox.App{AgentID: sandbox.DevAgentID, Secret: wrong}))
				b.wecom.ExpireTokens(0)
			},
			mend: func(b *bubble, n *node) {
				require.NoError(b.t, b.wecom.PutApp(sandbox.App{AgentID: sandbox.DevAgentID, Secret: sandbox.DevSecret}))
				n.app(b.t, "ops", nil)
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := newPipedBubble(t, sandbox.Options{Accounts: -1, Latency: 50 * time.Millisecond})
				defer b.close()
				n.app(t, "ops", func(a *domain.App) { a.Limits.Concurrency = 4 })
				n.scene(t, "plain", domain.Policy{})
				n.scene(t, "short", domain.Policy{ExpiresIn: "10m"})
				var ids, short []string
				for i := range 100 {
					ids = append(ids, n.submit(t, request("plain", fmt.Sprint("warm ", i), people(i, 1)...))...)
				}
				for _, id := range ids {
					b.becomes(id, domain.StateSent, time.Minute)
				}
				time.Sleep(time.Second)
				c.with(b, n)
				broken := time.Now()
				for i := range 50 {
					ids = append(ids, n.submit(t, request("plain", fmt.Sprint("held ", i), people(i, 1)...))...)
					short = append(short, n.submit(t, request("short", fmt.Sprint("short ", i), people(100+i, 1)...))...)
				}
				b.until("the app is blocked", time.Minute, func() bool { return n.sender.Health().Of("ops").State == domain.HealthBlocked })
				require.Equal(t, c.cause, n.sender.Health().Of("ops").Cause)
				require.Equal(t, "203.0.113.7", n.sender.Health().Of("ops").SeenIP)
				time.Sleep(30*time.Minute - time.Since(broken))
				minutes := make([]int, 30)
				for _, call := range b.wecom.Calls() {
					if m := int(call.At.Sub(broken) / time.Minute); !call.At.Before(broken) && m < len(minutes) {
						minutes[m]++
					}
				}
				require.LessOrEqual(t, minutes[0], 4+c.first, "calls in the first minute")
				for m, calls := range minutes[1:] {
					require.LessOrEqual(t, calls, 1, "one probe in minute %d: %v", m+1, minutes)
				}
				probes := 0
				for _, calls := range minutes {
					probes += calls
				}
				require.GreaterOrEqual(t, probes, c.probes, "it is probed: %v", minutes)
				require.Zero(t, b.wecom.Counts().ByErrcode[45009], "WeCom has not banned us")
				require.Equal(t, 1, b.logs.count("cause="+c.cause))
				for _, id := range short {
					v := b.view(id)
					require.Equal(t, domain.StateExpired, v.State, "held until its time was over")
					require.Zero(t, v.Deliveries[0].Delivery.Attempts)
				}
				require.Equal(t, domain.WaitAppBlocked, b.explained(n, ids[len(ids)-1]).WaitReason)
				c.mend(b, n)
				mended := time.Now()
				for _, id := range ids {
					b.becomes(id, domain.StateSent, 5*time.Second)
					require.Equal(t, 1, b.view(id).Deliveries[0].Delivery.Attempts, "nothing was burnt")
				}
				require.Less(t, time.Since(mended), 5*time.Second)
				require.Equal(t, domain.HealthOK, n.sender.Health().Of("ops").State)
			})
		})
	}
}

// TestTokenWar has another program that fetches tokens of the same app in a
// way that kills ours: messages still go, slowly, and somebody is told.
func TestTokenWar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n.scene(t, "plain", domain.Policy{})
		var ids []string
		for i := range 60 {
			ids = append(ids, n.submit(t, request("plain", fmt.Sprint("war ", i), people(i, 1)...))...)
			time.Sleep(5 * time.Second)
			b.wecom.ExpireTokens(40014)
		}
		for _, id := range ids {
			v := b.becomes(id, domain.StateSent, 5*time.Minute)
			require.Equal(t, 1, v.Deliveries[0].Delivery.Attempts, "no attempt is counted")
		}
		require.Equal(t, 1, b.logs.count("another program may share this app's secret"))
		// One at the start, ten at once, then at most every 30 s of the 5 min.
		require.LessOrEqual(t, b.wecom.Counts().GetToken, int64(1+10+10))
		require.Greater(t, b.wecom.Counts().GetToken, int64(12), "it goes on")
		require.Equal(t, domain.HealthOK, n.sender.Health().Of("ops").State)
	})
}
