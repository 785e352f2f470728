package directory_test

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/directory"
	"hongyan/internal/domain"
	"hongyan/internal/seal"
	"hongyan/internal/store"
	"hongyan/sandbox"
	"hongyan/wecom"
)

// apps is a changeable list of apps.
type apps struct {
	mu  sync.Mutex
	all map[string]domain.App
}

func (a *apps) App(key string) (domain.App, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	app, ok := a.all[key]
	return app, ok
}

func (a *apps) set(app domain.App) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := maps.Clone(a.all)
	next[app.Key] = app
	a.all = next
}

func (a *apps) remove(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, key)
}

// inProcess calls a handler without a network, which a bubble of synctest
// cannot wait for.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r.RemoteAddr = "127.0.0.1:1"
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// reads is the source: the real client, and a token per call.
type reads struct {
	client *wecom.Client
	apps   *apps
}

func (s *reads) token(ctx context.Context, key string) (domain.App, string, error) {
	app, _ := s.apps.App(key)
	t, err := s.client.GetToken(ctx, app.CorpID, app.Secret)
	return app, t.Value, err
}

func (s *reads) Agent(ctx context.Context, key string) (wecom.Agent, error) {
	app, token, err := s.token(ctx, key)
	if err != nil {
		return wecom.Agent{}, err
	}
	return s.client.AgentGet(ctx, token, app.AgentID)
}

func (s *reads) Departments(ctx context.Context, key string) ([]wecom.Department, error) {
	_, token, err := s.token(ctx, key)
	if err != nil {
		return nil, err
	}
	return s.client.Departments(ctx, token)
}

func (s *reads) DepartmentMembers(ctx context.Context, key string, id int64) ([]string, error) {
	_, token, err := s.token(ctx, key)
	if err != nil {
		return nil, err
	}
	return s.client.DepartmentMembers(ctx, token, id)
}

func (s *reads) TagMembers(ctx context.Context, key string, id int64) (wecom.Tag, error) {
	_, token, err := s.token(ctx, key)
	if err != nil {
		return wecom.Tag{}, err
	}
	return s.client.TagMembers(ctx, token, id)
}

// world is a directory with a WeCom, a store and an app, in a bubble where
// time costs nothing.
type world struct {
	*testing.T
	box   *sandbox.Server
	apps  *apps
	store *store.Store
	cfg   directory.Config
	dir   *directory.Directory
}

func ops() domain.App {
	return domain.App{Key: "ops", CorpID: sandbox.DevCorpID, AgentID: sandbox.DevAgentID, Secret: sandbox.DevSecret}
}

// inWorld runs f in a bubble. configure may change the directory's bounds.
func inWorld(t *testing.T, opt sandbox.Options, configure func(*directory.Config), f func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, box: sandbox.New(opt), apps: &apps{all: map[string]domain.App{"ops": ops()}}}
		ring, _, err := seal.LoadOrCreate(dir + "/master.key")
		require.NoError(t, err)
		w.store, err = store.Open(t.Context(), store.Config{URL: "sqlite://" + dir + "/test.db", DataDir: dir, Node: "n1", Seal: ring})
		require.NoError(t, err)
		client, err := wecom.NewClient(wecom.Options{BaseURL: "http://wecom.example", HTTP: &http.Client{Transport: inProcess{w.box}}})
		require.NoError(t, err)
		w.cfg = directory.Config{Source: &reads{client, w.apps}, Apps: w.apps, Store: w.store, Log: slog.New(slog.DiscardHandler)}
		if configure != nil {
			configure(&w.cfg)
		}
		defer func() { require.NoError(t, w.store.Close()) }()
		defer w.box.Close()
		defer w.start()()
		f(w)
	})
}

// standing is a directory outside of a bubble that has read box.
func standing(b *testing.B, box *sandbox.Server) (d *directory.Directory, stop func()) {
	b.Helper()
	dir := b.TempDir()
	ring, _, err := seal.LoadOrCreate(dir + "/master.key")
	require.NoError(b, err)
	s, err := store.Open(b.Context(), store.Config{URL: "sqlite://" + dir + "/test.db", DataDir: dir, Node: "n1", Seal: ring})
	require.NoError(b, err)
	client, err := wecom.NewClient(wecom.Options{BaseURL: "http://wecom.example", HTTP: &http.Client{Transport: inProcess{box}}})
	require.NoError(b, err)
	list := &apps{all: map[string]domain.App{"ops": ops()}}
	d = directory.New(directory.Config{Source: &reads{client, list}, Apps: list, Store: s, Pace: time.Millisecond})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { d.Run(ctx); close(done) }()
	require.NoError(b, d.Refresh(ctx, "ops"))
	_, _ = d.Members("ops", nil, is("8"), false)
	require.NoError(b, d.Refresh(ctx, "ops"))
	return d, func() { cancel(); <-done; require.NoError(b, s.Close()) }
}

// start makes a new directory from what the store knows, as a restart or
// another node does, and makes it the world's.
func (w *world) start() (stop func()) {
	w.Helper()
	w.dir = directory.New(w.cfg)
	require.NoError(w, w.dir.Load(w.Context()))
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	dir := w.dir
	go func() { dir.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

// pass lets time pass and everything that is due happen.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) members(departments, tags []string, all bool) []string {
	w.Helper()
	users, known := w.dir.Members("ops", departments, tags, all)
	require.True(w, known)
	return users
}

func (w *world) unknown(departments, tags []string, all bool) {
	w.Helper()
	users, known := w.dir.Members("ops", departments, tags, all)
	require.False(w, known)
	require.Empty(w, users, "a part would only tempt")
}

func (w *world) status() domain.DirectoryStatus {
	w.Helper()
	s, err := w.dir.Status(w.Context(), "ops")
	require.NoError(w, err)
	return s
}

// calls counts what WeCom was asked for, by operation.
func (w *world) calls(op string) int { return int(w.box.Counts().ByOp[op]) }

func is(ids ...string) []string { return ids }
