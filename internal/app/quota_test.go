package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// follow reads the gateway's event stream until the test ends.
func (w *world) follow() <-chan obj {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+"/v1/events/stream", nil)
	require.NoError(w.t, err)
	req.Header.Set("Authorization", "Bearer "+w.key)
	res, err := http.DefaultClient.Do(req) //nolint:forbidigo // a test's caller
	require.NoError(w.t, err)
	require.Equal(w.t, 200, res.StatusCode)
	events := make(chan obj, 10_000)
	go func() {
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			var e obj
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &e) == nil {
				events <- e
			}
		}
	}()
	return events
}

func TestQuotaWarnsOnceADay(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.must("PUT", "/v1/apps/ops", obj{"corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID, "base_url": w.base, "accounts": 1})
		events := w.follow()
		people := func(from, n int) obj {
			var users []string
			for i := range n {
				users = append(users, fmt.Sprintf("load-%d", from+i))
			}
			return text("hello", "", users...)
		}
		require.Equal(t, "sent", w.send(people(0, 159)).str("state"))
		require.NoError(t, w.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: 40008, Next: 1}))
		require.Equal(t, "failed", w.send(people(1000, 1)).str("state"), "the 160th of 200, given back when WeCom refuses it")
		require.Equal(t, "sent", w.send(people(2000, 1)).str("state"), "the 160th once more")
		require.Equal(t, "sent", w.send(people(3000, 40)).str("state"), "200 of 200")
		over := w.must("POST", "/v1/messages", people(4000, 1)).str("id")
		eventually(t, "it waits for the next day", func() bool { return w.message(over).str("wait_reason") == "app_quota" })
		require.NotEmpty(t, w.message(over).str("next_attempt_at"))

		warnings := 0
		for e := range events {
			switch e["type"] {
			case "app.quota_warning":
				warnings++
				require.Equal(t, obj{"app": "ops", "used": 160.0, "allowed": 200.0}, e["data"])
			case "message.accepted":
				if e["message_id"] == over {
					require.Equal(t, 1, warnings)
					return
				}
			}
		}
		t.Error("the stream ended early")
	})
}
