package app_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// TestRetryEventTellsTheNextTry compares what delivery.retry says of the next
// attempt with the attempt that follows.
func TestRetryEventTellsTheNextTry(t *testing.T) {
	t.Parallel()
	slow := sandbox.Duration(2 * time.Second)
	for _, c := range []struct {
		name    string
		fault   sandbox.Fault // of the first call
		wire    func(p *pipes)
		pause   bool   // by hand, while the first call is going on
		expires string // expires_in
		unknown bool   // no time is told
	}{
		{name: "quota", fault: sandbox.Fault{Errcode: 45009}},
		{name: "blocked", fault: sandbox.Fault{Errcode: 60020}},
		{name: "no privilege", fault: sandbox.Fault{Errcode: 60011}},
		{name: "busy", fault: sandbox.Fault{Errcode: -1}},
		{name: "too many at once", fault: sandbox.Fault{Errcode: 45033}},
		{name: "lost answer", fault: sandbox.Fault{Drop: sandbox.Reset}},
		{name: "unreachable", wire: func(p *pipes) { p.fault = refused }},
		{name: "paused by hand meanwhile", fault: sandbox.Fault{Errcode: -1, Latency: slow}, pause: true, unknown: true},
		{name: "over before it is tried again", fault: sandbox.Fault{Errcode: 60020}, expires: "30s", unknown: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := newPipedBubble(t, sandbox.Options{})
				defer b.close()
				time.Sleep(1234567 * time.Nanosecond)
				n.scene(t, "plain", domain.Policy{ExpiresIn: c.expires})
				if c.wire != nil {
					b.pipes.set(func() { c.wire(b.pipes) })
				} else {
					c.fault.Next = 1
					b.faults(c.fault)
				}
				id := n.submit(t, request("plain", "hello", "load-1"))[0]
				if c.pause {
					time.Sleep(time.Second)
					_, err := n.operator.Pause(t.Context(), "ops", "")
					require.NoError(t, err)
				}
				var told struct {
					Next *string `json:"next_attempt_at"`
				}
				b.until("the first attempt has failed", time.Minute, func() bool {
					evs, err := b.store.ListEvents(t.Context(), id)
					require.NoError(t, err)
					for _, e := range evs {
						if e.Type == domain.EventRetry {
							require.NoError(t, json.Unmarshal(e.Data, &told))
							return true
						}
					}
					return false
				})
				if c.unknown {
					require.Nil(t, told.Next)
					v := b.explained(n, id)
					require.False(t, v.NextAttemptAt.After(v.Message.ExpiresAt), "no wait is longer than the message lives")
					return
				}
				require.NotNil(t, told.Next)
				next, err := time.Parse(time.RFC3339Nano, *told.Next)
				require.NoError(t, err)
				require.Equal(t, next.Truncate(time.Microsecond), next, "as finely as other times")
				b.until("it is tried again", 2*time.Minute, func() bool { return len(b.view(id).Deliveries[0].Attempts) > 1 })
				require.WithinDuration(t, next, b.view(id).Deliveries[0].Attempts[1].StartedAt, 100*time.Millisecond)
			})
		})
	}
}
