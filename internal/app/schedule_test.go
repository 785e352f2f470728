package app_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/app"
	"hongyan/sandbox"
)

func plannedAlert(change obj) obj {
	s := obj{"name": "早报", "cron": "0 9 * * 1-5", "message": obj{
		"scene": "alert", "to": obj{"users": []string{"load-1"}}, "data": obj{"service": "billing", "error": "all quiet"}, "reference": "daily",
	}}
	for k, v := range change {
		s[k] = v
	}
	return s
}

func plannedMessage(change obj) obj {
	s := plannedAlert(nil)
	m := s["message"].(obj)
	for k, v := range change {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	return s
}

func TestScheduleLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	made := w.try("PUT", "/v1/schedules/daily", plannedAlert(nil))
	require.Equal(t, 201, made.status, "%s", made.raw)
	require.Equal(t, `"1"`, made.header.Get("ETag"))
	require.Equal(t, "Asia/Shanghai", made.str("zone"))
	require.Equal(t, "5m", made.str("catch_up"))
	require.Equal(t, true, made.body["enabled"])
	require.Nil(t, made.body["last_run"])
	next := made.body["next_runs"].([]any)
	require.Len(t, next, 5)
	first, err := time.Parse(time.RFC3339, next[0].(string))
	require.NoError(t, err)
	require.True(t, first.After(time.Now()))
	require.True(t, strings.HasSuffix(next[0].(string), "T09:00:00+08:00"), next[0])

	// What was read can be written back; a stale ETag is refused.
	back := made.body
	back["name"] = "晨报"
	again := w.must("PUT", "/v1/schedules/daily", back, "If-Match", `"1"`)
	require.Equal(t, 200, again.status)
	require.Equal(t, "晨报", again.str("name"))
	require.Equal(t, 412, w.try("PUT", "/v1/schedules/daily", back, "If-Match", `"1"`).status)
	require.Equal(t, 412, w.try("PUT", "/v1/schedules/daily", back, "If-None-Match", "*").status)

	p := w.must("POST", "/v1/schedules/daily/preview", nil)
	require.Len(t, p.body["next_runs"], 5)
	body := p.body["deliveries"].([]any)[0].(obj)["body"].(string)
	require.Contains(t, body, "[billing] 程序预警")
	draft := plannedMessage(obj{"data": obj{"service": "draft", "error": "x"}})
	draft["cron"], draft["enabled"] = "@hourly", false
	p = w.must("POST", "/v1/schedules/new-one/preview", obj{"draft": draft})
	require.Contains(t, string(p.raw), "[draft] 程序预警")
	require.Len(t, p.body["next_runs"], 5, "when it would run, were it on")
	require.Equal(t, 404, w.try("POST", "/v1/schedules/new-one/preview", nil).status)
	bad := w.try("POST", "/v1/schedules/daily/preview", obj{"draft": plannedMessage(obj{"data": obj{}})})
	require.Equal(t, 422, bad.status)
	require.Contains(t, string(bad.raw), `"/draft/message/data/service"`)

	run := w.must("POST", "/v1/schedules/daily/run", nil, "Idempotency-Key", "by-hand")
	require.Equal(t, 202, run.status)
	require.Equal(t, "/v1/messages/"+run.str("id"), run.header.Get("Location"))
	twice := w.must("POST", "/v1/schedules/daily/run", nil, "Idempotency-Key", "by-hand")
	require.Equal(t, run.str("id"), twice.str("id"))
	require.Equal(t, "true", twice.header.Get("Idempotency-Replayed"))
	eventually(t, "the run is sent", func() bool { return w.message(run.str("id")).str("state") == "sent" })
	box := w.wecom.Inbox("load-1", 10)
	require.Len(t, box, 1)
	require.Contains(t, string(box[0].Content), "[billing] 程序预警")
	m := w.message(run.str("id"))
	require.Equal(t, "schedule:daily", m.str("source"))
	require.Equal(t, "daily", m.str("reference"))
	require.Len(t, w.must("GET", "/v1/messages?source=schedule:daily", nil).body["items"], 1)
	last := w.must("GET", "/v1/schedules/daily", nil).body["last_run"].(obj)
	require.Equal(t, "made", last["result"])
	require.Equal(t, run.str("id"), last["message_id"])
	require.Nil(t, last["planned_at"], "made by hand")
	require.Nil(t, last["error"])

	w.must("PUT", "/v1/schedules/alpha", plannedAlert(obj{"enabled": false}))
	page := w.must("GET", "/v1/schedules?limit=1", nil)
	require.Equal(t, "alpha", page.body["items"].([]any)[0].(obj)["key"])
	require.Empty(t, page.body["items"].([]any)[0].(obj)["next_runs"])
	page = w.must("GET", "/v1/schedules?limit=1&cursor="+page.str("next_cursor"), nil)
	require.Equal(t, "daily", page.body["items"].([]any)[0].(obj)["key"])
	require.Nil(t, page.body["next_cursor"])

	// What a schedule that is on needs cannot be deleted. One that is off keeps
	// nothing, and cannot be switched on when its scene is gone.
	kept := w.try("DELETE", "/v1/scenes/alert", nil)
	require.Equal(t, 409, kept.status)
	require.Equal(t, "in_use", kept.str("code"))
	require.Equal(t, `scene "alert" is used by schedule "daily"`, kept.str("detail"))
	kept = w.try("DELETE", "/v1/scenes/alert", nil, "Accept-Language", "zh")
	require.Contains(t, kept.str("detail"), `正被使用：schedule "daily"`)
	require.Contains(t, kept.str("fix"), "停用")
	require.Equal(t, 200, w.try("PUT", "/v1/schedules/daily", plannedAlert(obj{"enabled": false})).status)
	w.must("DELETE", "/v1/scenes/alert", nil)
	require.Equal(t, 422, w.try("PUT", "/v1/schedules/daily", plannedAlert(nil)).status)
	require.Equal(t, 200, w.try("PUT", "/v1/schedules/daily", plannedAlert(obj{"enabled": false, "name": "off"})).status)
	gone := w.try("POST", "/v1/schedules/daily/run", nil)
	require.Equal(t, 422, gone.status)
	require.Equal(t, "scene_not_found", gone.str("code"))

	require.Equal(t, 412, w.try("DELETE", "/v1/schedules/daily", nil, "If-Match", `"1"`).status)
	require.Equal(t, 204, w.try("DELETE", "/v1/schedules/daily", nil).status)
	require.Equal(t, 404, w.try("GET", "/v1/schedules/daily", nil).status)
	require.Equal(t, 404, w.try("DELETE", "/v1/schedules/daily", nil).status)
}

