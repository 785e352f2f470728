package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
)

func TestRequestID(t *testing.T) {
	a := newAPI(t)
	require.Equal(t, "abc-1", a.do("GET", "/livez", "", "", "X-Request-Id: abc-1").Header.Get("X-Request-Id"))
	for _, bad := range []string{"a b", "é", strings.Repeat("x", 129)} {
		got := a.do("GET", "/livez", "", "", "X-Request-Id: "+bad).Header.Get("X-Request-Id")
		require.True(t, domain.ValidID("req_", got), got)
	}
}

func TestRobotLife(t *testing.T) {
	a := newAPI(t)
	const spec = `{"name":"运维群","limits":{"per_minute":15},"webhook_key":"693a91f6-7aaa","proxy":"http://me:pa55@10.0.0.1:3128"}`
	res := a.do("PUT", "/v1/robots/room", "configure", spec)
	require.Equal(t, 201, res.StatusCode, res.body)
	for _, res := range []answer{res, a.do("GET", "/v1/robots/room", "read", ""), a.do("GET", "/v1/robots", "read", "")} {
		require.NotContains(t, res.body, "693a91f6")
		require.NotContains(t, res.body, "pa55")
		require.Contains(t, res.body, `"webhook_key"`, "which secrets are set is told")
	}
	res = a.do("PUT", "/v1/robots/room", "configure", a.do("GET", "/v1/robots/room", "read", "").body)
	require.Equal(t, 200, res.StatusCode, "what was read can be written back: %s", res.body)
	require.Equal(t, `"1"`, res.Header.Get("ETag"), "and changes nothing")
	res = a.do("PUT", "/v1/robots/room", "configure", `{"webhook_key":""}`)
	require.Equal(t, 422, res.StatusCode)
	require.Contains(t, res.body, "/webhook_key")
	res = a.do("PUT", "/v1/robots/other", "configure", `{"webhook_key":"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6"}`, "Accept-Language: zh")
	require.Equal(t, 422, res.StatusCode)
	require.NotContains(t, res.body, "693a91f6")
	require.Equal(t, 204, a.do("DELETE", "/v1/robots/room", "configure", "").StatusCode)
	require.Equal(t, 404, a.do("GET", "/v1/robots/room", "read", "").StatusCode)
}

