package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// TestDirectory reads it over HTTP, keeps it over a restart, explains what
// goes wrong, and leaves sending alone.
func TestDirectory(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		t.Parallel()
		const path = "/v1/apps/ops/directory"
		box, base := newWeCom(t, sandbox.Options{MembersPattern: loadMembers, CallerIP: "203.0.113.7"})
		cfg := testConfig(t, url)
		numbers := func(a answer) []any {
			return []any{a.body["state"], a.body["members"], a.body["departments"], a.body["tags"]}
		}
		all := []any{"known", 8.0, 7.0, 0.0}

		t.Run("first life", func(t *testing.T) {
			w := &world{t: t, wecom: box, base: base, key: testKey}
			w.start(cfg)
			w.seed()
			a := w.must("GET", path, nil)
			require.Equal(t, []any{"unknown", 0.0, 0.0, 0.0}, numbers(a))
			require.Nil(t, a.body["fetched_at"])
			require.Nil(t, a.body["next_refresh_at"])
			require.Zero(t, box.Counts().GetToken, "nobody needed it")

			a = w.must("POST", path+"/refresh", nil)
			require.Equal(t, all, numbers(a))
			require.Nil(t, a.body["error"])
			require.NotEmpty(t, a.body["fetched_at"])
			require.NotEmpty(t, a.body["next_refresh_at"])
			require.EqualValues(t, 7, box.Counts().ByOp[sandbox.OpMembers])

			tokens := box.Counts().GetToken
			box.ExpireTokens(0)
			require.Nil(t, w.must("POST", path+"/refresh", obj{}).body["error"])
			require.Equal(t, tokens+1, box.Counts().GetToken, "a dead token costs one")

			require.Equal(t, 404, w.try("GET", "/v1/apps/none/directory", nil).status)
			require.Equal(t, "app_not_found", w.try("POST", "/v1/apps/none/directory/refresh", nil).str("code"))
			require.Equal(t, 422, w.try("POST", path+"/refresh", obj{"now": true}).status)
			key := w.must("POST", "/v1/keys", obj{"name": "other", "scopes": []string{"read"}, "apps": []string{"other"}}).str("key")
			require.Equal(t, 404, w.try("GET", path, nil, "Authorization", "Bearer "+key).status, "not this key's app")
		})

		t.Run("second life", func(t *testing.T) {
			w := &world{t: t, wecom: box, base: base, key: testKey}
			calls := box.Counts().ByOp[sandbox.OpAgentGet]
			w.start(cfg)
			require.Equal(t, all, numbers(w.must("GET", path, nil)))
			require.Equal(t, calls, box.Counts().ByOp[sandbox.OpAgentGet], "the store knew")

			require.NoError(t, box.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpAgentGet}, Errcode: 60020}))
			a := w.must("POST", path+"/refresh", nil)
			require.Equal(t, all, numbers(a), "what was known stays")
			problem, _ := a.body["error"].(obj)
			require.EqualValues(t, 60020, problem["errcode"])
			require.Equal(t, "203.0.113.7", problem["seen_ip"])
			require.NotEmpty(t, problem["message"])
			english := problem["fix"]
			a = w.must("GET", path, nil, "Accept-Language", "zh")
			problem, _ = a.body["error"].(obj)
			require.NotEqual(t, english, problem["fix"])
			health, _ := w.must("GET", "/v1/apps/ops", nil).body["health"].(obj)
			require.Equal(t, "ok", health["state"], "it may send all the same")
			require.Equal(t, "sent", w.send(alert(1)).str("state"))

			w.must("DELETE", "/v1/scenes/alert", nil)
			w.must("DELETE", "/v1/apps/ops", nil)
			require.Equal(t, 404, w.try("GET", path, nil).status)
			w.seed()
			require.NoError(t, box.SetFaults())
			require.Equal(t, all, numbers(w.must("POST", path+"/refresh", nil)))
		})
	})
}

// TestDepartmentsAreCountedPerMember has one member's budget used up through a
// department: whatever reaches this member waits, and nobody else does.
func TestDepartmentsAreCountedPerMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{MemberPerMinute: 3})
	w.must("PUT", "/v1/apps/ops", obj{
		"corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID, "base_url": w.base, "limits": obj{"member_per_minute": 3},
	})
	require.Equal(t, "known", w.must("POST", "/v1/apps/ops/directory/refresh", nil).str("state"))
	say := func(to obj) answer {
		return w.must("POST", "/v1/messages", obj{"app": "ops", "type": "text", "content": obj{"content": "x"}, "to": to})
	}
	is := func(id, field, want string) {
		t.Helper()
		eventually(t, field+" "+want, func() bool { return w.message(id).str(field) == want })
	}
	for range 3 {
		is(say(obj{"departments": []string{"21"}}).str("id"), "state", "sent") // lisi alone
	}
	for _, to := range []obj{
		{"departments": []string{"21"}}, {"departments": []string{"2"}}, {"users": []string{"LiSi"}}, {"all": true},
	} {
		is(say(to).str("id"), "wait_reason", "member_rate")
	}
	for _, to := range []obj{{"users": []string{"zhangsan"}}, {"departments": []string{"3", "5"}}} {
		is(say(to).str("id"), "state", "sent")
	}
	require.Zero(t, w.wecom.Counts().Dropped)
}
