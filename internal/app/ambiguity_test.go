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

// TestR16_HonestRepeats sends messages that happen to be equal: each is a
// message of its own and arrives, whatever WeCom compares.
func TestR16_HonestRepeats(t *testing.T) {
	lost := sandbox.Fault{Drop: sandbox.Reset, When: sandbox.After, Next: 1}     // taken, nobody knows
	dropped := sandbox.Fault{Drop: sandbox.Reset, When: sandbox.Before, Next: 1} // not taken, nobody knows
	refused := sandbox.Fault{Errcode: -1, Next: 1}
	for _, byValue := range []bool{false, true} {
		for _, c := range []struct {
			name   string
			copies int
			gap    time.Duration
			first  []sandbox.Fault // what happens to the first one
			crash  bool            // between the first and the others
			stop   bool            // the same, with a graceful stop
		}{
			{name: "two", copies: 2, gap: 10 * time.Second},
			{name: "three", copies: 3, gap: 10 * time.Second},
			{name: "at once", copies: 3},
			{name: "beside a retry of the first, which WeCom has", copies: 2, gap: time.Second, first: []sandbox.Fault{lost}},
			{name: "beside a retry of the first, which WeCom has not", copies: 2, gap: time.Second, first: []sandbox.Fault{dropped}},
			{name: "beside a retry of the first, which WeCom refused", copies: 3, gap: time.Second, first: []sandbox.Fault{refused}},
			{name: "after the first was retried", copies: 3, gap: time.Minute, first: []sandbox.Fault{lost}},
			{name: "after a crash", copies: 2, gap: 20 * time.Second, crash: true},
			{name: "after a stop", copies: 2, gap: 10 * time.Second, stop: true},
			{name: "after a crash, beside a retry of the first, which WeCom has", copies: 3, gap: time.Second, first: []sandbox.Fault{lost}, crash: true},
			{name: "after a crash, beside a retry of the first, which WeCom has not", copies: 3, gap: time.Second, first: []sandbox.Fault{dropped}, crash: true},
			{name: "after a crash, beside a retry of the first, which WeCom refused", copies: 3, gap: time.Second, first: []sandbox.Fault{refused}, crash: true},
			{name: "just before the window ends", copies: 2, gap: 30*time.Minute - time.Second},
			{name: "after the window", copies: 2, gap: 31 * time.Minute},
		} {
			t.Run(fmt.Sprintf("%s, by value %v", c.name, byValue), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, n := newPipedBubble(t, sandbox.Options{DuplicateByValue: byValue})
					defer b.close()
					n.scene(t, "same", domain.Policy{})
					b.faults(c.first...)
					ids := n.submit(t, request("same", "hello", "load-1"))
					for range c.copies - 1 {
						time.Sleep(c.gap)
						if c.stop {
							require.NoError(t, n.engine.Stop(t.Context()))
						}
						if c.crash || c.stop {
							b.kill(n)
							n = b.start(n.name + "+")
							c.crash, c.stop = false, false
						}
						ids = append(ids, n.submit(t, request("same", "hello", "load-1"))...)
					}
					for _, id := range ids {
						b.becomes(id, domain.StateSent, 10*time.Minute)
					}
					require.Len(t, b.taken(), c.copies, "each is in the ledger, once")
					require.Equal(t, c.copies, b.outcome().seen["hello→load-1"], "and on the phone")
				})
			})
		}
	}
}

// TestR16_HonestRepeatsAroundTheEndOfTheWindow sends the second when the window
// of the first is over here and not yet at WeCom, which the first reached late.
func TestR16_HonestRepeatsAroundTheEndOfTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{})
		defer b.close()
		n.scene(t, "short", domain.Policy{DuplicateWindow: "10s"})
		for i, ms := range []int{9900, 10_000, 10_100, 10_250, 10_310, 11_000, 12_500} {
			gap := time.Duration(ms) * time.Millisecond
			b.faults(sandbox.Fault{Latency: sandbox.Duration(300 * time.Millisecond), Next: 1})
			text := fmt.Sprint("hello ", i)
			first := n.submit(t, request("short", text, "load-1"))[0]
			time.Sleep(gap)
			b.faults()
			second := n.submit(t, request("short", text, "load-1"))[0]
			b.becomes(first, domain.StateSent, time.Minute)
			b.becomes(second, domain.StateSent, time.Minute)
			require.Equal(t, 2, b.outcome().seen[text+"→load-1"], "%s after the first", gap)
		}
	})
}

