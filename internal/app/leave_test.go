package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// laneOwner makes two nodes of which the first has lanes and the second none yet.
func laneOwner(t *testing.T, lanes int) (b *bubble, first, second *node) {
	b = newBubble(t, sandbox.Options{Accounts: -1})
	first = b.start("first")
	for i := range lanes {
		first.app(t, laneApp(i), nil)
	}
	for i := range lanes {
		first.submit(t, direct(i, "hello"))
	}
	b.drained(2 * time.Second)
	require.Equal(t, lanes, b.owned("first"))
	return b, first, b.start("second")
}

func laneApp(i int) string { return fmt.Sprintf("app-%d", i) }

func direct(app int, text string) domain.SendRequest {
	content, _ := json.Marshal(map[string]string{"content": text})
	return domain.SendRequest{App: laneApp(app), Type: &domain.TypeRef{Name: "text"}, Content: content, To: domain.To{Users: []string{"load-1"}}}
}

func (b *bubble) owned(name string) (n int) {
	b.t.Helper()
	stats, err := b.store.LaneStats(b.t.Context())
	require.NoError(b.t, err)
	for _, s := range stats {
		if s.Owner == name {
			n++
		}
	}
	return n
}

// TestNodes_NothingForWhoLeaves has a node give a lane away to one that has
// left since it was chosen.
func TestNodes_NothingForWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, first, second := laneOwner(t, 4)
		defer b.close()
		var asked atomic.Bool
		first.gate.hook(func(h *gateHooks) {
			h.giving = func(to string) {
				if to == "second" && asked.CompareAndSwap(false, true) {
					require.NoError(t, second.engine.Stop(context.Background()))
					b.kill(second)
				}
			}
		})
		time.Sleep(4 * time.Second) // a heartbeat
		synctest.Wait()
		require.True(t, asked.Load())
		require.Equal(t, 4, b.owned("first"))
		for i := range 4 {
			first.submit(t, direct(i, "again"))
		}
		b.drained(time.Second)
	})
}

// TestNodes_LeavesWhatItNeverHeardOf stops a node that was given a lane and
// does not know yet.
func TestNodes_LeavesWhatItNeverHeardOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, first, second := laneOwner(t, 4)
		defer b.close()
		tell := first.gate.hooked().others
		first.gate.hook(func(h *gateHooks) { h.others = func(domain.Notice) {} })
		time.Sleep(4 * time.Second)
		require.Equal(t, 1, b.owned("second"))
		require.False(t, second.engine.Owns("app:app-3"))
		first.gate.hook(func(h *gateHooks) { h.others = tell })
		require.NoError(t, second.engine.Stop(context.Background()))
		b.kill(second)
		require.Equal(t, 4, b.owned("first"))
		for i := range 4 {
			first.submit(t, direct(i, "again"))
		}
		b.drained(time.Second)
	})
}

// TestNodes_StopsWhileTheDatabaseIsAway: to hand lanes over is a courtesy. Without
// it the next owner waits for the lease, and finds what was going on.
func TestNodes_StopsWhileTheDatabaseIsAway(t *testing.T) {
	for name, busy := range map[string]bool{"idle": false, "with a call that nobody can write down": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, first, second := laneOwner(t, 1)
				defer b.close()
				if busy {
					b.wire.set(func(*rand.Rand) (wireFault, time.Duration) { return wireOK, time.Second })
					first.submit(t, direct(0, "on its way"))
				}
				first.gate.away.Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				require.NoError(t, first.engine.Stop(ctx))
				b.kill(first)
				second.submit(t, direct(0, "goes on"))
				b.drained(time.Minute)
				require.Equal(t, 1, b.owned("second"))
			})
		})
	}
}
