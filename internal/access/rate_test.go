package access_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _ := newKeys(t)
		ctx := context.Background()
		free, _, err := k.Create(ctx, domain.APIKey{Name: "free", Scopes: []string{"send"}})
		require.NoError(t, err)
		rated, clear, err := k.Create(ctx, domain.APIKey{Name: "rated", Scopes: []string{"send"}, PerMinute: 120})
		require.NoError(t, err)
		c, err := k.Authenticate(ctx, clear, local)
		require.NoError(t, err)
		require.Equal(t, 120, c.PerMinute)

		require.Zero(t, k.Take(free.ID, 1000), "no rate, no limit")
		require.Equal(t, domain.Rate{PerMinute: 120, Left: 20, Full: 50 * time.Second}, k.Take(rated.ID, 100))
		require.Equal(t, domain.Rate{PerMinute: 120, Left: 20, Full: 50 * time.Second, Wait: 5 * time.Second}, k.Take(rated.ID, 30), "all or nothing")
		time.Sleep(5*time.Second - time.Millisecond)
		require.Positive(t, k.Take(rated.ID, 30).Wait)
		time.Sleep(time.Millisecond)
		require.Zero(t, k.Take(rated.ID, 30).Wait, "it waited as long as it was told")

		_, _, err = k.Create(ctx, domain.APIKey{Name: "another", Scopes: []string{"send"}})
		require.NoError(t, err)
		require.Positive(t, k.Take(rated.ID, 1).Wait, "a change of keys gives nothing back")
		time.Sleep(time.Hour)
		require.Equal(t, 119, k.Take(rated.ID, 1).Left, "no more than a minute's worth is saved up")
		require.Positive(t, k.Take(rated.ID, 121).Wait)
		require.NoError(t, k.Revoke(ctx, rated.ID))
		require.Zero(t, k.Take(rated.ID, 1))
	})
}