// TestR16_HonestRepeatAfterTheWindow repeats a message in doubt long after its
// window, when WeCom has got an equal one meanwhile: both arrive.
func TestR16_HonestRepeatAfterTheWindow(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		again        func(b *bubble, n *node, id string)
	}{
		{"held, then sent by hand", "hold", func(b *bubble, n *node, id string) {
			n.submit(b.t, request("first", "hello", "load-1"))
			b.until("the twin is sent", time.Minute, func() bool { return len(b.taken()) == 1 })
			lanes, err := b.store.Release(b.t.Context(), id, "somebody")
			require.NoError(b.t, err)
			n.engine.Wake(b.t.Context(), lanes[0])
		}},
		{"behind one that is more urgent, when the app is resumed", "retry", func(b *bubble, n *node, _ string) {
			n.submit(b.t, request("first", "hello", "load-1"))
			_, err := n.operator.Resume(b.t.Context(), "ops", "")
			require.NoError(b.t, err)
		}},
	} {
		for _, byValue := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, byValue), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, n := newPipedBubble(t, sandbox.Options{DuplicateByValue: byValue})
					defer b.close()
					n.scene(t, "doubt", domain.Policy{OnUncertain: c.policy, DuplicateWindow: "1m"})
					n.scene(t, "first", domain.Policy{Priority: "urgent", DuplicateWindow: "1m"})
					b.faults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Drop: sandbox.Reset, When: sandbox.Before}) // not taken, nobody knows
					id := n.submit(t, request("doubt", "hello", "load-1"))[0]
					b.until("it is in doubt", 10*time.Minute, func() bool {
						d := b.view(id).Deliveries[0].Delivery
						return d.Doubts >= 3 && d.State == domain.StateQueued
					})
					if c.policy == "retry" {
						_, err := n.operator.Pause(t.Context(), "ops", "")
						require.NoError(t, err)
					} else {
						b.until("it is held", 10*time.Minute, func() bool { return b.view(id).WaitReason == domain.WaitHeld })
					}
					time.Sleep(10 * time.Minute)
					b.faults()
					c.again(b, n, id)
					b.becomes(id, domain.StateSent, time.Minute)
					b.drained(time.Minute)
					require.Equal(t, 2, b.outcome().seen["hello→load-1"], "each is on the phone")
				})
			})
		}
	}
}

// TestR18_TTL lets messages expire behind an outage: nothing goes out after
// its time, and only what WeCom certainly does not have is called expired.
func TestR18_TTL(t *testing.T) {
	t.Parallel()
	const ttl = time.Minute
	for _, c := range []struct {
		name   string
		wire   func(p *pipes)
		faults []sandbox.Fault
		paused bool
		state  domain.State
	}{
		{name: "connection refused", wire: func(p *pipes) { p.fault = refused }, state: domain.StateExpired},
		{name: "over quota", faults: errcode(45009, 0), state: domain.StateExpired},
		{name: "too many at once", faults: errcode(45033, 0), state: domain.StateExpired},
		{name: "busy", faults: errcode(-1, 0), state: domain.StateExpired},
		{name: "app blocked", faults: errcode(60020, 0), state: domain.StateExpired},
		{name: "app paused by hand", paused: true, state: domain.StateExpired},
		{name: "no answer", faults: []sandbox.Fault{{Drop: sandbox.Hang}}, state: domain.StateUncertain},
		{name: "one lost answer, then refused", faults: []sandbox.Fault{{Drop: sandbox.Reset, When: sandbox.After, Next: 1}, {Errcode: 45009}}, state: domain.StateUncertain},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := newPipedBubble(t, sandbox.Options{})
				defer b.close()
				n.scene(t, "short", domain.Policy{ExpiresIn: "60s"})
				b.becomes(n.submit(t, request("short", "before", "load-1"))[0], domain.StateSent, time.Minute)
				b.faults(c.faults...)
				if c.wire != nil {
					b.pipes.set(func() { c.wire(b.pipes) })
				}
				if c.paused {
					_, err := n.operator.Pause(t.Context(), "ops", "")
					require.NoError(t, err)
				}
				began := time.Now()
				var ids []string
				for i := range 40 {
					ids = append(ids, n.submit(t, request("short", fmt.Sprint("late ", i), fmt.Sprintf("load-%d", i)))...)
				}
				ended := b.until("all have ended", 2*ttl, func() bool {
					for _, id := range ids {
						if !b.view(id).State.Final() {
							return false
						}
					}
					return true
				})
				require.GreaterOrEqual(t, ended, ttl-time.Second)
				require.LessOrEqual(t, ended, ttl+11*time.Second, "they end on time, outage or not: a call that began in time may take ten seconds")
				time.Sleep(5 * time.Minute)
				b.faults()
				b.pipes.set(nil)
				if c.paused {
					_, err := n.operator.Resume(t.Context(), "ops", "")
					require.NoError(t, err)
				}
				time.Sleep(2 * time.Hour)
				ends := map[domain.State]int{}
				for i, id := range ids {
					v := b.view(id)
					ends[v.State]++
					for _, a := range v.Deliveries[0].Attempts {
						require.True(t, a.StartedAt.Before(v.Deliveries[0].Delivery.ExpiresAt), "no attempt after its time")
					}
					want := c.state
					if want == domain.StateUncertain && !inDoubt(v) {
						want = domain.StateExpired // its turn never came
					}
					require.Equal(t, want, v.State, "message %d: %v", i, classes(v))
				}
				require.Positive(t, ends[c.state], "%v", ends)
				for _, call := range b.wecom.Calls() {
					if call.Op == sandbox.OpSend {
						require.True(t, call.At.Before(began.Add(ttl)), "a call %s after the time was over", call.At.Sub(began.Add(ttl)))
					}
				}
			})
		})
	}
}

// TestR18_TTLEndsWhileTheTokenIsFetched is the last moment at which a message
// can expire: everything is ready and the token takes too long.
func TestR18_TTLEndsWhileTheTokenIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{})
		defer b.close()
		n.scene(t, "short", domain.Policy{ExpiresIn: "5s"})
		require.NoError(t, b.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpGetToken}, Latency: sandbox.Duration(6 * time.Second)}))
		id := n.submit(t, request("short", "too late", "load-1"))[0]
		v := b.becomes(id, domain.StateExpired, time.Minute)
		require.Equal(t, []string{"not_sent"}, classes(v))
		require.Zero(t, v.Deliveries[0].Delivery.Attempts)
		time.Sleep(time.Minute)
		require.Zero(t, b.wecom.Counts().Send)
	})
}

func inDoubt(v domain.MessageView) bool {
	for _, c := range classes(v) {
		if c == domain.FailedAmbiguous {
			return true
		}
	}
	return false
}