func TestResourceLife(t *testing.T) {
	a := newAPI(t)
	const spec = `{"name":"值班","users":["zhangsan","lisi"],"departments":["2"]}`
	res := a.do("PUT", "/v1/audiences/oncall", "configure", spec)
	require.Equal(t, 201, res.StatusCode, res.body)
	require.Equal(t, `"1"`, res.Header.Get("ETag"))

	res = a.do("GET", "/v1/audiences/oncall", "read", "")
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, res.body, `"key":"oncall"`)
	require.Contains(t, res.body, `"version":1`)
	require.Equal(t, 304, a.do("GET", "/v1/audiences/oncall", "read", "", `If-None-Match: "1"`).StatusCode)

	// What was read can be written back; a lost update is refused.
	res = a.do("PUT", "/v1/audiences/oncall", "configure", strings.Replace(res.body, "lisi", "wangwu", 1), `If-Match: "1"`)
	require.Equal(t, 200, res.StatusCode, res.body)
	require.Equal(t, `"2"`, res.Header.Get("ETag"))
	require.Equal(t, 412, a.do("PUT", "/v1/audiences/oncall", "configure", spec, `If-Match: "1"`).StatusCode)
	require.Equal(t, 412, a.do("PUT", "/v1/audiences/oncall", "configure", spec, `If-None-Match: *`).StatusCode)
	require.Equal(t, 412, a.do("PUT", "/v1/audiences/other", "configure", spec, `If-Match: *`).StatusCode)
	require.Equal(t, 412, a.do("DELETE", "/v1/audiences/oncall", "configure", "", `If-Match: "1"`).StatusCode)
	require.Equal(t, 412, a.do("DELETE", "/v1/audiences/oncall", "configure", "", `If-Match: W/"2"`).StatusCode, "weak tags do not guard a change")
	require.Equal(t, 412, a.do("DELETE", "/v1/audiences/oncall", "configure", "", `If-Match: `).StatusCode, "a script that has lost its tag")
	require.Equal(t, 304, a.do("GET", "/v1/audiences/oncall", "read", "", `If-None-Match: W/"2"`).StatusCode)
	require.Equal(t, 204, a.do("DELETE", "/v1/audiences/oncall", "configure", "", `If-Match: "2"`).StatusCode)
	require.Equal(t, 404, a.do("GET", "/v1/audiences/oncall", "read", "").StatusCode)

	for _, k := range []string{"c", "a", "b"} {
		require.Equal(t, 201, a.do("PUT", "/v1/audiences/"+k, "configure", `{}`).StatusCode)
	}
	var got []string
	cursor := ""
	for {
		var page struct {
			Items []struct{ Key string }
			Next  string `json:"next_cursor"`
		}
		require.NoError(t, json.Unmarshal([]byte(a.do("GET", "/v1/audiences?limit=2"+cursor, "read", "").body), &page))
		for _, i := range page.Items {
			got = append(got, i.Key)
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	require.Equal(t, []string{"a", "b", "c"}, got)
}

const noisy = `{"content":{"type":"text","text":{"content":"{{ .data.s }}"}},"policy":{"priority":"low","expires_in":"30s","weight":7,"avoid_peak":true,
	"digest":{"key":"{{ .data.s }}","window":"60s","first":"wait","closes":"{{ eq .data.s \"ok\" }}","content":{"type":"text","text":{"content":"{{ .count }}"}}}}}`

func TestScenePolicyRoundTrip(t *testing.T) {
	a := newAPI(t)
	res := a.do("PUT", "/v1/scenes/noisy", "configure", noisy)
	require.Equal(t, 201, res.StatusCode, res.body)
	var put, got struct {
		Policy   json.RawMessage
		Warnings []httpapi.ProblemField
	}
	require.NoError(t, json.Unmarshal([]byte(res.body), &put))
	require.Equal(t, "/policy/digest/window", put.Warnings[0].Pointer)
	require.Contains(t, put.Warnings[0].Message, "expire before their digest")
	res = a.do("GET", "/v1/scenes/noisy", "read", "", "Accept-Language: zh")
	require.NoError(t, json.Unmarshal([]byte(res.body), &got))
	require.JSONEq(t, string(put.Policy), string(got.Policy))
	require.Contains(t, got.Warnings[0].Message, "过期")
	again := a.do("PUT", "/v1/scenes/noisy", "configure", res.body)
	require.Equal(t, 200, again.StatusCode, "what was read can be written back: %s", again.body)

	for policy, want := range map[string]string{
		`{"digest":{"window":"60s","first":"never"}}`: "/policy/digest/first enum",
		`{"digest":{"window":60}}`:                    "/policy/digest/window type",
		`{"digest":{"window":"60s","merge":true}}`:    "/policy/digest/merge unknown",
		`{"weight":0.5}`:                              "/policy/weight type",
		`{"weight":1000}`:                             "/policy/weight range",
		`{"avoid_peak":"yes"}`:                        "/policy/avoid_peak type",
	} {
		for _, lang := range []string{"en", "zh"} {
			res := a.do("PUT", "/v1/scenes/noisy", "configure", `{"content":{"type":"text","text":{"content":"x"}},"policy":`+policy+`}`, "Accept-Language: "+lang)
			require.Equal(t, 422, res.StatusCode, res.body)
			f := res.problem(t).Errors[0]
			require.Equal(t, want, f.Pointer+" "+f.Code)
			require.NotEmpty(t, f.Message)
			require.NotEmpty(t, f.Fix)
		}
	}
}

func TestSecretsAreWriteOnly(t *testing.T) {
	a := newAPI(t)
	const canary = "CANARY-secret-0123456789"
	res := a.do("PUT", "/v1/apps/ops", "configure", `{"corp_id":"ww1","agent_id":7,"secret":"`+canary+`"}`)
	require.Equal(t, 201, res.StatusCode, res.body)
	require.Contains(t, res.body, `"secrets":["secret"]`)
	all := res.body + a.do("GET", "/v1/apps/ops", "read", "").body + a.do("GET", "/v1/apps", "admin", "").body
	// A PUT without the secret keeps it.
	res = a.do("PUT", "/v1/apps/ops", "configure", `{"name":"运维","corp_id":"ww1","agent_id":7}`)
	require.Equal(t, 200, res.StatusCode, res.body)
	require.Contains(t, res.body, `"secrets":["secret"]`)
	require.NotContains(t, all+res.body+a.logs.String(), canary)
	stored, err := a.store.GetResource(t.Context(), domain.ResourceApp, "ops")
	require.NoError(t, err)
	require.Equal(t, canary, stored.Secrets["secret"])
}

func TestSceneHistory(t *testing.T) {
	a := newAPI(t)
	scene := func(text string) string {
		return `{"title":"t","content":{"type":"text","text":{"content":"` + text + `"}},"reason":"r ` + text + `"}`
	}
	res := a.do("PUT", "/v1/scenes/hello", "configure", scene("one"))
	require.Equal(t, 201, res.StatusCode, res.body)
	res = a.do("PUT", "/v1/scenes/hello", "configure", scene("two"), `If-Match: "1"`)
	require.Equal(t, 200, res.StatusCode, res.body)
	require.Equal(t, `"2"`, res.Header.Get("ETag"))
	res = a.do("POST", "/v1/scenes/hello/rollback", "configure", `{"version":1}`)
	require.Equal(t, 200, res.StatusCode, res.body)
	require.Contains(t, res.body, `"one"`)
	var page struct{ Items []httpapi.SceneVersion }
	require.NoError(t, json.Unmarshal([]byte(a.do("GET", "/v1/scenes/hello/versions", "read", "").body), &page))
	require.Len(t, page.Items, 3)
	require.Equal(t, 3, page.Items[0].Version)
	require.True(t, page.Items[0].Live)
	require.Equal(t, "r two", page.Items[1].Reason)
	require.Contains(t, a.do("GET", "/v1/scenes/hello/versions/2", "read", "").body, `"two"`)
	require.Equal(t, 404, a.do("GET", "/v1/scenes/none/versions", "read", "").StatusCode)
}

func TestKeysOverHTTP(t *testing.T) {
	a := newAPI(t)
	res := a.do("POST", "/v1/keys", "admin", `{"name":"erp","scopes":["send","read"],"scenes":["program-alert"],"apps":[],"networks":["127.0.0.0/8"],"expires_at":null,"app":null}`)
	require.Equal(t, 201, res.StatusCode, res.body)
	var k httpapi.Key
	require.NoError(t, json.Unmarshal([]byte(res.body), &k))
	a.key["erp"] = k.Key
	require.Equal(t, 200, a.do("GET", "/v1/messages", "erp", "").StatusCode)
	list := a.do("GET", "/v1/keys", "admin", "").body
	require.Contains(t, list, k.ID)
	require.NotContains(t, list, k.Key)
	require.NotContains(t, list, `"key":`)

	// A key that is limited to a scene does not see others.
	require.Equal(t, 201, a.do("PUT", "/v1/scenes/other", "configure", `{"content":{"type":"text","text":{"content":"x"}}}`).StatusCode)
	require.Equal(t, 404, a.do("GET", "/v1/scenes/other", "erp", "").StatusCode)
	require.NotContains(t, a.do("GET", "/v1/scenes", "erp", "").body, "other")

	require.Equal(t, 204, a.do("DELETE", "/v1/keys/"+k.ID, "admin", "").StatusCode)
	require.Equal(t, 401, a.do("GET", "/v1/messages", "erp", "").StatusCode)
	require.Equal(t, 404, a.do("DELETE", "/v1/keys/key_00000000000000000000000000", "admin", "").StatusCode)
	require.NotContains(t, a.logs.String(), k.Key)
}

func TestErrcodes(t *testing.T) {
	a := newAPI(t)
	var e httpapi.Errcode
	require.NoError(t, json.Unmarshal([]byte(a.do("GET", "/v1/errcodes/60020", "read", "").body), &e))
	require.Equal(t, 60020, e.Code)
	require.NotEmpty(t, e.EN.Fix)
	require.True(t, han(e.ZH.Fix))
}

func TestPanicsStayInside(t *testing.T) {
	a := newAPI(t, func(c *httpapi.Config) {
		c.Ready = func(context.Context) error { panic("SELECT secret FROM users") }
	})
	res := a.do("GET", "/readyz", "", "")
	require.Equal(t, 500, res.StatusCode)
	p := res.problem(t)
	require.Equal(t, domain.CodeInternal, p.Code)
	require.NotContains(t, res.body, "SELECT")
	require.NotContains(t, res.body, ".go")
	require.Contains(t, a.logs.String(), p.RequestID)
}

func TestUnknownErrorsSayNothing(t *testing.T) {
	var fail error
	a := newAPI(t, func(c *httpapi.Config) { c.Ready = func(context.Context) error { return fail } })
	fail = errors.New("dial tcp 10.0.0.7:5432: refused")
	res := a.do("GET", "/readyz", "", "")
	require.Equal(t, 503, res.StatusCode)
	require.NotContains(t, res.body, "10.0.0.7")
	require.NotEmpty(t, res.Header.Get("Retry-After"))
	require.Equal(t, domain.CodeUnavailable, res.problem(t).Code)
}

func TestOneLogLinePerRequest(t *testing.T) {
	a := newAPI(t)
	a.do("GET", "/v1/messages?q=x%0d%0aforged", "read", "", "X-Request-Id: one-line")
	require.Eventually(t, func() bool { return strings.Contains(a.logs.String(), "one-line") }, time.Second, time.Millisecond)
	n := 0
	for line := range strings.Lines(a.logs.String()) {
		require.True(t, json.Valid([]byte(line)), line)
		if strings.Contains(line, "one-line") {
			n++
		}
	}
	require.Equal(t, 1, n)
	require.NotContains(t, a.logs.String(), a.key["read"])
	require.Contains(t, a.logs.String(), `"duration_ms":`)
	require.NotContains(t, a.logs.String(), `"duration":`, "of what?")
}

func TestEventStream(t *testing.T) {
	a := newAPI(t)
	health := func(app string) {
		_, err := a.store.SetAppHealth(t.Context(), domain.AppHealth{App: app, State: domain.HealthPaused, Since: time.Now()})
		require.NoError(t, err)
	}
	health("one")
	health("two")
	open := func(last string) (*bufio.Scanner, context.CancelFunc) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		req, err := http.NewRequestWithContext(ctx, "GET", a.url+"/v1/events/stream", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+a.key["read"])
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		t.Cleanup(func() { _ = res.Body.Close() })
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
		sc := bufio.NewScanner(res.Body)
		require.True(t, sc.Scan())
		require.Equal(t, "retry: 2000", sc.Text())
		return sc, cancel
	}
	next := func(sc *bufio.Scanner) (id, data string) {
		for sc.Scan() {
			if v, ok := strings.CutPrefix(sc.Text(), "id: "); ok {
				id = v
			}
			if v, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
				return id, v
			}
		}
		t.Fatal("the stream ended", sc.Err())
		return
	}
	old, stop := open("0")
	defer stop()
	first, data := next(old)
	require.Contains(t, data, "app.health")
	second, _ := next(old)
	require.NotEqual(t, first, second)

	fresh, stop2 := open("")
	defer stop2()
	health("three")
	id, _ := next(fresh)
	id2, _ := next(old)
	require.Equal(t, id, id2)

	again, stop3 := open(first)
	defer stop3()
	got, _ := next(again)
	require.Equal(t, second, got)
	got, _ = next(again)
	require.Equal(t, id, got)

	a.srv.Close()
	for old.Scan() { //nolint:revive // to the end
	}
	require.NoError(t, old.Err(), "a stop ends streams cleanly")
	require.Equal(t, 503, a.do("GET", "/v1/events/stream", "read", "").StatusCode)
	require.Equal(t, 422, a.do("GET", "/v1/events/stream", "read", "", "Last-Event-ID: x").StatusCode)
}

