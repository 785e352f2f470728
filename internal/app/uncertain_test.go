package app_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// TestOnUncertain lets answers get lost under each policy, inside and outside
// the duplicate check's window.
func TestOnUncertain(t *testing.T) {
	t.Parallel()
	lost := func(n int) sandbox.Fault { return sandbox.Fault{Drop: sandbox.Reset, When: sandbox.After, Next: n} }
	quota := func(n int) sandbox.Fault { return sandbox.Fault{Errcode: 45009, Next: n} }
	busy := func(n int) sandbox.Fault { return sandbox.Fault{Errcode: -1, Next: n} }
	const ok, ambiguous, transient, limited = "ok", "ambiguous", "transient", "quota"
	const sent, queued, uncertain = domain.StateSent, domain.StateQueued, domain.StateUncertain
	type end struct {
		classes []string
		state   domain.State
		copies  int
	}
	for _, c := range []struct {
		name   string
		policy string // on_uncertain
		window string // duplicate_window
		faults []sandbox.Fault
		want   end
		held   bool
		// released is what comes of it once a person lets it go; dropped once
		// it is given up.
		released, dropped *end
	}{
		// Inside the window the same bytes go again, whatever the policy is.
		{name: "retry inside", policy: "retry", faults: []sandbox.Fault{lost(1)}, want: end{[]string{ambiguous, ok}, sent, 1}},
		{name: "hold inside", policy: "hold", faults: []sandbox.Fault{lost(1)}, want: end{[]string{ambiguous, ok}, sent, 1}},
		{name: "drop inside", policy: "drop", faults: []sandbox.Fault{lost(1)}, want: end{[]string{ambiguous, ok}, sent, 1}},
		{name: "hold, three repeats inside", policy: "hold", faults: []sandbox.Fault{lost(3)}, want: end{[]string{ambiguous, ambiguous, ambiguous, ok}, sent, 1}},
		{
			name: "hold, all repeats lost", policy: "hold", faults: []sandbox.Fault{lost(4)}, held: true,
			want:     end{[]string{ambiguous, ambiguous, ambiguous, ambiguous}, queued, 1},
			released: &end{[]string{ambiguous, ambiguous, ambiguous, ambiguous, ok}, sent, 2}, // an hour later nothing covers it
			dropped:  &end{[]string{ambiguous, ambiguous, ambiguous, ambiguous}, uncertain, 1},
		},
		{name: "drop, all repeats lost", policy: "drop", faults: []sandbox.Fault{lost(4)}, want: end{[]string{ambiguous, ambiguous, ambiguous, ambiguous}, uncertain, 1}},
		{name: "hold inside, after refusals", policy: "hold", faults: []sandbox.Fault{busy(3), lost(3)}, want: end{[]string{transient, transient, transient, ambiguous, ambiguous, ambiguous, ok}, sent, 1}},
		{name: "retry goes on", policy: "retry", faults: []sandbox.Fault{lost(6)}, want: end{[]string{ambiguous, ambiguous, ambiguous, ambiguous, ambiguous, ambiguous, ok}, sent, 1}},

		// Without a window the policy decides at once.
		{name: "retry outside", policy: "retry", window: "0s", faults: []sandbox.Fault{lost(1)}, want: end{[]string{ambiguous, ok}, sent, 2}},
		{name: "retry outside, all answers lost", policy: "retry", window: "0s", faults: []sandbox.Fault{lost(1000)}, want: end{slices.Repeat([]string{ambiguous}, 9), uncertain, 9}},
		{
			name: "retry outside, after refusals and among them", policy: "retry", window: "0s", faults: []sandbox.Fault{busy(9), lost(1), busy(1), lost(1000)},
			want: end{slices.Concat(slices.Repeat([]string{transient}, 9), []string{ambiguous, transient}, slices.Repeat([]string{ambiguous}, 8)), uncertain, 9},
		},
		{
			name: "hold outside", policy: "hold", window: "0s", faults: []sandbox.Fault{lost(1)}, held: true,
			want:     end{[]string{ambiguous}, queued, 1},
			released: &end{[]string{ambiguous, ok}, sent, 2}, // a second copy, as was decided
			dropped:  &end{[]string{ambiguous}, uncertain, 1},
		},
		{
			name: "hold outside, lost again after the release", policy: "hold", window: "0s", faults: []sandbox.Fault{lost(2)}, held: true,
			want:     end{[]string{ambiguous}, queued, 1},
			released: &end{[]string{ambiguous, ambiguous}, queued, 2}, // held once more
		},
		{name: "drop outside", policy: "drop", window: "0s", faults: []sandbox.Fault{lost(1)}, want: end{[]string{ambiguous}, uncertain, 1}},

		// A window that ends between the attempts.
		{name: "drop, the window ends before the third", policy: "drop", window: "10s", faults: []sandbox.Fault{lost(3)}, want: end{[]string{ambiguous, ambiguous}, uncertain, 1}},

		// A pause for 45009 that outlasts the window: an hour after the second.
		{name: "retry, a pause outlasts the window", policy: "retry", faults: []sandbox.Fault{lost(1), quota(2)}, want: end{[]string{ambiguous, limited, limited, ok}, sent, 2}},
		{
			name: "hold, a pause outlasts the window", policy: "hold", faults: []sandbox.Fault{lost(1), quota(2)}, held: true,
			want:     end{[]string{ambiguous, limited, limited}, queued, 1},
			released: &end{[]string{ambiguous, limited, limited, ok}, sent, 2},
			dropped:  &end{[]string{ambiguous, limited, limited}, uncertain, 1},
		},
		{name: "drop, a pause outlasts the window", policy: "drop", faults: []sandbox.Fault{lost(1), quota(2)}, want: end{[]string{ambiguous, limited, limited}, uncertain, 1}},
		{name: "drop, a pause inside the window", policy: "drop", faults: []sandbox.Fault{lost(1), quota(1)}, want: end{[]string{ambiguous, limited, ok}, sent, 1}},
	} {
		run := func(t *testing.T, decide func(b *bubble, n *node, id string), then *end) {
			synctest.Test(t, func(t *testing.T) {
				b, n := newPipedBubble(t, sandbox.Options{})
				defer b.close()
				n.scene(t, "pay", domain.Policy{OnUncertain: c.policy, DuplicateWindow: c.window})
				b.faults(c.faults...)
				id := n.submit(t, request("pay", "paid", "load-1"))[0]
				judge := func(want *end) {
					t.Helper()
					v := b.view(id)
					require.Equal(t, want.classes, classes(v))
					require.Equal(t, want.state, v.State)
					if v.State == domain.StateUncertain {
						require.Equal(t, domain.RecipientCounts{Total: 1, Uncertain: 1}, v.Counts)
					}
					require.Len(t, b.taken(), want.copies, "copies at WeCom")
					counted := 0
					for _, c := range want.classes {
						if c != limited {
							counted++
						}
					}
					require.Equal(t, counted, v.Deliveries[0].Delivery.Attempts, "attempts that count")
				}
				if c.held {
					b.until("it is held", 3*time.Hour, func() bool { return b.view(id).WaitReason == domain.WaitHeld })
					require.WithinDuration(t, b.began.Add(24*time.Hour), b.view(id).NextAttemptAt, time.Minute, "until its end, or a decision")
					require.Equal(t, domain.WaitHeld, b.explained(n, id).WaitReason)
				} else {
					b.until("it has ended", 3*time.Hour, func() bool { return b.view(id).State.Final() })
				}
				time.Sleep(time.Hour)
				judge(&c.want)
				if decide != nil {
					decide(b, n, id)
					time.Sleep(time.Minute)
					judge(then)
				}
			})
		}
		t.Run(c.name, func(t *testing.T) { run(t, nil, nil) })
		if c.released != nil {
			t.Run(c.name+", released", func(t *testing.T) {
				run(t, func(b *bubble, n *node, id string) {
					require.NoError(b.t, n.operator.ReleaseMessage(b.t.Context(), id, false, "key_x"))
				}, c.released)
			})
		}
		if c.dropped != nil {
			t.Run(c.name+", given up", func(t *testing.T) {
				run(t, func(b *bubble, n *node, id string) {
					require.NoError(b.t, n.operator.ReleaseMessage(b.t.Context(), id, true, "key_x"))
				}, c.dropped)
			})
		}
	}
}

