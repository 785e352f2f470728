package app_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// TestR31_SlowWeComTwoNodes kills the owner of a lane while WeCom needs eight
// seconds for each answer: the other one goes on, both together never have more
// calls in flight than the app allows, and nothing is lost or seen twice.
func TestR31_SlowWeComTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages, width = 60, 4
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		first := b.start("n1")
		first.app(t, "ops", func(a *domain.App) { a.Limits.Concurrency = width })
		first.scene(t, "plain", domain.Policy{})
		first.submit(t, request("plain", "warm", "load-0"))
		b.drained(time.Second)
		second := b.start("n2")
		require.NoError(t, second.catalog.Refresh(t.Context()))
		b.wire.set(func(*rand.Rand) (wireFault, time.Duration) { return wireOK, 8 * time.Second })
		for i := range messages {
			n := first
			if i%2 == 1 {
				n = second
			}
			n.submit(t, request("plain", fmt.Sprint("text ", i), fmt.Sprintf("load-%d", i)))
		}
		time.Sleep(30 * time.Second)
		require.True(t, first.engine.Owns("app:ops"))
		taken := b.wecom.Counts().Taken
		require.Positive(t, taken)
		require.Less(t, taken, int64(messages/2))
		b.kill(first)
		b.drained(10 * time.Minute)
		require.True(t, second.engine.Owns("app:ops"))
		require.Equal(t, width, b.wire.most, "as many as allowed, and never more")
		o := b.outcome()
		for i := range messages {
			require.Equal(t, 1, o.seen[fmt.Sprintf("text %d→load-%d", i, i)], "message %d", i)
		}
		require.NotZero(t, b.wecom.Counts().Duplicates, "what the kill cut off was repeated")
	})
}

// TestR33_BlockedOnEveryNode: one node finds out that an app is blocked, all
// know, and together they ask once a minute, also when the lane moves on.
func TestR33_BlockedOnEveryNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		first, second := b.pair()
		require.NoError(t, b.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: 60020}))
		for i := range 20 {
			second.submit(t, request("plain", fmt.Sprint("held ", i), fmt.Sprintf("load-%d", i)))
		}
		time.Sleep(5 * time.Second) // a heartbeat
		for _, n := range []*node{first, second} {
			h := n.sender.Health().Of("ops")
			require.Equal(t, domain.HealthBlocked, h.State, n.name)
			require.Equal(t, "untrusted_ip", h.Cause, n.name)
			require.NotEmpty(t, h.SeenIP, n.name)
			require.NotZero(t, h.NextProbeAt, n.name)
		}
		probes := func(d time.Duration) int64 {
			before := b.wecom.Counts().Send
			time.Sleep(d)
			return b.wecom.Counts().Send - before
		}
		require.InDelta(t, 10, probes(10*time.Minute), 1)
		b.kill(first)
		require.InDelta(t, 10, probes(10*time.Minute), 1, "the next owner begins with a probe's time, not with a call")
		require.True(t, second.engine.Owns("app:ops"))
		third := b.start("n3")
		require.NoError(t, third.catalog.Refresh(t.Context()))
		time.Sleep(5 * time.Second)
		require.Equal(t, domain.HealthBlocked, third.sender.Health().Of("ops").State, "who joins knows, too")

		require.NoError(t, b.wecom.SetFaults())
		b.drained(70 * time.Second)
		time.Sleep(5 * time.Second)
		for _, n := range []*node{second, third} {
			require.Equal(t, domain.HealthOK, n.sender.Health().Of("ops").State, n.name)
		}
		o := b.outcome()
		for i := range 20 {
			require.Equal(t, 1, o.seen[fmt.Sprintf("held %d→load-%d", i, i)])
		}
	})
}

// TestResumeOnAnotherNode: a person who has mended the cause resumes or tests the
// app on a node that does not own its lane and has not heard yet that it stands
// still.
func TestResumeOnAnotherNode(t *testing.T) {
	resume := func(ctx context.Context, n *node) error {
		_, err := n.operator.Resume(ctx, "ops", "")
		return err
	}
	test := func(ctx context.Context, n *node) error {
		answer, err := n.operator.Test(ctx, "ops")
		if err == nil && !answer.OK {
			err = errors.New(answer.Errmsg)
		}
		return err
	}
	for _, c := range []struct {
		name    string
		errcode int
		mend    func(context.Context, *node) error
	}{{"blocked, resumed", 60020, resume}, {"blocked, tested", 60020, test}, {"limited, resumed", 45009, resume}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				first, second := b.pair()
				stopped := func() bool {
					_, _, stopped := first.engine.Waits("app:ops")
					return stopped
				}
				for i, heard := range []time.Duration{time.Second / 2, 6 * time.Second} { // not yet, and long since
					require.NoError(t, b.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: c.errcode}))
					first.submit(t, request("plain", fmt.Sprint("held ", i), "load-0"))
					time.Sleep(heard)
					require.True(t, first.engine.Owns("app:ops"))
					require.True(t, stopped())
					require.NoError(t, b.wecom.SetFaults())
					require.NoError(t, c.mend(t.Context(), second))
					_, _, waits := second.operator.Waits("app:ops")
					require.False(t, waits)
					b.drained(time.Second)
					time.Sleep(6 * time.Second) // a heartbeat
					_, _, waits = second.operator.Waits("app:ops")
					require.False(t, waits)
				}
				require.Equal(t, 1, b.outcome().seen["held 0→load-0"])
				require.Equal(t, 1, b.outcome().seen["held 1→load-0"])
			})
		})
	}
}
