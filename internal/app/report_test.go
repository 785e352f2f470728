package app_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// TestR24_ReportsOnlyNews: a lane that has nothing new to say is not written to
// the table at every heartbeat.
func TestR24_ReportsOnlyNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Accounts = 1 })
		n.scene(t, "calm", domain.Policy{})
		n.submit(t, request("calm", "one", "load-1"))
		time.Sleep(2 * time.Hour) // the member's windows are empty again
		quiet := n.gate.reports.Load()
		require.Positive(t, quiet, "it said what it had to say")
		require.Less(t, quiet, int64(10), "and not at each of 2400 heartbeats")
		time.Sleep(time.Hour + time.Second) // between two heartbeats
		require.Equal(t, quiet, n.gate.reports.Load())

		n.submit(t, request("calm", "two", "load-1"))
		time.Sleep(10 * time.Second)
		require.Equal(t, quiet+1, n.gate.reports.Load())
		said := func() string {
			stats, err := b.store.LaneStats(t.Context())
			require.NoError(t, err)
			return stats[0].Status
		}
		require.Contains(t, said(), `"used":2,"limit":200`)
		_, err := n.operator.Pause(t.Context(), "ops", "")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.Contains(t, said(), `"pause_reason":"app_paused"`)

		time.Sleep(30 * time.Minute)
		b.kill(n)
		next := b.start("n2")
		next.submit(t, request("calm", "three", "load-1"))
		time.Sleep(30 * time.Second)
		require.EqualValues(t, 2, used(t, next), "what an old report says still counts; the third waits for a resume")
	})
}

// TestR26_NothingIsForgottenAtATakeOver kills the owner of a lane that began its
// turn before its last report and booked a call after it.
func TestR26_NothingIsForgottenAtATakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Accounts = 1 })
		n.scene(t, "calm", domain.Policy{})
		n.submit(t, request("calm", "one", "load-1"))
		b.drained(time.Second)
		_, err := n.operator.Pause(t.Context(), "ops", "")
		require.NoError(t, err)
		time.Sleep(4 * time.Second) // a heartbeat has said that
		n.submit(t, request("calm", "two", "load-1", "load-2", "load-3"))
		slow := atomic.Bool{}
		slow.Store(true)
		n.gate.hook(func(h *gateHooks) {
			h.read = func() {
				if slow.Load() {
					time.Sleep(3500 * time.Millisecond)
				}
			}
		})
		said := n.gate.reports.Load()
		n.engine.Wake(t.Context(), "app:ops")
		_, err = n.operator.Resume(t.Context(), "ops", "")
		require.NoError(t, err)
		for b.wecom.Counts().Send < 2 { // it has it, the gateway has no answer yet
			time.Sleep(time.Millisecond)
		}
		require.Greater(t, n.gate.reports.Load(), said, "a report came in between")
		b.kill(n)
		slow.Store(false)

		next := b.start("n2")
		b.drained(time.Minute)
		require.EqualValues(t, 1+3+3, used(t, next), "the call that was cut off, and its repeat")
	})
}

// used is what a node believes of the day's quota.
func used(t *testing.T, n *node) int64 {
	t.Helper()
	r, ok := n.engine.Report("app:ops")
	require.True(t, ok, "it owns the lane")
	for _, u := range r.Used {
		if u.Name == "app_day" {
			return u.Used
		}
	}
	t.Fatal("it knows of no quota")
	return 0
}

// TestLanesSayWhenTheyGoOn: a lane that stands still says so, also when nobody
// owns it, and that nothing of it is due before it goes on.
func TestLanesSayWhenTheyGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		first, second := b.pair()
		lane := func(n *node) domain.LaneStatus {
			lanes, err := n.operator.Lanes(t.Context())
			require.NoError(t, err)
			require.Len(t, lanes, 1)
			return lanes[0]
		}
		for errcode, reason := range map[int]domain.WaitReason{45009: domain.WaitWeComLimit, 60020: domain.WaitAppBlocked} {
			require.NoError(t, b.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: errcode}))
			first.submit(t, request("plain", "a", "load-0"), request("plain", "b", "load-1"))
			time.Sleep(11 * time.Second) // the other node has heard of it
			for _, n := range []*node{first, second} {
				l := lane(n)
				require.Equal(t, reason, l.PauseReason, n.name)
				require.True(t, l.PausedUntil.After(time.Now()), n.name)
				require.False(t, l.NextDueAt.Before(l.PausedUntil), "%s: due at %s, paused until %s", n.name, l.NextDueAt, l.PausedUntil)
				require.EqualValues(t, 2, l.WaitReasons[reason], n.name)
			}
			require.NoError(t, b.wecom.SetFaults())
			_, err := second.operator.Resume(t.Context(), "ops", "")
			require.NoError(t, err)
			b.drained(time.Minute)
			require.Empty(t, lane(second).PauseReason)
		}
		b.kill(first)
		time.Sleep(time.Minute) // its lease is over
		require.Empty(t, lane(second).Owner)
		_, err := second.operator.Pause(t.Context(), "ops", "")
		require.NoError(t, err)
		require.Equal(t, domain.WaitAppPaused, lane(second).PauseReason)
		second.submit(t, request("plain", "c", "load-0"))
		require.Equal(t, domain.WaitAppPaused, lane(second).PauseReason)
		require.Zero(t, lane(second).NextDueAt, "until a person resumes it")
	})
}

// Every app and robot has its lane in the list, also before the first message:
// somebody who has paused an app finds it there.
func TestLanesOfWhatWasNeverUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.must("PUT", "/v1/apps/calm", obj{
		"corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID + 1, "secret": sandbox.DevSecret, "base_url": w.base,
		"accounts": 5, "limits": obj{"member_per_minute": 7},
	})
	w.must("PUT", "/v1/robots/room", obj{"webhook_key": "key-of-the-room", "base_url": w.base})
	w.must("POST", "/v1/apps/calm/pause", nil)
	lanes := map[string]obj{}
	for _, it := range w.must("GET", "/v1/lanes", nil).body["items"].([]any) {
		lanes[it.(obj)["lane"].(string)] = it.(obj)
	}
	calm := lanes["app:calm"]
	require.NotNil(t, calm)
	require.Equal(t, "app_paused", calm["pause_reason"])
	require.Nil(t, calm["owner"])
	require.EqualValues(t, 0, calm["depth"])
	require.Equal(t, []any{
		obj{"name": "member_minute", "used": 0.0, "limit": 7.0},
		obj{"name": "member_hour", "used": 0.0, "limit": 1000.0},
		obj{"name": "app_day", "used": 0.0, "limit": 1000.0},
	}, calm["used"])
	require.NotNil(t, lanes["robot:room"])
	require.Equal(t, []any{obj{"name": "robot_minute", "used": 0.0, "limit": 20.0}}, lanes["robot:room"]["used"])
	require.Nil(t, lanes["robot:room"]["pause_reason"])
	w.must("DELETE", "/v1/robots/room", nil)
	for _, it := range w.must("GET", "/v1/lanes", nil).body["items"].([]any) {
		require.NotEqual(t, "robot:room", it.(obj)["lane"])
	}
}
