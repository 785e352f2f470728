package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
)

// Wrong requests that end at the edge: each gets its status, names the field
// and the fix in both languages, and stores nothing.
func TestBadInput(t *testing.T) {
	a := newAPI(t)
	long := strings.Repeat("x", 300)
	cases := []struct {
		name, method, path, scope, body string
		headers                         []string
		status                          int
		code, pointer, rule             string
	}{
		{"empty body", "POST", "/v1/messages", "send", "", nil, 400, "malformed_json", "", ""},
		{"not JSON", "POST", "/v1/messages", "send", `{"scene":`, nil, 400, "malformed_json", "", ""},
		{"trailing comma", "POST", "/v1/messages", "send", `{"scene":"a",}`, nil, 400, "malformed_json", "", ""},
		{"two values", "POST", "/v1/messages", "send", `{} {}`, nil, 400, "malformed_json", "", ""},
		{"not UTF-8", "POST", "/v1/messages", "send", "{\"scene\":\"\xff\"}", nil, 400, "malformed_json", "", ""},
		{"too deep", "POST", "/v1/messages", "send", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), nil, 400, "malformed_json", "", ""},
		{"root is a list", "POST", "/v1/messages", "send", `[]`, nil, 422, "invalid", "", "type"},
		{"root is a text", "POST", "/v1/messages", "send", `"hello"`, nil, 422, "invalid", "", "type"},
		{"root is null", "POST", "/v1/messages", "send", `null`, nil, 422, "invalid", "", "type"},
		{"unknown field", "POST", "/v1/messages", "send", `{"scene":"a","recipients":["x"]}`, nil, 422, "invalid", "/recipients", "unknown"},
		{"wrong case", "POST", "/v1/messages", "send", `{"Scene":"a"}`, nil, 422, "invalid", "/Scene", "unknown"},
		{"doubled field", "POST", "/v1/messages", "send", `{"scene":"a","scene":"b"}`, nil, 422, "invalid", "/scene", "duplicate"},
		{"wrong type", "POST", "/v1/messages", "send", `{"scene":"a","to":{"users":"zhangsan"}}`, nil, 422, "invalid", "/to/users", "type"},
		{"wrong item", "POST", "/v1/messages", "send", `{"scene":"a","to":{"users":["a",7]}}`, nil, 422, "invalid", "/to/users/1", "type"},
		{"data is a list", "POST", "/v1/messages", "send", `{"scene":"a","data":[1]}`, nil, 422, "invalid", "/data", "type"},
		{"fraction", "POST", "/v1/messages", "send", `{"scene":1.5}`, nil, 422, "invalid", "/scene", "type"},
		{"no key", "POST", "/v1/messages", "", `{}`, nil, 401, "unauthorized", "", ""},
		{"bad key", "POST", "/v1/messages", "", `{}`, []string{"Authorization: Bearer hy_nosuchkeynosuchkeynosuchkeynosuchk"}, 401, "unauthorized", "", ""},
		{"basic", "POST", "/v1/messages", "", `{}`, []string{"Authorization: Basic aHk6aHk="}, 401, "unauthorized", "", ""},
		{"missing scope", "POST", "/v1/messages", "read", `{}`, nil, 403, "forbidden", "", ""},
		{"key in the query", "GET", "/v1/messages?access_token=abc", "read", "", nil, 400, "key_in_url", "", ""},
		{"key as a value", "GET", "/v1/messages?q=hy_abcdefgh", "read", "", nil, 400, "key_in_url", "", ""},
		{"key in the path", "GET", "/v1/keys/hy_abcdefgh", "admin", "", nil, 400, "key_in_url", "", ""},
		{"wrong method", "PATCH", "/v1/messages", "send", `{}`, nil, 405, "method_not_allowed", "", ""},
		{"delete on a list", "DELETE", "/v1/apps", "admin", "", nil, 405, "method_not_allowed", "", ""},
		{"unheard-of method", "FOO", "/v1/messages", "send", `{}`, nil, 405, "method_not_allowed", "", ""},
		{"method of WebDAV", "PROPFIND", "/v1/messages/msg_00000000000000000000000000", "read", "", nil, 405, "method_not_allowed", "", ""},
		{"unheard-of method on no path", "FOO", "/v1/nothing", "read", "", nil, 404, "not_found", "", ""},
		{"NUL", "GET", "/v1/messages?q=%00", "read", "", nil, 422, "invalid", "?q", "control"},
		{"not UTF-8 in the query", "GET", "/v1/messages?q=%ff", "read", "", nil, 422, "invalid", "?q", "utf8"},
		{"utf8 without its hyphen", "POST", "/v1/messages", "send", `{"nope":1}`, []string{"Content-Type: application/json; charset=utf8"}, 422, "invalid", "/nope", "unknown"},
		{"another charset", "POST", "/v1/messages", "send", `{}`, []string{"Content-Type: application/json; charset=gbk"}, 415, "unsupported_media_type", "", ""},
		{"last event by header", "GET", "/v1/events/stream", "read", "", []string{"Last-Event-ID: x"}, 422, "invalid", "header:Last-Event-ID", "event_id"},
		{"last event by query", "GET", "/v1/events/stream?last_event_id=-1", "read", "", nil, 422, "invalid", "?last_event_id", "event_id"},
		{"unknown path", "GET", "/v1/nothing", "read", "", nil, 404, "not_found", "", ""},
		{"doubled slash", "POST", "/v1//messages", "send", `{}`, nil, 404, "not_found", "", ""},
		{"unknown message", "GET", "/v1/messages/msg_00000000000000000000000000", "read", "", nil, 404, "not_found", "", ""},
		{"not an id", "GET", "/v1/messages/1", "read", "", nil, 404, "not_found", "", ""},
		{"form", "POST", "/v1/messages", "send", `a=b`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "unsupported_media_type", "", ""},
		{"gzip", "POST", "/v1/messages", "send", `{}`, []string{"Content-Encoding: gzip"}, 415, "unsupported_media_type", "", ""},
		{"huge body", "PUT", "/v1/audiences/a", "configure", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, "too_large", "", ""},
		{"long Idempotency-Key", "POST", "/v1/messages", "send", `{}`, []string{"Idempotency-Key: " + long}, 422, "invalid", "header:Idempotency-Key", "idempotency_key"},
		{"bad wait", "POST", "/v1/messages?wait=soon", "send", `{}`, nil, 422, "invalid", "?wait", "duration"},
		{"long wait", "POST", "/v1/messages?wait=31s", "send", `{}`, nil, 422, "invalid", "?wait", "range"},
		{"unknown filter", "GET", "/v1/messages?sceen=a", "read", "", nil, 422, "invalid", "?sceen", "unknown"},
		{"bad state", "GET", "/v1/messages?state=lost", "read", "", nil, 422, "invalid", "?state", "enum"},
		{"bad limit", "GET", "/v1/messages?limit=201", "read", "", nil, 422, "invalid", "?limit", "range"},
		{"bad time", "GET", "/v1/messages?since=yesterday", "read", "", nil, 422, "invalid", "?since", "time"},
		{"empty batch", "POST", "/v1/messages/batch", "send", `{"messages":[]}`, nil, 422, "invalid", "/messages", "required"},
		{"large batch", "POST", "/v1/messages/batch", "send", `{"messages":[` + strings.TrimSuffix(strings.Repeat("{},", 1001), ",") + `]}`, nil, 422, "invalid", "/messages", "max_items"},
		{"unknown app", "GET", "/v1/apps/nope", "read", "", nil, 404, "app_not_found", "", ""},
		{"unknown scene", "GET", "/v1/scenes/nope", "read", "", nil, 404, "scene_not_found", "", ""},
		{"bad app", "PUT", "/v1/apps/ops", "configure", `{"corp_id":"ww1","agent_id":1}`, nil, 422, "invalid", "/secret", "required"},
		{"key mismatch", "PUT", "/v1/audiences/a", "configure", `{"key":"b"}`, nil, 422, "invalid", "/key", "mismatch"},
		{"bad key in path", "PUT", "/v1/audiences/A%20B", "configure", `{}`, nil, 422, "invalid", "/key", "key"},
		{"lost update", "PUT", "/v1/audiences/a", "configure", `{}`, []string{`If-Match: "7"`}, 412, "precondition_failed", "", ""},
		{"key without scopes", "POST", "/v1/keys", "admin", `{"name":"x"}`, nil, 422, "invalid", "/scopes", "required"},
		{"unknown errcode", "GET", "/v1/errcodes/123456789", "read", "", nil, 404, "not_found", "", ""},
		{"media is JSON", "POST", "/v1/media", "send", `{}`, nil, 415, "unsupported_media_type", "", ""},
		{"media without a part", "POST", "/v1/media", "send", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\n", []string{"Content-Type: multipart/form-data; boundary=b"}, 422, "invalid", "/media", "required"},
		{"another origin", "POST", "/v1/messages", "send", `{}`, []string{"Sec-Fetch-Site: cross-site"}, 403, "forbidden", "", ""},
	}
	for _, c := range cases {
		for _, lang := range []string{"en", "zh-CN"} {
			t.Run(c.name+"/"+lang, func(t *testing.T) {
				res := a.do(c.method, c.path, c.scope, c.body, append([]string{"Accept-Language: " + lang}, c.headers...)...)
				require.Equal(t, c.status, res.StatusCode, res.body)
				p := res.problem(t)
				require.Equal(t, c.code, p.Code)
				require.Equal(t, lang == "zh-CN", han(p.Title) && han(p.Detail) && han(p.Fix), res.body)
				if c.rule != "" {
					require.NotEmpty(t, p.Errors, res.body)
					f := p.Errors[0]
					pointer := f.Pointer
					if f.Parameter != "" {
						pointer = "?" + f.Parameter
					}
					if f.Header != "" {
						pointer = "header:" + f.Header
					}
					require.Equal(t, c.pointer, pointer)
					require.Equal(t, c.rule, f.Code)
					require.NotEmpty(t, f.Message)
					require.NotEmpty(t, f.Fix)
					require.Equal(t, lang == "zh-CN", han(f.Message), res.body)
				}
				switch c.status {
				case 401:
					require.NotEmpty(t, res.Header.Get("WWW-Authenticate"))
				case 405:
					require.NotEmpty(t, res.Header.Get("Allow"))
				}
			})
		}
	}
	seq, err := a.store.LastEventSeq(t.Context())
	require.NoError(t, err)
	require.Zero(t, seq, "something was stored")
	require.JSONEq(t, `{"items":[],"next_cursor":null}`, a.do("GET", "/v1/messages", "read", "").body)
	require.JSONEq(t, `{"items":[],"next_cursor":null}`, a.do("GET", "/v1/audiences", "read", "").body)
}

