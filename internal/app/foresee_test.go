package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// wouldWait is what a dry run foresees; empty when it would go at once. until
// is zero when it has no end.
func (w *world) wouldWait(req obj) (reason string, until time.Time) {
	w.t.Helper()
	req["dry_run"] = true
	a := w.must("POST", "/v1/messages", req)
	v, ok := a.body["deliveries"].([]any)[0].(obj)["would_wait"].(obj)
	if !ok {
		return "", until
	}
	if s, ok := v["until"].(string); ok {
		at, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(w.t, err)
		require.Equal(w.t, at.Truncate(time.Microsecond), at, "as finely as other times")
		until = at
	}
	return v["reason"].(string), until
}

func TestDryRunForesees(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	noise := func(text string) obj { return obj{"scene": "noise", "data": obj{"service": "billing", "text": text}} }
	w.seedDigest("10m", obj{"closes": `{{ eq .data.text "resolved" }}`})
	reason, _ := w.wouldWait(noise("fault"))
	require.Empty(t, reason, "the first goes at once")
	began := firstTry(t, w.becomes(w.noise("billing", "fault"), "sent"))
	reason, until := w.wouldWait(noise("fault"))
	require.Equal(t, "digest_window", reason)
	require.WithinDuration(t, began.Add(10*time.Minute), until, time.Second)
	reason, _ = w.wouldWait(noise("resolved"))
	require.Empty(t, reason, "a recovery does not wait")

	w.seedDigest("5m", obj{"first": "wait", "key": "another"})
	reason, until = w.wouldWait(noise("fault"))
	require.Equal(t, "digest_window", reason)
	require.WithinDuration(t, time.Now().Add(5*time.Minute), until, time.Minute)

	w.perMinute(1)
	began = firstTry(t, w.becomes(w.must("POST", "/v1/messages", text("one", "", "load-1")).str("id"), "sent"))
	reason, until = w.wouldWait(text("two", "", "load-1"))
	require.Equal(t, "member_rate", reason)
	require.WithinDuration(t, began.Add(61*time.Second), until, 2*time.Second)
	// One of two has a place: it gets the message now, the other later.
	both := text("two", "", "load-1", "load-2")
	both["dry_run"] = true
	parts := w.must("POST", "/v1/messages", both).body["deliveries"].([]any)
	require.Len(t, parts, 2)
	now, then := parts[0].(obj), parts[1].(obj)
	require.Nil(t, now["would_wait"])
	require.Contains(t, now["body"], `"touser":"load-2"`)
	require.Contains(t, then["body"], `"touser":"load-1"`)
	require.Equal(t, []any{1.0, 1.0}, []any{now["recipients"], then["recipients"]})
	require.Equal(t, "member_rate", then["would_wait"].(obj)["reason"])
	require.Equal(t, until.Format(time.RFC3339Nano), then["would_wait"].(obj)["until"])

	at := text("later", "", "load-2")
	at["send_at"] = time.Now().Add(time.Hour).Format(time.RFC3339)
	reason, until = w.wouldWait(at)
	require.Equal(t, "scheduled", reason)
	require.WithinDuration(t, time.Now().Add(time.Hour), until, time.Minute)

	w.must("POST", "/v1/apps/ops/pause", nil)
	reason, until = w.wouldWait(text("two", "", "load-2"))
	require.Equal(t, "app_paused", reason)
	require.True(t, until.IsZero(), "nobody knows when")
	require.Empty(t, w.must("GET", "/v1/messages?state=queued", nil).body["items"], "nothing was stored")
}
