package app_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// texts lists what a member has got, oldest first.
func (b *bubble) texts(member string) (out []string) {
	b.t.Helper()
	for _, e := range b.wecom.Ledger() {
		for _, u := range e.Users {
			if u == member && !e.Duplicate {
				var c struct{ Content string }
				require.NoError(b.t, jsonInto(e.Content, &c))
				out = append(out, c.Content)
			}
		}
	}
	return out
}

// again kills a node and starts another one in its place, which may take its
// lanes: their leases are over.
func (b *bubble) again(n *node, name string) *node {
	b.t.Helper()
	b.kill(n)
	next := b.start(name)
	time.Sleep(20 * time.Second)
	return next
}

// TestDigestWindowsOutliveTheirOwner opens windows, kills the node in the
// middle of them, and sends more: it is collected, whatever the length of the
// window and whoever opened it.
func TestDigestWindowsOutliveTheirOwner(t *testing.T) {
	for _, tc := range []struct {
		name   string
		digest domain.Digest
		down   time.Duration // from the first to the kill
		busy   bool          // one of them has no budget for the first
	}{
		{"short", domain.Digest{Window: "10m"}, 5 * time.Minute, false},
		{"longer than the duplicate check", domain.Digest{Window: "6h"}, 5 * time.Hour, false},
		{"the first waits, too", domain.Digest{Window: "6h", First: "wait"}, 5 * time.Hour, false},
		{"the first was divided", domain.Digest{Window: "6h"}, 5 * time.Hour, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1, MemberPerMinute: 3})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 3 })
				n.scene(t, "calm", domain.Policy{})
				n.scene(t, "alert", domain.Policy{Digest: &tc.digest, ExpiresIn: "47h"})
				window, err := time.ParseDuration(tc.digest.Window)
				require.NoError(t, err)
				calm := 0
				if tc.busy {
					calm = 3
					for i := range calm {
						n.submit(t, request("calm", fmt.Sprintf("calm %d", i), "load-1"))
					}
					time.Sleep(time.Second)
				}
				began := time.Now()
				n.submit(t, request("alert", "fault 0", "load-1", "load-2"))
				time.Sleep(10 * time.Second)
				n.submit(t, request("alert", "fault 1", "load-1", "load-2"))
				time.Sleep(tc.down)
				n = b.again(n, "n2")
				n.submit(t, request("alert", "fault 2", "load-1", "load-2"))
				time.Sleep(time.Until(began.Add(window)) - time.Minute)
				atOnce := 1
				if tc.digest.First == "wait" {
					atOnce = 0
				}
				require.Len(t, b.texts("load-2"), atOnce, "what came later waits for the end of the window")
				require.Len(t, b.texts("load-1"), calm+atOnce)
				b.drained(3 * time.Minute)
				require.Len(t, b.texts("load-2"), atOnce+1)
				for _, member := range []string{"load-1", "load-2"} {
					all := b.texts(member)
					last := all[len(all)-1]
					require.Contains(t, last, fmt.Sprintf("%d 条消息合并", 3-atOnce), member)
					require.Contains(t, last, "fault 1\n· fault 2", member)
				}
				require.Zero(t, b.outcome().dropped)
			})
		})
	}
}

// TestLimitsRaisedAfterARestart counts what was sent before the limits were
// lowered, also when a node started under the lower ones.
func TestLimitsRaisedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "calm", domain.Policy{})
		send := func(count int) {
			for i := range count {
				n.submit(t, request("calm", fmt.Sprint(time.Now(), i), "load-1"))
			}
		}
		send(25)
		time.Sleep(time.Second)
		n.app(t, "ops", func(a *domain.App) { a.Limits = domain.AppLimits{MemberPerMinute: 2, MemberPerHour: 2} })
		n = b.again(n, "n2")
		n.submit(t, request("calm", "to another", "load-2"))
		b.until("the lane is open", 10*time.Second, func() bool { return len(b.texts("load-2")) == 1 })
		n.app(t, "ops", nil)
		send(30)
		b.drained(3 * time.Minute)
		require.Zero(t, b.outcome().dropped)
		require.Len(t, b.texts("load-1"), 55)
	})
}

