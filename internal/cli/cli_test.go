package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"hongyan/internal/config"
)

// result is what a command line left behind.
type result struct {
	code     int
	out, err string
}

func run(t *testing.T, deps Deps, environ []string, stdin string, args ...string) result {
	t.Helper()
	var out, errw bytes.Buffer
	code := RunWith(t.Context(), deps, args, environ, Stdio{In: strings.NewReader(stdin), Out: &out, Err: &errw})
	return result{code, out.String(), errw.String()}
}

func leaves(n *kong.Node, path string) map[string]*kong.Node {
	out := map[string]*kong.Node{path: n}
	for _, c := range n.Children {
		maps.Copy(out, leaves(c, strings.TrimPrefix(path+" "+c.Name, " ")))
	}
	return out
}

func TestEveryCommandHasAnExampleThatParses(t *testing.T) {
	var r root
	parser, err := newParser(&r, Stdio{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
	require.NoError(t, err)
	all := leaves(parser.Model.Node, "")
	for path := range all {
		require.NotEmpty(t, examples()[path], "command %q has no example", path)
	}
	for path, list := range examples() {
		require.Contains(t, all, path)
		for _, e := range list {
			out, err := exec.Command("sh", "-c", `for a in "$@"; do :; done; set -- `+strings.Split(e, " > ")[0]+`; printf '%s\0' "$@"`).Output()
			require.NoError(t, err)
			args := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")[1:]
			var fresh root
			p, err := newParser(&fresh, Stdio{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
			require.NoError(t, err)
			_, err = p.Parse(args)
			require.NoError(t, err, e)
		}
	}
}

func TestEveryHelpPrintsExamplesAndExitCodes(t *testing.T) {
	var r root
	parser, err := newParser(&r, Stdio{Out: io.Discard, Err: io.Discard})
	require.NoError(t, err)
	for path := range leaves(parser.Model.Node, "") {
		got := run(t, Deps{}, nil, "", append(strings.Fields(path), "--help")...)
		require.Equal(t, ExitOK, got.code, path)
		require.Contains(t, got.out, "Examples:\n  hongyan ", path)
		require.Contains(t, got.out, "Exit codes:", path)
		require.Empty(t, got.err, path)
	}
}

func TestExitCodes(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"code":"some_code","title":"No\u001b[31m","request_id":"r1"}`)
	}))
	t.Cleanup(srv.Close)
	env := []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"}
	for _, tc := range []struct {
		env  []string
		args []string
		code int
		err  string
	}{
		{nil, nil, ExitOK, ""},
		{nil, []string{"version"}, ExitOK, ""},
		{nil, []string{"sned"}, ExitUsage, `did you mean "send"`},
		{nil, []string{"errcode", "x"}, ExitUsage, "Try: hongyan errcode --help"},
		{nil, []string{"errcode", "-x"}, ExitUsage, "unknown flag -x"},
		{nil, []string{"messages", "list", "--limit", "0"}, ExitUsage, "--limit must be 1 to 200, not 0"},
		{nil, []string{"messages", "list", "--limit=-1"}, ExitUsage, "--limit must be 1 to 200, not -1"},
		{nil, []string{"messages", "list", "--limit", "201"}, ExitUsage, "--limit must be 1 to 200, not 201"},
		{nil, []string{"send"}, ExitUsage, "name a scene"},
		{nil, []string{"send", "a", "--text", "b"}, ExitUsage, "not both"},
		{nil, []string{"send", "a", "--data", "b"}, ExitUsage, "must be k=v"},
		{nil, []string{"app", "delete", "a"}, ExitUsage, "--yes"},
		{[]string{"HONGYAN_LISTEN=x"}, []string{"config", "check"}, ExitConfig, "environment HONGYAN_LISTEN: listen"},
		{nil, []string{"serve", "--config", "/does/not/exist"}, ExitConfig, "no such file"},
		{[]string{"HONGYAN_URL=http://127.0.0.1:1"}, []string{"app", "delete", "a", "--yes", "--json"}, ExitNetwork, "Is the gateway running"},
		{env, []string{"app", "get", "401"}, ExitNetwork, "HONGYAN_KEY"},
		{env, []string{"app", "get", "404"}, ExitFailure, "status 404, code some_code, request r1"},
	} {
		got := run(t, Deps{}, tc.env, "", tc.args...)
		require.Equal(t, tc.code, got.code, "%v: %s", tc.args, got.err)
		require.Contains(t, got.err, tc.err, "%v", tc.args)
		require.NotContains(t, got.err, "\x1b")
	}
}

func TestServersGetTheirSettings(t *testing.T) {
	var got []string
	deps := Deps{
		Dev: func(_ context.Context, c config.Config, fresh bool, _, _ io.Writer) error {
			got = append(got, c.DataDir+" "+c.LogFormat+" "+strconv.FormatBool(fresh))
			return nil
		},
		Serve: func(_ context.Context, c config.Config, _, _ io.Writer) error {
			got = append(got, c.DataDir+" "+c.Listen)
			return nil
		},
		Sandbox: func(_ context.Context, c config.Config, _ io.Writer) error {
			got = append(got, c.SandboxListen)
			return nil
		},
		Doctor: func(context.Context, config.Config) []Check {
			return []Check{{Name: "data", Status: "fail", What: "no space", Why: "disk full", Fix: "free some"}}
		},
	}
	require.Equal(t, ExitOK, run(t, deps, nil, "", "dev", "--fresh").code)
	require.Equal(t, ExitOK, run(t, deps, []string{"HONGYAN_LISTEN=:1"}, "", "serve", "--data", "/d", "--listen", ":2").code)
	require.Equal(t, ExitOK, run(t, deps, nil, "", "sandbox", "--sandbox-listen", ":9").code)
	require.Equal(t, []string{"./hongyan-dev json true", "/d :2", ":9"}, got)

	d := run(t, deps, []string{"HONGYAN_URL=http://127.0.0.1:1", "HONGYAN_DATA_DIR=" + t.TempDir()}, "", "doctor")
	require.Equal(t, ExitFailure, d.code)
	require.Contains(t, d.out, "fail  data        no space\n      why: disk full\n      fix: free some\n")
	d = run(t, deps, []string{"HONGYAN_LISTEN=x"}, "", "doctor", "--json")
	require.Equal(t, ExitConfig, d.code)
	require.Contains(t, d.out, `"status": "fail"`)
}

func TestErrcodeSpeaksTheirLanguage(t *testing.T) {
	deps := Deps{Errcode: func(code int, zh bool) (Explanation, bool) {
		if zh {
			return Explanation{Code: code, Name: "n", Class: "config", Meaning: "可信 IP"}, code == 60020
		}
		return Explanation{Code: code, Name: "n", Class: "config", Meaning: "trusted IP"}, code == 60020
	}}
	require.Equal(t, "60020 n (config)\nmeaning: trusted IP\n", run(t, deps, []string{"LANG=C"}, "", "errcode", "60020").out)
	require.Equal(t, "60020 n (config)\n含义: 可信 IP\n", run(t, deps, []string{"LANG=zh_CN.UTF-8"}, "", "errcode", "60020").out)
	require.Equal(t, "60020 n (config)\nmeaning: trusted IP\n", run(t, deps, []string{"LANG=zh_CN.UTF-8"}, "", "errcode", "60020", "--lang", "en").out)
	require.Equal(t, ExitFailure, run(t, deps, nil, "", "errcode", "1").code)
}

func TestErrcodesBelowZero(t *testing.T) {
	deps := Deps{Errcode: func(code int, _ bool) (Explanation, bool) {
		return Explanation{Code: code, Name: "n", Class: "c"}, true
	}}
	for _, args := range [][]string{{"errcode", "-1"}, {"errcode", "--", "-1"}, {"errcode", "-1", "--lang", "en"}, {"errcode", "--lang", "en", "-1"}} {
		got := run(t, deps, nil, "", args...)
		require.Equal(t, ExitOK, got.code, "%v: %s", args, got.err)
		require.Equal(t, "-1 n (c)\n", got.out)
	}
	require.Contains(t, run(t, deps, nil, "", "--json", "errcode", "-1").out, `"code": -1`)
	require.Contains(t, run(t, deps, nil, "", "errcode", "-1", "--json").out, `"code": -1`)

	var asked string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query().Get("errcode")
		_, _ = io.WriteString(w, `{"items":[]}`)
	}))
	t.Cleanup(srv.Close)
	got := run(t, deps, []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"}, "", "messages", "list", "--errcode", "-1", "--limit", "1")
	require.Equal(t, ExitOK, got.code, got.err)
	require.Equal(t, "-1", asked)
}

func TestCompletionScriptsAreWellFormed(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := run(t, Deps{}, nil, "", "completion", shell)
		require.Equal(t, ExitOK, got.code)
		require.Contains(t, got.out, "watch")
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		cmd := exec.Command(path, "-n")
		cmd.Stdin = strings.NewReader(got.out)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	if bash, err := exec.LookPath("bash"); err == nil {
		script := run(t, Deps{}, nil, "", "completion", "bash").out +
			"\nCOMP_WORDS=(hongyan --json messages re) COMP_CWORD=3; _hongyan; echo \"${COMPREPLY[@]}\"\n"
		out, err := exec.Command(bash, "-c", script).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, "release resend\n", string(out))
	}
}

func TestConfigPrintMasksSecrets(t *testing.T) {
	env := []string{"HONGYAN_ADMIN_KEY=hy_" + strings.Repeat("s", 40)}
	for _, args := range [][]string{{"config", "print"}, {"config", "print", "--json"}} {
		got := run(t, Deps{}, env, "", args...)
		require.Equal(t, ExitOK, got.code)
		require.NotContains(t, got.out, "ssss")
		require.Contains(t, got.out, "environment HONGYAN_ADMIN_KEY")
	}
}

func TestDoctorNamesABlockedApp(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"items":[{"key":"ops","health":{"state":"blocked","cause":"untrusted_ip","errcode":60020,"seen_ip":"203.0.113.7","fix":"add it"}},{"key":"hr","health":{"state":"ok"}}]}`)
	}))
	t.Cleanup(srv.Close)
	d := run(t, Deps{}, []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x", "HONGYAN_DATA_DIR=" + t.TempDir()}, "", "doctor")
	require.Equal(t, ExitFailure, d.code)
	require.Contains(t, d.out, "is blocked: untrusted_ip\n      why: WeCom answered errcode 60020 to the address 203.0.113.7\n      fix: add it\n")
	require.Contains(t, d.out, "ok    app hr      can send\n")
}

