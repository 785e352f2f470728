package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
)

const (
	appBody = `{"corp_id":"ww1","agent_id":1,"secret":"s"}`
	textOf  = `"content":{"type":"text","text":{"content":"x"}}`
)

func (a *api) limitedKey(name, rest string) httpapi.Key {
	a.t.Helper()
	res := a.do("POST", "/v1/keys", "admin", fmt.Sprintf(`{"name":%q,"scopes":["admin"],%s}`, name, rest))
	require.Equal(a.t, 201, res.StatusCode, res.body)
	var k httpapi.Key
	require.NoError(a.t, json.Unmarshal([]byte(res.body), &k))
	a.key[name] = k.Key
	return k
}

// TestLimitedKeys is the table of docs/keys.md: what a key that is limited to
// app "mine", to scene "mine" or to both may change. Every key has scope
// admin, so that only the limits decide.
func TestLimitedKeys(t *testing.T) {
	const y, no, hidden = 0, 403, 404
	shared := limitsAPI(t)
	for _, tc := range []struct {
		method, path, body string
		app, scene, both   int
	}{
		{"PUT", "/v1/apps/mine", appBody, y, no, no},
		{"PUT", "/v1/apps/theirs", appBody, no, no, no},
		{"POST", "/v1/apps", appBody, no, no, no},
		{"DELETE", "/v1/apps/mine", "", y, no, no},
		{"DELETE", "/v1/apps/theirs", "", hidden, hidden, hidden},
		{"POST", "/v1/apps/mine/pause", "", y, no, no},
		{"POST", "/v1/apps/mine/resume", "", y, no, no},
		{"POST", "/v1/apps/mine/test", "", y, no, no},
		{"POST", "/v1/apps/theirs/pause", "", hidden, hidden, hidden},
		{"POST", "/v1/apps/mine/directory/refresh", "", no, no, no},

		{"PUT", "/v1/scenes/mine", `{"app":"mine",` + textOf + `}`, y, y, y},
		{"PUT", "/v1/scenes/mine", `{"app":"theirs",` + textOf + `}`, no, y, no},
		{"PUT", "/v1/scenes/mine", `{` + textOf + `}`, no, y, no},
		{"PUT", "/v1/scenes/mine", `{"app":"mine","to":{"robots":["a"]},` + textOf + `}`, no, y, no},
		{"PUT", "/v1/scenes/new", `{"app":"mine",` + textOf + `}`, y, no, no},
		{"PUT", "/v1/scenes/new", `{` + textOf + `}`, no, no, no},
		{"POST", "/v1/scenes", `{"app":"mine",` + textOf + `}`, y, no, no},
		{"PUT", "/v1/scenes/foreign", `{"app":"mine",` + textOf + `}`, no, no, no},
		{"DELETE", "/v1/scenes/mine", "", y, y, y},
		{"DELETE", "/v1/scenes/foreign", "", hidden, hidden, hidden},
		{"DELETE", "/v1/scenes/noapp", "", no, hidden, hidden},
		{"POST", "/v1/scenes/mine/rollback", `{"version":2}`, y, y, y},
		{"POST", "/v1/scenes/mine/rollback", `{"version":1}`, no, y, no},
		{"POST", "/v1/scenes/foreign/rollback", `{"version":1}`, hidden, hidden, hidden},

		{"PUT", "/v1/audiences/a", `{"users":["u1"]}`, no, no, no},
		{"POST", "/v1/audiences", `{"users":["u1"]}`, no, no, no},
		{"DELETE", "/v1/audiences/a", "", no, no, no},
		{"PUT", "/v1/robots/a", `{"webhook_key":"k1"}`, no, no, no},
		{"POST", "/v1/robots", `{"webhook_key":"k1"}`, no, no, no},
		{"DELETE", "/v1/robots/a", "", no, no, no},

		{"POST", "/v1/keys", `{"name":"n","scopes":["send"]}`, no, no, no},
		{"POST", "/v1/keys", `{"name":"n","scopes":["send"],"apps":["mine"]}`, y, no, no},
		{"POST", "/v1/keys", `{"name":"n","scopes":["send"],"apps":["mine","theirs"]}`, no, no, no},
		{"POST", "/v1/keys", `{"name":"n","scopes":["send"],"apps":["mine"],"app":"theirs"}`, no, no, no},
		{"POST", "/v1/keys", `{"name":"n","scopes":["send"],"scenes":["mine"]}`, no, y, no},
		{"POST", "/v1/keys", `{"name":"n","scopes":["admin"],"scenes":["mine"],"apps":["mine"],"app":"mine"}`, y, y, y},
		{"DELETE", "/v1/keys/{unlimited}", "", hidden, hidden, hidden},
		{"DELETE", "/v1/keys/{both}", "", y, y, y},
	} {
		for _, want := range []struct {
			limit  string
			status int
		}{{"app", tc.app}, {"scene", tc.scene}, {"both", tc.both}} {
			t.Run(want.limit+" "+tc.method+" "+tc.path, func(t *testing.T) {
				if want.status != y {
					before := shared.all()
					res := shared.do(tc.method, shared.named(tc.path), want.limit, tc.body)
					require.Equal(t, want.status, res.StatusCode, res.body)
					require.Equal(t, before, shared.all())
					if want.status == no {
						zh := shared.do(tc.method, shared.named(tc.path), want.limit, tc.body, "Accept-Language: zh").problem(t).Detail
						require.True(t, han(zh), zh)
						require.NotContains(t, zh, "key", "and in Chinese alone")
					}
					return
				}
				a := limitsAPI(t)
				if tc.method == "DELETE" && tc.path == "/v1/apps/mine" {
					require.Equal(t, 204, a.do("DELETE", "/v1/scenes/mine", "admin", "").StatusCode, "nothing must need it")
				}
				res := a.do(tc.method, a.named(tc.path), want.limit, tc.body)
				require.True(t, res.StatusCode < 300 || res.StatusCode == http.StatusServiceUnavailable, res.body)
			})
		}
	}
}