// TestRaisedLimitsEndPressure lets messages of a digest scene wait for the
// member's hour and then raises the limits, not enough at first.
func TestRaisedLimitsEndPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		perHour := func(k int) { n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerHour = k }) }
		perHour(3)
		n.scene(t, "plain", domain.Policy{})
		n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Window: "1m", Key: "{{ .data.text }}"}, ExpiresIn: "3h"})
		for i := range 3 {
			b.becomes(n.submit(t, request("plain", fmt.Sprint(i), "load-1"))[0], domain.StateSent, time.Minute)
		}
		var ids []string
		for i := range 4 {
			ids = append(ids, n.submit(t, request("alert", fmt.Sprint("fault ", i), "load-1"))...)
		}
		waits := func(v domain.MessageView) {
			t.Helper()
			require.Equal(t, domain.WaitMemberRate, v.WaitReason)
			require.WithinDuration(t, b.began.Add(time.Hour), v.NextAttemptAt, 10*time.Second)
		}
		time.Sleep(time.Second)
		for _, id := range ids {
			waits(b.explained(n, id))
		}
		perHour(2)
		time.Sleep(time.Second)
		waits(b.explained(n, b.view(ids[0]).Message.MergedInto))
		require.Len(t, b.texts("load-1"), 3)
		perHour(0)
		n.submit(t, request("alert", "new", "load-1"))
		b.drained(5 * time.Second)
		require.Zero(t, b.outcome().dropped)
		all := strings.Join(b.texts("load-1"), "\n")
		for _, text := range []string{"fault 0", "fault 1", "fault 2", "fault 3", "new"} {
			require.Contains(t, all, text)
		}
	})
}

// TestRefusedCallKeepsNobodysPlace lets WeCom refuse a call to somebody's last
// place in the minute: the next try does not wait for another one.
func TestRefusedCallKeepsNobodysPlace(t *testing.T) {
	for _, code := range []int{45033, -1} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", nil)
				n.scene(t, "calm", domain.Policy{})
				n.scene(t, "alert", domain.Policy{Priority: "urgent"})
				for i := range 29 {
					n.submit(t, request("calm", fmt.Sprint(i), "load-1"))
				}
				time.Sleep(time.Second)
				b.faults(errcode(code, 1)...)
				id := n.submit(t, request("alert", "now", "load-1", "load-2", "load-3"))[0]
				b.becomes(id, domain.StateSent, 3*time.Second)
				n.submit(t, request("calm", "too much", "load-1"))
				b.drained(2 * time.Minute)
				require.Zero(t, b.outcome().dropped)
			})
		})
	}
}

// TestRefusedCallIsDivided lets the limits of one of three be used up while a
// call to them waits that WeCom refused: the others do not wait for that one.
func TestRefusedCallIsDivided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "calm", domain.Policy{})
		n.scene(t, "alert", domain.Policy{Priority: "urgent"})
		b.faults(errcode(45009, 1)...)
		id := n.submit(t, request("calm", "to three", "load-1", "load-2", "load-3"))[0]
		time.Sleep(time.Second)
		require.Len(t, b.view(id).Deliveries[0].Attempts, 1)
		for i := range 30 {
			n.submit(t, request("alert", fmt.Sprint(i), "load-1"))
		}
		b.until("two of them have it", 65*time.Second, func() bool { return b.view(id).Counts.Accepted == 2 })
		v := b.becomes(id, domain.StateSent, 65*time.Second)
		require.Len(t, v.Deliveries, 2)
		require.Len(t, v.Deliveries[0].Attempts, 2)
		require.Len(t, v.Deliveries[1].Attempts, 1)
		require.Zero(t, b.outcome().dropped)
		for _, user := range []string{"load-1", "load-2", "load-3"} {
			require.Equal(t, 1, b.outcome().seen["to three→"+user])
		}
	})
}

