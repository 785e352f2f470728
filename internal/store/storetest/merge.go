package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store"
)

// heldDelivery accepts a message whose one attempt nobody knows the fate of.
func heldDelivery(t *testing.T, open Opener) (s *store.Store, sub domain.Submission) {
	t.Helper()
	s = open(t, "n1")
	sub, fence := accepted(t, s, "ops", "a")
	c := ClaimOf(sub.Deliveries[0], "n1", fence)
	claim(t, s, c)
	r := ResultOf(sub.Deliveries[0], c, domain.StateQueued)
	r.Attempt.Class, r.WaitReason, r.DueAt = "ambiguous", domain.WaitHeld, r.At.Add(time.Hour)
	finish(t, s, r)
	return s, sub
}

func release(t *testing.T, open Opener) {
	ctx := t.Context()
	s, sub := heldDelivery(t, open)
	id := sub.Messages[0].ID
	lanes, err := s.Release(ctx, id, "key_1")
	require.NoError(t, err)
	require.Equal(t, []string{"app:ops"}, lanes)
	v, err := s.FindMessage(ctx, id)
	require.NoError(t, err)
	require.Equal(t, domain.StateQueued, v.State)
	require.Equal(t, domain.WaitNone, v.WaitReason)
	require.WithinDuration(t, time.Now(), v.NextAttemptAt, time.Minute)
	evs, err := s.ListEvents(ctx, id)
	require.NoError(t, err)
	last := evs[len(evs)-1]
	require.Equal(t, domain.EventReleased, last.Type)
	require.JSONEq(t, `{"do":"send","by":"key_1"}`, string(last.Data))

	for _, again := range []func() error{
		func() error { _, err := s.Release(ctx, id, ""); return err },
		func() error { return s.Drop(ctx, id, "") },
	} {
		err := again()
		require.Equal(t, domain.CodeNotHeld, domain.CodeOf(err))
	}
	_, err = s.Release(ctx, "msg_none", "")
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(s.Drop(ctx, "msg_none", "")))
}

func drop(t *testing.T, open Opener) {
	ctx := t.Context()
	s, sub := heldDelivery(t, open)
	id := sub.Messages[0].ID
	require.NoError(t, s.Drop(ctx, id, "key_1"))
	v, err := s.FindMessage(ctx, id)
	require.NoError(t, err)
	require.Equal(t, domain.StateUncertain, v.State)
	require.False(t, v.Message.FinishedAt.IsZero())
	rows, _, err := s.ListRecipients(ctx, id, 10, "")
	require.NoError(t, err)
	require.Equal(t, domain.OutcomeUncertain, rows[0].Outcome)
	require.Equal(t, domain.ReasonDropped, rows[0].Reason)
	evs, err := s.ListEvents(ctx, id)
	require.NoError(t, err)
	require.Equal(t, []string{domain.EventReleased, "message.uncertain"}, types(evs[len(evs)-2:]))
	require.ErrorContains(t, s.Drop(ctx, id, "key_1"), "it is uncertain")
}

// twoGroups is a message to two groups of people, with a digest key.
func twoGroups() domain.Submission {
	sub := Submission("ops", "a", "b")
	m, d := &sub.Messages[0], sub.Deliveries[0]
	other := d
	other.ID = IDs.New(domain.PrefixDelivery)
	sub.Deliveries[0].Digest, other.Digest = domain.DigestGroup("s", "a", "k"), domain.DigestGroup("s", "b", "k")
	sub.Deliveries[0].Recipients, other.Recipients = 1, 1
	sub.Deliveries = append(sub.Deliveries, other)
	sub.Recipients[1].DeliveryID = other.ID
	m.Deliveries, m.Recipients = 2, 2
	return sub
}

func digestOf(fence int64, ds ...domain.Delivery) domain.Merge {
	x := domain.Merge{Lane: "app:ops", Fence: fence, Digest: Submission("ops", "a"), At: time.Now()}
	x.Digest.Messages[0].Source = domain.SourceDigest
	x.Digest.Messages[0].Deliveries = 1
	for _, d := range ds {
		x.Merged = append(x.Merged, d.ID)
	}
	return x
}