// What a key that is limited to app "mine", to scene "mine" or to both may see.
func TestLimitedKeysSee(t *testing.T) {
	a := limitsAPI(t, func(c *httpapi.Config) { c.Lanes = someLanes{} })
	for key, body := range map[string]string{
		"inner": `{"users":["u3"]}`, "outer": `{"audiences":["inner"]}`, "other": `{"users":["u4"]}`,
	} {
		require.Less(t, a.do("PUT", "/v1/audiences/"+key, "admin", body).StatusCode, 300)
	}
	for key, body := range map[string]string{
		"mine": `{"app":"mine","to":{"audiences":["outer"]},` + textOf + `}`, "foreign": `{"app":"theirs","to":{"audiences":["other"]},` + textOf + `}`,
	} {
		require.Less(t, a.do("PUT", "/v1/scenes/"+key, "admin", body).StatusCode, 300)
	}
	own := a.do("GET", "/v1/keys", "scene", "").body
	require.Contains(t, own, `"name":"scene"`)
	for limit, want := range map[string]map[string][]string{
		"admin": {"apps": {"mine", "theirs"}, "scenes": {"foreign", "mine", "noapp"}, "audiences": {"a", "inner", "other", "outer"}, "lanes": {"app:mine", "app:theirs", "robot:r"}},
		"app":   {"apps": {"mine"}, "scenes": {"mine", "noapp"}, "audiences": {"inner", "outer"}, "lanes": {"app:mine"}, "keys": {"app", "both"}},
		"scene": {"apps": {"mine"}, "scenes": {"mine"}, "audiences": {"inner", "outer"}, "lanes": {"app:mine"}, "keys": {"scene", "both"}},
		"both":  {"apps": {"mine"}, "scenes": {"mine"}, "audiences": {"inner", "outer"}, "lanes": {"app:mine"}, "keys": {"both"}},
	} {
		for kind, keys := range want {
			var got struct {
				Items []struct{ Key, Lane, Name string }
			}
			require.NoError(t, json.Unmarshal([]byte(a.do("GET", "/v1/"+kind, limit, "").body), &got))
			names := []string{}
			for _, i := range got.Items {
				if kind == "keys" || kind == "lanes" {
					i.Key = i.Name + i.Lane
				}
				names = append(names, i.Key)
			}
			require.ElementsMatch(t, keys, names, "%s sees %s", limit, kind)
			if kind == "keys" || kind == "lanes" {
				continue
			}
			for _, key := range []string{"mine", "theirs", "foreign", "noapp", "a", "inner", "other", "outer"} {
				if status := a.do("GET", "/v1/"+kind+"/"+key, limit, "").StatusCode; slices.Contains(keys, key) {
					require.Equal(t, 200, status, "%s reads %s/%s", limit, kind, key)
				} else {
					require.Equal(t, 404, status, "%s reads %s/%s", limit, kind, key)
				}
			}
		}
	}
	require.Equal(t, 404, a.do("GET", a.named("/v1/keys/{unlimited}"), "app", "").StatusCode)
	require.Equal(t, 200, a.do("GET", a.named("/v1/keys/{both}"), "app", "").StatusCode)
	require.Equal(t, 404, a.do("GET", "/v1/scenes/mine/versions/1", "app", "").StatusCode, "it belonged to the other app")
	require.Equal(t, 200, a.do("GET", "/v1/scenes/mine/versions/2", "app", "").StatusCode)
	require.Equal(t, 404, a.do("GET", "/v1/scenes/foreign/versions", "app", "").StatusCode)
	require.Equal(t, 404, a.do("POST", "/v1/scenes/foreign/preview", "app", "{}").StatusCode)
	require.Contains(t, a.do("GET", "/v1/lanes", "app", "").body, "zhangsan")
	require.NotContains(t, a.do("GET", "/v1/lanes", "scene", "").body, "zhangsan", "other scenes may write to them")
	require.Equal(t, 404, a.do("GET", "/v1/apps/theirs/directory", "scene", "").StatusCode)
}

