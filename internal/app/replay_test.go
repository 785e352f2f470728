package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// TestRepeatedRequestsCostNothing: a caller that repeats itself under its
// Idempotency-Key uses up nobody's budget.
func TestRepeatedRequestsCostNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.must("PUT", "/v1/apps/ops", obj{
		"corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID, "secret": sandbox.DevSecret, "base_url": w.base, "accounts": 1,
	})
	first := w.must("POST", "/v1/messages", alert(1), "Idempotency-Key", "one").str("id")
	eventually(t, "it is sent", func() bool { return w.message(first).str("state") == "sent" })
	for range 40 {
		require.Equal(t, first, w.must("POST", "/v1/messages", alert(1), "Idempotency-Key", "one").str("id"))
	}
	a := w.must("GET", "/v1/lanes", nil)
	used := a.body["items"].([]any)[0].(obj)["used"].([]any)
	require.NotEmpty(t, used)
	for _, u := range used {
		require.EqualValues(t, 1, u.(obj)["used"], "%s", a.raw)
	}
	require.EqualValues(t, 1, w.wecom.Counts().Send)
}
