package app_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// TestBadInput sends thirty wrong requests. Each gets the right status and a
// problem that names field and fix in both languages, and nothing is stored.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	reader := w.must("POST", "/v1/keys", obj{"name": "reader", "scopes": []string{"read"}}).str("key")
	other := w.must("POST", "/v1/keys", obj{"name": "other", "scopes": []string{"send"}, "scenes": []string{"elsewhere"}}).str("key")
	good := func(change obj) obj {
		m := alert(1)
		for k, v := range change {
			if v == nil {
				delete(m, k)
			} else {
				m[k] = v
			}
		}
		return m
	}
	direct := func(typ string, content obj) obj {
		return obj{"app": "ops", "type": typ, "content": content, "to": obj{"users": []string{"zhangsan"}}}
	}
	post := "POST /v1/messages"
	for _, c := range []struct {
		name    string
		route   string
		body    any
		headers []string
		status  int
		code    string
		pointer string // empty: the problem names no field
	}{
		{"not json", post, `{"scene":`, nil, 400, "malformed_json", ""},
		{"trailing garbage", post, `{} {}`, nil, 400, "malformed_json", ""},
		{"root is an array", post, `[]`, nil, 422, "invalid", ""},
		{"root is a string", post, `"hi"`, nil, 422, "invalid", ""},
		{"unknown field", post, good(obj{"scence": "x"}), nil, 422, "invalid", "/scence"},
		{"wrong type of to", post, good(obj{"to": "zhangsan"}), nil, 422, "invalid", "/to"},
		{"wrong type inside to", post, good(obj{"to": obj{"users": []any{1}}}), nil, 422, "invalid", "/to/users/0"},
		{"unknown scene key", post, good(obj{"scene": "nope"}), nil, 422, "scene_not_found", "/scene"},
		{"unknown scene code", post, good(obj{"scene": 4711}), nil, 422, "scene_not_found", "/scene"},
		{"missing variable", post, good(obj{"data": obj{"service": "x"}}), nil, 422, "invalid", "/data/error"},
		{"mistyped variable", post, good(obj{"data": obj{"service": 5, "error": "x"}}), nil, 422, "invalid", "/data/service"},
		{"nobody", post, direct("text", obj{"content": "x"}), nil, 202, "", ""}, // the control: this one is right
		{"empty to", post, obj{"app": "ops", "type": "text", "content": obj{"content": "x"}, "to": obj{}}, nil, 422, "invalid", "/to"},
		{"bad priority", post, good(obj{"priority": "asap"}), nil, 422, "invalid", "/priority"},
		{"bad send_at", post, good(obj{"send_at": "tomorrow"}), nil, 422, "invalid", "/send_at"},
		{"bad expires_in", post, good(obj{"expires_in": "-5s"}), nil, 422, "invalid", "/expires_in"},
		{"unknown app", post, obj{"app": "nope", "type": "text", "content": obj{"content": "x"}, "to": obj{"users": []string{"a"}}}, nil, 422, "app_not_found", "/app"},
		{"unknown type", post, direct("hologram", obj{}), nil, 422, "invalid", "/type"},
		{"type number 9", post, obj{"app": "ops", "type": 9, "content": obj{}, "to": obj{"users": []string{"a"}}}, nil, 422, "invalid", "/type"},
		{"text without content", post, direct("text", obj{}), nil, 422, "invalid", "/content/content"},
		{"card without url", post, direct("textcard", obj{"title": "a", "description": "b"}), nil, 422, "invalid", "/content/url"},
		{"card url without scheme", post, direct("textcard", obj{"title": "a", "description": "b", "url": "example.com"}), nil, 422, "invalid", "/content/url"},
		{"nine articles", post, direct("news", obj{"articles": strings.Split("123456789", "")}), nil, 422, "invalid", "/content/articles"},
		{"oversize with reject", post, obj{"app": "ops", "type": "text", "overflow": "reject", "content": obj{"content": strings.Repeat("长", 1000)}, "to": obj{"users": []string{"a"}}}, nil, 422, "invalid", "/content/content"},
		{"image that is text", post, direct("image", obj{"media": obj{"base64": "aGVsbG8gd29ybGQ=", "filename": "a.png"}}), nil, 422, "invalid", "/content/media"},
		{"too many users", post, good(obj{"to": obj{"users": make([]string, 1)}}), nil, 422, "invalid", "/to/users/0"},
		{"no key", post, alert(1), []string{"Authorization", ""}, 401, "unauthorized", ""},
		{"wrong key", post, alert(1), []string{"Authorization", "Bearer hy_wrongwrongwrongwrongwrongwrongwrong"}, 401, "unauthorized", ""},
		{"key in the url", "POST /v1/messages?key=hy_secret", alert(1), nil, 400, "key_in_url", ""},
		{"missing scope", post, alert(1), []string{"Authorization", "Bearer " + reader}, 403, "forbidden", ""},
		{"other scene's key", post, alert(1), []string{"Authorization", "Bearer " + other}, 403, "forbidden", ""},
		{"wrong method", "PATCH /v1/messages", alert(1), nil, 405, "method_not_allowed", ""},
		{"no such path", "GET /v1/massages", nil, nil, 404, "not_found", ""},
		{"no such message", "GET /v1/messages/msg_00000000000000000000000000", nil, nil, 404, "not_found", ""},
		{"form body", post, "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type", ""},
		{"huge body", "PUT /v1/apps/big", `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, "too_large", ""},
		{"long idempotency key", post, alert(1), []string{"Idempotency-Key", strings.Repeat("k", 256)}, 422, "invalid", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			method, path, _ := strings.Cut(c.route, " ")
			for _, lang := range []string{"en", "zh"} {
				a := w.try(method, path, c.body, append([]string{"Accept-Language", lang}, c.headers...)...)
				require.Equal(t, c.status, a.status, "%s", a.raw)
				if c.code == "" {
					return
				}
				require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
				require.Equal(t, c.code, a.str("code"), "%s", a.raw)
				require.NotEmpty(t, a.str("request_id"))
				require.Equal(t, a.header.Get("X-Request-Id"), a.str("request_id"))
				require.Equal(t, lang == "zh", strings.ContainsFunc(a.str("title"), func(r rune) bool { return r > 0x2e80 }), a.str("title"))
				if c.pointer == "" {
					continue
				}
				fields, _ := a.body["errors"].([]any)
				require.NotEmpty(t, fields, "%s", a.raw)
				var pointers []string
				for _, f := range fields {
					e := f.(obj)
					pointers = append(pointers, e["pointer"].(string))
					require.NotEmpty(t, e["code"])
					require.NotEmpty(t, e["message"])
					require.NotEmpty(t, e["fix"])
				}
				ok := false
				for _, p := range pointers {
					ok = ok || p == c.pointer || strings.HasPrefix(p, c.pointer+"/")
				}
				require.True(t, ok, "want %s in %v", c.pointer, pointers)
			}
		})
	}
	list := w.must("GET", "/v1/messages?limit=200", nil).body["items"].([]any)
	require.Len(t, list, 1, "only the control was stored")
}

func TestSlowBodyIsCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes the ten seconds that a body may take")
	}
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", w.key)
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "408")
}

// TestLiveEdit changes a scene under way: the next message has the new look,
// a rollback the old one.
func TestLiveEdit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	title := func() string {
		w.send(alert(1))
		box := w.wecom.Inbox("load-1", 10)
		for _, e := range box {
			if e.ID == w.wecom.Counts().Taken {
				return string(e.Content)
			}
		}
		return ""
	}
	require.Contains(t, title(), "程序预警")
	scene := w.must("GET", "/v1/scenes/alert", nil)
	etag := scene.header.Get("ETag")
	require.NotEmpty(t, etag)
	edit := obj{
		"code": 912, "title": "程序预警", "app": "ops", "reason": "wrong phone number",
		"variables": scene.body["variables"],
		"content":   obj{"type": "textcard", "textcard": obj{"title": "新标题 {{ .data.service }}", "description": "{{ .data.error }}", "url": "https://ops.example.com/"}},
	}
	w.must("PUT", "/v1/scenes/alert", edit, "If-Match", etag)
	require.Contains(t, title(), "新标题")
	lost := w.try("PUT", "/v1/scenes/alert", edit, "If-Match", etag)
	require.Equal(t, 412, lost.status, "a lost update is refused")
	w.must("POST", "/v1/scenes/alert/rollback", obj{"version": 1})
	require.Contains(t, title(), "[billing] 程序预警")
	versions := w.must("GET", "/v1/scenes/alert/versions", nil).body["items"].([]any)
	require.Len(t, versions, 3)
	p := w.must("POST", "/v1/scenes/alert/preview", obj{"data": obj{"service": "s", "error": "<b>&</b>"}, "version": 2})
	body := p.body["deliveries"].([]any)[0].(obj)["body"].(string)
	require.Contains(t, body, "新标题 s")
	require.NotContains(t, body, "<b>", "values cannot bring markup into a card")
}

func TestCancelAndResend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	later := alert(1)
	later["send_at"] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	a := w.must("POST", "/v1/messages", later)
	m := w.message(a.str("id"))
	require.Equal(t, "scheduled", m.str("state"))
	require.Equal(t, "scheduled", m.str("wait_reason"))
	require.NotNil(t, m.body["next_attempt_at"])
	w.must("POST", "/v1/messages/"+a.str("id")+"/cancel", nil)
	require.Equal(t, "cancelled", w.message(a.str("id")).str("state"))
	require.Equal(t, 409, w.try("POST", "/v1/messages/"+a.str("id")+"/cancel", nil).status)

	r := w.must("POST", "/v1/messages/"+a.str("id")+"/resend", obj{})
	eventually(t, "the resend is sent", func() bool { return w.message(r.str("id")).str("state") == "sent" })
	require.Equal(t, a.str("id"), w.message(r.str("id")).str("resend_of"))
	require.Len(t, w.wecom.Inbox("load-1", 10), 1)
	require.Equal(t, 409, w.try("POST", "/v1/messages/"+r.str("id")+"/resend", obj{}).status, "nobody failed")
	again := w.must("POST", "/v1/messages/"+r.str("id")+"/resend", obj{"only": "all", "render": "latest"})
	eventually(t, "and again", func() bool { return w.message(again.str("id")).str("state") == "sent" })
	require.Len(t, w.wecom.Inbox("load-1", 10), 2)
}

// Warnings are in the caller's language: of a dry run, a preview, a send, and of
// the answer that an Idempotency-Key remembers.
func TestWarningsSpeakTheCallersLanguage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	long := obj{"app": "ops", "type": "text", "content": obj{"content": strings.Repeat("长", 1000)}, "to": obj{"users": []string{"lisi"}}, "digest_key": "x"}
	once := []string{"Idempotency-Key", "once", "Accept-Language"}
	want := map[string][]any{
		"en": {"/content/content has 3000 bytes and goes out as 2 messages", "digest_key has no effect: the scene has no digest policy"},
		"zh": {"/content/content 有 3000 字节，将分为 2 条消息发送", "digest_key 不起作用：该场景没有合并（digest）策略"},
	}
	for range 2 { // the second time from memory
		for lang, texts := range want {
			require.Equal(t, texts, w.must("POST", "/v1/messages", long, append(once, lang)...).body["warnings"], lang)
		}
	}
	long["dry_run"] = true
	for lang, texts := range want {
		require.Equal(t, texts, w.must("POST", "/v1/messages", long, "Accept-Language", lang).body["warnings"], lang)
	}
	card := w.must("POST", "/v1/scenes/alert/preview", obj{"data": obj{"service": "a", "error": strings.Repeat("x", 600)}}, "Accept-Language", "zh")
	require.Contains(t, card.body["warnings"].([]any)[0], "截断")
}

// Names that stand for nothing are told of where they are written: what they
// name may follow, and until then a send is refused.
func TestNamesThatStandForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	found := func(a answer) (out []string) {
		list, _ := a.body["warnings"].([]any)
		for _, x := range list {
			out = append(out, fmt.Sprint(x.(map[string]any)["pointer"], " ", x.(map[string]any)["message"]))
		}
		return out
	}
	text := obj{"type": "text", "text": obj{"content": "x"}}
	scene := obj{"app": "ops", "content": text, "to": obj{"audiences": []string{"later"}, "robots": []string{"nowhere"}}}
	en := []string{"/to/audiences/0 there is no such audience", "/to/robots/0 there is no such robot"}
	require.Equal(t, en, found(w.must("PUT", "/v1/scenes/note?dry_run=true", scene)))
	require.Equal(t, en, found(w.must("PUT", "/v1/scenes/note", scene)))
	require.Equal(t, []string{"/to/audiences/0 没有这个接收组", "/to/robots/0 没有这个机器人"}, found(w.must("GET", "/v1/scenes/note", nil, "Accept-Language", "zh")))
	require.Equal(t, []string{"/audiences/0 there is no such audience"}, found(w.must("PUT", "/v1/audiences/all", obj{"audiences": []string{"later"}})))
	w.must("PUT", "/v1/audiences/later", obj{"users": []string{"load-1"}})
	require.Empty(t, found(w.must("GET", "/v1/audiences/all", nil)))
	require.Equal(t, en[1:], found(w.must("GET", "/v1/scenes/note", nil)))
	key := w.must("POST", "/v1/keys", obj{"name": "x", "scopes": []string{"send"}, "scenes": []string{"note", "nowhere"}, "apps": []string{"ops", "nowhere"}, "app": "nowhere"})
	require.Equal(t, []string{"/scenes/1 there is no such scene", "/apps/1 there is no such app", "/app there is no such app"}, found(key))
	require.NotContains(t, string(w.must("GET", "/v1/keys", nil).raw), "warnings")
}

// A resend is repeated under its Idempotency-Key as a send is.
func TestResendOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	first, second := w.send(alert(1)).str("id"), w.send(alert(2)).str("id")
	resend := func(id string, body any, headers ...string) answer {
		return w.try("POST", "/v1/messages/"+id+"/resend", body, headers...)
	}
	once := []string{"Idempotency-Key", "once"}
	r := resend(first, obj{"only": "all"}, once...)
	require.Equal(t, 202, r.status, "%s", r.raw)
	require.Empty(t, r.header.Get("Idempotency-Replayed"))
	for _, body := range []any{obj{"only": "all"}, `{ "only" : "\u0061ll" }`} {
		again := resend(first, body, once...)
		require.Equal(t, 202, again.status, "%s", again.raw)
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		require.Equal(t, r.str("id"), again.str("id"))
		require.Equal(t, "/v1/messages/"+r.str("id"), again.header.Get("Location"))
	}
	for _, c := range []struct {
		name string
		try  func() answer
	}{
		{"another body", func() answer { return resend(first, obj{"only": "all", "render": "latest"}, once...) }},
		{"another message", func() answer { return resend(second, obj{"only": "all"}, once...) }},
		{"another action", func() answer { return w.try("POST", "/v1/messages", alert(1), once...) }},
	} {
		a := c.try()
		require.Equal(t, 422, a.status, "%s: %s", c.name, a.raw)
		require.Equal(t, "idempotency_mismatch", a.str("code"), c.name)
	}
	require.Equal(t, 422, resend(first, obj{"only": "all"}, "Idempotency-Key", strings.Repeat("k", 256)).status)

	// Without a body, and for those who do not get it otherwise.
	later := alert(3)
	later["send_at"] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	open := w.must("POST", "/v1/messages", later).str("id")
	require.Equal(t, 409, resend(open, nil, "Idempotency-Key", "refused").status)
	w.must("POST", "/v1/messages/"+open+"/cancel", nil)
	r = resend(open, nil, "Idempotency-Key", "refused")
	require.Equal(t, 202, r.status, "a refusal is not remembered")
	require.Equal(t, r.str("id"), resend(open, obj{}, "Idempotency-Key", "refused").str("id"), "no body is {}")

	eventually(t, "all are sent", func() bool { return w.depth() == 0 })
	require.Len(t, w.wecom.Inbox("load-1", 10), 2)
	require.Len(t, w.wecom.Inbox("load-2", 10), 1)
	require.Len(t, w.wecom.Inbox("load-3", 10), 1)
}

func TestR12_KeyRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	scene := w.must("GET", "/v1/scenes/alert", nil)
	w.must("PUT", "/v1/scenes/strict", obj{
		"app": "ops", "variables": scene.body["variables"], "content": scene.body["content"],
		"policy": obj{"idempotency_key": "required"},
	})
	req := alert(1)
	req["scene"] = "strict"
	require.Equal(t, 400, w.try("POST", "/v1/messages", req).status, "missing where the scene requires it")
	require.Equal(t, 202, w.try("POST", "/v1/messages", req, "Idempotency-Key", strings.Repeat("k", 255)).status)
	bad := alert(2)
	bad["data"] = obj{}
	require.Equal(t, 422, w.try("POST", "/v1/messages", bad, "Idempotency-Key", "once").status)
	require.Equal(t, 202, w.try("POST", "/v1/messages", alert(2), "Idempotency-Key", "once").status, "a refusal is not remembered")
}

// TestR48_NoSecretInTheFiles looks for every secret in everything on disk.
func TestR48_NoSecretInTheFiles(t *testing.T) {
	t.Parallel()
	wecom, base := newWeCom(t, sandbox.Options{MembersPattern: loadMembers})
	w := &world{t: t, wecom: wecom, base: base, key: testKey}
	cfg := testConfig(t, "")
	w.start(cfg)
	w.seed()
	require.Equal(t, "sent", w.send(alert(1)).str("state"))
	made := w.must("POST", "/v1/keys", obj{"name": "canary", "scopes": []string{"send"}}).str("key")
	token := fetchToken(t, base)
	entries, err := os.ReadDir(cfg.DataDir)
	require.NoError(t, err)
	found := 0
	for _, e := range entries {
		f, err := os.Open(filepath.Join(cfg.DataDir, e.Name()))
		require.NoError(t, err)
		raw, err := io.ReadAll(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		found += len(raw)
		for name, secret := range map[string]string{"app secret": sandbox.DevSecret, "admin key": testKey, "made key": made, "access token": token} {
			require.NotContains(t, string(raw), secret, "%s in %s", name, e.Name())
		}
	}
	require.Greater(t, found, 10_000, "there is a database to look into")
	for _, path := range []string{"/v1/apps/ops", "/v1/apps", "/v1/keys", "/v1/lanes", "/v1/messages"} {
		raw := string(w.must("GET", path, nil).raw)
		for _, secret := range []string{sandbox.DevSecret, testKey, made, token} {
			require.NotContains(t, raw, secret, path)
		}
	}
}

// TestR30_RedirectIsExplained says in both languages what to mend, and goes on
// when it is.
func TestR30_RedirectIsExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	require.NoError(t, w.wecom.SetFaults(sandbox.Fault{HTTPStatus: 307, Location: "http://127.0.0.1:1/elsewhere"}))
	id := w.send(obj{"app": "ops", "type": "text", "content": obj{"content": "hello"}, "to": obj{"users": []string{"zhangsan"}}}).str("id")
	var health obj
	eventually(t, "the app is blocked", func() bool {
		health = w.must("GET", "/v1/apps/ops", nil).body["health"].(obj)
		return health["state"] == "blocked"
	})
	require.Equal(t, "redirected", health["cause"])
	require.Nil(t, health["errcode"])
	require.NotNil(t, health["next_probe_at"])
	require.Contains(t, health["fix"], "Correct the app's base_url")
	require.Contains(t, w.must("GET", "/v1/apps/ops", nil, "Accept-Language", "zh").body["health"].(obj)["fix"], "请更正应用的 base_url")
	require.Equal(t, "app_blocked", w.message(id).str("wait_reason"))
	require.NoError(t, w.wecom.SetFaults())
	w.must("POST", "/v1/apps/ops/resume", nil)
	w.becomes(id, "sent")
}
