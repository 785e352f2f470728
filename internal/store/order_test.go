package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
)

// The event stream has no gap, in whatever order transactions of several nodes
// begin, draw their numbers and end.
func TestPostgresEventsInOrder(t *testing.T) {
	t.Parallel()
	open := storetest.Postgres(t)
	older, younger, reader := open(t, "n1"), open(t, "n2"), open(t, "n3")
	ctx := t.Context()
	event := func(kind string) string {
		return `INSERT INTO events (type, message_id, delivery_id, at, data) VALUES ('` + kind + `', 'msg', '', 1, '')`
	}
	var wg sync.WaitGroup
	freeze := func(s *store.Store, sql, last string) (thaw func()) {
		held, wake := make(chan struct{}), make(chan struct{})
		thaw = sync.OnceFunc(func() { close(wake) })
		t.Cleanup(thaw)
		wg.Go(func() {
			if err := store.Freeze(ctx, s, sql, held, wake, last); err != nil {
				t.Error(err)
			}
		})
		<-held
		return thaw
	}
	types := func() (list []string) {
		evs, err := reader.EventsAfter(ctx, 0, 10)
		require.NoError(t, err)
		for _, e := range evs {
			list = append(list, e.Type)
		}
		return list
	}
	// The older one draws the higher number and ends; the younger one, with the
	// lower number and the highest id of all, still runs.
	first := freeze(older, `SELECT 1`, event("second"))
	second := freeze(younger, event("first"), `SELECT 1`)
	first()
	require.Eventually(t, func() bool {
		evs, err := older.ListEvents(ctx, "msg")
		return err == nil && len(evs) == 1
	}, 10*time.Second, time.Millisecond, "the higher number is committed")
	for range 5 {
		require.Empty(t, types(), "a lower number may still come")
	}
	second()
	wg.Wait()
	require.Eventually(t, func() bool { return len(types()) == 2 }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{"first", "second"}, types())
	end, err := reader.LastEventSeq(ctx)
	require.NoError(t, err)
	evs, err := reader.EventsAfter(ctx, end, 10)
	require.NoError(t, err)
	require.Empty(t, evs)
}