// TestScheduleRefusals: what a send would refuse a schedule refuses, with
// pointers into its message, and what is its own besides; in both languages.
// A POST makes the key where none is given, as for every other resource.
func TestScheduleWithAMadeKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	made := w.try("POST", "/v1/schedules", plannedAlert(nil))
	require.Equal(t, 201, made.status, "%s", made.raw)
	require.NotEmpty(t, made.str("key"))
	require.Equal(t, "/v1/schedules/"+made.str("key"), made.header.Get("Location"))
	require.Equal(t, made.str("cron"), w.must("GET", made.header.Get("Location"), nil).str("cron"))
	named := w.try("POST", "/v1/schedules", plannedAlert(obj{"key": "daily"}))
	require.Equal(t, 201, named.status, "%s", named.raw)
	require.Equal(t, "/v1/schedules/daily", named.header.Get("Location"))
	again := w.try("POST", "/v1/schedules", plannedAlert(obj{"key": "daily"}))
	require.Equal(t, 409, again.status, "%s", again.raw)
	require.Equal(t, "/v1/schedules/late", w.try("PUT", "/v1/schedules/late", plannedAlert(nil)).header.Get("Location"))
	require.Equal(t, 422, w.try("POST", "/v1/schedules?dry_run=true", plannedAlert(nil)).status)
}

func TestScheduleRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	upload := obj{"scene": nil, "data": nil, "app": "ops", "type": "image", "content": obj{"media": obj{"upload": "upl_00000000000000000000000000"}}}
	for _, c := range []struct {
		name    string
		body    obj
		code    string
		pointer string
		en, zh  string // a part of the field's message
	}{
		{"no cron", plannedAlert(obj{"cron": ""}), "invalid", "/cron", "is missing", "缺少必填项"},
		{"four fields", plannedAlert(obj{"cron": "0 9 * *"}), "invalid", "/cron", "not a cron expression: expected exactly 5 fields", "不是合法的 cron 表达式"},
		{"every", plannedAlert(obj{"cron": "@every 1h"}), "invalid", "/cron", "no fixed times", "不是合法的 cron 表达式"},
		{"30 February", plannedAlert(obj{"cron": "0 0 30 2 *"}), "invalid", "/cron", "never comes about", "永远不会到来"},
		{"zone", plannedAlert(obj{"zone": "Mars/Olympus"}), "invalid", "/zone", "not an IANA time zone", "不是 IANA 时区名"},
		{"machine's zone", plannedAlert(obj{"zone": "Local"}), "invalid", "/zone", "not an IANA time zone", "不是 IANA 时区名"},
		{"catch_up in words", plannedAlert(obj{"catch_up": "a day"}), "invalid", "/catch_up", "is not a duration", "不是时长"},
		{"catch_up too long", plannedAlert(obj{"catch_up": "25h"}), "invalid", "/catch_up", "between 0s and 24h", "必须在 0s 与 24h 之间"},
		{"catch_up negative", plannedAlert(obj{"catch_up": "-1s"}), "invalid", "/catch_up", "between 0s and 24h", "必须在 0s 与 24h 之间"},
		{"long name", plannedAlert(obj{"name": strings.Repeat("名", 67)}), "invalid", "/name", "too long", "最多 200 字节"},
		{"enabled in words", plannedAlert(obj{"enabled": "yes"}), "invalid", "/enabled", "must be boolean", "必须是 boolean"},
		{"unknown field", plannedAlert(obj{"croon": "x"}), "invalid", "/croon", "not known", "未知字段"},
		{"other key", plannedAlert(obj{"key": "other"}), "invalid", "/key", "as in the path", "与路径一致"},
		{"send_at", plannedMessage(obj{"send_at": "2030-01-01T00:00:00Z"}), "invalid", "/message/send_at", "means nothing here", "此处不允许"},
		{"dry_run", plannedMessage(obj{"dry_run": true}), "invalid", "/message/dry_run", "means nothing here", "此处不允许"},
		{"an upload", plannedMessage(upload), "invalid", "/message/content/media/upload", "72 hours", "此处不允许"},
		{"no message", obj{"cron": "@daily"}, "invalid", "/message/scene", "is missing", "缺少必填项"},
		{"unknown scene", plannedMessage(obj{"scene": "nope"}), "scene_not_found", "/message/scene", "no such scene", "没有这个场景"},
		{"unknown app", plannedMessage(obj{"app": "nope"}), "app_not_found", "/message/app", "no such app", "没有这个应用"},
		{"missing variable", plannedMessage(obj{"data": obj{"service": "x"}}), "invalid", "/message/data/error", "missing", "缺少必填项"},
		{"unknown field in the message", plannedMessage(obj{"prio": "high"}), "invalid", "/message/prio", "not known", "未知字段"},
		{"bad priority", plannedMessage(obj{"priority": "asap"}), "invalid", "/message/priority", "is not a priority", "不是允许的取值"},
		{"bad expires_in", plannedMessage(obj{"expires_in": "soon"}), "invalid", "/message/expires_in", "is not a duration", "格式不正确"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for lang, want := range map[string]string{"en": c.en, "zh": c.zh} {
				a := w.try("PUT", "/v1/schedules/daily", c.body, "Accept-Language", lang)
				require.Equal(t, 422, a.status, "%s", a.raw)
				require.Equal(t, c.code, a.str("code"))
				var found obj
				fields, _ := a.body["errors"].([]any)
				for _, f := range fields {
					if e := f.(obj); e["pointer"] == c.pointer {
						found = e
					}
				}
				require.NotNil(t, found, "want %s in %s", c.pointer, a.raw)
				require.Contains(t, found["message"], want)
				require.NotEmpty(t, found["fix"])
			}
		})
	}
	require.Empty(t, w.must("GET", "/v1/schedules", nil).body["items"])
	require.Equal(t, 404, w.try("PUT", "/v1/schedules/daily/nope", plannedAlert(nil)).status)
	require.Equal(t, 422, w.try("PUT", "/v1/schedules/Daily", plannedAlert(nil)).status)
}

