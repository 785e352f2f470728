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
