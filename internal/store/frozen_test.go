package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
)

// A node that is frozen in the middle of a transaction holds locks. The server
// ends its session, so that another node gets the lanes; the frozen one does
// its work again when it wakes.
func TestR37_PostgresFrozenInATransaction(t *testing.T) {
	t.Parallel()
	open := storetest.Postgres(t)
	frozen, other := open(t, "n1"), open(t, "n2")
	ctx := t.Context()
	_, ok, err := frozen.AcquireLane(ctx, "app:ops", "n1", -time.Second)
	require.NoError(t, err)
	require.True(t, ok)
	held, thaw, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	wake := sync.OnceFunc(func() { close(thaw) })
	t.Cleanup(wake)
	go func() {
		ended <- store.Freeze(ctx, frozen, `UPDATE lanes SET status = 'late' WHERE key = 'app:ops' AND owner = 'n1'`, held, thaw, `SELECT 1`)
	}()
	<-held
	l, ok, err := other.AcquireLane(ctx, "app:ops", "n2", time.Minute)
	require.NoError(t, err)
	require.True(t, ok, "while the other one still stands there")
	select {
	case err := <-ended:
		t.Fatalf("it was not frozen: %v", err)
	default:
	}
	wake()
	require.NoError(t, <-ended)
	again, ok, err := other.AcquireLane(ctx, "app:ops", "n2", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, l.Fence+1, again.Fence)
	require.Empty(t, again.Status, "what it wrote before was undone, and what it wrote again found a new owner")
}