func TestDoctorNamesAnAppThatDoesNotReachWeCom(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"items":[{"key":"ops","health":{"state":"ok"}},{"key":"moved","health":{"state":"blocked","cause":"redirected","errcode":null,"fix":"correct base_url"}}]}`
		if r.URL.Path == "/v1/lanes" {
			answer = `{"items":[{"lane":"app:ops","pause_reason":"backoff","paused_until":"2026-11-24T09:00:00Z"}]}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	d := run(t, Deps{}, []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x", "HONGYAN_DATA_DIR=" + t.TempDir()}, "", "doctor")
	require.Contains(t, d.out, "warn  app ops     does not reach WeCom, or WeCom is busy\n      why: the last calls failed; the next one goes at ")
	require.NotContains(t, d.out, "can send")
	require.Contains(t, d.out, "is blocked: redirected\n      fix: correct base_url\n", "WeCom has answered nothing")
}

func TestDoctorNamesTwins(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"items":[{"key":"a","corp_id":"ww1","agent_id":1},{"key":"b","corp_id":"ww1","agent_id":2},
			{"key":"c","corp_id":"ww1","agent_id":1,"base_url":"https://qyapi.weixin.qq.com/"},{"key":"d","corp_id":"ww1","agent_id":1,"base_url":"http://relay"}]}`)
	}))
	t.Cleanup(srv.Close)
	d := run(t, Deps{}, []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x", "HONGYAN_DATA_DIR=" + t.TempDir()}, "", "doctor")
	require.Equal(t, ExitOK, d.code, d.out)
	require.Contains(t, d.out, "warn  apps        a, c are one app at WeCom\n      why: corp_id, ")
	require.Equal(t, 1, strings.Count(d.out, "are one app"))
}

// gateway is a stand-in for the resource part of the API: it keeps what is
// put, hides secrets and counts puts.
type gateway struct {
	mu      sync.Mutex
	items   map[string]map[string]any
	version map[string]int
	puts    int
	sent    []map[string]any
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	write := func(status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	switch {
	case path == "messages" && r.Method == http.MethodPost:
		g.sent = append(g.sent, body)
		write(202, map[string]any{"id": "msg_1", "state": "queued", "deliveries": 1, "warnings": []string{"it may expire"}})
	case path == "messages/msg_1":
		write(200, map[string]any{"id": "msg_1", "state": "partial", "deliveries": []any{}, "recipients": map[string]int{"total": 2, "accepted": 1}})
	case r.Method == http.MethodPut:
		if body["key"] == "refused" {
			write(422, map[string]any{"code": "invalid", "title": "Invalid", "errors": []any{map[string]string{"pointer": "/content/type", "code": "enum", "message": "is unknown"}}})
			return
		}
		if body["key"] == "odd" {
			write(201, map[string]any{"key": "odd", "warnings": []any{map[string]string{"pointer": "/policy/digest/window", "code": "expires_first", "message": "is too long", "fix": "shorten it"}}})
			return
		}
		if r.URL.Query().Get("dry_run") == "true" {
			delete(body, "secret")
			result := "updated"
			if g.items[path] == nil {
				result = "created"
			}
			write(200, map[string]any{"result": result, "before": g.items[path], "after": body})
			return
		}
		g.puts++
		delete(body, "secret")
		old, _ := json.Marshal(g.items[path])
		now, _ := json.Marshal(body)
		if string(old) != string(now) {
			g.version[path]++
		}
		g.items[path] = body
		w.Header().Set("ETag", strconv.Quote(strconv.Itoa(g.version[path])))
		write(200, body)
	case g.items[path] != nil:
		shown := maps.Clone(g.items[path])
		shown["version"], shown["health"], shown["accounts"] = g.version[path], map[string]string{"state": "ok"}, 0
		w.Header().Set("ETag", strconv.Quote(strconv.Itoa(g.version[path])))
		write(200, shown)
	case !strings.Contains(path, "/"):
		items := []any{}
		for _, k := range slices.Sorted(maps.Keys(g.items)) {
			if strings.HasPrefix(k, path+"/") {
				items = append(items, g.items[k])
			}
		}
		write(200, map[string]any{"items": items})
	default:
		write(404, map[string]any{"code": "not_found"})
	}
}

const yamlDocs = `# team
kind: Scene
key: alert
code: 0
title: "12"
app: ops
content:
  type: textcard
  textcard: {title: "[{{ .data.service }}]", description: "<b>x</b>", url: https://a, btntxt: "true"}
---
kind: Audience
key: all
audiences: [oncall]
---
kind: Audience
key: oncall
users: [zhangsan]
---
kind: App
key: ops
corp_id: ww1
agent_id: 1000002
secret: {env: OPS_SECRET}
`

func TestApplyIsIdempotentAndExportRoundTrips(t *testing.T) {
	g := &gateway{items: map[string]map[string]any{}, version: map[string]int{}}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	env := []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x", "OPS_SECRET=top-secret"}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(yamlDocs), 0o600))

	got := run(t, Deps{}, env, "", "apply", "-f", dir, "--dry-run")
	require.Equal(t, ExitOK, got.code, got.err)
	require.Contains(t, got.out, "App/ops would be created\n  + agent_id: 1000002\n")
	require.NotContains(t, got.out, "top-secret")
	require.Zero(t, g.puts)

	got = run(t, Deps{}, env, "", "apply", "-f", dir)
	require.Equal(t, ExitOK, got.code, got.err)
	require.Equal(t, "App/ops created\nAudience/oncall created\nAudience/all created\nScene/alert created\n", got.out)
	require.Equal(t, 4, g.puts)

	got = run(t, Deps{}, env, "", "apply", "-f", dir)
	require.Equal(t, "App/ops unchanged\nAudience/oncall unchanged\nAudience/all unchanged\nScene/alert unchanged\n", got.out)
	require.Equal(t, 5, g.puts, "only the document with a secret is put again")

	exported := run(t, Deps{}, env, "", "export")
	require.Equal(t, ExitOK, exported.code, exported.err)
	require.Contains(t, exported.out, `title: "12"`)
	require.Contains(t, exported.out, `btntxt: "true"`)
	got = run(t, Deps{}, env, exported.out, "apply", "-f", "-")
	require.Equal(t, ExitOK, got.code, got.err)
	require.NotContains(t, got.out, "updated")
	require.NotContains(t, got.out, "created")

	changed := strings.Replace(yamlDocs, "users: [zhangsan]", "users: [zhangsan, lisi]", 1)
	got = run(t, Deps{}, env, changed, "apply", "-n", "-f", "-")
	require.Contains(t, got.out, "Audience/oncall would be updated\n")
	require.Contains(t, got.out, "  +   - lisi\n")
}

func TestApplyPassesWarningsOn(t *testing.T) {
	srv := httptest.NewServer(&gateway{items: map[string]map[string]any{}, version: map[string]int{}})
	t.Cleanup(srv.Close)
	env := []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"}
	doc := "kind: Scene\nkey: odd\ncontent: {}\npolicy:\n  digest:\n    window: 25h\n"
	got := run(t, Deps{}, env, doc, "apply", "-f", "-")
	require.Equal(t, ExitOK, got.code, got.err)
	require.Contains(t, got.out, "Scene/odd created")
	require.Contains(t, got.err, "-:6: Scene/odd: warning: /policy/digest/window: is too long → shorten it")
}

func TestApplyErrorsNameFileAndLine(t *testing.T) {
	g := &gateway{items: map[string]map[string]any{}, version: map[string]int{}}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	env := []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"}
	for _, tc := range []struct{ doc, want string }{
		{"key: a\n", "-:1: kind is missing"},
		{"\nkind: Sceen\nkey: a\n", `-:2: kind "Sceen" is unknown`},
		{"kind: App\n", "-:1: key is missing"},
		{"kind: App\nkey: a\nsecret: {env: NOPE}\n", "-:3: secret: environment variable NOPE is not set"},
		{"kind: App\nkey: a\nsecret: [x]\n", "-:3: secret: must be a text"},
		{"kind: App\nkey: a\n---\nkind: App\nkey: a\n", "-:4: App/a stands at -:1 already"},
		{"kind: [\n", "-: line "},
		{"kind: Scene\nkey: refused\ncontent:\n  type: nope\n", "-:4: Scene/refused: /content/type: is unknown"},
		{"kind: Scene\nkey: a\ndata: &x [*x]\n", ""},
	} {
		got := run(t, Deps{}, env, tc.doc, "apply", "-f", "-")
		require.NotEqual(t, ExitOK, got.code, tc.doc)
		require.Contains(t, got.err, tc.want, tc.doc)
	}
	got := run(t, Deps{}, env, "kind: Scene\nkey: refused\n---\nkind: App\nkey: a\n", "apply", "-f", "-")
	require.Equal(t, ExitPartial, got.code)
	require.Contains(t, got.out, "App/a created")
}

func TestSend(t *testing.T) {
	g := &gateway{items: map[string]map[string]any{}, version: map[string]int{}}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	env := []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"}

	got := run(t, Deps{}, env, `{"big":12345678901234567890}`, "send", "12", "--to", "a,b", "-d", "@-", "-d", "n:=3", "-d", "s=x,y=z")
	require.Equal(t, ExitOK, got.code, got.err)
	require.Equal(t, "msg_1 queued\n", got.out)
	require.Contains(t, got.err, "warning: it may expire")
	require.Equal(t, float64(12), g.sent[0]["scene"])
	require.Equal(t, []any{"a", "b"}, g.sent[0]["to"].(map[string]any)["users"])
	require.Equal(t, map[string]any{"big": 12345678901234567890.0, "n": 3.0, "s": "x,y=z"}, g.sent[0]["data"])

	got = run(t, Deps{}, env, "hello\n", "send", "--app", "ops", "--to", "a", "--text", "-", "--wait", "--json")
	require.Equal(t, ExitPartial, got.code, got.err)
	require.Contains(t, got.out, `"state": "partial"`)
	require.Equal(t, map[string]any{"content": "hello"}, g.sent[1]["content"])
}

// TestSendWaits follows a message over an outage of the gateway, and leaves it
// alone when interrupted: it is accepted and goes on.
func TestSendWaits(t *testing.T) {
	var asked atomic.Int64
	var ended atomic.Bool
	ctx, interrupt := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		n := asked.Add(1)
		switch {
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"id":"msg_1","state":"queued","deliveries":1}`)
		case ended.Load():
			_, _ = io.WriteString(w, `{"id":"msg_1","state":"sent","recipients":{"total":1,"accepted":1}}`)
		case n < 6:
			panic(http.ErrAbortHandler)
		default:
			if n > 6 { // it has shown the answer before
				interrupt()
			}
			_, _ = io.WriteString(w, `{"id":"msg_1","state":"queued","wait_reason":"member_rate","recipients":{"total":1}}`)
		}
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(srv.Close)
	send := func(ctx context.Context) result {
		var out, errw bytes.Buffer
		code := RunWith(ctx, Deps{}, []string{"send", "12", "--to", "a", "--wait"}, []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"},
			Stdio{In: strings.NewReader(""), Out: &out, Err: &errw})
		return result{code, out.String(), errw.String()}
	}
	got := send(ctx)
	require.Equal(t, ExitFailure, got.code)
	require.Equal(t, "msg_1 queued (member_rate)  accepted 0 of 1\n", got.out)
	require.Contains(t, got.err, "hongyan messages watch msg_1")

	ended.Store(true)
	got = send(t.Context())
	require.Equal(t, ExitOK, got.code, got.err)
	require.Equal(t, "msg_1 sent  accepted 1 of 1\n", got.out)
}

