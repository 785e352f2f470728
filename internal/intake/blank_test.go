package intake_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// TestEmptyTexts: what a script left empty is not the number 0, and not the
// default either.
func TestEmptyTexts(t *testing.T) {
	in, _ := newIntake(t)
	for _, c := range []struct{ request, want string }{
		{`{"app":"ops","type":0,"content":{"content":"x"},"to":{"users":["a"]}}`, ""},
		{`{"app":"ops","type":"text","content":{"content":"x"},"to":{"users":["a"]},"priority":null,"send_at":null,"reference":"","digest_key":""}`, ""},
		{`{"scene":"","to":{"users":["a"]}}`, "/scene required"},
		{`{"type":"","content":{"content":"x"},"to":{"users":["a"]}}`, "/type enum"},
		{`{"type":"text","content":{"content":"x"},"to":{"users":["a"]},"priority":""}`, "/priority enum"},
		{`{"type":"text","content":{"content":"x"},"to":{"users":["a"]},"send_at":""}`, "/send_at format"},
		{`{"type":"text","content":{"content":"x"},"to":{"users":["a"]},"expires_in":""}`, "/expires_in format"},
		{`{"type":"text","content":{"content":"x"},"to":{"users":["a"]},"overflow":""}`, "/overflow enum"},
		{`{"type":"text","content":{"content":"x"},"to":{"users":["a"]},"on_uncertain":""}`, "/on_uncertain enum"},
	} {
		var req domain.SendRequest
		require.NoError(t, json.Unmarshal([]byte(c.request), &req))
		_, err := in.DryRun(t.Context(), anybody, req)
		if c.want == "" {
			require.NoError(t, err, c.request)
			continue
		}
		require.Equal(t, []string{c.want}, wrong(t, err), c.request)
		raw, err := json.Marshal(req)
		require.NoError(t, err)
		require.JSONEq(t, c.request, string(raw), "kept as it was written")
	}
}

// What a caller names its messages by has a bound.
func TestReferenceAndDigestKeyAreBounded(t *testing.T) {
	in, _ := newIntake(t)
	for text, want := range map[string]string{strings.Repeat("鸿", 85): "", strings.Repeat("鸿", 85) + "x": " max_bytes"} {
		for _, name := range []string{"reference", "digest_key"} {
			var req domain.SendRequest
			require.NoError(t, json.Unmarshal([]byte(`{"app":"ops","type":0,"content":{"content":"x"},"to":{"users":["a"]},"`+name+`":"`+text+`"}`), &req))
			_, err := in.DryRun(t.Context(), anybody, req)
			if want == "" {
				require.NoError(t, err)
			} else {
				require.Equal(t, []string{"/" + name + want}, wrong(t, err))
			}
		}
	}
}
