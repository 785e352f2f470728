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

// TestExpiryInsideQuietHours has no patience with what waits for the morning.
func TestExpiryInsideQuietHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1") // eight in the morning in China
		n.app(t, "ops", nil)
		n.scene(t, "quiet", domain.Policy{QuietHours: &domain.QuietHours{From: "07:00", To: "17:00"}})
		short := request("quiet", "short", "load-1")
		short.ExpiresIn = new("2s")
		later := request("quiet", "later", "load-1")
		later.ExpiresIn, later.SendAt = new("30m"), new(time.Now().Add(time.Hour).Format(time.RFC3339))
		ids := n.submit(t, short, later)
		for i, at := range []time.Duration{2 * time.Second, 90 * time.Minute} {
			v := b.view(ids[i])
			require.Equal(t, domain.StateScheduled, v.State)
			require.Equal(t, domain.WaitQuietHours, v.WaitReason)
			require.WithinDuration(t, b.began.Add(at), v.NextAttemptAt, time.Second)
			time.Sleep(time.Until(b.began.Add(at + 2*time.Second)))
			require.Equal(t, domain.StateExpired, b.view(ids[i]).State)
		}
		require.Empty(t, b.texts("load-1"))
	})
}

// quietNight is a scene with quiet hours on a bubble in which members get three
// messages a minute; a bubble begins at eight in the morning in China.
func quietNight(t *testing.T, p domain.Policy) (*bubble, *node) {
	t.Helper()
	b := newBubble(t, sandbox.Options{Accounts: -1, MemberPerMinute: 3})
	n := b.start("n1")
	n.app(t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 3 })
	n.scene(t, "quiet", p)
	return b, n
}

// between counts what members got in a part of the bubble's time.
func (b *bubble) between(from, to time.Duration) (n int) {
	for _, e := range b.wecom.Ledger() {
		if at := e.At.Sub(b.began); at >= from && at < to {
			n++
		}
	}
	return n
}

// at sleeps until some time of the bubble.
func (b *bubble) at(after time.Duration) { time.Sleep(time.Until(b.began.Add(after))) }

// sleeps requires that a message waits for the end of the quiet hours.
func (b *bubble) sleeps(n *node, id string, end time.Duration) {
	b.t.Helper()
	v := b.explained(n, id)
	want := domain.StateScheduled
	if v.Deliveries[0].Delivery.Tries > 0 {
		want = domain.StateQueued
	}
	require.Equal(b.t, want, v.State)
	require.Equal(b.t, domain.WaitQuietHours, v.WaitReason)
	require.True(b.t, v.NextAttemptAt.Equal(b.began.Add(end)), v.NextAttemptAt)
}

// TestQuietHoursHoldBackWhatWaited lets messages that were accepted before the
// quiet hours wait for something else until they have begun.
func TestQuietHoursHoldBackWhatWaited(t *testing.T) {
	hours := &domain.QuietHours{From: "08:10", To: "09:00", Except: []string{"urgent"}}
	const begin, end = 10 * time.Minute, time.Hour
	pause := func(b *bubble, n *node) {
		_, err := n.operator.Pause(b.t.Context(), "ops", "")
		require.NoError(b.t, err)
	}
	resume := func(b *bubble, n *node) {
		_, err := n.operator.Resume(b.t.Context(), "ops", "")
		require.NoError(b.t, err)
	}
	none := func(*bubble, *node) {}
	for _, tc := range []struct {
		name       string
		sent       time.Duration
		messages   int
		digest     *domain.Digest
		stop, free func(b *bubble, n *node)
		before     int // sent until the quiet hours
		after      int // sent when they are over
	}{
		{"a member's line", 8 * time.Minute, 12, nil, none, none, 6, 6},
		{"a paused app", 8 * time.Minute, 3, nil, pause, resume, 0, 3},
		{
			"a blocked app", 8 * time.Minute, 3, nil, func(b *bubble, _ *node) { b.faults(sandbox.Fault{Errcode: 60020}) },
			func(b *bubble, n *node) {
				b.faults()
				n.app(b.t, "ops", func(a *domain.App) { a.Limits.MemberPerMinute = 3 })
			}, 0, 3,
		},
		{"a digest", 8 * time.Minute, 5, &domain.Digest{Window: "5m"}, none, none, 1, 1},
		{"a digest without a first", 8 * time.Minute, 5, &domain.Digest{Window: "5m", First: "wait"}, none, none, 0, 1},
		{"a digest of a node that died", 8 * time.Minute, 5, &domain.Digest{Window: "5m"}, none, func(b *bubble, n *node) { *n = *b.again(n, "n2") }, 1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := quietNight(t, domain.Policy{QuietHours: hours, Digest: tc.digest, ExpiresIn: "3h"})
				defer b.close()
				b.at(tc.sent)
				tc.stop(b, n)
				var ids []string
				for i := range tc.messages {
					ids = append(ids, n.submit(t, request("quiet", fmt.Sprint("text ", i), "load-1"))...)
				}
				b.at(begin)
				require.Equal(t, tc.before, b.between(0, begin))
				b.at(20 * time.Minute)
				tc.free(b, n)
				urgent := request("quiet", "urgent", "load-3")
				urgent.Priority = new("urgent")
				b.becomes(n.submit(t, urgent)[0], domain.StateSent, 6*time.Minute)
				for _, id := range ids[tc.before:] {
					b.sleeps(n, id, end)
				}
				b.at(end)
				require.Equal(t, 1, b.between(begin, end), "the urgent one")
				b.drained(10 * time.Minute)
				require.Equal(t, tc.after, b.between(end, 24*time.Hour))
				if tc.digest != nil {
					all := b.texts("load-1")
					require.Contains(t, all[len(all)-1], fmt.Sprintf("%d 条消息合并", tc.messages-tc.before))
				}
				require.Zero(t, b.outcome().dropped)
			})
		})
	}
}

