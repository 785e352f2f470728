package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"hongyan/internal/access"
	"hongyan/internal/config"
)

// The parts of a graceful stop. What one part uses up is not taken from the
// next, and together they stay under 25 s; systemd and Kubernetes allow 30.
const (
	drainLimit = 9 * time.Second  // requests that are being answered
	stopLimit  = 12 * time.Second // calls to WeCom in flight, of which each has 10 s; more if the drain was short
	closeLimit = 3 * time.Second  // what is written behind, and the store
)

// Version is the version of the build, or "dev".
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// Serve runs the gateway until ctx ends, then drains: /readyz fails, the
// listener stops accepting, calls in flight finish.
func Serve(ctx context.Context, cfg config.Config, stdout, stderr io.Writer) error {
	defer runtime.KeepAlive(heapBallast())
	log := newLogger(cfg, stderr)
	for _, w := range cfg.Warnings {
		log.Warn("setting looks wrong", "detail", w)
	}
	a, err := New(ctx, cfg, log)
	if err != nil {
		return err
	}
	return a.run(ctx, stdout, nil)
}

// run serves a until ctx ends. announce, if any, is called once it is ready.
func (a *App) run(ctx context.Context, stdout io.Writer, announce func(context.Context) error) (err error) {
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
		defer cancel()
		err = errors.Join(err, a.Close(closing))
	}()
	ln, err := listen(ctx, a.cfg.Listen)
	if err != nil {
		return err
	}
	var opsLn net.Listener
	if a.cfg.OpsListen != "" {
		if opsLn, err = listen(ctx, a.cfg.OpsListen); err != nil {
			_ = ln.Close()
			return err
		}
	}
	if err := a.Start(ctx); err != nil {
		_ = ln.Close()
		return err
	}
	srv := newServer(a.handler, a.log)
	fail := make(chan error, 2)
	go func() { fail <- srv.Serve(ln) }()
	var ops *http.Server
	if opsLn != nil {
		ops = newServer(a.opsHandler(), a.log)
		ops.WriteTimeout = 2 * time.Minute // profiles take their time
		go func() { fail <- ops.Serve(opsLn) }()
	}
	a.log.Info("ready", "listen", ln.Addr().String(), "store", a.store.Dialect(), "version", Version())
	notify("READY=1")
	if announce != nil {
		if err := announce(ctx); err != nil {
			_ = srv.Close()
			return errors.Join(err, a.Stop(ctx))
		}
	}
	if a.setupToken != "" && announce == nil {
		_, _ = fmt.Fprintf(stdout, setupText, access.SetupLife/time.Minute, a.cfg.PublicURL, a.setupToken)
	}
	var cause error
	select {
	case <-ctx.Done():
	case err := <-fail:
		if !errors.Is(err, http.ErrServerClosed) {
			cause = fmt.Errorf("serve: %w", err)
		}
	case err := <-a.store.Fatal():
		// The disk did not keep what it was given: nothing more may be
		// promised. The supervisor restarts us and recovery sorts it out.
		a.ready.set(false)
		return fmt.Errorf("store: %w", err)
	}
	notify("STOPPING=1")
	a.log.Info("stopping")
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit+stopLimit)
	defer cancel()
	a.ready.set(false)
	errs := []error{cause}
	a.release()
	drain, cancel := context.WithTimeout(stop, drainLimit)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		a.log.Warn("requests were cut off that did not end in time", "limit", drainLimit)
		_ = srv.Close()
	}
	errs = append(errs, a.Stop(stop))
	if ops != nil {
		_ = ops.Close()
	}
	a.log.Info("stopped")
	return errors.Join(errs...)
}

// setupText is printed as long as nobody can administer the installation. The
// link is no log line: logs are collected.
const setupText = `
There is no API key yet. Within %d minutes, make the first one here:
还没有 API 密钥，请在有效期内打开下面的链接创建第一个：

  %s/setup/%s

`

// newServer sets the bounds that every listener has.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 60 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func (a *App) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.measured(a.metrics.Handler()))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	return mux
}

// notify tells systemd (Type=notify) how we are; without systemd it does
// nothing.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