// TestDigestIsClosedAfterARestart lets the recovery come when another node has
// taken over: it goes at once, with what was collected before, and the window
// is over for the next owner as well.
func TestDigestIsClosedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Window: "6h", Closes: `{{ eq .data.text "resolved" }}`}, ExpiresIn: "47h"})
		alert := func(text string) { n.submit(t, request("alert", text, "load-1")); time.Sleep(10 * time.Second) }
		alert("fault 0")
		alert("fault 1")
		n = b.again(n, "n2")
		alert("resolved")
		got := b.texts("load-1")
		require.Len(t, got, 2)
		require.Contains(t, got[1], "2 条消息合并")
		require.Contains(t, got[1], "fault 1\n· resolved")
		n = b.again(n, "n3")
		alert("fault 2")
		require.Len(t, b.texts("load-1"), 3, "a new window")
		alert("resolved")
		require.Len(t, b.texts("load-1"), 4, "it closes one in which nothing was")
		n = b.again(n, "n4")
		alert("fault 3")
		require.Equal(t, "fault 3", b.texts("load-1")[4])
	})
}

// TestDividedDigestsAreMergedAgain keeps one of three from getting anything
// for half an hour while a digest for all of them goes out every thirty
// seconds: the rests of those are merged, and what they carry is told.
func TestDividedDigestsAreMergedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1, MemberPerMinute: 3})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 3 })
		n.scene(t, "flood", domain.Policy{Priority: "urgent"})
		n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Window: "30s"}, ExpiresIn: "2h"})
		const flood, alerts = 90, 300
		var reqs []domain.SendRequest
		for i := range flood {
			reqs = append(reqs, request("flood", fmt.Sprintf("flood %d", i), "load-1"))
		}
		n.submit(t, reqs...)
		time.Sleep(time.Second)
		ids := map[string]string{}
		for i := range alerts { // ten minutes
			text := fmt.Sprintf("fault %03d.", i)
			ids[n.submit(t, request("alert", text, "load-1", "load-2", "load-3"))[0]] = text
			time.Sleep(2 * time.Second)
		}
		b.drained(2 * time.Hour)
		o := b.outcome()
		require.Zero(t, o.dropped)
		others, blocked := b.texts("load-2"), b.texts("load-1")[flood:]
		t.Logf("the blocked one got %d, the others %d", len(blocked), len(others))
		require.InDelta(t, 21, len(others), 2, "their digests are not held up")
		require.LessOrEqual(t, len(blocked), 4, "a digest for each window would be twenty")
		last := blocked[len(blocked)-1]
		require.Contains(t, last, " 条消息合并")
		total := 0
		for _, text := range blocked {
			var count int
			if _, err := fmt.Sscanf(text, "%d 条消息合并", &count); err != nil {
				require.True(t, strings.HasPrefix(text, "fault "), text)
				count = 1
			}
			total += count
		}
		require.Equal(t, alerts, total, "each alert was told, and once")
		for id, text := range ids { // each can be followed to something that was sent
			v, err := b.store.FindMessage(t.Context(), id)
			require.NoError(t, err)
			for hops := 0; v.Message.MergedInto != ""; hops++ {
				require.Less(t, hops, 4, text)
				if v, err = b.store.FindMessage(t.Context(), v.Message.MergedInto); err != nil {
					require.NoError(t, err)
				}
			}
			require.Equal(t, domain.StateSent, v.State, text)
		}
	})
}

// TestDigestWindowEndsThoughItsFirstIsStuck: a window is counted from the first
// try of what opened it, or a message that fails again and again would keep back
// all that follow.
func TestDigestWindowEndsThoughItsFirstIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "noise", domain.Policy{Digest: &domain.Digest{Window: "2m"}})
		b.wire.spoil("stuck", wireDrop)
		n.submit(t, request("noise", "stuck", "load-1"))
		time.Sleep(time.Second)
		id := n.submit(t, request("noise", "another", "load-1"))[0]
		b.becomes(id, domain.StateSent, 125*time.Second)
	})
}