// TestQuietHoursOfAnotherZone resumes an app in a night of New York that has
// one hour less: half past two does not exist, it is over at three.
func TestQuietHoursOfAnotherZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2000, 4, 2, 6, 0, 0, 0, time.UTC))) // one o'clock there
		b, n := quietNight(t, domain.Policy{QuietHours: &domain.QuietHours{From: "01:30", To: "02:30", Zone: "America/New_York"}, ExpiresIn: "2h"})
		defer b.close()
		_, err := n.operator.Pause(t.Context(), "ops", "")
		require.NoError(t, err)
		id := n.submit(t, request("quiet", "text", "load-1"))[0]
		brief := request("quiet", "brief", "load-1")
		brief.ExpiresIn = new("45m")
		gone := n.submit(t, brief)[0]
		b.at(40 * time.Minute)
		_, err = n.operator.Resume(t.Context(), "ops", "")
		require.NoError(t, err)
		b.at(40*time.Minute + time.Second)
		b.sleeps(n, id, time.Hour)
		b.sleeps(n, gone, 45*time.Minute)
		b.at(45*time.Minute + time.Second)
		require.Equal(t, domain.StateExpired, b.view(gone).State, "not at the end of the quiet hours")
		b.at(time.Hour - time.Second)
		require.Empty(t, b.texts("load-1"))
		b.becomes(id, domain.StateSent, 2*time.Second)
	})
}

// TestQuietHoursOfADigestInALine has a digest stand in a member's line when the
// quiet hours begin: it has those of what it carries, unless one of them has none.
func TestQuietHoursOfADigestInALine(t *testing.T) {
	for _, mixed := range []bool{false, true} {
		t.Run(fmt.Sprintf("mixed %v", mixed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const begin, end = 10 * time.Minute, time.Hour
				b, n := quietNight(t, domain.Policy{
					QuietHours: &domain.QuietHours{From: "08:10", To: "09:00", Except: []string{"urgent"}},
					Digest:     &domain.Digest{Window: "1m", First: "wait"}, ExpiresIn: "3h",
				})
				defer b.close()
				n.scene(t, "loud", domain.Policy{Priority: "urgent"})
				b.at(begin - 90*time.Second)
				var reqs []domain.SendRequest
				for i := range 4 {
					reqs = append(reqs, request("quiet", fmt.Sprint("text ", i), "load-1"))
				}
				if mixed {
					reqs[2].Priority = new("urgent")
				}
				n.submit(t, reqs...)
				b.at(begin - 31*time.Second)
				for i := range 3 { // the member has got enough when the window ends
					n.submit(t, request("loud", fmt.Sprint("loud ", i), "load-1"))
				}
				b.at(30 * time.Minute)
				all := b.texts("load-1")
				if mixed {
					require.Len(t, all, 4)
				} else {
					require.Len(t, all, 3)
				}
				b.drained(time.Hour)
				all = b.texts("load-1")
				require.Len(t, all, 4)
				require.Contains(t, all[3], "4 条消息合并")
				if !mixed {
					require.Equal(t, 1, b.between(end, end+2*time.Minute))
				}
			})
		})
	}
}

// TestUrgentDigestsAtNight has more wait for the morning than one digest
// carries, and urgent ones of the same group come meanwhile.
func TestUrgentDigestsAtNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := quietNight(t, domain.Policy{
			QuietHours: &domain.QuietHours{From: "08:00", To: "09:00", Except: []string{"urgent"}}, Digest: &domain.Digest{Window: "1m"}, ExpiresIn: "3h",
		})
		defer b.close()
		const night = 1100
		var reqs []domain.SendRequest
		for i := range night {
			reqs = append(reqs, request("quiet", fmt.Sprint("text ", i), "load-1"))
		}
		ids := n.submit(t, reqs...)
		b.at(10 * time.Minute)
		for i := range 3 {
			r := request("quiet", fmt.Sprint("urgent ", i), "load-1")
			r.Priority = new("urgent")
			n.submit(t, r)
		}
		b.at(11*time.Minute + 2*time.Second)
		all := b.texts("load-1")
		require.Len(t, all, 2)
		require.Contains(t, all[1], "2 条消息合并")
		b.sleeps(n, ids[0], time.Hour)
		b.drained(time.Hour)
		require.Len(t, b.texts("load-1"), 4, "a thousand, and the others")
	})
}

