package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store"
)

// inPieces accepts a text in n pieces to users, in one call each.
func inPieces(t *testing.T, s *store.Store, n int, users ...string) domain.Submission {
	t.Helper()
	sub := Submission("ops", users...)
	m, first := &sub.Messages[0], sub.Deliveries[0]
	m.Deliveries, m.Recipients = n, len(users)
	sub.Deliveries = nil
	for i := range n {
		d := first
		d.Body = []byte(`{"touser":"` + strings.Join(users, "|") + `","msgtype":"text"}`)
		d.Handling.Part = i + 1
		if i > 0 {
			d.ID = IDs.New(domain.PrefixDelivery)
		}
		sub.Deliveries = append(sub.Deliveries, d)
	}
	_, err := s.Accept(t.Context(), sub)
	require.NoError(t, err)
	return sub
}

// ends is what becomes of a delivery.
func ends(t *testing.T, s *store.Store, fence int64, d domain.Delivery, next domain.State, rejected ...domain.Recipient) {
	t.Helper()
	c := ClaimOf(d, "n1", fence)
	require.Equal(t, []bool{true}, claim(t, s, c))
	r := ResultOf(d, c, next)
	r.Rejected = rejected
	require.Equal(t, []bool{true}, finish(t, s, r))
}

// outcomes lists the recipients' outcomes and checks the counts of the message
// and of the list against them.
func outcomes(t *testing.T, s *store.Store, id string) map[string]domain.Recipient {
	t.Helper()
	out := map[string]domain.Recipient{}
	var counts domain.RecipientCounts
	for cursor, more := "", true; more; more = cursor != "" {
		page, next, err := s.ListRecipients(t.Context(), id, 1, cursor)
		require.NoError(t, err)
		cursor = next
		for _, r := range page {
			out[r.ID] = r
			counts.Total++
			switch r.Outcome {
			case domain.OutcomeAccepted:
				counts.Accepted++
			case domain.OutcomeWaiting:
				counts.Waiting++
			case domain.OutcomeMerged:
				counts.Merged++
			case domain.OutcomeUncertain:
				counts.Uncertain++
			default:
				counts.Failed++
			}
		}
	}
	v, err := s.FindMessage(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, counts, v.Counts)
	page, err := s.ListMessages(t.Context(), domain.MessageFilter{Limit: 100})
	require.NoError(t, err)
	for _, v := range page.Items {
		if v.Message.ID == id {
			require.Equal(t, counts, v.Counts, "in the list")
		}
	}
	return out
}

