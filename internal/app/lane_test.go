package app_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// TestNothingIsOverlookedWhileAStreamIsRead lets a message come in between the
// moment at which the lane began its turn and the end of its reading.
func TestNothingIsOverlookedWhileAStreamIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "calm", domain.Policy{})
		var once sync.Once
		n.gate.read = func() {
			once.Do(func() {
				time.Sleep(10 * time.Millisecond)
				n.submit(t, request("calm", "second", "load-2"))
			})
		}
		n.submit(t, request("calm", "first", "load-1"))
		time.Sleep(5 * time.Second)
		o := b.outcome()
		require.Len(t, o.at["load-1"], 1)
		require.Len(t, o.at["load-2"], 1, "it came in while the stream was read")
	})
}

// TestAvoidPeak: virtual time begins at a full hour.
func TestAvoidPeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "campaign", domain.Policy{Priority: "low", AvoidPeak: true})
		n.scene(t, "alert", domain.Policy{Priority: "urgent", AvoidPeak: true})
		b.wire.set(nil)
		hour := time.Now().Truncate(time.Hour).Add(time.Hour)
		time.Sleep(time.Until(hour.Add(20 * time.Second)))
		id := n.submit(t, request("campaign", "buy", "load-1"))[0]
		n.submit(t, request("alert", "fire", "load-2"))
		dry, err := n.intake.DryRun(t.Context(), anybody, request("campaign", "buy", "load-1"))
		require.NoError(t, err)
		require.Equal(t, domain.WaitScheduled, dry.Deliveries[0].WouldWait.Reason)
		require.True(t, hour.Add(time.Minute).Equal(*dry.Deliveries[0].WouldWait.Until))
		time.Sleep(time.Second)
		v, err := b.store.FindMessage(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, domain.StateScheduled, v.State)
		require.Equal(t, domain.WaitScheduled, v.WaitReason)
		require.True(t, hour.Add(time.Minute).Equal(v.NextAttemptAt), v.NextAttemptAt)
		b.drained(5 * time.Minute)
		o := b.outcome()
		require.Less(t, o.at["load-2"][0], hour.Add(time.Minute), "urgent ones do not care")
		require.WithinDuration(t, hour.Add(time.Minute), o.at["load-1"][0], time.Second)
		n.submit(t, request("campaign", "buy again", "load-1"))
		b.drained(20 * time.Second)
	})
}

// TestDigestsUnderPressure merges faster than a member may be sent to: then
// the digests themselves are merged, so that the line does not grow.
func TestDigestsUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1, MemberPerMinute: 3})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 3 })
		n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Window: "5s"}, ExpiresIn: "2h"})
		var ids []string
		for i := range 1200 { // ten minutes
			ids = append(ids, n.submit(t, request("alert", fmt.Sprintf("disk %d is full", i), "load-1"))...)
			time.Sleep(500 * time.Millisecond)
		}
		stats, err := b.store.LaneStats(t.Context())
		require.NoError(t, err)
		sent := len(b.outcome().at["load-1"])
		b.drained(5 * time.Minute)
		o := b.outcome()
		require.Zero(t, o.dropped)
		require.GreaterOrEqual(t, sent, 25, "the member's budget is used")
		t.Logf("%d messages went out as %d, %d waited at the end: %v", len(ids), len(o.at["load-1"]), stats[0].Depth, stats[0].WaitReasons)
		require.LessOrEqual(t, len(o.at["load-1"]), sent+4, "what waits is merged, it does not queue up")
		for i, id := range ids {
			v, err := b.store.FindMessage(t.Context(), id)
			require.NoError(t, err)
			require.Contains(t, []domain.State{domain.StateSent, domain.StateMerged}, v.State, "message %d", i)
			if v.State == domain.StateMerged {
				d, err := b.store.FindMessage(t.Context(), v.Message.MergedInto)
				require.NoError(t, err)
				require.Equal(t, domain.StateSent, d.State)
			}
		}
	})
}