// TestScheduleRights: a limited key sees, makes and runs only what it could
// send itself, and a run may do no more than the key that saved it.
func TestScheduleRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	scene := w.must("GET", "/v1/scenes/alert", nil)
	w.must("PUT", "/v1/scenes/secret", obj{"code": 913, "app": "ops", "variables": scene.body["variables"], "content": scene.body["content"]})
	key := func(limits obj, scopes ...string) string {
		limits["name"], limits["scopes"] = "limited", scopes
		return "Bearer " + w.must("POST", "/v1/keys", limits).str("key")
	}
	mine := key(obj{"scenes": []string{"alert"}}, "configure", "read", "operate")
	otherApp := key(obj{"apps": []string{"elsewhere"}}, "configure", "read")
	for _, ref := range []any{"secret", 913} {
		require.Equal(t, 403, w.try("PUT", "/v1/schedules/a", plannedMessage(obj{"scene": ref}), "Authorization", mine).status)
	}
	direct := plannedMessage(obj{"scene": nil, "data": nil, "type": "text", "content": obj{"content": "x"}})
	require.Equal(t, 403, w.try("PUT", "/v1/schedules/a", direct, "Authorization", mine).status)
	require.Equal(t, 403, w.try("PUT", "/v1/schedules/a", plannedAlert(nil), "Authorization", otherApp).status)
	require.Equal(t, 201, w.try("PUT", "/v1/schedules/a", plannedAlert(nil), "Authorization", mine).status)
	require.Equal(t, 201, w.try("PUT", "/v1/schedules/b", plannedMessage(obj{"scene": 913})).status)
	require.Equal(t, 201, w.try("PUT", "/v1/schedules/c", direct).status)

	seen := func(auth string) (keys []string) {
		for _, i := range w.must("GET", "/v1/schedules", nil, "Authorization", auth).body["items"].([]any) {
			keys = append(keys, i.(obj)["key"].(string))
		}
		return keys
	}
	require.Equal(t, []string{"a"}, seen(mine))
	require.Empty(t, seen(otherApp))
	require.Equal(t, []string{"a", "b", "c"}, seen("Bearer "+testKey))
	for _, hidden := range []string{"b", "c"} {
		require.Equal(t, 404, w.try("GET", "/v1/schedules/"+hidden, nil, "Authorization", mine).status)
		require.Equal(t, 404, w.try("DELETE", "/v1/schedules/"+hidden, nil, "Authorization", mine).status)
		require.Equal(t, 404, w.try("POST", "/v1/schedules/"+hidden+"/run", nil, "Authorization", mine).status)
		require.Equal(t, 404, w.try("POST", "/v1/schedules/"+hidden+"/preview", nil, "Authorization", mine).status)
		require.Equal(t, 403, w.try("PUT", "/v1/schedules/"+hidden, plannedAlert(nil), "Authorization", mine).status)
	}
	require.Equal(t, 202, w.try("POST", "/v1/schedules/a/run", nil, "Authorization", mine).status)

	// The scene moves to an app that its schedule's key could not use.
	appKey := key(obj{"apps": []string{"ops"}}, "configure")
	require.Equal(t, 200, w.try("PUT", "/v1/schedules/a", plannedAlert(nil), "Authorization", appKey).status)
	a := w.must("GET", "/v1/apps/ops", nil).body
	w.must("PUT", "/v1/apps/hr", obj{"corp_id": a["corp_id"], "agent_id": 1000003, "secret": "other", "base_url": a["base_url"]})
	moved := scene.body
	moved["app"] = "hr"
	w.must("PUT", "/v1/scenes/alert", moved)
	require.Equal(t, 403, w.try("POST", "/v1/schedules/a/run", nil).status, "not even for somebody who could")
}