func TestMalformedJSONNamesThePlace(t *testing.T) {
	a := newAPI(t)
	p := a.do("POST", "/v1/messages", "send", "{\n  \"scene\": a}").problem(t)
	require.Equal(t, "the body is not JSON: a value was expected at line 2, column 12", p.Detail)
	p = a.do("POST", "/v1/messages", "send", "{\n  \"scene\": a}", "Accept-Language: zh").problem(t)
	require.Equal(t, "请求体不是合法的 JSON：第 2 行第 12 列，此处应为一个值。", p.Detail)
}

// Chinese texts carry no English, and no fewer facts.
func TestChineseFixes(t *testing.T) {
	a := newAPI(t)
	p := a.do("PUT", "/v1/apps/ops", "configure", `{"agent_id":0}`, "Accept-Language: zh").problem(t)
	fixes := map[string]string{}
	for _, e := range p.Errors {
		fixes[e.Pointer] = e.Fix
	}
	require.Equal(t, "请从企业微信管理后台复制：我的企业 → 企业ID", fixes["/corp_id"], "the producer knows where to find it")
	require.Equal(t, "请补充该字段", httpapi.FieldText("zh", domain.FieldError{Pointer: "/x", Code: "required", Message: "is missing", Fix: "add it"}).Fix)
}

