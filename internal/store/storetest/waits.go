package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// waits checks that what waits for a known time is scheduled and all else is
// queued, whatever it waited for before.
func waits(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub, fence := accepted(t, s, "ops", "a")
	d := sub.Deliveries[0]
	put := func(reason domain.WaitReason) domain.MessageView {
		t.Helper()
		require.NoError(t, s.Defer(ctx, []domain.Deferral{{DeliveryID: d.ID, Lane: d.Lane, Fence: fence, DueAt: time.Now().Add(time.Hour), Reason: reason}}))
		v, err := s.FindMessage(ctx, d.MessageID)
		require.NoError(t, err)
		require.Equal(t, reason, v.WaitReason)
		return v
	}
	for _, c := range []struct {
		reason domain.WaitReason
		state  domain.State
	}{
		{domain.WaitScheduled, domain.StateScheduled},
		{domain.WaitMemberRate, domain.StateQueued},
		{domain.WaitQuietHours, domain.StateScheduled},
		{domain.WaitDigest, domain.StateQueued},
	} {
		require.Equal(t, c.state, put(c.reason).State, c.reason)
	}
	c := ClaimOf(d, "n1", fence)
	claim(t, s, c)
	r := ResultOf(d, c, domain.StateQueued)
	r.Attempt.Class = "ambiguous"
	finish(t, s, r)
	require.Equal(t, domain.StateQueued, put(domain.WaitScheduled).State, "what was tried may end as uncertain")
	ok, err := s.Settle(ctx, []domain.Settlement{{DeliveryID: d.ID, Next: domain.StateUncertain, At: time.Now()}})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, ok)
}

// attemptsAlike lets an attempt take the place of the one before it, if that said
// the same and was not late.
func attemptsAlike(t *testing.T, open Opener) {
	s := open(t, "n1")
	sub, fence := accepted(t, s, "ops", "a")
	d := sub.Deliveries[0]
	for i, x := range []struct {
		class string
		again bool
		left  []int
	}{
		{"not_sent", false, []int{1}},
		{"not_sent", false, []int{1, 2}},
		{"not_sent", true, []int{1, 3}},
		{"not_sent", true, []int{1, 4}},
		{"config", true, []int{1, 4, 5}}, // the one before is of another class: both stay
		{"config", true, []int{1, 4, 6}},
		{"ok", false, []int{1, 4, 6, 7}},
	} {
		d.Tries = i
		c := ClaimOf(d, "n1", fence)
		require.Equal(t, []bool{true}, claim(t, s, c))
		r := ResultOf(d, c, domain.StateQueued)
		if x.class == "ok" {
			r = ResultOf(d, c, domain.StateSent)
		}
		r.Counted, r.Again, r.Attempt.Class = false, x.again, x.class
		require.Equal(t, []bool{true}, finish(t, s, r))
		require.Equal(t, []bool{true}, finish(t, s, r), "a repeat after a lost answer")
		v, err := s.FindMessage(t.Context(), d.MessageID)
		require.NoError(t, err)
		var left []int
		for _, a := range v.Deliveries[0].Attempts {
			left = append(left, a.N)
		}
		require.Equal(t, x.left, left)
	}
}

func cancel(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub, fence := accepted(t, s, "ops", "a")
	n, err := s.Cancel(ctx, sub.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []bool{false}, claim(t, s, ClaimOf(sub.Deliveries[0], "n1", fence)))
	_, err = s.Cancel(ctx, sub.Messages[0].ID)
	require.Equal(t, domain.CodeConflict, domain.CodeOf(err))
	_, err = s.Cancel(ctx, "msg_none")
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	v, err := s.FindMessage(ctx, sub.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, domain.StateCancelled, v.State)

	sub = Submission("ops", "a")
	_, err = s.Accept(ctx, sub)
	require.NoError(t, err)
	claim(t, s, ClaimOf(sub.Deliveries[0], "n1", fence))
	n, err = s.Cancel(ctx, sub.Messages[0].ID)
	require.NoError(t, err)
	require.Zero(t, n, "what is being sent cannot be taken back")
}

// cancelInDoubt takes back what WeCom may have: nobody can say that it was.
func cancelInDoubt(t *testing.T, open Opener) {
	s, sub := heldDelivery(t, open)
	n, err := s.Cancel(t.Context(), sub.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	v, err := s.FindMessage(t.Context(), sub.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, domain.StateUncertain, v.State)
}
