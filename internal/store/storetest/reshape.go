package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store"
)

// divided is the split of a submission's delivery that leaves later behind.
func divided(sub domain.Submission, fence int64, later ...string) domain.Split {
	d := sub.Deliveries[0]
	x := domain.Split{Lane: d.Lane, Fence: fence, First: d, Rest: d, Users: later}
	x.First.Body, x.First.Recipients, x.First.Digest = []byte(`{"touser":"now"}`), len(sub.Recipients)-len(later), "g.now"
	x.Rest.ID, x.Rest.Body, x.Rest.Recipients, x.Rest.Digest = IDs.New(domain.PrefixDelivery), []byte(`{"touser":"later"}`), len(later), "g.later"
	x.Rest.DueAt, x.Rest.WaitReason = d.DueAt.Add(time.Hour), domain.WaitMemberRate
	return x
}

// splitRefused is when a delivery is not divided, and that both parts end the
// message.
func splitRefused(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub, fence := accepted(t, s, "ops", "Ann", "Bob", "Cid")
	m, d := sub.Messages[0], sub.Deliveries[0]
	x := divided(sub, fence, "BOB", "cid") // a member's id in any case

	old := x
	old.Fence--
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.Split(ctx, old)), "by an owner of before")
	gone := x
	gone.First.ID = IDs.New(domain.PrefixDelivery)
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.Split(ctx, gone)))
	v := find(t, s, m.ID)
	require.Len(t, v.Deliveries, 1, "a refused split leaves nothing behind")
	require.JSONEq(t, string(d.Body), string(v.Deliveries[0].Delivery.Body))

	require.NoError(t, s.Split(ctx, x))
	v = find(t, s, m.ID)
	require.Len(t, v.Deliveries, 2)

	// Whoever knows it from before, read or offered late, gets nothing.
	require.Equal(t, []bool{false}, claim(t, s, ClaimOf(d, "n1", fence)), "it is for fewer now")
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.Split(ctx, divided(sub, fence, "Bob", "Cid"))), "divided already")
	require.Len(t, find(t, s, m.ID).Deliveries, 2)

	d = x.First
	c := ClaimOf(d, "n1", fence)
	require.Equal(t, []bool{true}, claim(t, s, c))
	again := divided(sub, fence, "Ann")
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.Split(ctx, again)), "while it is being sent")
	finish(t, s, ResultOf(d, c, domain.StateQueued))
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.Split(ctx, again)), "after a try: its bytes are frozen")

	d.Tries = 1
	c = ClaimOf(d, "n1", fence)
	claim(t, s, c)
	finish(t, s, ResultOf(d, c, domain.StateSent))
	require.Equal(t, domain.StateQueued, find(t, s, m.ID).State, "one part is still to come")
	c = ClaimOf(x.Rest, "n1", fence)
	claim(t, s, c)
	finish(t, s, ResultOf(x.Rest, c, domain.StateSent))
	v = find(t, s, m.ID)
	require.Equal(t, domain.StateSent, v.State)
	require.Equal(t, domain.RecipientCounts{Total: 3, Accepted: 3}, v.Counts)
	evs, err := s.ListEvents(ctx, m.ID)
	require.NoError(t, err)
	evs = slices.DeleteFunc(evs, func(e domain.Event) bool { return e.Type == domain.EventRetry })
	require.Equal(t, []string{domain.EventAccepted, "message.sent"}, types(evs), "it ends once")
}

func find(t testing.TB, s *store.Store, id string) domain.MessageView {
	t.Helper()
	v, err := s.FindMessage(t.Context(), id)
	require.NoError(t, err)
	return v
}

// grouped stores messages that may be merged and returns their deliveries.
func grouped(t testing.TB, s *store.Store, groups ...string) (subs []domain.Submission) {
	t.Helper()
	for _, g := range groups {
		sub := Submission("ops", "a")
		sub.Deliveries[0].Digest = g
		_, err := s.Accept(t.Context(), sub)
		require.NoError(t, err)
		subs = append(subs, sub)
	}
	return subs
}

