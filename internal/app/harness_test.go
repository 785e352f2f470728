package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/app"
	"hongyan/internal/config"
	"hongyan/internal/scene"
	"hongyan/sandbox"
)

const testKey = "hy_testtesttesttesttesttesttesttesttest"

var loadMembers = regexp.MustCompile(`load-\d+`)

// world is a gateway in this process, its WeCom, and a caller.
type world struct {
	t     *testing.T
	wecom *sandbox.Server
	base  string // WeCom's
	app   *app.App
	url   string // the gateway's
	key   string
}

// stores names the databases that a scenario runs on.
func stores(t *testing.T, run func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { run(t, "") })
	t.Run("postgres", func(t *testing.T) { run(t, postgres(t)) })
}

func newWeCom(t *testing.T, opt sandbox.Options) (*sandbox.Server, string) {
	t.Helper()
	s := sandbox.New(opt)
	srv := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); srv.CloseClientConnections(); srv.Close() })
	return s, srv.URL
}

func newWorld(t *testing.T, opt sandbox.Options) *world { return newWorldOn(t, opt, "") }

func newWorldOn(t *testing.T, opt sandbox.Options, db string) *world {
	t.Helper()
	if opt.MembersPattern == nil {
		opt.MembersPattern = loadMembers
	}
	wecom, base := newWeCom(t, opt)
	w := &world{t: t, wecom: wecom, base: base, key: testKey}
	w.start(testConfig(t, db))
	w.seed()
	return w
}

func testConfig(t testing.TB, db string) config.Config {
	t.Helper()
	dir := t.TempDir()
	if db == "" {
		db = "sqlite://" + dir + "/hongyan.db"
	}
	return config.Config{
		DataDir: dir, DatabaseURL: config.Secret(db), PublicURL: "http://gateway.example", AdminKey: testKey,
		LogLevel: slog.LevelWarn, LogFormat: "json",
	}
}

func (w *world) start(cfg config.Config) {
	w.t.Helper()
	ctx := context.Background()
	a, err := app.New(ctx, cfg, slog.New(slog.NewTextHandler(testLog{w.t}, &slog.HandlerOptions{Level: slog.LevelWarn})))
	require.NoError(w.t, err)
	require.NoError(w.t, a.Start(ctx))
	srv := httptest.NewServer(a.Handler())
	w.app, w.url = a, srv.URL
	w.t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		stop, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		require.NoError(w.t, a.Stop(stop))
		require.NoError(w.t, a.Close(stop))
	})
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	if os.Getenv("TEST_VERBOSE_LOG") != "" {
		l.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

func (w *world) seed() {
	w.t.Helper()
	w.must("PUT", "/v1/apps/ops", obj{
		"name": "运维", "corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID, "secret": sandbox.DevSecret, "base_url": w.base,
	})
	w.must("PUT", "/v1/scenes/alert", obj{
		"code": 912, "title": "程序预警", "app": "ops", "to": obj{"users": []string{"zhangsan"}},
		"variables": obj{
			"type": "object", "required": []string{"service", "error"},
			"properties": obj{"service": obj{"type": "string"}, "error": obj{"type": "string"}},
		},
		"content": obj{"type": "textcard", "textcard": obj{
			"title": "[{{ .data.service }}] 程序预警", "description": "{{ .data.error }}",
			"url": "https://ops.example.com/{{ .data.service }}", "btntxt": "查看",
		}},
	})
}

type obj = map[string]any

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   obj
}

func (a answer) str(key string) string {
	s, _ := a.body[key].(string)
	return s
}

// try makes a request and fails the test only when there is no answer.
func (w *world) try(method, path string, body any, headers ...string) answer {
	w.t.Helper()
	a, err := w.call(method, path, body, headers...)
	require.NoError(w.t, err)
	return a
}

func (w *world) call(method, path string, body any, headers ...string) (answer, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, w.url+path, r)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+w.key)
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req) //nolint:forbidigo // a test's caller
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, raw: raw}
	_ = json.Unmarshal(raw, &a.body)
	return a, nil
}

// must makes a request that has to succeed.
func (w *world) must(method, path string, body any, headers ...string) answer {
	w.t.Helper()
	a := w.try(method, path, body, headers...)
	require.Less(w.t, a.status, 300, "%s %s: %s", method, path, a.raw)
	return a
}

// send posts a message and waits for its end.
func (w *world) send(req obj, headers ...string) answer {
	w.t.Helper()
	return w.must("POST", "/v1/messages?wait=20s", req, headers...)
}

func (w *world) message(id string) answer { return w.must("GET", "/v1/messages/"+id, nil) }

// depth is how many deliveries are open, or -1 when the gateway cannot tell.
func (w *world) depth() int {
	w.t.Helper()
	return w.lanes("depth")
}

// lanes adds up a number of all lanes.
func (w *world) lanes(field string) int {
	w.t.Helper()
	a := w.try("GET", "/v1/lanes?limit=200", nil)
	items, ok := a.body["items"].([]any)
	if !ok {
		return -1
	}
	n := 0
	for _, it := range items {
		d, _ := it.(obj)[field].(float64)
		n += int(d)
	}
	return n
}

// eventually waits for a condition; it fails the test after a long while.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			require.Fail(t, "never happened: "+what)
		case <-tick.C:
		}
	}
}

func alert(n int) obj {
	return obj{"scene": "alert", "to": obj{"users": []string{fmt.Sprintf("load-%d", n)}}, "data": obj{"service": "billing", "error": fmt.Sprintf("fault number %d", n)}}
}

// seedScenes saves the thirteen scenes of the original design.
func (w *world) seedScenes() {
	w.t.Helper()
	for _, s := range scene.Seeds() {
		s.App = "ops"
		raw, err := json.Marshal(s)
		require.NoError(w.t, err)
		var spec obj
		require.NoError(w.t, json.Unmarshal(raw, &spec))
		delete(spec, "key")
		w.must("PUT", "/v1/scenes/"+s.Key, spec)
	}
}
