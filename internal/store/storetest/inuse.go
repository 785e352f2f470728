package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// appInUse deletes an app that has a message that waits and one being sent,
// and once they have ended.
func appInUse(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	for _, key := range []string{"ops", "other"} {
		_, _, err := s.PutResource(ctx, domain.Resource{Kind: domain.ResourceApp, Key: key, Spec: []byte(`{}`)}, 0)
		require.NoError(t, err)
	}
	remove := func() error { return s.DeleteResource(ctx, domain.ResourceApp, "ops", -1) }

	waits, _ := accepted(t, s, "ops", "a", "b")
	require.Equal(t, domain.CodeInUse, domain.CodeOf(remove()))
	require.ErrorContains(t, remove(), "1 message ")
	require.NoError(t, s.DeleteResource(ctx, domain.ResourceApp, "other", -1), "those of another app do not count")

	sent, fence := accepted(t, s, "ops", "a")
	require.ErrorContains(t, remove(), "2 messages ")
	c := ClaimOf(sent.Deliveries[0], "n1", fence)
	require.Equal(t, []bool{true}, claim(t, s, c))
	require.ErrorContains(t, remove(), "2 messages ", "one is being sent")
	require.Equal(t, []bool{true}, finish(t, s, ResultOf(sent.Deliveries[0], c, domain.StateSent)))
	require.ErrorContains(t, remove(), "1 message ")

	n, err := s.Cancel(ctx, waits.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, remove())

	// What nobody counts to the end.
	_, _, err = s.PutResource(ctx, domain.Resource{Kind: domain.ResourceApp, Key: "ops", Spec: []byte(`{}`)}, 0)
	require.NoError(t, err)
	var all domain.Submission
	for range 1002 {
		sub := Submission("ops", "a")
		sub.Messages[0].State, sub.Deliveries[0].State = domain.StateScheduled, domain.StateScheduled
		sub.Deliveries[0].DueAt = sub.Deliveries[0].DueAt.Add(time.Hour)
		all.Messages = append(all.Messages, sub.Messages...)
		all.Deliveries = append(all.Deliveries, sub.Deliveries...)
		all.Recipients = append(all.Recipients, sub.Recipients...)
	}
	_, err = s.Accept(ctx, all)
	require.NoError(t, err)
	require.ErrorContains(t, remove(), "more than 1000 messages ")
}
