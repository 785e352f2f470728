package dispatch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

func TestLaneStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, reads := time.Duration(0), 0
		l := newLaneStats(func(context.Context) ([]domain.LaneStats, error) {
			time.Sleep(took)
			reads++
			return []domain.LaneStats{{Lane: "app:ops", Depth: int64(reads)}}, nil
		})
		depth := func() int64 {
			stats, err := l.get(t.Context())
			require.NoError(t, err)
			return stats[0].Depth
		}
		require.EqualValues(t, 1, depth())
		require.EqualValues(t, 2, depth(), "a quick reading is never shown again")

		took = time.Second
		require.EqualValues(t, 3, depth())
		require.EqualValues(t, 3, depth(), "a slow one is")
		time.Sleep(9 * time.Second)
		require.EqualValues(t, 3, depth())
		time.Sleep(time.Second)
		require.EqualValues(t, 4, depth(), "until it is ten times as old as it took")

		time.Sleep(time.Minute)
		go func() { _, _ = l.get(context.WithoutCancel(t.Context())) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), took/2)
		defer cancel()
		_, err := l.get(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded, "who waits for a reading can give up")
		time.Sleep(took)
		synctest.Wait()
		require.Equal(t, 5, reads)
	})
}

// Who reads of a lane that nobody owns is not told of a minute that is over.
func TestReportsAge(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 15, 59, 30, 0, time.UTC) // half a minute before midnight in China
	said := domain.LaneReport{
		At: at, InFlight: 3, Concurrency: 8,
		Used: []domain.WindowUse{{Name: "member_minute", Used: 20, Limit: 30}, {Name: "member_hour", Used: 40, Limit: 1000}, {Name: appDay, Used: 60, Limit: 1000}},
		Hot:  []domain.HotMember{{ID: "u1", Minute: 20, Hour: 40}},
	}
	for after, want := range map[time.Duration][3]int64{
		0: {20, 40, 60}, 20 * time.Second: {20, 40, 60}, time.Minute: {20, 40, 0}, 2 * time.Minute: {0, 40, 0}, 2 * time.Hour: {},
	} {
		got := aged(said, at.Add(after))
		for i, u := range got.Used {
			require.Equal(t, want[i], u.Used, "%s after %s", u.Name, after)
			require.Equal(t, said.Used[i].Limit, u.Limit)
		}
		if want[1] == 0 {
			require.Empty(t, got.Hot)
		} else {
			require.Equal(t, []domain.HotMember{{ID: "u1", Minute: int(want[0]), Hour: 40}}, got.Hot)
		}
		require.Zero(t, got.InFlight)
	}
	require.EqualValues(t, 20, said.Used[0].Used, "it is another's")
}