// someLanes are of two apps and a robot, each with a member that is written to.
type someLanes struct{}

func (someLanes) Lanes(context.Context) ([]domain.LaneStatus, error) {
	var out []domain.LaneStatus
	for _, name := range []string{"app:mine", "app:theirs", "robot:r"} {
		l := domain.LaneStatus{LaneReport: domain.LaneReport{Hot: []domain.HotMember{{ID: "zhangsan"}}}}
		l.Lane = name
		out = append(out, l)
	}
	return out, nil
}

// limits is an edge with apps, scenes and keys for the table.
type limits struct {
	*api
	ids *strings.Replacer
}

func limitsAPI(t *testing.T, change ...func(*httpapi.Config)) limits {
	a := newAPI(t, change...)
	for _, r := range []struct{ path, body string }{
		{"apps/mine", appBody},
		{"apps/theirs", strings.Replace(appBody, "1,", "2,", 1)},
		{"scenes/mine", `{"app":"theirs","title":"1",` + textOf + `}`},
		{"scenes/mine", `{"app":"mine","title":"2",` + textOf + `}`},
		{"scenes/foreign", `{"app":"theirs",` + textOf + `}`},
		{"scenes/noapp", `{` + textOf + `}`},
		{"audiences/a", `{"users":["u2"]}`},
		{"robots/a", `{"webhook_key":"k0"}`},
	} {
		require.Less(t, a.do("PUT", "/v1/"+r.path, "admin", r.body).StatusCode, 300)
	}
	a.limitedKey("app", `"apps":["mine"]`)
	a.limitedKey("scene", `"scenes":["mine"]`)
	both := a.limitedKey("both", `"apps":["mine"],"scenes":["mine"]`)
	return limits{a, strings.NewReplacer("{unlimited}", a.limitedKey("unlimited", `"rate":null`).ID, "{both}", both.ID)}
}

func (l limits) named(path string) string { return l.ids.Replace(path) }

func (l limits) all() (s string) {
	for _, kind := range []string{"apps", "scenes", "audiences", "robots"} {
		s += l.do("GET", "/v1/"+kind, "read", "").body
	}
	return s
}

