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

// An app has a lane for members and one for group chats, and these may be on
// different nodes. When it is blocked they probe it together once a minute; what
// mends it frees both.
func TestBlockedAppIsProbedOnce(t *testing.T) {
	t.Parallel()
	fault := func(op string, errcode int) sandbox.Fault {
		return sandbox.Fault{Match: sandbox.Match{Op: op}, Errcode: errcode}
	}
	untrusted := []sandbox.Fault{fault(sandbox.OpSend, 60020), fault(sandbox.OpChatSend, 60020), fault(sandbox.OpChatGet, 60020), fault(sandbox.OpAgentGet, 60020)}
	for _, nodes := range []int{1, 2} {
		for _, c := range []struct {
			name   string
			faults []sandbox.Fault
			mend   func(ctx context.Context, n *node) error
			wait   time.Duration // from mending to the last message
		}{
			{"untrusted IP, next probe", untrusted, nil, 70 * time.Second},
			{"wrong secret, next probe", []sandbox.Fault{fault(sandbox.OpGetToken, 40001)}, nil, 70 * time.Second},
			{"untrusted IP, resumed", untrusted, func(ctx context.Context, n *node) error {
				_, err := n.operator.Resume(ctx, "ops", "")
				return err
			}, 2 * time.Second},
			{"untrusted IP, tested", untrusted, func(ctx context.Context, n *node) error {
				_, err := n.operator.Test(ctx, "ops")
				return err
			}, 2 * time.Second},
		} {
			t.Run(fmt.Sprintf("%s, %d nodes", c.name, nodes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var chats []sandbox.Chat
					names := []string{"c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"}
					for _, id := range names {
						chats = append(chats, sandbox.Chat{ID: id, Users: []string{"load-1", "load-2"}})
					}
					b := newBubble(t, sandbox.Options{Accounts: -1, Chats: chats})
					defer b.close()
					b.faults(c.faults...)
					first := b.start("n1")
					first.app(t, "ops", nil)
					first.scene(t, "plain", domain.Policy{})
					second := first
					if nodes > 1 {
						second = b.start("n2")
						require.NoError(t, second.catalog.Refresh(t.Context()))
					}
					began := time.Now()
					var ids []string
					for i := range 3 {
						ids = append(ids, first.submit(t, request("plain", fmt.Sprint("held ", i), "load-9"))...)
						ids = append(ids, second.submit(t, toChats(fmt.Sprint("held ", i), names...))...)
					}
					calls := func(from, to time.Duration) (n int) {
						for _, c := range b.wecom.Calls() {
							if at := c.At.Sub(began); at >= from && at < to {
								n++
							}
						}
						return n
					}
					time.Sleep(6*time.Minute + 30*time.Second)
					require.True(t, first.engine.Owns("app:ops"))
					require.True(t, second.engine.Owns("chat:ops"))
					require.LessOrEqual(t, calls(0, time.Minute), 5)
					for m := time.Minute; m < 6*time.Minute; m += time.Minute {
						require.Equal(t, 1, calls(m, m+time.Minute), "from %s on", m)
					}
					for _, id := range ids {
						v := b.explained(first, id)
						require.Equal(t, domain.WaitAppBlocked, v.WaitReason)
					}
					require.NoError(t, b.wecom.SetFaults())
					if c.mend != nil {
						require.NoError(t, c.mend(t.Context(), second))
					}
					b.drained(c.wait)
					require.Len(t, b.taken(), 3*(1+len(names)))
				})
			})
		}
	}
}
