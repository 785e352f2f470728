package app_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/dispatch"
	"hongyan/internal/domain"
	"hongyan/internal/seal"
	"hongyan/internal/store"
	"hongyan/sandbox"
	"hongyan/wecom"
)

// Two nodes want to probe a blocked app at the same moment: one does, and the
// next time it is the other one's turn, for it may be this node alone that WeCom
// refuses.
func TestHealth_ProbesTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{})
		defer b.close()
		refused := &wecom.Error{Op: "message/send", Code: 60020}
		nodes := []*node{b.start("n1"), b.start("n2")}
		probes := func(n *node) bool {
			h := n.sender.Health()
			if _, ask := h.Turn("ops", time.Now(), true); ask {
				_, err := h.Ask(t.Context(), "ops", time.Now())
				require.NoError(t, err)
			}
			until, _ := h.Turn("ops", time.Now(), true)
			return until.IsZero()
		}
		time.Sleep(5 * time.Second) // a heartbeat
		next := nodes[0].sender.Health().Block("ops", refused, time.Now())
		var turns []int
		for range 6 {
			time.Sleep(5 * time.Second)
			for _, n := range nodes {
				require.WithinDuration(t, next, n.sender.Health().Of("ops").NextProbeAt, time.Millisecond)
				require.False(t, probes(n), "too early")
			}
			time.Sleep(time.Until(next))
			before := len(turns)
			for range 100 {
				for i, n := range nodes {
					if probes(n) {
						turns = append(turns, i)
					}
				}
				time.Sleep(10 * time.Millisecond)
			}
			require.Len(t, turns, before+1, "one call")
			next = nodes[turns[before]].sender.Health().Block("ops", refused, time.Now())
		}
		require.Equal(t, []int{0, 1, 0, 1, 0, 1}, turns)
	})
}

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
