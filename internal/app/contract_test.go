package app_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// What an outside reader of the contract would try, and once found wanting.

func TestRecipientsOfASplitTextCountOnce(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		var users []string
		for i := range 1005 {
			users = append(users, fmt.Sprintf("load-%d", i))
		}
		a := w.send(obj{
			"app": "ops", "type": "text", "content": obj{"content": strings.Repeat("很长的文字。", 400)},
			"to": obj{"users": append(users, "ghost")},
		})
		require.Len(t, a.body["deliveries"], 8, "four parts for two lists of people")
		require.Equal(t, obj{"total": 1006.0, "accepted": 1005.0, "failed": 1.0, "uncertain": 0.0, "waiting": 0.0, "merged": 0.0}, a.body["recipients"], "%s", a.str("state"))
	})
}

// TestR58_SetupLink starts without any key: the link that is printed makes the
// first one, once.
func TestR58_SetupLink(t *testing.T) {
	t.Parallel()
	p := newProcess(t, "")
	p.env = append(p.env, "HONGYAN_ADMIN_KEY=", "HONGYAN_LOG_LEVEL=info")
	p.start()
	link := func() string {
		out, err := os.ReadFile(p.log)
		require.NoError(t, err)
		return regexp.MustCompile(`http://\S+/setup/\S+`).FindString(string(out))
	}
	first := link()
	require.NotEmpty(t, first, "printed at the start")
	w := &world{t: t, url: strings.TrimSuffix(first, regexp.MustCompile(`/setup/\S+`).FindString(first)), key: "hy_nobody"}
	path := strings.TrimPrefix(first, w.url)
	require.Equal(t, 404, w.try("GET", "/setup/GUESS", nil).status)
	require.Equal(t, 404, w.try("POST", "/setup/GUESS", nil).status)
	for range 2 {
		page := w.must("GET", path, nil)
		require.Contains(t, string(page.raw), "<form", "looking makes nothing")
		require.Equal(t, 401, w.try("GET", "/v1/keys", nil).status)
	}
	made := w.try("POST", path, nil, "Accept", "text/html,*/*", "Origin", w.url)
	require.Equal(t, 201, made.status, "%s", made.raw)
	w.key = regexp.MustCompile(`hy_\w+`).FindString(string(made.raw))
	keys := w.must("GET", "/v1/keys", nil).body["items"].([]any)
	require.Len(t, keys, 1)
	require.Equal(t, []any{"admin"}, keys[0].(obj)["scopes"])
	for _, method := range []string{"GET", "POST"} {
		require.Equal(t, 404, w.try(method, path, nil).status, "once")
	}
	out, err := os.ReadFile(p.log)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(out), path), "requests to it are logged without the token")

	require.NoError(t, p.stop())
	require.NoError(t, os.Truncate(p.log, 0))
	p.start()
	require.Empty(t, link(), "there is a key now")
}

// TestMetricsSayWhatHappened asks the listener that Prometheus asks.
func TestMetricsSayWhatHappened(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		wecom, base := newWeCom(t, sandbox.Options{MembersPattern: loadMembers})
		p := newProcess(t, url)
		ops := freeAddress(t)
		p.env = append(p.env, "HONGYAN_OPS_LISTEN="+ops)
		p.start()
		w := &world{t: t, wecom: wecom, base: base, url: "http://" + p.addr, key: testKey}
		w.seed()
		app := func(key, secret string) {
			w.must("PUT", "/v1/apps/"+key, obj{"corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID, "secret": secret, "base_url": base, "accounts": 10})
		}
		app("ops", sandbox.DevSecret)
		app("bad", "not-the-secret")

		require.Equal(t, "sent", w.send(alert(1)).str("state"))
		long := obj{"app": "ops", "type": "text", "content": obj{"content": strings.Repeat("很长的文字。", 400)}, "to": obj{"users": []string{"lisi"}}}
		require.Equal(t, "sent", w.send(long).str("state"), "several deliveries, one message")
		require.Equal(t, "failed", w.send(obj{"app": "ops", "type": "text", "content": obj{"content": "x"}, "to": obj{"users": []string{"ghost"}}}).str("state"))
		later := w.must("POST", "/v1/messages", obj{"app": "ops", "type": "text", "content": obj{"content": "y"}, "to": obj{"users": []string{"lisi"}}, "send_at": time.Now().Add(time.Hour)})
		w.must("POST", "/v1/messages/"+later.str("id")+"/cancel", nil)
		w.must("POST", "/v1/messages", obj{"app": "bad", "type": "text", "content": obj{"content": "z"}, "to": obj{"users": []string{"lisi"}}})
		eventually(t, "the app is blocked", func() bool {
			health, _ := w.must("GET", "/v1/apps/bad", nil).body["health"].(obj)
			return health["state"] == "blocked"
		})

		at := &world{t: t, url: "http://" + ops}
		text := string(at.must("GET", "/metrics", nil).raw)
		for _, want := range []string{
			`hongyan_messages_accepted_total{scene="alert",source="api"} 1`,
			`hongyan_messages_finished_total{state="sent"} 2`,
			`hongyan_messages_finished_total{state="failed"} 1`,
			`hongyan_messages_finished_total{state="cancelled"} 1`,
			`hongyan_send_attempts_total{app="ops",class="recipient"} 1`,
			`hongyan_queue_messages{lane="app:bad"} 1`,
			`hongyan_queue_messages{lane="app:ops"} 0`,
			`hongyan_app_blocked{app="bad",cause="bad_secret"} 1`,
			`hongyan_quota_limit{app="ops"} 2000`,
			`hongyan_lane_parked{lane="app:ops"} 0`,
			`hongyan_lane_owned{lane="app:ops"} 1`,
			`hongyan_token_refresh_total{app="ops",result="ok"} 1`,
			`hongyan_http_event_streams 0`,
			`hongyan_build_info{`,
		} {
			require.Contains(t, text, want)
		}
		require.NotContains(t, text, `hongyan_app_blocked{app="ops"`)
		for _, never := range []string{"msg_", "dlv_", "lisi", "load-1"} {
			require.NotContains(t, text, never, "never an id as a label")
		}
	})
}

func TestDryRunOfAPausedApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.must("POST", "/v1/apps/ops/pause", nil) // before its lane is ever opened
	plan := w.must("POST", "/v1/messages", obj{"scene": "alert", "to": obj{"users": []string{"lisi"}}, "data": obj{"service": "a", "error": "b"}, "dry_run": true})
	wait := plan.body["deliveries"].([]any)[0].(obj)["would_wait"]
	require.Equal(t, obj{"reason": "app_paused", "until": nil}, wait, "nobody knows how long")
}
