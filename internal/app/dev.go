package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"hongyan/internal/config"
	"hongyan/internal/domain"
	"hongyan/internal/scene"
	"hongyan/internal/store"
	"hongyan/sandbox"
)

// devKeyFile holds the API key of a dev installation, so that a pasted command
// can read it.
const devKeyFile = "key"

// Dev runs gateway and sandbox in one process, seeded, and prints what to try.
// The data stays in cfg.DataDir between runs; fresh starts over.
func Dev(ctx context.Context, cfg config.Config, fresh bool, out, stderr io.Writer) error {
	defer runtime.KeepAlive(heapBallast())
	ln, err := listen(ctx, cfg.SandboxListen)
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }()
	if fresh {
		if err := removeDevData(cfg.DataDir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	if cfg.LogLevel == slog.LevelInfo {
		cfg.LogLevel = slog.LevelWarn // the page and the prompt say what matters
	}
	wecom := sandbox.New(sandbox.Options{})
	defer wecom.Close()
	srv := newServer(wecom, slog.New(slog.DiscardHandler))
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()

	a, err := New(ctx, cfg, newLogger(cfg, stderr))
	if err != nil {
		return err
	}
	key, err := a.seed(ctx, "http://"+ln.Addr().String())
	if err != nil {
		return errors.Join(err, a.Close(ctx))
	}
	return a.run(ctx, out, func(context.Context) error {
		_, err := io.WriteString(out, welcome(cfg, ln.Addr(), key))
		return err
	})
}

// removeDevData deletes what Dev made, and refuses to delete anything else, or
// what a running gateway uses.
func removeDevData(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look into %s: %w", dir, err)
	}
	for _, e := range entries {
		known := e.Name() == devKeyFile || e.Name() == "master.key" || e.Name() == "node" || strings.HasPrefix(e.Name(), "hongyan.")
		if !known || e.IsDir() {
			return fmt.Errorf("%s holds %s, which is not ours: nothing was deleted; choose another --data", dir, e.Name())
		}
	}
	lock, err := store.Lock(filepath.Join(dir, "hongyan.db"))
	if err != nil {
		return fmt.Errorf("start over: %w", err)
	}
	_ = lock.Close() // some systems do not remove an open file
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("start over: %w", err)
		}
	}
	return nil
}

// seed makes the app, the audience, the scenes and the key of a dev
// installation. What exists is left alone: edits survive a restart.
func (a *App) seed(ctx context.Context, base string) (string, error) {
	path := filepath.Join(a.cfg.DataDir, devKeyFile)
	raw, err := os.ReadFile(path)
	key := strings.TrimSpace(string(raw))
	if err != nil || key == "" {
		key = "hy_dev" + rand.Text() + rand.Text()
		if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("keep the dev key: %w", err)
		}
	}
	if err := a.keys.Import(ctx, key); err != nil {
		return "", fmt.Errorf("make the dev key: %w", err)
	}
	if err := a.keys.Refresh(ctx); err != nil {
		return "", err
	}
	app := domain.App{Key: "ops", Name: "运维", CorpID: sandbox.DevCorpID, AgentID: sandbox.DevAgentID, BaseURL: base, Accounts: 500}
	// The sandbox may listen elsewhere this time, so the app follows it.
	if old, ok := a.catalog.App("ops"); !ok || old.BaseURL != base {
		if err := a.put(ctx, domain.ResourceApp, app.Key, app, map[string]string{"secret": sandbox.DevSecret}); err != nil {
			return "", err
		}
	}
	if _, ok := a.catalog.Audience("oncall"); !ok {
		oncall := domain.Audience{Key: "oncall", Name: "值班", Users: []string{"zhangsan", "lisi"}}
		if err := a.put(ctx, domain.ResourceAudience, oncall.Key, oncall, nil); err != nil {
			return "", err
		}
	}
	room := domain.Robot{Key: "ops-room", Name: "运维群", BaseURL: base}
	if old, ok := a.catalog.Robot(room.Key); !ok || old.BaseURL != base {
		if err := a.put(ctx, domain.ResourceRobot, room.Key, room, map[string]string{"webhook_key": sandbox.DevRobotKey}); err != nil {
			return "", err
		}
	}
	for _, s := range scene.Seeds() {
		if _, _, ok := a.catalog.Scene(s.Key); ok {
			continue
		}
		s.App, s.To = app.Key, domain.To{Audiences: []string{"oncall"}}
		s.Reason = "seeded by dev"
		if _, _, err := a.catalog.PutScene(ctx, s, 0, "dev"); err != nil {
			return "", fmt.Errorf("seed scene %s: %w", s.Key, err)
		}
	}
	return key, nil
}

func (a *App) put(ctx context.Context, kind domain.ResourceKind, key string, v any, secrets map[string]string) error {
	spec, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, _, err = a.catalog.PutResource(ctx, domain.Resource{Kind: kind, Key: key, Spec: spec, Secrets: secrets}, -1, "dev")
	if err != nil {
		return fmt.Errorf("seed %s %s: %w", kind, key, err)
	}
	return nil
}

func welcome(cfg config.Config, box net.Addr, key string) string {
	return fmt.Sprintf(`
鸿雁 Hongyan is ready.

  API       %[1]s/docs
  Sandbox   http://%[2]s/?member=zhangsan   (a phone that shows what arrives)
  API key   %[3]s

Paste this, and look at the phone:

curl -sS %[1]s/v1/messages \
  -H 'Authorization: Bearer %[3]s' \
  -H 'Content-Type: application/json' \
  -d '{"scene":"program-alert","to":{"users":["zhangsan"]},"data":{"service":"billing","error":"out of memory"}}'

Stop with Ctrl-C. The data stays in %[4]s; --fresh starts over.
`, cfg.PublicURL, box, key, cfg.DataDir)
}

// Sandbox runs the built-in WeCom alone.
func Sandbox(ctx context.Context, cfg config.Config, out io.Writer) error {
	wecom := sandbox.New(sandbox.Options{})
	defer wecom.Close()
	ln, err := listen(ctx, cfg.SandboxListen)
	if err != nil {
		return err
	}
	srv := newServer(wecom, slog.New(slog.DiscardHandler))
	srv.RegisterOnShutdown(wecom.Close) // live pages end first
	fail := make(chan error, 1)
	go func() { fail <- srv.Serve(ln) }()
	_, _ = fmt.Fprintf(out, `The sandbox listens. Use it as base_url: http://%[1]s

  corp_id   %[2]s
  agent_id  %[3]d
  secret    %[4]s
  phone     http://%[1]s/
`, ln.Addr(), sandbox.DevCorpID, sandbox.DevAgentID, sandbox.DevSecret)
	select {
	case err := <-fail:
		if !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the sandbox: %w", err)
		}
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		_ = srv.Close()
	}
	return nil
}
