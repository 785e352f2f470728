package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// sendsByMinute counts calls of message/send since then.
func (b *bubble) sendsByMinute(since time.Time, minutes int) []int {
	out := make([]int, minutes)
	for _, c := range b.wecom.Calls() {
		if m := int(c.At.Sub(since) / time.Minute); c.Op == sandbox.OpSend && !c.At.Before(since) && m < minutes {
			out[m]++
		}
	}
	return out
}

// TestRefusedReceiver lets WeCom refuse the app (60011) for one member, and
// take everything else: those who wait for that member do not stop the others.
func TestRefusedReceiver(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a long report\n", 400) // three pieces
	for _, c := range []struct {
		name    string
		scene   domain.Policy
		refused []string // texts to the member, at the start
		every   time.Duration
	}{
		{name: "one", refused: []string{"x"}},
		{name: "urgent", scene: domain.Policy{Priority: "urgent"}, refused: []string{"x"}},
		{name: "many urgent", scene: domain.Policy{Priority: "urgent"}, refused: []string{"1", "2", "3", "4", "5", "6", "7"}},
		{name: "pieces", scene: domain.Policy{Overflow: "split"}, refused: []string{long}},
		{name: "urgent pieces", scene: domain.Policy{Overflow: "split", Priority: "urgent"}, refused: []string{long, long + "."}},
		{name: "again and again", scene: domain.Policy{Priority: "urgent"}, refused: []string{"x"}, every: 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := newPipedBubble(t, sandbox.Options{Accounts: -1, Latency: 50 * time.Millisecond})
				defer b.close()
				n.scene(t, "plain", domain.Policy{})
				c.scene.ExpiresIn = "25m"
				n.scene(t, "refused", c.scene)
				b.faults(sandbox.Fault{Errcode: 60011, Match: sandbox.Match{User: "load-0"}})
				began := time.Now()
				var refused, others []string
				for _, text := range c.refused {
					refused = append(refused, n.submit(t, request("refused", text, "load-0"))...)
				}
				next := began.Add(c.every)
				for i := range 180 {
					if c.every > 0 && i > 0 && !time.Now().Before(next) {
						next = next.Add(c.every)
						refused = append(refused, n.submit(t, request("refused", fmt.Sprint("again ", i), "load-0"))...)
					}
					others = append(others, n.submit(t, request("plain", fmt.Sprint("other ", i), people(1+i, 1)...))...)
					time.Sleep(10 * time.Second)
				}
				late := 0
				for i, id := range others {
					v := b.becomes(id, domain.StateSent, 90*time.Second)
					if wait := v.Message.FinishedAt.Sub(v.Message.CreatedAt); wait > time.Second {
						late++
						require.Less(t, wait, 62*time.Second, "message %d", i)
					}
				}
				require.LessOrEqual(t, late, 7, "only those of the first minute")
				for m, sends := range b.sendsByMinute(began, 30)[2:25] {
					most := 6 + 1 // the others, and one who was refused
					if c.every > 0 {
						most += int(time.Minute / c.every)
					}
					require.LessOrEqual(t, sends, most, "minute %d", m+2)
				}
				require.Equal(t, domain.HealthOK, n.sender.Health().Of("ops").State)
				for _, id := range refused[:len(c.refused)] {
					v := b.view(id)
					require.Equal(t, domain.StateExpired, v.State, "held until its time is over")
					require.WithinDuration(t, v.Message.ExpiresAt, v.Message.FinishedAt, 2*time.Second)
				}
				if c.every == 0 { // forgotten: the next time it may be the app
					time.Sleep(15 * time.Minute)
					b.faults(sandbox.Fault{Errcode: 60011})
					n.submit(t, request("plain", "all are refused", "load-5"))
					b.until("the app is blocked", 2*time.Second, func() bool { return n.sender.Health().Of("ops").State == domain.HealthBlocked })
					return
				}
				last := refused[len(refused)-3:]
				for _, id := range last {
					v := b.explained(n, id)
					require.Equal(t, domain.WaitAppBlocked, v.WaitReason)
					require.True(t, v.NextAttemptAt.After(time.Now()))
				}
				b.faults()
				for _, id := range last {
					b.becomes(id, domain.StateSent, 2*time.Minute)
				}
			})
		})
	}
}

