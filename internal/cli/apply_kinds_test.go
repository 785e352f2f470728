package cli

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestApplyOfAKindThatTheGatewayDoesNotHave stands before a real gateway and
// takes some of its kinds away, as an older one lacks them.
func TestApplyOfAKindThatTheGatewayDoesNotHave(t *testing.T) {
	env, _ := realGateway(t)
	real, err := url.Parse(strings.TrimPrefix(env[0], "HONGYAN_URL="))
	require.NoError(t, err)
	older := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, kind := range []string{"inlets", "webhooks"} {
			if strings.HasPrefix(r.URL.Path, "/v1/"+kind) {
				r.URL.Path = "/v1/nothing"
			}
		}
		httputil.NewSingleHostReverseProxy(real).ServeHTTP(w, r)
	}))
	t.Cleanup(older.Close)
	env = append([]string{"HONGYAN_URL=" + older.URL}, env[1:]...)
	docs := "kind: Audience\nkey: a\nusers: [zhangsan]\n---\nkind: Inlet\nkey: prom\ndialect: alertmanager\n---\nkind: Webhook\nkey: erp\nurl: https://erp.example.com\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"apply", "-f", "-"}, "-:5: Inlet/prom: this gateway has no kind Inlet; it has App, Audience, Robot, Scene, Schedule\n" +
			"-:9: Webhook/erp: this gateway has no kind Webhook; it has App, Audience, Robot, Scene, Schedule\nhongyan: nothing was applied\n"},
		{[]string{"apply", "-f", "-", "--dry-run", "--lang", "zh"}, "-:5: Inlet/prom：该网关没有 Inlet 这种资源；它支持 App, Audience, Robot, Scene, Schedule\n" +
			"-:9: Webhook/erp：该网关没有 Webhook 这种资源；它支持 App, Audience, Robot, Scene, Schedule\nhongyan: 未应用任何内容\n"},
	} {
		got := run(t, Deps{}, env, docs, c.args...)
		require.Equal(t, ExitFailure, got.code)
		require.Equal(t, c.want, got.err)
		require.Empty(t, got.out)
	}
	require.Empty(t, run(t, Deps{}, env, "", "export").out, "nothing was stored")
	require.Contains(t, run(t, Deps{}, env, docs[:strings.Index(docs, "---")], "apply", "-f", "-").out, "Audience/a created")
}
