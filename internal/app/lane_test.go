package app_test

import (
	"fmt"
	"math/rand/v2"
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
		n.gate.hook(func(h *gateHooks) {
			h.read = func() {
				once.Do(func() {
					time.Sleep(10 * time.Millisecond)
					n.submit(t, request("calm", "second", "load-2"))
				})
			}
		})
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

// TestAvoidPeakInALine lets messages stand in a member's line when the peak
// minute comes.
func TestAvoidPeakInALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "campaign", domain.Policy{Priority: "low", AvoidPeak: true})
		n.scene(t, "calm", domain.Policy{Priority: "low"})
		hour := time.Now().Truncate(time.Hour).Add(time.Hour)
		time.Sleep(time.Until(hour.Add(-30 * time.Second)))
		var ids []string
		for i := range 40 {
			ids = append(ids, n.submit(t, request("campaign", fmt.Sprint(i), "load-1"))...)
		}
		time.Sleep(time.Second)
		n.submit(t, request("calm", "calm", "load-1"))
		time.Sleep(time.Second)
		for _, id := range ids[30:] {
			v := b.explained(n, id)
			require.Equal(t, domain.WaitMemberRate, v.WaitReason)
			require.True(t, hour.Add(time.Minute).Equal(v.NextAttemptAt), v.NextAttemptAt)
		}
		b.drained(5 * time.Minute)
		for i, at := range b.outcome().at["load-1"] {
			require.Equal(t, i == 30, at.Truncate(time.Minute).Equal(hour), "%d at %s", i, at) // the one that does not care
		}
		require.Equal(t, "calm", b.texts("load-1")[30])
	})
}

// TestNoTurnAfterTheEnd lets messages expire long before their turn in a
// member's line.
func TestNoTurnAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "brief", domain.Policy{ExpiresIn: "70s"})
		var ids []string
		for i := range 95 {
			ids = append(ids, n.submit(t, request("brief", fmt.Sprint(i), "load-1"))...)
		}
		time.Sleep(5 * time.Second)
		for _, id := range ids[30:] {
			v := b.explained(n, id)
			require.Equal(t, domain.WaitMemberRate, v.WaitReason)
			require.False(t, v.NextAttemptAt.After(v.Message.ExpiresAt), "%s after %s", v.NextAttemptAt, v.Message.ExpiresAt)
		}
	})
}

// TestTurnsAsOtherNodesSeeThem lets urgent messages overtake normal ones in a
// member's line, and asks a node that does not own the lane.
func TestTurnsAsOtherNodesSeeThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "plain", domain.Policy{})
		n.scene(t, "high", domain.Policy{Priority: "high"})
		var ids []string
		for i := range 35 {
			ids = append(ids, n.submit(t, request("plain", fmt.Sprint(i), "load-1"))...)
		}
		time.Sleep(5 * time.Second)
		other := b.start("n2")
		for i := range 35 {
			n.submit(t, request("high", fmt.Sprint("high ", i), "load-1"))
		}
		time.Sleep(time.Minute)
		require.True(t, n.engine.Owns("app:ops"))
		for _, id := range ids[30:] {
			own, seen := b.explained(n, id), b.explained(other, id)
			require.Equal(t, domain.WaitMemberRate, own.WaitReason)
			require.Equal(t, domain.WaitMemberRate, seen.WaitReason)
			require.True(t, own.NextAttemptAt.After(time.Now()))
			require.WithinDuration(t, own.NextAttemptAt, seen.NextAttemptAt, time.Second)
		}
		b.drained(5 * time.Minute)
		require.Zero(t, b.outcome().dropped)
	})
}

// TestAvoidPeakNotInDoubt loses an answer just before the peak minute, which is
// longer than WeCom suppresses a repetition.
func TestAvoidPeakNotInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "campaign", domain.Policy{Priority: "low", AvoidPeak: true, DuplicateWindow: "30s", OnUncertain: "drop"})
		hour := time.Now().Truncate(time.Hour).Add(time.Hour)
		time.Sleep(time.Until(hour.Add(-2 * time.Second)))
		b.wire.spoil("buy", wireLose)
		id := n.submit(t, request("campaign", "buy", "load-1"))[0]
		time.Sleep(time.Second)
		b.wire.spoil("", wireOK)
		v := b.becomes(id, domain.StateSent, 20*time.Second)
		require.Len(t, v.Deliveries[0].Attempts, 2)
		require.Len(t, b.texts("load-1"), 1)
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

// TestDigestsBesideABlockedMember merges for two people of whom one has no
// budget left: the other one's digests are not disturbed, and what waits for
// the first is merged, too.
func TestDigestsBesideABlockedMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1, MemberPerMinute: 10})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 10 })
		n.scene(t, "calm", domain.Policy{})
		n.scene(t, "alert", domain.Policy{Digest: &domain.Digest{Key: "{{ .data.text | truncate 7 }}", Window: "30s"}})
		for i := range 10 {
			n.submit(t, request("calm", fmt.Sprintf("calm %d", i), "load-1"))
		}
		time.Sleep(time.Second)
		var ids []string
		for i := range 90 { // three services, 45 seconds
			ids = append(ids, n.submit(t, request("alert", fmt.Sprintf("disk-%d is full, %d", i%3, i), "load-1", "load-2"))...)
			time.Sleep(500 * time.Millisecond)
		}
		b.drained(5 * time.Minute)
		o := b.outcome()
		require.Zero(t, o.dropped)
		t.Logf("the blocked one got %d, the other one %d", len(o.at["load-1"])-10, len(o.at["load-2"]))
		require.Len(t, o.at["load-2"], 3+3+3, "the first of each service at once, then a digest for each window")
		require.LessOrEqual(t, len(o.at["load-1"]), 10+9)
		for i, id := range ids {
			v, err := b.store.FindMessage(t.Context(), id)
			require.NoError(t, err)
			require.Zero(t, v.Counts.Failed+v.Counts.Waiting, "message %d", i)
			require.Contains(t, []domain.State{domain.StateSent, domain.StateMerged, domain.StatePartial}, v.State, "message %d", i)
			for _, d := range v.Deliveries {
				if d.Delivery.MergedInto == "" {
					continue
				}
				m, err := b.store.FindMessage(t.Context(), d.Delivery.MergedInto)
				require.NoError(t, err)
				require.Equal(t, domain.SourceDigest, m.Message.Source)
				for _, rest := range m.Deliveries {
					if rest.Delivery.MergedInto != "" {
						require.Equal(t, 1, rest.Delivery.Recipients, "only what waits for the blocked one is merged again")
					}
				}
			}
		}
	})
}