func merge(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	one, fence := accepted(t, s, "ops", "z")
	first, second := twoGroups(), twoGroups()
	for _, sub := range []domain.Submission{first, second} {
		_, err := s.Accept(ctx, sub)
		require.NoError(t, err)
	}
	group, err := s.LoadGroup(ctx, "app:ops", domain.DigestGroup("s", "a", "k"), time.Now(), 10)
	require.NoError(t, err)
	require.Len(t, group, 2)
	require.Equal(t, "title", group[0].Title)

	a := digestOf(fence, first.Deliveries[0], second.Deliveries[0])
	require.NoError(t, s.Merge(ctx, a))
	v, err := s.FindMessage(ctx, first.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, domain.StateQueued, v.State, "the other group still waits")
	b := digestOf(fence, first.Deliveries[1], second.Deliveries[1])
	require.NoError(t, s.Merge(ctx, b))

	for _, x := range []domain.Merge{a, b} {
		id := x.Digest.Messages[0].ID
		page, err := s.ListMessages(ctx, domain.MessageFilter{Merged: id, Limit: 10})
		require.NoError(t, err)
		require.Len(t, page.Items, 2, "both digests lead to what they carry")
		require.Equal(t, second.Messages[0].ID, page.Items[0].Message.ID)
		d, err := s.FindMessage(ctx, id)
		require.NoError(t, err)
		require.Equal(t, 2, d.Merged)
	}
	v, err = s.FindMessage(ctx, first.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, domain.StateMerged, v.State)
	require.Zero(t, v.Merged)
	require.Equal(t, b.Digest.Messages[0].ID, v.Message.MergedInto)
	require.ElementsMatch(t, []string{a.Digest.Messages[0].ID, b.Digest.Messages[0].ID},
		[]string{v.Deliveries[0].Delivery.MergedInto, v.Deliveries[1].Delivery.MergedInto})
	require.Equal(t, domain.RecipientCounts{Total: 2, Merged: 2}, v.Counts)
	evs, err := s.ListEvents(ctx, first.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, "message.merged", evs[len(evs)-1].Type)
	require.JSONEq(t, `{"merged_into":"`+b.Digest.Messages[0].ID+`"}`, string(evs[len(evs)-1].Data))

	again := digestOf(fence, one.Deliveries[0], second.Deliveries[1])
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.Merge(ctx, again)), "all of it or nothing")
	_, err = s.FindMessage(ctx, again.Digest.Messages[0].ID)
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	v, err = s.FindMessage(ctx, one.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, domain.StateQueued, v.State)
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.Merge(ctx, digestOf(fence-1, one.Deliveries[0]))), "an older fence merges nothing")
}

// mergeSome sends one delivery of a message and merges the other: nothing
// failed, and nobody can say yet that all of it was sent.
func mergeSome(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	_, fence := accepted(t, s, "ops", "z")
	sent := func(d domain.Delivery) {
		c := ClaimOf(d, "n1", fence)
		claim(t, s, c)
		finish(t, s, ResultOf(d, c, domain.StateSent))
	}
	for _, sentFirst := range []bool{true, false} {
		sub := twoGroups()
		_, err := s.Accept(ctx, sub)
		require.NoError(t, err)
		id := sub.Messages[0].ID
		if sentFirst {
			sent(sub.Deliveries[1])
		}
		x := digestOf(fence, sub.Deliveries[0])
		require.NoError(t, s.Merge(ctx, x))
		if !sentFirst {
			sent(sub.Deliveries[1])
		}
		v, err := s.FindMessage(ctx, id)
		require.NoError(t, err)
		require.Equal(t, domain.StateMerged, v.State)
		require.Equal(t, x.Digest.Messages[0].ID, v.Message.MergedInto)
		require.Equal(t, domain.RecipientCounts{Total: 2, Accepted: 1, Merged: 1}, v.Counts)
		evs, err := s.ListEvents(ctx, id)
		require.NoError(t, err)
		require.Equal(t, "message.merged", evs[len(evs)-1].Type)
		require.JSONEq(t, `{"merged_into":"`+x.Digest.Messages[0].ID+`"}`, string(evs[len(evs)-1].Data))
		require.Contains(t, list(t, s, domain.MessageFilter{State: domain.StateMerged}), id)
		require.NotContains(t, list(t, s, domain.MessageFilter{State: domain.StatePartial}), id)
	}
}

func splitDelivery(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	_, fence := accepted(t, s, "ops", "z")
	sub := Submission("ops", "A", "b", "C")
	sub.Messages[0].Deliveries, sub.Messages[0].Recipients, sub.Deliveries[0].Recipients = 1, 3, 3
	_, err := s.Accept(ctx, sub)
	require.NoError(t, err)
	x := domain.Split{Lane: "app:ops", Fence: fence, First: sub.Deliveries[0], Rest: sub.Deliveries[0], Users: []string{"a", "C"}}
	x.First.Body, x.First.Recipients = []byte(`{"touser":"b"}`), 1
	x.Rest.ID, x.Rest.Body, x.Rest.Recipients = IDs.New(domain.PrefixDelivery), []byte(`{"touser":"A|C"}`), 2
	x.Rest.WaitReason, x.Rest.DueAt = domain.WaitMemberRate, x.Rest.DueAt.Add(time.Minute)
	require.NoError(t, s.Split(ctx, x))
	claim(t, s, ClaimOf(x.First, "n1", fence))
	v, err := s.FindMessage(ctx, sub.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, 2, v.Message.Deliveries)
	require.Len(t, v.Deliveries, 2)
	require.Equal(t, `{"touser":"b"}`, string(v.Deliveries[0].Delivery.Body))
	require.Equal(t, `{"touser":"A|C"}`, string(v.Deliveries[1].Delivery.Body))
	require.Equal(t, domain.WaitMemberRate, v.Deliveries[1].Delivery.WaitReason)
	rows, _, err := s.ListRecipients(ctx, sub.Messages[0].ID, 10, "")
	require.NoError(t, err)
	where := map[string]string{}
	for _, r := range rows {
		where[r.ID] = r.DeliveryID
	}
	require.Equal(t, map[string]string{"A": x.Rest.ID, "b": x.First.ID, "C": x.Rest.ID}, where)
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.Split(ctx, x)), "what is being sent is not divided")
}