func TestChineseFacts(t *testing.T) {
	for _, c := range []struct {
		f       domain.FieldError
		message string
	}{
		{domain.FieldError{Code: "scheme", Args: []any{"http, https, socks5"}, Fix: "write it in full, with scheme and host"}, "URL 协议必须是 http, https, socks5 请填写完整地址，包括协议和主机"},
		{domain.FieldError{Code: "unknown_upload", Fix: "upload the file again with POST /v1/media"}, "上传的文件不存在或已过期 请用 POST /v1/media 重新上传文件"},
		{domain.FieldError{Code: "forbidden", Args: []any{"mpnews"}, Fix: "use 0 or 1"}, "仅 mpnews 支持 请使用 0 或 1"},
	} {
		got := httpapi.FieldText("zh", c.f)
		require.Equal(t, c.message, got.Message+" "+got.Fix)
	}
}

func TestBatchRefusesOneByOne(t *testing.T) {
	a := newAPI(t)
	res := a.do("POST", "/v1/messages/batch", "send", `{"messages":[{"nope":1},7,{"dry_run":true,"scene":"a"},{"app":"a","app":"b"},{"data":{"x":1,"x":2}},null]}`)
	require.Equal(t, 200, res.StatusCode, res.body)
	for _, want := range []string{`"/messages/0/nope"`, `"/messages/1"`, `"/messages/2/dry_run"`, `"/messages/3/app"`, `"/messages/4/data/x"`, `"/messages/5"`} {
		require.Contains(t, res.body, want)
	}
	require.Equal(t, 6, strings.Count(res.body, `"status":422,"error"`))
	require.Equal(t, 422, a.do("POST", "/v1/messages/batch", "send", `{"messages":[{"scene":"a"}],"messages":[]}`).StatusCode, "here nobody can tell which")
}