func TestDoubtIsCounted(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"id":"msg_1","state":"uncertain","recipients":{"total":3,"accepted":1,"uncertain":2}}`)
	}))
	t.Cleanup(srv.Close)
	got := run(t, Deps{}, []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"}, "", "messages", "get", "msg_1")
	require.Contains(t, got.out, "accepted 1 of 3, uncertain 2\n", got.err)
}

// TestSendWaitsForTheDigest: a message that was merged has arrived when the
// digest has, which may be carried by another one.
func TestSendWaitsForTheDigest(t *testing.T) {
	for state, want := range map[string]int{
		"sent": ExitOK, "partial": ExitPartial, "failed": ExitFailure, "expired": ExitFailure, "uncertain": ExitFailure, "queued": ExitFailure,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			merged := `{"id":%q,"state":"merged","merged_into":%q,"recipients":{"total":1},"deliveries":[{"state":"merged","merged_into":%q}]}`
			switch path.Base(r.URL.Path) {
			case "messages":
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, `{"id":"msg_1","state":"queued","deliveries":1}`)
			case "msg_1":
				_, _ = fmt.Fprintf(w, merged, "msg_1", "msg_2", "msg_2")
			case "msg_2":
				_, _ = fmt.Fprintf(w, merged, "msg_2", "msg_3", "msg_3")
			default:
				_, _ = fmt.Fprintf(w, `{"id":"msg_3","state":%q,"recipients":{"total":1}}`, state)
			}
		}))
		t.Cleanup(srv.Close)
		env := []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_x"}
		got := run(t, Deps{}, env, "", "send", "12", "--to", "a", "--wait", "--timeout", "200ms")
		require.Equal(t, want, got.code, "%s: %s", state, got.err)
		require.Equal(t, "msg_1 merged into msg_2  accepted 0 of 1\nmsg_2 merged into msg_3  accepted 0 of 1\nmsg_3 "+state+"  accepted 0 of 1\n", got.out)
		if state == "queued" {
			require.Contains(t, got.err, "hongyan messages watch msg_3")
		}
		got = run(t, Deps{}, env, "", "messages", "watch", "msg_1", "--json", "--timeout", "200ms")
		require.Equal(t, want, got.code, "%s: %s", state, got.err)
		require.True(t, json.Valid([]byte(got.out)), got.out)
	}
}

func TestHostileDocuments(t *testing.T) {
	for _, text := range []string{
		yamlDocs, "kind: App\nkey: a\nx: &a [*a]\n", "kind: App\nkey: a\nx: .nan\n", "kind: App\nkey: a\n? [b]\n: c\n",
		"kind: App\nkey: a\nx: 0x1f\ny: 1_000\nz: 2026-11-24\n", "kind: App\nkey: a\nx: " + strings.Repeat("[", 5000) + "\n",
		"kind: App\nkey: a\na: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n",
	} {
		docs, err := readDocuments([]string{"-"}, func(string) ([]byte, error) { return []byte(text), nil }, func(string) string { return "v" })
		if err != nil {
			continue
		}
		for _, d := range docs {
			require.True(t, json.Valid(d.body), "%s", d.body)
			d.lineOf("/content/0/x")
		}
	}
}

func TestAttemptsAreExplained(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		explain := "nobody is in the visible range"
		if strings.HasPrefix(r.Header.Get("Accept-Language"), "zh") {
			explain = "不在可见范围内"
		}
		_, _ = fmt.Fprintf(w, `{"id":"msg_1","state":"failed","deliveries":[{"id":"dlv_1","lane":"app:ops","state":"failed","attempts":[{"n":1,"class":"ambiguous","http_status":null,"errcode":null,"errmsg":"EOF"},{"n":2,"class":"recipient","errcode":81013,"errmsg":"all invalid","explain":%q}]}]}`, explain)
	}))
	t.Cleanup(srv.Close)
	env := []string{"HONGYAN_URL=" + srv.URL, "HONGYAN_KEY=hy_0123456789012345678901234567890123456789", "LANG=C"}
	require.Contains(t, run(t, Deps{}, env, "", "messages", "get", "msg_1").out, "errcode 81013 all invalid  0 ms\n    → nobody is in the visible range\n")
	require.Contains(t, run(t, Deps{}, env, "", "messages", "get", "msg_1").out, "ambiguous  EOF  0 ms\n", "no errcode came")
	require.Contains(t, run(t, Deps{}, env, "", "--lang", "zh", "messages", "get", "msg_1").out, "→ 不在可见范围内")
	failed := run(t, Deps{}, env, "", "send", "a", "--to", "b", "--wait")
	require.Equal(t, ExitFailure, failed.code)
	require.Contains(t, failed.err, "→ nobody is in the visible range")
}