func digestWindows(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	_, fence := accepted(t, s, "ops", "a")
	now := time.Now().UTC().Truncate(time.Microsecond)
	a := domain.DigestWindow{Group: "a.1", Until: now.Add(5 * time.Hour), Opener: "msg_1"}
	b := domain.DigestWindow{Group: "b.1", Until: now.Add(23 * time.Hour)}
	over := domain.DigestWindow{Group: "c.1", Until: now.Add(-time.Second), Opener: "msg_2"}
	kept := func(at time.Time) []domain.DigestWindow {
		t.Helper()
		out, err := s.Windows(ctx, "app:ops", at)
		require.NoError(t, err)
		for i := range out {
			out[i].Until = out[i].Until.UTC()
		}
		return out
	}
	require.Empty(t, kept(now))
	require.NoError(t, s.KeepWindows(ctx, "app:ops", fence, []domain.DigestWindow{a, b, over}))
	require.Equal(t, []domain.DigestWindow{b, a}, kept(now))
	require.Len(t, kept(now.Add(-time.Minute)), 3)
	a.Until, a.Opener = now.Add(6*time.Hour), "msg_3"
	require.NoError(t, s.KeepWindows(ctx, "app:ops", fence, []domain.DigestWindow{a, {Group: "b.1"}, {Group: "never.1"}}))
	require.Equal(t, []domain.DigestWindow{a}, kept(now))
	require.Equal(t, domain.CodeConflict, domain.CodeOf(s.KeepWindows(ctx, "app:ops", fence-1, []domain.DigestWindow{b})))
	out, err := s.Windows(ctx, "app:other", now)
	require.NoError(t, err)
	require.Empty(t, out)

	sub := Submission("ops", "a")
	_, err = s.Accept(ctx, sub)
	require.NoError(t, err)
	x := digestOf(fence, sub.Deliveries[0])
	x.Window = b
	require.NoError(t, s.Merge(ctx, x))
	require.Equal(t, []domain.DigestWindow{b, a}, kept(now), "in the same commit")
	_, err = s.Prune(ctx, now.Add(-48*time.Hour), 100)
	require.NoError(t, err)
	require.Len(t, kept(now.Add(-time.Minute)), 2, "what is over goes")
}

// carried merges messages into digests and those into another one.
func carried(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	_, fence := accepted(t, s, "ops", "z")
	fresh := func(title string) domain.Submission {
		sub := Submission("ops", "a")
		sub.Messages[0].Title, sub.Messages[0].Text, sub.Messages[0].Reference = title, strings.Repeat("文", 5000)[:4095], title+"!"
		_, err := s.Accept(ctx, sub)
		require.NoError(t, err)
		return sub
	}
	one, two, three := fresh("one"), fresh("two"), fresh("three")
	a, b := digestOf(fence, one.Deliveries[0], two.Deliveries[0]), digestOf(fence, three.Deliveries[0])
	for _, x := range []*domain.Merge{&a, &b} {
		x.Digest.Messages[0].Source = domain.SourceDigest
		require.NoError(t, s.Merge(ctx, *x))
	}
	group, err := s.LoadGroup(ctx, "app:ops", a.Digest.Deliveries[0].Digest, time.Now(), 10)
	require.NoError(t, err)
	for _, g := range group {
		require.Equal(t, domain.SourceDigest, g.Source)
	}
	top := digestOf(fence, a.Digest.Deliveries[0], b.Digest.Deliveries[0])
	top.Digest.Messages[0].Source = domain.SourceDigest
	require.NoError(t, s.Merge(ctx, top))
	list, total, err := s.Carried(ctx, top.Digest.Messages[0].ID, 100)
	require.NoError(t, err)
	require.Equal(t, 3, total)
	require.Len(t, list, 3, "what was said, not who carried it")
	for i, want := range []domain.Submission{one, two, three} {
		require.Equal(t, want.Messages[0].ID, list[i].MessageID)
		require.Equal(t, want.Messages[0].Title, list[i].Title)
		require.Equal(t, want.Messages[0].Reference, list[i].Reference)
		require.True(t, want.Messages[0].CreatedAt.Truncate(time.Microsecond).Equal(list[i].CreatedAt))
		require.Equal(t, strings.Repeat("文", 1024), list[i].Text)
	}
	list, total, err = s.Carried(ctx, top.Digest.Messages[0].ID, 2)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, 3, total)
	list, total, err = s.Carried(ctx, one.Messages[0].ID, 2)
	require.NoError(t, err)
	require.Empty(t, list)
	require.Zero(t, total)
}
