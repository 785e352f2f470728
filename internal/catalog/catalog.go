package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/internal/domain"
)

// Store is what the catalogue needs of the database.
type Store interface {
	// ListResources gives all of a kind with their secrets, at most 10,000.
	ListResources(ctx context.Context, kind domain.ResourceKind) ([]domain.Resource, error)
	// Revision grows with every change of any resource.
	Revision(ctx context.Context) (int64, error)
	// PutResource: ifMatch −1 any, 0 must not exist, n must be that version.
	// Secrets replace stored ones of the same name, an empty one removes it,
	// others stay.
	PutResource(ctx context.Context, r domain.Resource, ifMatch int64) (domain.Resource, bool, error)
	DeleteResource(ctx context.Context, kind domain.ResourceKind, key string, ifMatch int64) error
	PutScene(ctx context.Context, s domain.Scene, by, reason string, ifMatch int64) (domain.SceneVersion, bool, error)
	ListSceneVersions(ctx context.Context, key string, limit int, cursor string) ([]domain.SceneVersion, string, error)
	GetSceneVersion(ctx context.Context, key string, version int) (domain.SceneVersion, error)
}

// Config sets up a Catalog.
type Config struct {
	Store Store
	Poll  time.Duration // between looks at the revision; default 1 s
	// CheckScene finds what is wrong with a scene; pointers start at its root.
	CheckScene func(domain.Scene) []domain.FieldError
	// CheckSchedule does the same for a schedule.
	CheckSchedule func(domain.Schedule) []domain.FieldError
	Log           *slog.Logger // default: discards
}

// Catalog is the live snapshot. Safe for concurrent use. It is empty until
// [Catalog.Refresh] or [Catalog.Run] has run once.
type Catalog struct {
	cfg  Config
	live atomic.Pointer[snapshot]

	mu        sync.Mutex // one refresh at a time
	listeners atomic.Pointer[[]func(domain.ResourceKind, string)]
	wake      chan struct{}
}

// snapshot is immutable once published.
type snapshot struct {
	revision  int64
	resources map[domain.ResourceKind]map[string]domain.Resource
	apps      map[string]domain.App
	appList   []domain.App // by key
	robots    map[string]domain.Robot
	audiences map[string]domain.Audience
	scenes    map[string]liveScene
	codes     map[int]string // scene code → key
}

type liveScene struct {
	scene   domain.Scene
	version int
}

// kinds are those that the catalogue reads.
func kinds() []domain.ResourceKind {
	return []domain.ResourceKind{domain.ResourceApp, domain.ResourceAudience, domain.ResourceScene, domain.ResourceRobot, domain.ResourceSchedule}
}

// New makes an empty catalogue.
func New(cfg Config) *Catalog {
	if cfg.Poll <= 0 {
		cfg.Poll = time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.CheckScene == nil {
		cfg.CheckScene = func(domain.Scene) []domain.FieldError { return nil }
	}
	if cfg.CheckSchedule == nil {
		cfg.CheckSchedule = func(domain.Schedule) []domain.FieldError { return nil }
	}
	c := &Catalog{cfg: cfg, wake: make(chan struct{}, 1)}
	c.live.Store(&snapshot{revision: -1})
	c.listeners.Store(&[]func(domain.ResourceKind, string){})
	return c
}

// App returns the app with that key, its secret included.
func (c *Catalog) App(key string) (domain.App, bool) {
	a, ok := c.live.Load().apps[key]
	return a, ok
}

// Apps returns every app by key. The caller must not change the list.
func (c *Catalog) Apps() []domain.App { return c.live.Load().appList }

// Robot returns the robot with that key, its webhook key included.
func (c *Catalog) Robot(key string) (domain.Robot, bool) {
	r, ok := c.live.Load().robots[key]
	return r, ok
}

// Robots returns every robot, in no order.
func (c *Catalog) Robots() []domain.Robot {
	return slices.Collect(maps.Values(c.live.Load().robots))
}

// Audience returns the audience with that key.
func (c *Catalog) Audience(key string) (domain.Audience, bool) {
	a, ok := c.live.Load().audiences[key]
	return a, ok
}

// Scene returns the live version of a scene.
func (c *Catalog) Scene(key string) (s domain.Scene, version int, ok bool) {
	l, ok := c.live.Load().scenes[key]
	return l.scene, l.version, ok
}

// Weight returns a scene's share among those of its priority; 1 when it has
// none or is not known.
func (c *Catalog) Weight(scene string) int {
	if w := c.live.Load().scenes[scene].scene.Policy.Weight; w != nil {
		return *w
	}
	return 1
}

// SceneByCode returns the live version of the scene with that integer code.
func (c *Catalog) SceneByCode(code int) (s domain.Scene, version int, ok bool) {
	live := c.live.Load()
	key, ok := live.codes[code]
	if !ok {
		return domain.Scene{}, 0, false
	}
	l, ok := live.scenes[key]
	return l.scene, l.version, ok
}

// GetResource returns a resource with its secrets; it fails with
// domain.CodeNotFound, CodeAppNotFound or CodeSceneNotFound.
func (c *Catalog) GetResource(_ context.Context, kind domain.ResourceKind, key string) (domain.Resource, error) {
	if r, ok := c.live.Load().resources[kind][key]; ok {
		return r, nil
	}
	return domain.Resource{}, notFound(kind, key)
}

func notFound(kind domain.ResourceKind, key string) error {
	code := domain.CodeNotFound
	switch kind {
	case domain.ResourceApp:
		code = domain.CodeAppNotFound
	case domain.ResourceScene:
		code = domain.CodeSceneNotFound
	case domain.ResourceAudience, domain.ResourceRobot, domain.ResourceSchedule:
	}
	return domain.Errorf(code, "there is no %s %q", kind, key)
}

// ListResources returns all of a kind, by key, with their secrets.
func (c *Catalog) ListResources(_ context.Context, kind domain.ResourceKind) ([]domain.Resource, error) {
	all := c.live.Load().resources[kind]
	out := make([]domain.Resource, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[key])
	}
	return out, nil
}