func TestSlowBodyTimesOut(t *testing.T) {
	a := newAPI(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"scene\"", a.key["send"])
	require.NoError(t, err)
	start := time.Now()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, 408, res.StatusCode)
	require.Contains(t, string(b), `"code":"timeout"`)
	require.Less(t, time.Since(start), 5*time.Second)
	require.True(t, res.Close)
}

// Every route with a body has a cap; what is announced as larger is refused
// without reading it.
func TestR51_BodyCaps(t *testing.T) {
	a := newAPI(t)
	for _, r := range httpapi.Table() {
		if r.Limit == 0 {
			continue
		}
		t.Run(r.Method+r.Path, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			kind := "application/json"
			over := r.Limit + 1
			if r.Multipart {
				kind, over = "multipart/form-data; boundary=b", r.Limit+64<<10+1
			}
			path := strings.NewReplacer("{id}", "msg_00000000000000000000000000", "{key}", "a", "{version}", "1").Replace(r.Path)
			_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n{", r.Method, path, a.key["admin"], kind, over)
			require.NoError(t, err)
			start := time.Now()
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			_ = res.Body.Close()
			require.Equal(t, 413, res.StatusCode)
			require.Less(t, time.Since(start), time.Second)
		})
	}
}

func TestChunkedBodyIsCapped(t *testing.T) {
	a := newAPI(t)
	req, err := http.NewRequestWithContext(t.Context(), "PUT", a.url+"/v1/audiences/a", io.LimitReader(zeros{}, 2<<20))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+a.key["configure"])
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 413, res.StatusCode)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func han(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) }) >= 0
}

// The limits on slow and large headers are set, and a large header is refused.
func TestR52_HeaderLimits(t *testing.T) {
	s := httpapi.HTTPServer(nil)
	require.LessOrEqual(t, s.ReadHeaderTimeout, 5*time.Second)
	require.LessOrEqual(t, s.IdleTimeout, 60*time.Second)
	a := newAPI(t)
	res := a.do("GET", "/livez", "", "", "X-Filler: "+strings.Repeat("x", 17<<10))
	require.Equal(t, 431, res.StatusCode)
	require.Equal(t, 200, a.do("GET", "/livez", "", "", "X-Filler: "+strings.Repeat("x", 8<<10)).StatusCode)
}

