package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/access"
	"hongyan/internal/catalog"
	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
	"hongyan/internal/scene"
	"hongyan/internal/seal"
	"hongyan/internal/store"
	"hongyan/internal/telemetry"
)

// api is the edge over a real database, access and catalogue; intake and the
// lanes are not there, and their routes answer 503.
type api struct {
	t     testing.TB
	store *store.Store
	keys  *access.Keys
	srv   *httpapi.Server
	url   string
	dir   string // of the database
	logs  *safeBuffer
	key   map[string]string // scope → key
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newAPI(t testing.TB, change ...func(*httpapi.Config)) *api {
	a := &api{t: t, dir: t.TempDir(), key: map[string]string{}, logs: &safeBuffer{}}
	ring, _, err := seal.Generate()
	require.NoError(t, err)
	a.store, err = store.Open(t.Context(), store.Config{DataDir: a.dir, Node: "test", Seal: ring})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.store.Close()) })
	a.keys = access.New(access.Config{Store: a.store, IDs: &domain.IDs{}})
	require.NoError(t, a.keys.Refresh(t.Context()))
	for _, s := range domain.Scopes() {
		_, clear, err := a.keys.Create(t.Context(), domain.APIKey{Name: s, Scopes: []string{s}})
		require.NoError(t, err)
		a.key[s] = clear
	}
	cat := catalog.New(catalog.Config{Store: a.store, Log: slog.New(slog.DiscardHandler), CheckScene: scene.Check})
	require.NoError(t, cat.Refresh(t.Context()))
	cfg := httpapi.Config{
		History: a.store, Events: a.store, Resources: cat, Scenes: scenes{cat}, Keys: a.keys,
		Log: telemetry.NewLogger(a.logs, "json", "debug"), BodyTimeout: 300 * time.Millisecond,
	}
	for _, f := range change {
		f(&cfg)
	}
	a.srv, err = httpapi.New(cfg)
	require.NoError(t, err)
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = httpapi.HTTPServer(a.srv)
	ts.Start()
	t.Cleanup(ts.Close)
	t.Cleanup(a.srv.Close)
	a.url = ts.URL
	return a
}

// scenes is the catalogue without the preview, which needs the planner.
type scenes struct{ *catalog.Catalog }

func (scenes) PreviewScene(context.Context, domain.Caller, string, httpapi.ScenePreview) (domain.DryRun, error) {
	return domain.DryRun{}, domain.Errorf(domain.CodeUnavailable, "no planner here")
}

// answer is a response that was read.
type answer struct {
	*http.Response
	body string
}

func (a answer) problem(t testing.TB) httpapi.Problem {
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), a.body)
	var p httpapi.Problem
	require.NoError(t, json.Unmarshal([]byte(a.body), &p), a.body)
	require.Equal(t, a.StatusCode, p.Status)
	require.Equal(t, a.Header.Get("X-Request-Id"), p.RequestID)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	require.NotEmpty(t, p.Fix)
	require.Contains(t, p.Type, "/docs/errors#"+p.Code)
	return p
}

// do calls with the key of a scope; header lines are "Name: value".
func (a *api) do(method, path, scope, body string, headers ...string) answer {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	require.NoError(a.t, err)
	if body == "" {
		req.Body = http.NoBody
	}
	if scope != "" {
		req.Header.Set("Authorization", "Bearer "+a.key[scope])
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	require.NoError(a.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(a.t, err)
	return answer{res, string(b)}
}
