package store

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/seal"
)

func TestSmoke(t *testing.T) {
	ring, _, err := seal.Generate()
	require.NoError(t, err)
	ctx := context.Background()
	s, err := Open(ctx, Config{DataDir: t.TempDir(), Node: "n1", Seal: ring})
	require.NoError(t, err)
	var ids domain.IDs
	m := domain.Message{ID: ids.New("msg_"), CreatedAt: time.Now(), State: domain.StateQueued}
	d := domain.Delivery{ID: ids.New("dlv_"), MessageID: m.ID, Lane: "app:a", State: domain.StateQueued, DueAt: time.Now(), Body: []byte("{}")}
	_, err = s.Accept(ctx, domain.Submission{Messages: []domain.Message{m}, Deliveries: []domain.Delivery{d},
		Recipients: []domain.Recipient{{MessageID: m.ID, DeliveryID: d.ID, Kind: domain.KindUser, ID: "Zhang"}}})
	require.NoError(t, err)
	l, ok, err := s.AcquireLane(ctx, "app:a", "n1", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	due, err := s.LoadDue(ctx, "app:a", time.Now(), 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	c, err := s.Claim(ctx, []domain.Claim{{DeliveryID: d.ID, Lane: d.Lane, Node: "n1", Fence: l.Fence, Try: 1, StartedAt: time.Now()}})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, c)
	f, err := s.Finish(ctx, []domain.Result{{MessageID: m.ID, Next: domain.StateSent, At: time.Now(), Attempt: domain.Attempt{DeliveryID: d.ID, N: 1, Lane: d.Lane, Fence: l.Fence, Class: "ok"}}})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, f)
	v, err := s.FindMessage(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, domain.StateSent, v.State)
	require.Equal(t, domain.RecipientCounts{Total: 1, Accepted: 1}, v.Counts)
	p, err := s.ListMessages(ctx, domain.MessageFilter{Limit: 10, User: "ZHANG"})
	require.NoError(t, err)
	require.Len(t, p.Items, 1)
	ev, err := s.EventsAfter(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, ev, 2)
	require.NoError(t, s.Close())
}
