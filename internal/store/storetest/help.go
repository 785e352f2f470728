package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/store"
)

func claim(t testing.TB, s *store.Store, cs ...domain.Claim) []bool {
	t.Helper()
	ok, err := s.Claim(t.Context(), cs)
	if err != nil {
		t.Error(err)
	}
	return ok
}

func finish(t testing.TB, s *store.Store, rs ...domain.Result) []bool {
	t.Helper()
	ok, err := s.Finish(t.Context(), rs)
	if err != nil {
		t.Error(err)
	}
	return ok
}

// accepted stores one message and takes its lane.
func accepted(t testing.TB, s *store.Store, app string, users ...string) (domain.Submission, int64) {
	t.Helper()
	sub := Submission(app, users...)
	_, err := s.Accept(t.Context(), sub)
	require.NoError(t, err)
	l, ok, err := s.AcquireLane(t.Context(), sub.Deliveries[0].Lane, "n1", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	return sub, l.Fence
}

func types(evs []domain.Event) []string {
	out := make([]string, len(evs))
	for i := range evs {
		out[i] = evs[i].Type
	}
	return out
}

// eventsAfter is EventsAfter once it shows n events: on PostgreSQL one becomes
// visible when the transactions that began before its own have ended, those of
// other databases on the server included.
func eventsAfter(t *testing.T, s *store.Store, n int) (evs []domain.Event) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		evs, err = s.EventsAfter(t.Context(), 0, n+10)
		require.NoError(t, err)
		return len(evs) >= n
	}, 20*time.Second, time.Millisecond)
	return evs
}