// A POST to a collection creates under the key in the body, or makes one.
func TestCreateUnderAMadeKey(t *testing.T) {
	a := newAPI(t)
	for _, kind := range []struct{ path, spec string }{
		{"/v1/audiences", `"users":["lisi"]`},
		{"/v1/apps", `"corp_id":"ww0123456789abcdef","agent_id":1000002,"secret":"a-secret-of-43-characters-0123456789-0123456"`},
		{"/v1/scenes", `"title":"t","content":{"type":"text","text":{"content":"x"}}`},
	} {
		made := a.do("POST", kind.path, "configure", `{`+kind.spec+`}`)
		require.Equal(t, 201, made.StatusCode, "%s: %s", kind.path, made.body)
		require.Equal(t, `"1"`, made.Header.Get("ETag"))
		at := made.Header.Get("Location")
		require.Regexp(t, `^`+kind.path+`/[a-z0-9]{16}$`, at)
		got := a.do("GET", at, "read", "")
		require.Equal(t, 200, got.StatusCode)
		require.Equal(t, made.body, got.body)

		named := a.do("POST", kind.path, "configure", `{"key":"named",`+kind.spec+`}`)
		require.Equal(t, 201, named.StatusCode, named.body)
		require.Equal(t, kind.path+"/named", named.Header.Get("Location"))
		again := a.do("POST", kind.path, "configure", `{"key":"named",`+kind.spec+`}`)
		require.Equal(t, 409, again.StatusCode, "it never replaces: %s", again.body)
		require.Contains(t, again.problem(t).Detail, `"named"`)
		require.Equal(t, 422, a.do("POST", kind.path, "configure", `{"key":"Bad Key",`+kind.spec+`}`).StatusCode)
		require.Equal(t, 403, a.do("POST", kind.path, "read", `{}`).StatusCode)
	}
}

// A request without a path is one for the root, not a redirect to it.
func TestEmptyPath(t *testing.T) {
	a := newAPI(t)
	for line, status := range map[string]int{"CONNECT a:80 HTTP/1.1": 405, "BREW http://a HTTP/1.1": 405, "POST http://a HTTP/1.1": 405, "GET http://a HTTP/1.1": 302} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "%s\r\nHost: a\r\n\r\n", line)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, status, res.StatusCode, line)
		require.NotEmpty(t, res.Header.Get("X-Request-Id"))
	}
}