// Every route that changes something is closed to limited keys unless it is
// named here, where somebody has thought about it.
func TestNewRoutesAreClosedToLimitedKeys(t *testing.T) {
	a := newAPI(t)
	a.limitedKey("limited", `"apps":["mine"],"scenes":["mine"]`)
	open := []string{}
	for _, r := range httpapi.Table() {
		if r.Scope == "" || r.Method == "GET" {
			continue
		}
		path := strings.NewReplacer("{id}", "msg_00000000000000000000000000", "{key}", "mine").Replace(r.Path)
		res := a.do(r.Method, path, "limited", "x")
		if res.StatusCode == 403 && strings.Contains(res.body, "none of them alone") {
			continue
		}
		open = append(open, r.Method+" "+r.Path)
	}
	require.ElementsMatch(t, []string{
		"POST /v1/messages", "POST /v1/messages/batch", "POST /v1/messages/{id}/cancel", "POST /v1/messages/{id}/release", "POST /v1/messages/{id}/resend",
		"POST /v1/media",
		"POST /v1/apps", "PUT /v1/apps/{key}", "DELETE /v1/apps/{key}", "POST /v1/apps/{key}/pause", "POST /v1/apps/{key}/resume", "POST /v1/apps/{key}/test",
		"POST /v1/scenes", "PUT /v1/scenes/{key}", "DELETE /v1/scenes/{key}", "POST /v1/scenes/{key}/rollback", "POST /v1/scenes/{key}/preview",
		"POST /v1/schedules", "PUT /v1/schedules/{key}", "DELETE /v1/schedules/{key}", "POST /v1/schedules/{key}/preview", "POST /v1/schedules/{key}/run",
		"POST /v1/keys", "DELETE /v1/keys/{id}",
	}, open)
}

func TestKeysKeepTheirNetworks(t *testing.T) {
	a := newAPI(t)
	a.limitedKey("near", `"networks":["127.0.0.0/8","::1"]`)
	for networks, status := range map[string]int{
		`[]`: 403, `["10.0.0.0/8"]`: 403, `["0.0.0.0/0"]`: 403, `["127.0.0.1","10.0.0.1"]`: 403, `["127.0.0.0/7"]`: 403,
		`["127.0.0.1"]`: 201, `["127.1.0.0/16","::1"]`: 201,
	} {
		res := a.do("POST", "/v1/keys", "near", `{"name":"n","scopes":["send"],"networks":`+networks+`}`)
		require.Equal(t, status, res.StatusCode, "%s: %s", networks, res.body)
		if status == 403 {
			require.Equal(t, domain.CodeForbidden, res.problem(t).Code)
		}
	}
}

func TestAnIdenticalSceneKeepsItsETag(t *testing.T) {
	a := newAPI(t)
	body := `{"code":7,"variables":{"type":"object","properties":{"b":{},"a":{}}},"policy":{"digest":{"window":"1m"}},` + textOf + `}`
	first := a.do("PUT", "/v1/scenes/s", "configure", body)
	require.Equal(t, 201, first.StatusCode, first.body)
	for _, again := range []string{body, first.body} {
		res := a.do("PUT", "/v1/scenes/s", "configure", again, "If-Match: "+first.Header.Get("ETag"))
		require.Equal(t, 200, res.StatusCode, res.body)
		require.Equal(t, first.Header.Get("ETag"), res.Header.Get("ETag"))
		require.JSONEq(t, first.body, res.body)
	}
}

func TestRollbackHonoursIfMatch(t *testing.T) {
	a := newAPI(t)
	for i, text := range []string{"one", "two"} {
		res := a.do("PUT", "/v1/scenes/s", "configure", strings.Replace(`{`+textOf+`}`, `"x"`, `"`+text+`"`, 1))
		require.Equal(t, []int{201, 200}[i], res.StatusCode, res.body)
	}
	require.Equal(t, 412, a.do("POST", "/v1/scenes/s/rollback", "configure", `{"version":1}`, `If-Match: "1"`).StatusCode)
	res := a.do("POST", "/v1/scenes/s/rollback", "configure", `{"version":1}`, `If-Match: "2"`)
	require.Equal(t, 200, res.StatusCode, res.body)
	require.Equal(t, `"3"`, res.Header.Get("ETag"))
}
