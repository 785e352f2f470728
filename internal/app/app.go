package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"hongyan/internal/access"
	"hongyan/internal/catalog"
	"hongyan/internal/config"
	"hongyan/internal/digest"
	"hongyan/internal/directory"
	"hongyan/internal/dispatch"
	"hongyan/internal/domain"
	"hongyan/internal/httpapi"
	"hongyan/internal/intake"
	"hongyan/internal/lane"
	"hongyan/internal/plan"
	"hongyan/internal/safehttp"
	"hongyan/internal/scene"
	"hongyan/internal/schedule"
	"hongyan/internal/seal"
	"hongyan/internal/store"
	"hongyan/internal/telemetry"
)

// App is a gateway that is put together. Run serves it; Close releases it.
type App struct {
	cfg      config.Config
	log      *slog.Logger
	store    *store.Store
	catalog  *catalog.Catalog
	keys     *access.Keys
	engine   *lane.Engine
	operator *dispatch.Operator
	runner   *schedule.Runner
	metrics  *telemetry.Metrics
	handler  http.Handler
	release  func() // ends the event streams and lets go those who wait for a message
	ready    *readiness

	keyIDs     []string                      // of the master key's ring; the first seals
	setupToken string                        // of the setup link; empty: there is an admin key
	behind     sync.WaitGroup                // what is written behind
	closers    []func(context.Context) error // run backwards

	directory *directory.Directory
	chats     *directory.Chats
}

// New opens the store and wires every part. It is one long straight function
// on purpose: the order of construction is the order of dependence. A failed
// New has released what it opened.
func New(ctx context.Context, cfg config.Config, log *slog.Logger) (_ *App, err error) {
	a := &App{cfg: cfg, log: log, metrics: telemetry.NewMetrics(Version(), ""), ready: &readiness{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	ids := &domain.IDs{}
	ring, err := masterKey(cfg)
	if err != nil {
		return nil, err
	}
	node, err := nodeName(cfg)
	if err != nil {
		return nil, err
	}
	a.keyIDs = ring.KeyIDs()
	a.store, err = store.Open(ctx, store.Config{
		URL: cfg.DatabaseURL.Reveal(), DataDir: cfg.DataDir, Node: node, Seal: ring, Logger: log,
		OnCommit: func(d time.Duration, ops int) { a.metrics.Commit(d, ops) },
		OnEnd:    func(state domain.State, n int) { a.metrics.Finished(string(state), n) },
	})
	if err != nil {
		return nil, err
	}
	a.onClose(func(context.Context) error { return a.store.Close() })
	a.onClose(func(context.Context) error { a.behind.Wait(); return nil })

	a.catalog = catalog.New(catalog.Config{Store: a.store, Log: log, CheckScene: scene.Check, CheckSchedule: schedule.Check})
	scenes := scene.New(a.catalog)
	if err := a.catalog.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("load the catalogue: %w", err)
	}
	a.catalog.WarnTwins(ctx, "")
	a.keys = access.New(access.Config{Store: a.store, IDs: ids, Log: log})
	if cfg.AdminKey.Set() {
		if err := a.keys.Import(ctx, cfg.AdminKey.Reveal()); err != nil {
			return nil, fmt.Errorf("import HONGYAN_ADMIN_KEY: %w", err)
		}
	}
	if err := a.keys.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("load the API keys: %w", err)
	}
	setup, token, err := a.keys.NewSetup(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for an admin key: %w", err)
	}
	a.setupToken = token

	var share dispatch.TokenShare
	if cfg.RedisURL.Set() {
		r, err := dispatch.NewRedisShare(cfg.RedisURL.Reveal())
		if err != nil {
			return nil, err
		}
		share = r
		a.onClose(func(context.Context) error { return r.Close() })
	}
	a.directory = directory.New(directory.Config{Apps: a.catalog, Store: a.store, Log: log})
	if err := a.directory.Load(ctx); err != nil {
		return nil, fmt.Errorf("load the directories: %w", err)
	}
	a.chats = directory.NewChats(a.store, log)
	if err := a.chats.Load(ctx); err != nil {
		return nil, fmt.Errorf("load the group chats: %w", err)
	}
	sender := dispatch.New(dispatch.Config{
		Apps: a.catalog, Robots: a.catalog, History: a.store, Directory: a.directory, Chat: a.chats.Members, IDs: ids, Tokens: a.store, Share: share, Media: a.store, Health: a.store,
		Node: node, Agent: "hongyan/" + Version(), Logger: log,
		OnAttempt: a.metrics.Attempt, OnFirst: a.metrics.AddedLatency, OnToken: a.metrics.TokenRefresh,
		OnQuota: a.quotaWarning, Accounts: a.accounts,
	})
	if _, err := sender.Health().Load(ctx); err != nil {
		return nil, fmt.Errorf("load the apps' health: %w", err)
	}
	source := dispatch.NewDirectorySource(sender)
	a.directory.ReadFrom(source)
	a.chats.ReadFrom(source)
	follow := &intake.Follow{}
	a.engine = lane.New(lane.Config{
		Node: node, Logger: log, OnWait: func(r domain.WaitReason) { a.metrics.RateWait(string(r)) }, OnFinal: follow.Finished,
		OnMerge: a.metrics.Digest,
		Weight:  a.catalog.Weight, Digests: digest.New(digest.Config{Apps: a.catalog, Scenes: scenes, IDs: ids, Calls: plan.Calls{}, Logger: log}), Notices: a.store.Notices(),
		OnBeat: func(ctx context.Context) { a.operator.Sync(ctx) },
	}, a.store, sender)
	a.operator = dispatch.NewOperator(sender, a.engine, a.store)
	a.catalog.OnChange(func(kind domain.ResourceKind, key string) {
		switch kind {
		case domain.ResourceApp:
			a.operator.Changed(key)
			a.directory.Changed(key)
			a.chats.Changed(key)
		case domain.ResourceRobot:
			a.operator.Changed(domain.LaneKey(domain.LaneRobot, key))
		default:
		}
	})

	fetch := safehttp.New(safehttp.Options{Allow: cfg.EgressAllow})
	in := intake.New(intake.Config{
		Store: a.store, Lanes: lanes{a.engine, a.operator}, Apps: a.catalog, Scenes: scenes, Planner: plan.New(a.catalog, ids),
		Fetch: fetch, IDs: ids, Follow: follow, OnAccept: a.metrics.Accepted,
	})
	runs := schedule.Config{Catalog: a.catalog, Intake: in, Runs: a.store, OnRun: a.metrics.ScheduleRuns, Log: log}
	a.runner = schedule.NewRunner(runs)
	a.catalog.OnChange(func(kind domain.ResourceKind, _ string) {
		if kind == domain.ResourceSchedule {
			a.runner.Changed()
		}
	})
	admin := &sceneAdmin{Catalog: a.catalog, scenes: scenes, intake: in}
	api, err := httpapi.New(httpapi.Config{
		Messages: in, History: explained{a.store, a.operator, a.catalog}, Events: a.store, Resources: a.catalog, Scenes: admin,
		Apps: a.operator, Lanes: a.operator, Held: a.operator, Directory: a.directory, Uploads: in, Keys: a.keys, Meter: a.metrics, Log: log,
		Schedules: schedule.New(runs),
		Setup:     setup, PublicURL: cfg.PublicURL, Version: Version(), Ready: a.ready.check(a.store),
	})
	if err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	a.handler, a.release = api, api.Close
	return a, nil
}