// OnChange calls f after the snapshot changed, once for every resource that
// appeared, changed or went. f must not block and must not write through the
// catalogue. Call it before Run.
func (c *Catalog) OnChange(f func(kind domain.ResourceKind, key string)) {
	for {
		old := c.listeners.Load()
		next := append(slices.Clone(*old), f)
		if c.listeners.CompareAndSwap(old, &next) {
			return
		}
	}
}

// Changed makes Run look at the store at once, as after a notification.
func (c *Catalog) Changed() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run keeps the snapshot up to date until ctx ends; then it returns nil.
func (c *Catalog) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Poll)
	defer tick.Stop()
	failing := false
	for {
		err := c.Refresh(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			c.cfg.Log.WarnContext(ctx, "resources cannot be read, the last known ones stay live", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-c.wake:
		}
	}
}

// Refresh loads the snapshot if the store has a newer revision.
func (c *Catalog) Refresh(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The revision is read first: a change that comes in between is then seen
	// now and loaded once more by the next look, never missed.
	rev, err := c.cfg.Store.Revision(ctx)
	if err != nil {
		return fmt.Errorf("reading the revision of resources: %w", err)
	}
	old := c.live.Load()
	if rev == old.revision {
		return nil
	}
	next := &snapshot{revision: rev, resources: map[domain.ResourceKind]map[string]domain.Resource{}}
	for _, kind := range kinds() {
		list, err := c.cfg.Store.ListResources(ctx, kind)
		if err != nil {
			return fmt.Errorf("listing resources of kind %s: %w", kind, err)
		}
		byKey := make(map[string]domain.Resource, len(list))
		for _, r := range list {
			byKey[r.Key] = r
		}
		next.resources[kind] = byKey
	}
	if err := next.decode(old); err != nil {
		c.cfg.Log.ErrorContext(ctx, "a stored resource cannot be read", "error", err)
	}
	c.live.Store(next)
	c.tell(old, next)
	return nil
}

// decode fills the typed maps. A row that does not decode keeps its last
// working form, if there is one.
func (s *snapshot) decode(old *snapshot) error {
	var errs []error
	s.apps, s.robots, s.audiences = map[string]domain.App{}, map[string]domain.Robot{}, map[string]domain.Audience{}
	s.scenes, s.codes = map[string]liveScene{}, map[int]string{}
	for key, r := range s.resources[domain.ResourceApp] {
		var a domain.App
		if err := json.Unmarshal(r.Spec, &a); err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", key, err))
			if a, ok := old.apps[key]; ok {
				s.apps[key] = a
			}
			continue
		}
		a.Key, a.Secret, a.Proxy = key, r.Secrets["secret"], joinProxy(a.Proxy, r.Secrets[secretProxy])
		s.apps[key] = a
	}
	for _, key := range slices.Sorted(maps.Keys(s.apps)) {
		s.appList = append(s.appList, s.apps[key])
	}
	for key, r := range s.resources[domain.ResourceRobot] {
		var b domain.Robot
		if err := json.Unmarshal(r.Spec, &b); err != nil {
			errs = append(errs, fmt.Errorf("robot %s: %w", key, err))
			if b, ok := old.robots[key]; ok {
				s.robots[key] = b
			}
			continue
		}
		b.Key, b.WebhookKey, b.Proxy = key, r.Secrets[secretWebhookKey], joinProxy(b.Proxy, r.Secrets[secretProxy])
		s.robots[key] = b
	}
	for key, r := range s.resources[domain.ResourceAudience] {
		var a domain.Audience
		if err := json.Unmarshal(r.Spec, &a); err != nil {
			errs = append(errs, fmt.Errorf("audience %s: %w", key, err))
			if a, ok := old.audiences[key]; ok {
				s.audiences[key] = a
			}
			continue
		}
		a.Key = key
		s.audiences[key] = a
	}
	for key, r := range s.resources[domain.ResourceScene] {
		l := liveScene{version: int(r.Version)}
		if err := json.Unmarshal(r.Spec, &l.scene); err != nil {
			errs = append(errs, fmt.Errorf("scene %s: %w", key, err))
			last, ok := old.scenes[key]
			if !ok {
				continue
			}
			l = last
		}
		l.scene.Key = key
		s.scenes[key] = l
		if l.scene.Code != nil {
			s.codes[*l.scene.Code] = key
		}
	}
	return errors.Join(errs...)
}

func (c *Catalog) tell(old, next *snapshot) {
	listeners := *c.listeners.Load()
	if len(listeners) == 0 {
		return
	}
	for _, kind := range kinds() {
		was, is := old.resources[kind], next.resources[kind]
		for key, r := range is {
			if o, ok := was[key]; !ok || o.Version != r.Version || !o.UpdatedAt.Equal(r.UpdatedAt) {
				for _, f := range listeners {
					f(kind, key)
				}
			}
		}
		for key := range was {
			if _, ok := is[key]; !ok {
				for _, f := range listeners {
					f(kind, key)
				}
			}
		}
	}
}