// A client that sends all of its body before it reads an answer gets the answer.
func TestAnswerAfterALargeBody(t *testing.T) {
	a := newAPI(t, func(c *httpapi.Config) { c.BodyTimeout = 30 * time.Second })
	for _, c := range []struct {
		name, method, path, key string
		size                    int
		chunked                 bool
		status                  int
	}{
		{"too large", "POST", "/v1/keys", a.key["admin"], 24 << 20, false, 413},
		{"too large for messages", "POST", "/v1/messages", a.key["send"], 40 << 20, false, 413},
		{"too large, of unknown length", "POST", "/v1/keys", a.key["admin"], 24 << 20, true, 413},
		{"no key", "POST", "/v1/messages", "", 24 << 20, false, 401},
		{"unknown parameter", "POST", "/v1/messages?x=1", a.key["send"], 24 << 20, false, 422},
		{"wrong method", "PATCH", "/v1/messages", a.key["send"], 24 << 20, false, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			length := fmt.Sprintf("Content-Length: %d", c.size)
			if c.chunked {
				length = "Transfer-Encoding: chunked"
			}
			_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s\r\n\r\n", c.method, c.path, c.key, length)
			require.NoError(t, err)
			part := strings.Repeat(" ", 1<<20)
			if c.chunked {
				part = fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
			}
			for range c.size >> 20 {
				_, err := io.WriteString(conn, part)
				require.NoError(t, err, "the connection ended while the body was on its way")
			}
			if c.chunked {
				_, err := io.WriteString(conn, "0\r\n\r\n")
				require.NoError(t, err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			defer res.Body.Close()
			require.Equal(t, c.status, res.StatusCode)
			b, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Contains(t, string(b), `"request_id"`)
		})
	}
}

// What is left of a refused body is taken in only so long: a stop ends it.
func TestDrainingEndsWithTheServer(t *testing.T) {
	a := newAPI(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n{", a.key["admin"], 5<<20)
	require.NoError(t, err)
	rd := bufio.NewReader(conn)
	res, err := http.ReadResponse(rd, nil)
	require.NoError(t, err)
	require.Equal(t, 413, res.StatusCode)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	began := time.Now()
	a.srv.Close()
	_, err = io.Copy(io.Discard, rd)
	require.NoError(t, err)
	require.Less(t, time.Since(began), 5*time.Second)
}

// What is JSON and would be kept as another text is refused, wherever it stands.
func TestTextsThatWouldChangeAreRefused(t *testing.T) {
	a := newAPI(t)
	for body, want := range map[string]string{
		`{"app":"ops","type":"text","reference":"x\u0000y"}`:                      "/reference nul",
		`{"app":"ops","type":"text","content":{"content":"a\ud83dz"}}`:            "/content/content surrogate",
		`{"app":"ops","type":"text","content":{"content":"a\ude00\ud83d"}}`:       "/content/content surrogate",
		`{"app":"ops","type":"text","content":{"content":"a\ud83d\ud83d\ude00"}}`: "/content/content surrogate",
		`{"scene":"a","data":{"list":[1,{"n":"\n\u0000"}]}}`:                      "/data/list/1/n nul",
		`{"scene":"a","data":{"a\ud83d":1}}`:                                      "/data/a\uFFFD surrogate",
		`{"scene":"a","to":{"users":["u","\udead"]}}`:                             "/to/users/1 surrogate",
	} {
		for _, lang := range []string{"en", "zh"} {
			res := a.do("POST", "/v1/messages", "send", body, "Accept-Language: "+lang)
			require.Equal(t, 422, res.StatusCode, "%s: %s", body, res.body)
			f := res.problem(t).Errors
			require.Len(t, f, 1, res.body)
			require.Equal(t, want, f[0].Pointer+" "+f[0].Code)
			require.Equal(t, lang == "zh", han(f[0].Message), f[0].Message)
			require.Equal(t, lang == "zh", han(f[0].Fix), f[0].Fix)
		}
	}
	res := a.do("POST", "/v1/messages", "send", `{"app":"ops","type":"text","reference":"\\u0000 \ud83d\ude00 \uFFFD"}`)
	require.Equal(t, 503, res.StatusCode, "an escaped backslash, a whole pair, and U+FFFD itself are text: %s", res.body)
	res = a.do("POST", "/v1/messages/batch", "send", `{"messages":[{"scene":"a","reference":"\u0000"}]}`)
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, res.body, `"pointer":"/messages/0/reference"`)
}