// TestUncertainAfterAnotherAgent changes the app's agent between a lost answer
// and its repetition: WeCom suppresses nothing for another agent.
func TestUncertainAfterAnotherAgent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy string
		state  domain.State
		reason domain.WaitReason
		copies int
	}{{"retry", domain.StateSent, "", 2}, {"hold", domain.StateQueued, domain.WaitHeld, 1}, {"drop", domain.StateUncertain, "", 1}} {
		t.Run(c.policy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := newPipedBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				require.NoError(t, b.wecom.PutApp(sandbox.App{AgentID: 1000077, Name: "other", Secret: "another secret"}))
				n.scene(t, "pay", domain.Policy{OnUncertain: c.policy})
				b.faults(sandbox.Fault{Drop: sandbox.Reset, When: sandbox.After, Next: 1})
				id := n.submit(t, request("pay", "paid", "load-1"))[0]
				b.until("the answer is lost", 10*time.Second, func() bool { return len(b.view(id).Deliveries[0].Attempts) == 1 })
				n.app(t, "ops", func(a *domain.App) { a.AgentID, a.Secret = 1000077, "another secret" })
				n.operator.Changed("ops")
				time.Sleep(time.Minute)
				v := b.view(id)
				require.Equal(t, c.state, v.State)
				require.Equal(t, c.reason, v.WaitReason)
				require.Len(t, b.taken(), c.copies)
			})
		})
	}
}

// TestRetryIsBounded lets WeCom take every repetition and answer none, inside
// and outside the duplicate check's window.
func TestRetryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n.scene(t, "plain", domain.Policy{DuplicateWindow: "1m"})
		b.faults(sandbox.Fault{Drop: sandbox.Reset, When: sandbox.After})
		id := n.submit(t, request("plain", "again and again", "load-1"))[0]
		took := b.until("it has ended", 6*time.Hour, func() bool { return b.view(id).State.Final() })
		require.Equal(t, domain.StateUncertain, b.view(id).State)
		require.Greater(t, took, 2*time.Hour)
		require.Greater(t, len(b.taken()), 4)
		require.LessOrEqual(t, len(b.taken()), 12)
	})
}

// TestHeldUntilItsEnd lets nobody decide: the message ends as uncertain when
// its time is over, and is never called expired.
func TestHeldUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{})
		defer b.close()
		n.scene(t, "pay", domain.Policy{OnUncertain: "hold", DuplicateWindow: "0s", ExpiresIn: "10m"})
		b.faults(sandbox.Fault{Drop: sandbox.Reset, When: sandbox.Before, Next: 1})
		id := n.submit(t, request("pay", "paid", "load-1"))[0]
		b.until("it is held", time.Minute, func() bool { return b.view(id).WaitReason == domain.WaitHeld })
		b.becomes(id, domain.StateUncertain, 11*time.Minute)
		require.Empty(t, b.taken())
		require.EqualValues(t, 1, b.wecom.Counts().Send)
	})
}
