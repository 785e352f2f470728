package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// hasten makes due what waits for one reason, and nothing else.
func hasten(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	sub, fence := accepted(t, s, "ops", "a")
	quota := sub.Deliveries[0]
	member := Submission("ops", "b")
	_, err := s.Accept(ctx, member)
	require.NoError(t, err)
	tomorrow := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	wait := func(id string, reason domain.WaitReason) domain.Deferral {
		return domain.Deferral{DeliveryID: id, Lane: "app:ops", Fence: fence, DueAt: tomorrow, Reason: reason}
	}
	require.NoError(t, s.Defer(ctx, []domain.Deferral{wait(quota.ID, domain.WaitAppQuota), wait(member.Deliveries[0].ID, domain.WaitMemberRate)}))

	n, err := s.Hasten(ctx, "app:ops", fence-1, domain.WaitAppQuota)
	require.NoError(t, err)
	require.Zero(t, n, "the lane has moved on")
	n, err = s.Hasten(ctx, "app:other", fence, domain.WaitAppQuota)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = s.Hasten(ctx, "app:ops", fence, domain.WaitAppQuota)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)

	v, err := s.FindMessage(ctx, sub.Messages[0].ID)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), v.Deliveries[0].Delivery.DueAt, time.Minute)
	v, err = s.FindMessage(ctx, member.Messages[0].ID)
	require.NoError(t, err)
	require.Equal(t, tomorrow.UTC(), v.Deliveries[0].Delivery.DueAt.UTC())
}