// TestDryRunForeseesQuietHours has the window of a digest end in them.
func TestDryRunForeseesQuietHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := quietNight(t, domain.Policy{
			QuietHours: &domain.QuietHours{From: "08:10", To: "09:00", Except: []string{"urgent"}}, Digest: &domain.Digest{Window: "5m", First: "wait"},
		})
		defer b.close()
		for _, tc := range []struct {
			at       time.Duration
			priority string
			reason   domain.WaitReason
			until    time.Duration
		}{
			{4 * time.Minute, "normal", domain.WaitDigest, 9 * time.Minute},
			{8 * time.Minute, "urgent", domain.WaitDigest, 13 * time.Minute},
			{8 * time.Minute, "normal", domain.WaitQuietHours, time.Hour},
			{10 * time.Minute, "normal", domain.WaitQuietHours, time.Hour},
		} {
			b.at(tc.at)
			r := request("quiet", "text", "load-1")
			r.Priority = new(tc.priority)
			dry, err := n.intake.DryRun(t.Context(), anybody, r)
			require.NoError(t, err)
			w := dry.Deliveries[0].WouldWait
			require.Equal(t, tc.reason, w.Reason)
			require.WithinDuration(t, b.began.Add(tc.until), *w.Until, time.Second)
		}
	})
}

// TestQuietHoursKeepWhatWasAccepted changes a scene while messages wait.
func TestQuietHoursKeepWhatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := quietNight(t, domain.Policy{QuietHours: &domain.QuietHours{From: "08:10", To: "09:00"}, ExpiresIn: "3h"})
		defer b.close()
		_, err := n.operator.Pause(t.Context(), "ops", "")
		require.NoError(t, err)
		old := n.submit(t, request("quiet", "old", "load-1"))[0]
		n.scene(t, "quiet", domain.Policy{})
		fresh := n.submit(t, request("quiet", "fresh", "load-1"))[0]
		b.at(20 * time.Minute)
		_, err = n.operator.Resume(t.Context(), "ops", "")
		require.NoError(t, err)
		b.becomes(fresh, domain.StateSent, time.Second)
		b.sleeps(n, old, time.Hour)
	})
}

// TestQuietHoursOfAResend repeats a message of the day at night: in either way
// it waits for the morning.
func TestQuietHoursOfAResend(t *testing.T) {
	for _, latest := range []bool{false, true} {
		t.Run(fmt.Sprintf("latest %v", latest), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := quietNight(t, domain.Policy{QuietHours: &domain.QuietHours{From: "08:10", To: "09:00"}, ExpiresIn: "3h"})
				defer b.close()
				id := n.submit(t, request("quiet", "text", "load-1"))[0]
				b.becomes(id, domain.StateSent, time.Second)
				b.at(20 * time.Minute)
				a, err := n.intake.Resend(t.Context(), anybody, id, domain.ResendOptions{All: true, Latest: latest})
				require.NoError(t, err)
				require.Equal(t, domain.StateScheduled, a.State)
				b.sleeps(n, a.ID, time.Hour)
				b.at(time.Hour - time.Second)
				require.Len(t, b.texts("load-1"), 1)
				b.becomes(a.ID, domain.StateSent, 2*time.Second)
			})
		})
	}
}

// kept requires that nothing was first tried in the quiet hours. Where a node
// froze between the decision and the call the duplicate check tells when it was.
func (s *sim) kept(v domain.MessageView) {
	for _, d := range v.Deliveries {
		x := d.Delivery
		if len(d.Attempts) == 0 || x.DupInterval <= 0 {
			continue
		}
		first := d.Attempts[0].StartedAt
		if decided := x.DupUntil.Add(-time.Duration(x.DupInterval) * time.Second); decided.Before(first) {
			first = decided
		}
		at := first.Sub(s.began)
		require.False(s.t, at >= time.Minute && at < 3*time.Minute, "%s was tried %s after the beginning", v.Message.ID, at)
	}
}

// TestQuietHoursLetATextEnd begins a text in pieces before the quiet hours; its
// first piece takes until they have begun.
func TestQuietHoursLetATextEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, n := newPipedBubble(t, sandbox.Options{Accounts: -1, Latency: 4 * time.Second})
		defer b.close()
		n.scene(t, "quiet", domain.Policy{QuietHours: &domain.QuietHours{From: "08:01", To: "17:00"}})
		b.at(58 * time.Second)
		id := n.submit(t, request("quiet", strings.Repeat("long ", 800), "load-1"))[0]
		require.Len(t, b.view(id).Deliveries, 2)
		b.becomes(id, domain.StateSent, time.Minute)
		late := n.submit(t, request("quiet", "another", "load-1"))[0]
		b.sleeps(n, late, 9*time.Hour)
	})
}