// TestRefusedReceiversTakeTurns gives one of several members back to the app:
// that one's message goes, however urgent the others are.
func TestRefusedReceiversTakeTurns(t *testing.T) {
	t.Parallel()
	for _, among := range []int{0, 1} { // with others that go, and without
		synctest.Test(t, func(t *testing.T) {
			b, n := newPipedBubble(t, sandbox.Options{Accounts: -1})
			defer b.close()
			n.scene(t, "plain", domain.Policy{})
			n.scene(t, "urgent", domain.Policy{Priority: "urgent"})
			of := func(user int) sandbox.Fault {
				return sandbox.Fault{Errcode: 60011, Match: sandbox.Match{User: fmt.Sprint("load-", user)}}
			}
			b.faults(of(0), of(1), of(2))
			ids := n.submit(t, request("urgent", "a", "load-0"), request("urgent", "b", "load-1"), request("plain", "c", "load-2"))
			for range among {
				n.submit(t, request("plain", "d", "load-3"))
			}
			time.Sleep(10 * time.Minute)
			b.faults(of(0), of(1))
			b.becomes(ids[2], domain.StateSent, 5*time.Minute)
			require.Equal(t, domain.StateQueued, b.view(ids[0]).State)
			require.Equal(t, domain.StateQueued, b.view(ids[1]).State)
		})
	}
}

// TestAppWithoutPrivilege lets WeCom refuse everything with 60011: one call a
// minute, whatever waits, and everything goes when it is mended.
func TestAppWithoutPrivilege(t *testing.T) {
	t.Parallel()
	for _, mend := range []string{"by itself", "resume"} {
		t.Run(mend, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := newPipedBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				n.scene(t, "plain", domain.Policy{Overflow: "split"})
				n.scene(t, "urgent", domain.Policy{Priority: "urgent"})
				b.faults(sandbox.Fault{Errcode: 60011})
				began := time.Now()
				var ids []string
				for i := range 120 {
					scene := []string{"plain", "urgent"}[i%2]
					ids = append(ids, n.submit(t, request(scene, fmt.Sprint("held ", i), people(i, 1)...))...)
					time.Sleep(10 * time.Second)
				}
				ids = append(ids, n.submit(t, request("plain", strings.Repeat("a long report\n", 400), "load-7"))...)
				time.Sleep(20 * time.Minute)
				sends := b.sendsByMinute(began, 40)
				require.LessOrEqual(t, sends[0], 2, "%v", sends)
				require.LessOrEqual(t, slices.Max(sends[1:]), 1, "%v", sends)
				require.GreaterOrEqual(t, b.wecom.Counts().Send, int64(38), "it is probed: %v", sends)
				require.Equal(t, "no_privilege", n.sender.Health().Of("ops").Cause)
				require.Equal(t, 1, b.logs.count("app is blocked"))
				b.faults()
				limit := 90 * time.Second
				if mend == "resume" {
					_, err := n.operator.Resume(t.Context(), "ops", "")
					require.NoError(t, err)
					limit = 5 * time.Second
				}
				mended := time.Now()
				for _, id := range ids {
					b.becomes(id, domain.StateSent, 90*time.Second)
				}
				require.Less(t, time.Since(mended), limit)
				require.Equal(t, domain.HealthOK, n.sender.Health().Of("ops").State)
				require.Len(t, b.taken(), 120+3)
				piece := 0
				for _, e := range b.taken() {
					if strings.Contains(string(e.Content), "a long report") {
						piece++
						require.Contains(t, string(e.Content), fmt.Sprintf("%d/3", piece), "in order")
					}
				}
				require.Equal(t, 3, piece)
			})
		})
	}
}