func (a *App) onClose(f func(context.Context) error) { a.closers = append(a.closers, f) }

// Close releases everything, the newest first.
func (a *App) Close(ctx context.Context) error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i](ctx))
	}
	a.closers = nil
	return errors.Join(errs...)
}

// Handler is the main listener's handler.
func (a *App) Handler() http.Handler { return a.handler }

// Start begins to dispatch; Stop ends it. Between them the app is ready.
func (a *App) Start(ctx context.Context) error {
	if err := a.engine.Start(ctx); err != nil {
		return err
	}
	loops, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	for _, loop := range []func(context.Context){a.watchCatalog, a.keys.Run, a.runner.Run, a.prune, a.directory.Run, a.chats.Run, a.reseal} {
		done.Go(func() { loop(loops) })
	}
	a.onClose(func(context.Context) error {
		cancel()
		done.Wait()
		return nil
	})
	a.ready.set(true)
	return nil
}

// Stop lets calls in flight finish and hands the lanes over.
func (a *App) Stop(ctx context.Context) error {
	a.ready.set(false)
	return a.engine.Stop(ctx)
}

// pruneRows is how many rows of a kind are removed in one transaction.
const pruneRows = 1000

// prune removes what has served its time, a little at a time.
func (a *App) prune(ctx context.Context) {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for more := true; more; { // as much as a busy gateway adds meanwhile
				var err error
				if more, err = a.store.Prune(ctx, time.Now().Add(-48*time.Hour), pruneRows); err != nil && ctx.Err() == nil {
					a.log.Warn("old rows not removed", "error", err)
				}
			}
		}
	}
}

// reseal follows a change of the master key: what is under an older key of the
// ring is sealed anew under its first.
func (a *App) reseal(ctx context.Context) {
	if len(a.keyIDs) < 2 {
		return
	}
	n, err := a.store.Reseal(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.log.Error("not everything is under the first key of the master key's ring: keep the others", "sealed_anew", n, "error", err)
	default:
		a.log.Info("everything is under the first key of the master key's ring; the others may be taken out", "first", a.keyIDs[0], "sealed_anew", n)
	}
}

func masterKey(cfg config.Config) (*seal.Ring, error) {
	if cfg.MasterKey.Set() {
		return seal.Parse(cfg.MasterKey.Reveal())
	}
	ring, _, err := seal.LoadOrCreate(filepath.Join(cfg.DataDir, "master.key"))
	return ring, err
}

// nodeName names this process among others on one database. It is kept in the
// data directory, so that a restart finds its own leases again.
func nodeName(cfg config.Config) (string, error) {
	if cfg.Node != "" {
		return cfg.Node, nil
	}
	path := filepath.Join(cfg.DataDir, "node")
	if b, err := os.ReadFile(path); err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	name := strings.TrimPrefix((&domain.IDs{}).New(host+"-"), "-")
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the node's name: %w", err)
	}
	return name, nil
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use: stop what listens there, or choose other addresses with --listen, --ops-listen and --sandbox-listen", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return ln, nil
}

// newLogger makes the process's logger on stderr.
func newLogger(cfg config.Config, w io.Writer) *slog.Logger {
	return telemetry.NewLogger(w, cfg.LogFormat, cfg.LogLevel.String())
}
