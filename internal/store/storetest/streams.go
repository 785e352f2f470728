package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

func loadStreams(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	now := time.Now().UTC().Truncate(time.Microsecond)
	want := map[string][]string{}
	var streams []domain.Stream
	for p := domain.PriorityUrgent; p <= domain.PriorityLow; p++ {
		for _, scene := range []string{"", "a", "b"} {
			for i := range 5 {
				sub := Submission("ops", "a")
				d := &sub.Deliveries[0]
				d.Priority, d.Scene, d.DueAt = p, scene, now.Add(time.Duration(i-10)*time.Second)
				_, err := s.Accept(ctx, sub)
				require.NoError(t, err)
				want[fmt.Sprint(p, scene)] = append(want[fmt.Sprint(p, scene)], d.ID)
			}
			later := Submission("ops", "a")
			d := &later.Deliveries[0]
			d.Priority, d.Scene, d.State, d.DueAt = p, scene, domain.StateScheduled, now.Add(time.Hour)
			_, err := s.Accept(ctx, later)
			require.NoError(t, err)
			streams = append(streams, domain.Stream{Priority: p, Scene: scene, FirstDue: now.Add(-10 * time.Second), NextDue: d.DueAt})
		}
	}
	got, err := s.Streams(ctx, "app:ops", now)
	require.NoError(t, err)
	require.Equal(t, streams, got)
	for _, x := range got {
		for _, limit := range []int{1, 2, 100} {
			var ids []string
			var after domain.DueAfter
			for {
				ds, err := s.LoadStream(ctx, "app:ops", x.Priority, x.Scene, now, after, limit)
				require.NoError(t, err)
				if len(ds) == 0 {
					break
				}
				for _, d := range ds {
					ids = append(ids, d.ID)
				}
				after = domain.DueAfter{Due: ds[len(ds)-1].DueAt, ID: ds[len(ds)-1].ID}
			}
			require.Equal(t, want[fmt.Sprint(x.Priority, x.Scene)], ids)
		}
	}
	none, err := s.Streams(ctx, "app:none", now)
	require.NoError(t, err)
	require.Empty(t, none)
}

// crowded lists waiting messages beside so many that the list takes another way.
func crowded(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	var queued, scheduled []string
	for i := range 22 {
		var all domain.Submission
		for j := range 100 {
			sub := Submission("ops", "a")
			d := &sub.Deliveries[0]
			if (i+j)%10 == 0 {
				d.State, d.DueAt = domain.StateScheduled, d.DueAt.Add(time.Hour)
				scheduled = append(scheduled, sub.Messages[0].ID)
			} else {
				queued = append(queued, sub.Messages[0].ID)
			}
			all.Messages = append(all.Messages, sub.Messages...)
			all.Deliveries = append(all.Deliveries, sub.Deliveries...)
			all.Recipients = append(all.Recipients, sub.Recipients...)
		}
		_, err := s.Accept(ctx, all)
		require.NoError(t, err)
	}
	l, _, err := s.AcquireLane(ctx, "app:ops", "n1", time.Minute)
	require.NoError(t, err)
	v, err := s.FindMessage(ctx, queued[len(queued)-1])
	require.NoError(t, err)
	claim(t, s, ClaimOf(v.Deliveries[0].Delivery, "n1", l.Fence)) // the newest is being sent
	queued = queued[:len(queued)-1]
	for _, x := range []struct {
		state domain.State
		want  []string
	}{{domain.StateQueued, queued}, {domain.StateScheduled, scheduled}} {
		got := list(t, s, domain.MessageFilter{State: x.state})
		require.Len(t, got, 200)
		for i := range got {
			require.Equal(t, x.want[len(x.want)-1-i], got[i], "%s %d", x.state, i)
		}
	}
}

func loadExpired(t *testing.T, open Opener) {
	ctx := t.Context()
	s := open(t, "n1")
	l, _ := acquire(t, s, "app:ops", "n1", time.Minute)
	now := time.Now().UTC().Truncate(time.Microsecond)
	accept := func(app string, expires time.Time) domain.Delivery {
		sub := Submission(app, "a")
		sub.Deliveries[0].ExpiresAt = expires
		_, err := s.Accept(ctx, sub)
		require.NoError(t, err)
		return sub.Deliveries[0]
	}
	never, later := accept("ops", time.Time{}), accept("ops", now.Add(time.Microsecond))
	second, first := accept("ops", now), accept("ops", now.Add(-time.Minute))
	accept("other", now.Add(-time.Hour))
	claim(t, s, ClaimOf(accept("ops", now.Add(-time.Hour)), "n1", l.Fence)) // its call is under way
	load := func(at time.Time, limit int) (ids []string) {
		ds, err := s.LoadExpired(ctx, "app:ops", at, limit)
		require.NoError(t, err)
		for _, d := range ds {
			require.Empty(t, d.Body)
			ids = append(ids, d.ID)
		}
		return ids
	}
	require.Equal(t, []string{first.ID, second.ID}, load(now, 10))
	require.Equal(t, []string{first.ID}, load(now, 1))
	require.Equal(t, []string{first.ID, second.ID, later.ID}, load(now.Add(time.Hour), 10))
	require.NotContains(t, load(now.Add(1000*time.Hour), 10), never.ID)
}
