package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/httpapi"
)

func TestDryRunOfAPut(t *testing.T) {
	a := newAPI(t)
	const app = `{"corp_id":"ww1","agent_id":7,"secret":"CANARY1","proxy":"http://u:CANARY2@p:1"}`
	require.Equal(t, 201, a.do("PUT", "/v1/apps/ops", "configure", app).StatusCode)
	require.Equal(t, 201, a.do("PUT", "/v1/scenes/s", "configure", `{"app":"ops",`+textOf+`}`).StatusCode)
	require.Equal(t, 201, a.do("PUT", "/v1/audiences/a", "configure", `{"users":["u1"]}`).StatusCode)
	everything := func() (s string) {
		for _, kind := range []string{"apps", "scenes", "audiences", "scenes/s/versions"} {
			s += a.do("GET", "/v1/"+kind, "read", "").body
		}
		return s
	}
	before := everything()
	for _, tc := range []struct {
		path, body string
		status     int
		result     string
		secrets    []string
	}{
		{"apps/ops", app, 200, "unchanged", nil},
		{"apps/ops", `{"corp_id":"ww1","agent_id":7,"proxy":"http://u:***@p:1"}`, 200, "unchanged", nil},
		{"apps/ops", strings.Replace(app, "CANARY1", "CANARY3", 1), 200, "updated", []string{"secret"}},
		{"apps/ops", strings.Replace(app, "CANARY2", "CANARY3", 1), 200, "updated", []string{"proxy_password"}},
		{"apps/ops", `{"corp_id":"ww1","agent_id":7,"secret":"CANARY1"}`, 200, "updated", []string{"proxy_password"}},
		{"apps/ops", `{"corp_id":"ww1","agent_id":8,"proxy":"http://u:***@p:1"}`, 200, "updated", nil},
		{"apps/new", `{"corp_id":"ww1","agent_id":9,"secret":"CANARY4"}`, 200, "created", []string{"secret"}},
		{"apps/new", `{"corp_id":"ww1","agent_id":9}`, 422, "", nil},
		{"apps/ops", `{"corp_id":"ww1","agent_id":7,"proxy":"http://u:***@evil:1"}`, 422, "", nil},
		{"audiences/a", `{"users":["u1"]}`, 200, "unchanged", nil},
		{"audiences/a", `{"users":["u2"]}`, 200, "updated", nil},
		{"audiences/b", `{"user":["u2"]}`, 422, "", nil},
		{"audiences/b", `{"audiences":["b"]}`, 422, "", nil},
		{"scenes/s", `{"app":"ops",` + textOf + `}`, 200, "unchanged", nil},
		{"scenes/s", `{"app":"ops","title":"new",` + textOf + `}`, 200, "updated", nil},
		{"scenes/new", `{"app":"ops",` + textOf + `}`, 200, "created", nil},
		{"scenes/new", `{"app":"none",` + textOf + `}`, 422, "", nil},
		{"scenes/new", `{"content":{"type":"nope"}}`, 422, "", nil},
	} {
		res := a.do("PUT", "/v1/"+tc.path+"?dry_run=true", "configure", tc.body)
		require.Equal(t, tc.status, res.StatusCode, "%s: %s", tc.body, res.body)
		require.NotContains(t, res.body, "CANARY")
		require.Equal(t, before, everything(), tc.body)
		if tc.status != 200 {
			require.NotEmpty(t, res.problem(t).Errors)
			continue
		}
		var c httpapi.Change
		require.NoError(t, json.Unmarshal([]byte(res.body), &c))
		require.Equal(t, tc.result, c.Result, tc.body)
		require.ElementsMatch(t, tc.secrets, c.Secrets, tc.body)
		require.Equal(t, tc.result == "created", string(c.Before) == "null", res.body)
		require.Equal(t, tc.result == "unchanged", string(c.Before) == string(c.After) && len(c.Secrets) == 0, res.body)
	}
	require.Equal(t, 412, a.do("PUT", "/v1/scenes/s?dry_run=true", "configure", `{`+textOf+`}`, `If-Match: "9"`).StatusCode)
	require.Equal(t, 412, a.do("PUT", "/v1/audiences/a?dry_run=true", "configure", `{}`, `If-None-Match: *`).StatusCode)
	for _, value := range []string{"1", "yes", "", "TRUE"} {
		res := a.do("PUT", "/v1/audiences/a?dry_run="+value, "configure", `{"users":["u9"]}`)
		require.Equal(t, 422, res.StatusCode, value)
		require.Equal(t, "dry_run", res.problem(t).Errors[0].Parameter)
	}
	require.Equal(t, 422, a.do("POST", "/v1/audiences?dry_run=true", "configure", `{"users":["u9"]}`).StatusCode)
	require.Equal(t, 403, a.do("PUT", "/v1/audiences/a?dry_run=true", "read", `{}`).StatusCode)
	require.Equal(t, before, everything())
	require.Equal(t, 200, a.do("PUT", "/v1/audiences/a?dry_run=false", "configure", `{"users":["u9"]}`).StatusCode)
	require.NotEqual(t, before, everything())
}