// TestSchedulesInTheWholeProduct lets an hour pass on virtual time: the run
// comes, in the message list, in the timeline and in the metrics.
func TestSchedulesInTheWholeProduct(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "")
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		a, err := app.New(ctx, cfg, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		require.NoError(t, a.Start(ctx))
		defer func() {
			require.NoError(t, a.Stop(ctx))
			require.NoError(t, a.Close(ctx))
		}()
		call := func(method, path string, body obj, headers ...string) obj {
			raw := []byte{}
			if body != nil {
				var err error
				raw, err = json.Marshal(body)
				require.NoError(t, err)
			}
			req := httptest.NewRequest(method, path, strings.NewReader(string(raw)))
			req.Header.Set("Authorization", "Bearer "+testKey)
			for i := 0; i+1 < len(headers); i += 2 {
				req.Header.Set(headers[i], headers[i+1])
			}
			rec := httptest.NewRecorder()
			a.Handler().ServeHTTP(rec, req)
			require.Less(t, rec.Code, 300, "%s %s: %s", method, path, rec.Body)
			var out obj
			_ = json.Unmarshal(rec.Body.Bytes(), &out)
			return out
		}
		call("PUT", "/v1/apps/ops", obj{"corp_id": "ww1", "agent_id": 1, "secret": "s", "base_url": "http://127.0.0.1:9"})
		call("POST", "/v1/apps/ops/pause", nil)
		call("PUT", "/v1/scenes/note", obj{"app": "ops", "content": obj{"type": "text", "text": obj{"content": "{{ .data.n }}"}}})
		call("PUT", "/v1/schedules/daily", obj{"cron": "10,20 8 * * *", "message": obj{"scene": "note", "to": obj{"users": []string{"a"}}, "data": obj{"n": "1"}}})
		time.Sleep(15 * time.Minute) // it is eight o'clock in Shanghai
		s := call("GET", "/v1/schedules/daily", nil)
		last := s["last_run"].(obj)
		require.Equal(t, "made", last["result"])
		require.Equal(t, "2000-01-01T00:10:00Z", last["planned_at"])
		m := call("GET", "/v1/messages/"+last["message_id"].(string), nil)
		require.Equal(t, "schedule:daily", m["source"])
		require.Equal(t, "2000-01-01T08:20:00+08:00", s["next_runs"].([]any)[0])

		call("PUT", "/v1/scenes/note", obj{"app": "ops", "variables": obj{"required": []string{"m"}}, "content": obj{"type": "text", "text": obj{"content": "{{ .data.m }}"}}})
		time.Sleep(15 * time.Minute)
		for lang, want := range map[string]string{"en": "The request is not valid: /message/data/m: is missing", "zh": "请求内容不合法：/message/data/m：缺少必填项"} {
			last = call("GET", "/v1/schedules/daily", nil, "Accept-Language", lang)["last_run"].(obj)
			require.Equal(t, "failed", last["result"])
			require.Equal(t, "invalid", last["code"])
			require.Equal(t, want, last["error"])
			require.Nil(t, last["message_id"])
		}

		// What the key may do that saved it, it may not do for an app to which
		// somebody else has moved the scene.
		key := call("POST", "/v1/keys", obj{"name": "ops", "scopes": []string{"send", "configure", "read"}, "apps": []string{"ops"}})["key"].(string)
		call("PUT", "/v1/apps/other", obj{"corp_id": "ww1", "agent_id": 2, "secret": "s", "base_url": "http://127.0.0.1:9"})
		call("PUT", "/v1/schedules/daily", obj{"cron": "@hourly", "message": obj{"scene": "note", "to": obj{"users": []string{"a"}}, "data": obj{"m": "1"}}}, "Authorization", "Bearer "+key)
		call("PUT", "/v1/scenes/note", obj{"app": "other", "content": obj{"type": "text", "text": obj{"content": "{{ .data.m }}"}}})
		time.Sleep(time.Hour)
		for lang, want := range map[string]string{"en": "this key may not use scene \"note\"", "zh": "该密钥无权使用场景 \"note\"。"} {
			last = call("GET", "/v1/schedules/daily", nil, "Accept-Language", lang)["last_run"].(obj)
			require.Equal(t, "forbidden", last["code"])
			require.Equal(t, want, last["error"])
		}
	})
}