// mergeRefused is when nothing is merged: then nothing has changed.
func mergeRefused(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	l, _ := acquire(t, s, "app:ops", "n1", time.Minute)
	subs := grouped(t, s, "g.k", "g.k", "g.k")
	into := func(fence int64, merged ...domain.Submission) domain.Merge {
		x := domain.Merge{Lane: "app:ops", Fence: fence, Digest: Submission("ops", "a"), At: time.Now().UTC().Truncate(time.Microsecond)}
		x.Digest.Messages[0].Source, x.Digest.Deliveries[0].Digest = "digest", domain.DigestMark+"g.k"
		for _, sub := range merged {
			x.Merged = append(x.Merged, sub.Deliveries[0].ID)
		}
		return x
	}
	refused := func(why string, x domain.Merge) {
		require.Equal(t, domain.CodeConflict, domain.CodeOf(s.Merge(ctx, x)), why)
		_, err := s.FindMessage(ctx, x.Digest.Messages[0].ID)
		require.Equal(t, domain.CodeNotFound, domain.CodeOf(err), "no digest: %s", why)
		for _, sub := range subs {
			v := find(t, s, sub.Messages[0].ID)
			require.NotEqual(t, domain.StateMerged, v.State, "nothing is merged: %s", why)
			require.Empty(t, v.Message.MergedInto)
		}
	}
	refused("an owner of before", into(l.Fence-1, subs...))
	_, err := s.Cancel(ctx, subs[0].Messages[0].ID)
	require.NoError(t, err)
	refused("one was cancelled", into(l.Fence, subs...))
	more := grouped(t, s, "g.k", "g.k")
	c := ClaimOf(more[0].Deliveries[0], "n1", l.Fence)
	claim(t, s, c)
	refused("one is being sent", into(l.Fence, subs[1], subs[2], more[0]))
	finish(t, s, ResultOf(more[0].Deliveries[0], c, domain.StateSent))
	refused("one was sent", into(l.Fence, subs[1], subs[2], more[0]))
	refused("one does not exist", into(l.Fence, subs[1], Submission("ops", "a")))

	x := into(l.Fence, subs[1], subs[2], more[1])
	require.NoError(t, s.Merge(ctx, x))
	require.Equal(t, domain.StateCancelled, find(t, s, subs[0].Messages[0].ID).State, "what was final stays as it is")
	require.Equal(t, domain.StateSent, find(t, s, more[0].Messages[0].ID).State)
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.Merge(ctx, into(l.Fence, subs[1]))), "nothing is merged twice")
}

func loadGroup(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	l, _ := acquire(t, s, "app:ops", "n1", time.Minute)
	one, two := domain.DigestGroup("alert", "a", "disk"), domain.DigestGroup("alert", "a", "cpu")
	other := domain.DigestGroup("alert", "b", "disk")
	subs := grouped(t, s, one, two, one, other, domain.DigestMark+one, one, "", one)
	_, err := s.Cancel(ctx, subs[5].Messages[0].ID)
	require.NoError(t, err)
	sending := subs[7].Deliveries[0]
	claim(t, s, ClaimOf(sending, "n1", l.Fence))
	elsewhere := Submission("dev", "a")
	elsewhere.Deliveries[0].Digest = one
	_, err = s.Accept(ctx, elsewhere)
	require.NoError(t, err)

	now := time.Now()
	load := func(group string, limit int) (ids []string) {
		got, err := s.LoadGroup(ctx, "app:ops", group, now, limit)
		require.NoError(t, err)
		for _, m := range got {
			require.Equal(t, "title", m.Title)
			require.Equal(t, "text", m.Text)
			require.False(t, m.CreatedAt.IsZero())
			ids = append(ids, m.Delivery.ID)
		}
		return ids
	}
	id := func(i int) string { return subs[i].Deliveries[0].ID }
	require.Equal(t, []string{id(0), id(2)}, load(one, 100), "of the group alone, the oldest first")
	require.Equal(t, []string{id(1)}, load(two, 100))
	require.Equal(t, []string{id(0)}, load(one, 1))
	require.ElementsMatch(t, []string{id(0), id(1), id(2)}, load(domain.DigestBase(one), 100), "of all groups for the same people")
	require.Equal(t, []string{id(3)}, load(domain.DigestBase(other), 100))
	for i, reason := range map[int]domain.WaitReason{0: domain.WaitQuietHours, 2: domain.WaitDigest} {
		require.NoError(t, s.Defer(ctx, []domain.Deferral{{DeliveryID: id(i), Lane: "app:ops", Fence: l.Fence, DueAt: now.Add(time.Hour), Reason: reason}}))
	}
	require.Equal(t, []string{id(2)}, load(one, 1), "what is scheduled for later is in nobody's way")
	now = now.Add(time.Hour)
	require.Equal(t, []string{id(0), id(2)}, load(one, 100))
	require.Empty(t, load(domain.DigestGroup("none", "a", "disk"), 100))
	require.Empty(t, load(domain.DigestBase(domain.DigestGroup("none", "a", "disk")), 100))
}

func loadOpen(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	l, _ := acquire(t, s, "app:ops", "n1", time.Minute)
	subs := grouped(t, s, "", "", "", "")
	_, err := s.Cancel(ctx, subs[1].Messages[0].ID)
	require.NoError(t, err)
	claim(t, s, ClaimOf(subs[2].Deliveries[0], "n1", l.Fence))
	later := Submission("ops", "a")
	later.Deliveries[0].State, later.Deliveries[0].DueAt = domain.StateScheduled, time.Now().Add(time.Hour)
	_, err = s.Accept(ctx, later)
	require.NoError(t, err)
	subs = append(subs, later)
	ids := []string{IDs.New(domain.PrefixDelivery)}
	for _, sub := range subs {
		ids = append(ids, sub.Deliveries[0].ID)
	}
	got, err := s.LoadOpen(ctx, ids)
	require.NoError(t, err)
	var found []string
	for _, d := range got {
		found = append(found, d.ID)
	}
	slices.Sort(found)
	require.Equal(t, []string{ids[1], ids[4], ids[5]}, found, "not what is final, being sent or unknown")
	none, err := s.LoadOpen(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, none)
}
