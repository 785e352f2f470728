package httpapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// A stored secret goes only where it went when it was given. Whoever names
// another place gives it again, or is an administrator.
func TestAStoredSecretDoesNotMove(t *testing.T) {
	a := newAPI(t)
	put := func(scope, more string, headers ...string) answer {
		return a.do("PUT", "/v1/apps/ops", scope, `{"corp_id":"ww1","agent_id":7`+more+`}`, headers...)
	}
	const secret, relay = `,"secret":"s"`, `,"base_url":"http://relay.example.com/wecom"`
	require.Equal(t, 201, put("configure", secret+relay+`,"proxy":"http://u:p@proxy.example.com:3128"`).StatusCode)
	const same, proxy = relay, `,"proxy":"http://u:***@proxy.example.com:3128"`
	for _, more := range []string{
		proxy,
		`,"base_url":"http://evil.example.com"` + proxy,
		`,"base_url":"https://relay.example.com/wecom"` + proxy,
		`,"base_url":"http://relay.example.com:8080/wecom"` + proxy,
		`,"base_url":"http://relay.example.com/other"` + proxy,
		same,
		same + `,"proxy":"http://u:p@evil.example.com:3128"`,
		same + `,"proxy":"http://u:p@proxy.example.com:3129"`,
		same + `,"proxy":"socks5://u:p@proxy.example.com:3128"`,
	} {
		for _, path := range []string{"/v1/apps/ops", "/v1/apps/ops?dry_run=true"} {
			res := a.do("PUT", path, "configure", `{"corp_id":"ww1","agent_id":7`+more+`}`)
			require.Equal(t, 422, res.StatusCode, "%s: %s", more, res.body)
			f := res.problem(t).Errors[0]
			require.Equal(t, "/secret secret_moves", f.Pointer+" "+f.Code)
			require.Contains(t, f.Fix, "admin")
			require.True(t, han(put("configure", more, "Accept-Language: zh").problem(t).Errors[0].Fix))
		}
	}
	kept, err := a.store.GetResource(t.Context(), domain.ResourceApp, "ops")
	require.NoError(t, err)
	require.Contains(t, string(kept.Spec), "relay.example.com/wecom")

	// What leads to the same place is no other one.
	for _, more := range []string{
		same + proxy, same + `,"proxy":"http://v:q@proxy.example.com:3128"`, same + `,"name":"x","proxy":"http://proxy.example.com:3128/"`,
		`,"base_url":"http://RELAY.example.com:80/wecom/","proxy":"http://proxy.example.com:3128"`,
	} {
		require.Equal(t, 200, put("configure", more).StatusCode, more)
	}
	require.Equal(t, 412, put("configure", same+`,"proxy":"http://proxy.example.com:3128"`, `If-Match: "1"`).StatusCode)
	require.Equal(t, 409, a.do("POST", "/v1/apps", "configure", `{"key":"ops","corp_id":"ww1","agent_id":7}`).StatusCode)

	require.Equal(t, 200, put("configure", `,"secret":"mine","base_url":"http://evil.example.com"`).StatusCode)
	require.Equal(t, 200, put("admin", relay).StatusCode)
	require.Equal(t, 200, put("admin", "").StatusCode, "to WeCom itself")
	require.Equal(t, 200, put("configure", `,"base_url":"https://qyapi.weixin.qq.com"`).StatusCode, "which is the default")
}

// A change that is looked at with what another node has replaced meanwhile is
// not made.
func TestASecretThatChangedMeanwhileDoesNotMove(t *testing.T) {
	a := newAPI(t)
	const evil = `{"corp_id":"ww1","agent_id":7,"base_url":"http://evil.example.com"`
	require.Equal(t, 201, a.do("PUT", "/v1/apps/ops", "configure", evil+`,"secret":"mine"}`).StatusCode)
	_, _, err := a.store.PutResource(t.Context(), domain.Resource{
		Kind: domain.ResourceApp, Key: "ops", Spec: []byte(`{"key":"ops","corp_id":"ww1","agent_id":7}`), Secrets: map[string]string{"secret": "real"},
	}, -1)
	require.NoError(t, err)
	res := a.do("PUT", "/v1/apps/ops", "configure", evil+`}`)
	require.Equal(t, 409, res.StatusCode, res.body)
	require.Equal(t, domain.CodeConflict, res.problem(t).Code)
}
