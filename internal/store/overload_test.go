package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// TestR28_FullQueue offers more than the writer may keep waiting: what is over
// the bound is refused at once and leaves nothing behind, and what the lanes
// have to write still gets in.
func TestR28_FullQueue(t *testing.T) {
	s := openTest(t, Config{DataDir: t.TempDir()})
	release, reached := make(chan struct{}), make(chan struct{}, 1)
	s.engine = &slowEngine{engine: s.engine, before: func([]*op) {
		select {
		case reached <- struct{}{}:
		default:
		}
		<-release
	}}
	const over = 500
	var mu sync.Mutex
	refused, accepted := map[string]bool{}, map[string]bool{}
	var wg sync.WaitGroup
	offer := func() {
		sub := simple()
		_, err := s.Accept(context.WithoutCancel(t.Context()), sub)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			accepted[sub.Messages[0].ID] = true
			return
		}
		refused[sub.Messages[0].ID] = true
		if domain.CodeOf(err) != domain.CodeUnavailable {
			t.Error(err)
		}
	}
	wg.Go(offer)
	<-reached // the writer is in a commit that takes its time
	for range queueBound + over {
		wg.Go(offer)
	}
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(refused) == over
	}, time.Minute, time.Millisecond, "all over the bound are refused while the writer stands still")
	done := make(chan error, 1)
	go func() { done <- s.Ping(context.WithoutCancel(t.Context())) }()
	close(release)
	require.NoError(t, <-done, "other writes have a queue of their own")
	wg.Wait()
	require.Len(t, refused, over)
	require.Len(t, accepted, queueBound+1)
	for id := range accepted {
		_, err := s.FindMessage(t.Context(), id)
		require.NoError(t, err)
	}
	for id := range refused {
		_, err := s.FindMessage(t.Context(), id)
		require.Equal(t, domain.CodeNotFound, domain.CodeOf(err), "a refused message is not there")
	}
}