// TestALineHoldsUpNobodyElse sends to many of whom one has others waiting.
func TestALineHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1, MemberPerMinute: 3})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 3 })
		n.scene(t, "calm", domain.Policy{})
		for i := range 5 {
			n.submit(t, request("calm", fmt.Sprintf("calm %d", i), "load-1"))
		}
		time.Sleep(time.Second)
		began := time.Now()
		n.submit(t, request("calm", "to both", "load-1", "load-2"))
		b.drained(5 * time.Minute)
		o := b.outcome()
		require.Len(t, o.at["load-1"], 6)
		require.Less(t, o.at["load-2"][0].Sub(began), 2*time.Second, "the other one has nothing to wait for")
	})
}

// TestR07_ABrokenTurnKeepsNoSlot: what a turn has decided to send is free to go
// in the next one when the database refuses what the turn writes before.
func TestR07_ABrokenTurnKeepsNoSlot(t *testing.T) {
	for name, second := range map[string]domain.SendRequest{
		"defer": request("calm", "second", "load-1"),
		"split": request("calm", "second", "load-1", "load-2"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", func(a *domain.App) { a.Limits = domain.AppLimits{Concurrency: 1, MemberPerMinute: 1} })
				n.scene(t, "calm", domain.Policy{})
				n.submit(t, request("calm", "first", "load-1"))
				b.drained(time.Second)
				// Both are decided about in one turn.
				_, err := n.operator.Pause(t.Context(), "ops", "")
				require.NoError(t, err)
				n.submit(t, second, request("calm", "third", "load-9"))
				n.gate.broken.Store(1)
				_, err = n.operator.Resume(t.Context(), "ops", "")
				require.NoError(t, err)
				time.Sleep(5 * time.Second)
				require.LessOrEqual(t, n.gate.broken.Load(), int64(0), "a write has failed")
				require.Len(t, b.outcome().at["load-9"], 1)
				b.drained(2 * time.Minute)
			})
		})
	}
}

// TestBlindLaneDoesNotSpin takes the readings of the database away while a line
// could move: the lane tries again now and then, not all the time.
func TestBlindLaneDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1, MemberPerMinute: 1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 1 })
		n.scene(t, "plain", domain.Policy{})
		n.submit(t, request("plain", "one", "load-1"), request("plain", "two", "load-1"))
		time.Sleep(10 * time.Second)
		n.gate.blind.Store(true)
		time.Sleep(2 * time.Minute)
		failed := b.logs.count("lane not read")
		require.Positive(t, failed)
		require.Less(t, failed, 130, "once a second")
		n.gate.blind.Store(false)
		b.until("the line moves", 2*time.Second, func() bool { return len(b.texts("load-1")) == 2 })
	})
}

// TestDoubtIsSettledBeforeABacklog leaves intents on disk whose calls are never
// made while much else waits: they go before what came after them.
func TestDoubtIsSettledBeforeABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", func(a *domain.App) { a.Limits.Concurrency = 4 })
		n.scene(t, "plain", domain.Policy{})
		b.wire.set(func(*rand.Rand) (wireFault, time.Duration) { return wireOK, time.Second })
		var reqs []domain.SendRequest
		for i := range 600 {
			reqs = append(reqs, request("plain", fmt.Sprint("message ", i), people(i, 1)...))
		}
		ids := n.submit(t, reqs...)
		n.gate.doubtful.Store(1)
		b.drained(time.Hour)
		doubted, last := time.Time{}, time.Time{}
		for _, id := range ids {
			v := b.view(id)
			if last = v.Message.FinishedAt; classes(v)[0] == "not_sent" {
				doubted = last
			}
		}
		require.Greater(t, last.Sub(b.began), time.Minute)
		require.Less(t, doubted.Sub(b.began), 30*time.Second)
	})
}

// TestAPausedLaneExpiresOnTime: what expires in a lane that stands still ends
// then, however much it is.
func TestAPausedLaneExpiresOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "plain", domain.Policy{ExpiresIn: "6s"})
		_, err := n.operator.Pause(t.Context(), "ops", "")
		require.NoError(t, err)
		reqs := make([]domain.SendRequest, 6000)
		for i := range reqs {
			reqs[i] = request("plain", fmt.Sprint(i), fmt.Sprintf("load-%d", i))
		}
		n.submit(t, reqs...)
		time.Sleep(6 * time.Second)
		b.drained(3 * time.Second)
		require.Empty(t, b.outcome().seen)
	})
}
