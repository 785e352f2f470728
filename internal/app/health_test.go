package app_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/dispatch"
	"hongyan/internal/domain"
	"hongyan/internal/seal"
	"hongyan/internal/store"
	"hongyan/wecom"
)

// TestHealth_Together has an app's answers come in at the same moment, as
// those of calls that were in flight together do.
func TestHealth_Together(t *testing.T) {
	t.Parallel()
	ring, _, err := seal.Generate()
	require.NoError(t, err)
	s, err := store.Open(t.Context(), store.Config{DataDir: t.TempDir(), Node: "a", Seal: ring})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	logs := &logLines{}
	h := dispatch.NewHealth(s, slog.New(slog.NewTextHandler(logs, nil)))
	together := func(do ...func()) {
		var wg sync.WaitGroup
		start := make(chan struct{})
		for _, do := range do {
			wg.Go(func() { <-start; do() })
		}
		close(start)
		wg.Wait()
	}
	refused := &wecom.Error{Op: "message/send", Code: 60020, CallerIP: "203.0.113.7"}
	for i := range 100 {
		app := fmt.Sprintf("app-%d", i)
		block := func() { h.Block(app, refused, time.Now()) }
		together(block, block, block, block, block, block, block, block)
		require.Equal(t, domain.HealthBlocked, h.Of(app).State)
		require.Equal(t, i+1, logs.count("app is blocked"), "each app once")
		works := func() { h.OK(app, time.Now().Add(time.Hour)) }
		together(works, works, works, works)
		require.Equal(t, domain.HealthOK, h.Of(app).State)
		require.Equal(t, i+1, logs.count("app works again"), "each app once")
	}
	for i := range 100 {
		app := fmt.Sprintf("app-%d", i)
		refuse, works := func() { h.Block(app, refused, time.Now()) }, func() { h.OK(app, time.Now().Add(time.Hour)) }
		together(refuse, works, func() { h.Pause(app, time.Now()) }, refuse, works)
		require.Equal(t, domain.HealthPaused, h.Of(app).State, "a person's word stands")
	}
	since := h.Of("app-0").Since
	h.Pause("app-0", time.Now().Add(time.Hour))
	require.Equal(t, since, h.Of("app-0").Since, "it has been paused all the time")
	codes := logs.count("errcode=")
	h.Block("silent", &wecom.Error{Op: "message/send", Class: wecom.ClassNotSent}, time.Now())
	require.Equal(t, codes, logs.count("errcode="), "WeCom gave none")
	stored, err := s.ListAppHealth(t.Context())
	require.NoError(t, err)
	require.Len(t, stored, 101)
	for _, a := range stored {
		if a.App == "silent" {
			continue
		}
		require.Equal(t, domain.HealthPaused, a.State, "what is stored is the last word")
	}
}