// piecesOfAText ends the pieces of texts in different ways: a recipient has the
// worst of them.
func piecesOfAText(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	_, fence := accepted(t, s, "ops", "z")

	sub := inPieces(t, s, 3, "Ann", "bob")
	id := sub.Messages[0].ID
	ends(t, s, fence, sub.Deliveries[0], domain.StateSent)
	got := outcomes(t, s, id)
	require.Equal(t, domain.OutcomeWaiting, got["Ann"].Outcome, "it has not all arrived")
	require.Zero(t, got["Ann"].At)
	ends(t, s, fence, sub.Deliveries[1], domain.StateFailed)
	require.Equal(t, domain.OutcomeWaiting, outcomes(t, s, id)["bob"].Outcome)
	ends(t, s, fence, sub.Deliveries[2], domain.StateSent)
	for _, r := range outcomes(t, s, id) {
		require.Equal(t, domain.OutcomeFailed, r.Outcome, "not simply accepted")
		require.Equal(t, 60020, r.Errcode)
		require.WithinDuration(t, time.Now(), r.At, time.Minute)
	}
	v, err := s.FindMessage(ctx, id)
	require.NoError(t, err)
	require.Equal(t, domain.StatePartial, v.State)

	sub = inPieces(t, s, 2, "Ann", "bob") // all is well
	ends(t, s, fence, sub.Deliveries[0], domain.StateSent)
	ends(t, s, fence, sub.Deliveries[1], domain.StateSent)
	require.Equal(t, domain.OutcomeAccepted, outcomes(t, s, sub.Messages[0].ID)["Ann"].Outcome)

	sub = inPieces(t, s, 2, "Ann", "bob") // one is named, and keeps that
	named := domain.Recipient{Kind: domain.KindUser, ID: "ann", Outcome: domain.OutcomeInvalid, Reason: "invaliduser"}
	ends(t, s, fence, sub.Deliveries[0], domain.StatePartial, named)
	_, err = s.Settle(ctx, []domain.Settlement{{DeliveryID: sub.Deliveries[1].ID, Next: domain.StateExpired, Reason: "expired", At: time.Now()}})
	require.NoError(t, err)
	got = outcomes(t, s, sub.Messages[0].ID)
	require.Equal(t, domain.OutcomeInvalid, got["Ann"].Outcome)
	require.Equal(t, "invaliduser", got["Ann"].Reason)
	require.Equal(t, domain.OutcomeExpired, got["bob"].Outcome)
	require.Equal(t, "expired", got["bob"].Reason)

	// Both pieces are divided, and only what is left of the second fails.
	sub = inPieces(t, s, 2, "a", "b", "c")
	for i, d := range sub.Deliveries {
		x := domain.Split{Lane: "app:ops", Fence: fence, First: d, Rest: d, Users: []string{"c"}}
		x.First.Body, x.First.Recipients = []byte(`{"touser":"a|b"}`), 2
		x.Rest.ID, x.Rest.Body, x.Rest.Recipients = IDs.New(domain.PrefixDelivery), []byte(`{"touser":"c"}`), 1
		require.NoError(t, s.Split(ctx, x))
		ends(t, s, fence, x.First, domain.StateSent)
		ends(t, s, fence, x.Rest, []domain.State{domain.StateSent, domain.StateUncertain}[i])
	}
	got = outcomes(t, s, sub.Messages[0].ID)
	require.Equal(t, domain.OutcomeAccepted, got["a"].Outcome)
	require.Equal(t, domain.OutcomeAccepted, got["b"].Outcome)
	require.Equal(t, domain.OutcomeUncertain, got["c"].Outcome)

	// What is for groups is told apart from members of the same name.
	sub = inPieces(t, s, 2, "7")
	for _, body := range []string{`{"toparty":"7"}`, `{"totag":"7"}`, `{"touser":"@all"}`, `{"touser":7}`} {
		d := sub.Deliveries[1]
		d.ID, d.Body, d.State = IDs.New(domain.PrefixDelivery), []byte(body), domain.StateFailed
		d.FinishedAt = time.Now()
		more := Submission("ops", "other")
		d.MessageID = more.Messages[0].ID
		more.Messages[0].Recipients, more.Messages[0].Deliveries = 4, 2
		more.Deliveries[0].Handling.Part = 1
		more.Deliveries = append(more.Deliveries, d)
		more.Recipients = []domain.Recipient{
			{Kind: domain.KindUser, ID: "7"}, {Kind: domain.KindDepartment, ID: "7"}, {Kind: domain.KindTag, ID: "7"}, {Kind: domain.KindAll, ID: "@all"},
		}
		for i := range more.Recipients {
			more.Recipients[i].MessageID, more.Recipients[i].DeliveryID = d.MessageID, more.Deliveries[0].ID
		}
		more.Deliveries[0].Recipients = 4
		_, err := s.Accept(ctx, more)
		require.NoError(t, err)
		ends(t, s, fence, more.Deliveries[0], domain.StateSent)
		rs, _, err := s.ListRecipients(ctx, d.MessageID, 10, "")
		require.NoError(t, err)
		failed := map[string]bool{}
		for _, r := range rs {
			if r.Outcome == domain.OutcomeFailed {
				failed[string(r.Kind)] = true
			}
		}
		want := map[string]map[string]bool{
			`{"toparty":"7"}`: {"department": true}, `{"totag":"7"}`: {"tag": true}, `{"touser":"@all"}`: {"all": true}, `{"touser":7}`: {},
		}[body]
		require.Equal(t, want, failed, body)
	}
}

// loadPieces finds all pieces of texts, whatever became of them, and nothing
// else.
func loadPieces(t *testing.T, open Opener) {
	s := open(t, "n1")
	_, fence := accepted(t, s, "ops", "z")
	one, two := inPieces(t, s, 3, "a"), inPieces(t, s, 2, "b")
	whole := Submission("ops", "a")
	_, err := s.Accept(t.Context(), whole)
	require.NoError(t, err)
	ends(t, s, fence, one.Deliveries[0], domain.StateSent)
	states := func(lane string, of ...domain.Submission) (out []string) {
		var ids []string
		for i := range of {
			ids = append(ids, of[i].Messages[0].ID)
		}
		ds, err := s.LoadPieces(t.Context(), lane, ids)
		require.NoError(t, err)
		for i := range ds {
			require.Empty(t, ds[i].Body)
			out = append(out, fmt.Sprint(ds[i].ID, ds[i].Handling.Part, ds[i].Tries, ds[i].State))
		}
		return out
	}
	want := func(d *domain.Delivery, tries int, state domain.State) string {
		return fmt.Sprint(d.ID, d.Handling.Part, tries, state)
	}
	first := []string{
		want(&one.Deliveries[0], 1, domain.StateSent), want(&one.Deliveries[1], 0, domain.StateQueued), want(&one.Deliveries[2], 0, domain.StateQueued),
	}
	require.ElementsMatch(t, first, states("app:ops", one, whole))
	require.Len(t, states("app:ops", one, two, whole), 5)
	require.Empty(t, states("app:none", one))
	require.Empty(t, states("app:ops"))
}
