package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// A message and its deliveries are read one after the other: a commit may lie
// between the two.
func TestViewOfAMessageThatEndsWhileItIsRead(t *testing.T) {
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	v := domain.MessageView{Message: domain.Message{State: domain.StateQueued, Recipients: 2}, Deliveries: []domain.DeliveryView{
		{Delivery: domain.Delivery{ID: "a", State: domain.StateMerged, MergedInto: "msg_d", FinishedAt: at, Recipients: 1}},
		{Delivery: domain.Delivery{ID: "b", State: domain.StateMerged, MergedInto: "msg_d", FinishedAt: at.Add(-time.Second), Recipients: 1}},
	}}
	complete(&v, nil)
	require.Equal(t, domain.StateMerged, v.State)
	require.Equal(t, "msg_d", v.Message.MergedInto)
	require.Equal(t, at, v.Message.FinishedAt)
	require.Equal(t, 2, v.Counts.Merged)
	v.Deliveries[1].Delivery.State = domain.StateQueued
	v.Message = domain.Message{State: domain.StateQueued}
	complete(&v, nil)
	require.Zero(t, v.Message.FinishedAt, "it has not ended")
}
