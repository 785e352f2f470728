package directory

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// Source reads WeCom's directory with an app's token. Its errors are
// *wecom.Error where WeCom or the way to it is the cause.
type Source interface {
	Agent(ctx context.Context, app string) (wecom.Agent, error)
	Departments(ctx context.Context, app string) ([]wecom.Department, error)
	DepartmentMembers(ctx context.Context, app string, department int64) ([]string, error)
	TagMembers(ctx context.Context, app string, tag int64) (wecom.Tag, error)
}

// Apps gives the live configuration of apps.
type Apps interface {
	App(key string) (domain.App, bool)
}

// Store keeps snapshots for restarts and for other nodes.
type Store interface {
	PutDirectory(ctx context.Context, d domain.DirectorySnapshot) error
	GetDirectory(ctx context.Context, app string, after time.Time) (d domain.DirectorySnapshot, found bool, err error)
	ListDirectories(ctx context.Context) ([]string, error)
	DeleteDirectory(ctx context.Context, app string) error
}

// Config sets up a Directory. Apps and Store are needed.
type Config struct {
	Source Source // may come later, see ReadFrom
	Apps   Apps
	Store  Store
	Log    *slog.Logger // nil: none

	Pace       time.Duration // between two calls of one app; 0: 50 ms
	MaxCalls   int           // of one reading; 0: 4,000
	MaxMembers int           // of one app; 0: 100,000
}

const (
	every     = 6 * time.Hour      // a snapshot is renewed after this time, or up to a tenth later
	staleFrom = 7 * time.Hour      // its renewal is overdue
	keep      = 48 * time.Hour     // it is not believed after this
	idle      = 7 * 24 * time.Hour // an app that nobody asked about for so long is not renewed
	again     = 10 * time.Minute   // between two readings because of departments that nobody had heard of
	firstBack = time.Minute        // after a failure, doubling
	mostBack  = time.Hour          // and at once when somebody has to change a setting
	longest   = 30 * time.Minute   // of one reading
	flights   = 4                  // apps that are read at once
	maxAsked  = 1000               // tags, and departments, that are remembered per app because somebody asked
)

// Directory answers from memory and reads in the background. Safe for
// concurrent use; make it with New, and keep Run going.
type Directory struct {
	cfg  Config
	wake chan struct{}

	mu   sync.RWMutex
	apps map[string]*entry
}

// entry is one app.
type entry struct {
	app  string
	live atomic.Pointer[snapshot] // nil: nothing is known
	used atomic.Int64             // last use, Unix seconds; 0: never

	mu          sync.Mutex     // guards all below
	departments map[int64]bool // asked for when they were not known
	tags        map[int64]bool // likewise; false: not yet looked for
	missed      bool           // a department was asked for that nobody had heard of
	byHand      bool           // somebody wants a reading now
	changed     bool           // the app's settings changed while flying
	flying      bool
	done        chan struct{} // closed when a reading ends; nil: nobody waits
	renewAt     time.Time     // of the live snapshot
	lastTry     time.Time     // end of the last whole reading
	notBefore   time.Time     // after a failure
	failures    int           // in a row
	failure     domain.DirectoryFailure
	err         error // of the last reading
}

// New makes a Directory that knows nothing; Load fills it.
func New(cfg Config) *Directory {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Pace = orDefault(cfg.Pace, 50*time.Millisecond)
	cfg.MaxCalls = orDefault(cfg.MaxCalls, 4_000)
	cfg.MaxMembers = orDefault(cfg.MaxMembers, 100_000)
	return &Directory{cfg: cfg, wake: make(chan struct{}, 1), apps: map[string]*entry{}}
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// ReadFrom sets the source. Call it before Run: who reads may need the
// Directory to be made first.
func (d *Directory) ReadFrom(s Source) { d.cfg.Source = s }

// entry returns the app's entry; nil when there is no such app.
func (d *Directory) entry(app string) *entry {
	d.mu.RLock()
	e := d.apps[app]
	d.mu.RUnlock()
	if e != nil {
		return e
	}
	if _, ok := d.cfg.Apps.App(app); !ok {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e = d.apps[app]; e == nil {
		e = &entry{app: app, departments: map[int64]bool{}, tags: map[int64]bool{}}
		d.apps[app] = e
	}
	return e
}

// known is the entry of an app that exists: one that was deleted just now may
// still have its entry until somebody clears up.
func (d *Directory) known(app string) (*entry, error) {
	if _, ok := d.cfg.Apps.App(app); ok {
		if e := d.entry(app); e != nil {
			return e, nil
		}
	}
	return nil, domain.Errorf(domain.CodeAppNotFound, "there is no app %q", app)
}

func (d *Directory) look() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Members expands the receivers of a message, each member once, in WeCom's
// lower case. With all the lists do not matter. known false means that the
// true list may be longer than any that could be given, and users is nil. The
// list is shared: the caller must not change it. It never waits, and a repeated
// question costs a look into a map.
func (d *Directory) Members(app string, departments, tags []string, all bool) (users []string, known bool) {
	if !all && len(departments) == 0 && len(tags) == 0 {
		return nil, true
	}
	e := d.entry(app)
	if e == nil {
		return nil, false
	}
	now := time.Now()
	first := now.Sub(time.Unix(e.used.Swap(now.Unix()), 0)) > idle
	s := e.live.Load()
	if s.usable(now) {
		if x := s.members(departments, tags, all); x.known {
			return x.users, true
		}
	}
	if e.ask(s, departments, tags, all) || first {
		d.look()
	}
	return nil, false
}

func (s *snapshot) usable(now time.Time) bool { return s != nil && now.Sub(s.FetchedAt) < keep }

// ask notes what could not be answered and reports whether that is news.
func (e *entry) ask(s *snapshot, departments, tags []string, all bool) (news bool) {
	if all {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range departments {
		n := number(id)
		if n == 0 {
			continue
		}
		if !e.departments[n] && len(e.departments) < maxAsked {
			e.departments[n] = true
			news = news || s == nil
		}
		if s != nil && s.Departments[n] == nil && e.departments[n] && !e.missed {
			e.missed, news = true, true
		}
	}
	for _, id := range tags {
		n := number(id)
		if n == 0 || s != nil && s.Tags[n] != nil {
			continue
		}
		if _, known := e.tags[n]; !known && len(e.tags) < maxAsked {
			e.tags[n], news = false, true
		}
	}
	return news
}

// Changed is called when an app's settings changed or it is gone: what failed
// may be mended, and the snapshot may be of another corp. It does not block.
func (d *Directory) Changed(app string) {
	d.mu.RLock()
	e := d.apps[app]
	d.mu.RUnlock()
	if e == nil {
		return
	}
	a, ok := d.cfg.Apps.App(app)
	e.mu.Lock()
	e.byHand = e.byHand || !ok // so that somebody clears up
	if s := e.live.Load(); s != nil && (!ok || s.Identity != identity(a)) {
		e.live.Store(nil)
	}
	e.failures, e.notBefore, e.failure, e.changed = 0, time.Time{}, domain.DirectoryFailure{}, e.flying
	e.mu.Unlock()
	d.look()
}

// Refresh reads an app's directory now, or once the reading that runs has
// ended, and waits for it. When ctx ends earlier the reading goes on. It fails
// with domain.CodeAppNotFound, and with what the reading failed with.
func (d *Directory) Refresh(ctx context.Context, app string) error {
	e, err := d.known(app)
	if err != nil {
		return err
	}
	e.used.Store(time.Now().Unix())
	e.mu.Lock()
	e.byHand = true
	if e.done == nil {
		e.done = make(chan struct{})
	}
	done := e.done
	e.mu.Unlock()
	d.look()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Status tells what is known of an app. It fails with
// domain.CodeAppNotFound.
func (d *Directory) Status(ctx context.Context, app string) (domain.DirectoryStatus, error) {
	e, err := d.known(app)
	if err != nil {
		return domain.DirectoryStatus{}, err
	}
	if err := d.adopt(ctx, e); err != nil {
		d.cfg.Log.Warn("stored directory not read", "app", app, "error", err)
	}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	out := domain.DirectoryStatus{App: app, State: domain.DirectoryUnknown, Refreshing: e.flying || e.byHand, Failure: e.failure}
	if at, ok := e.due(now); ok {
		out.NextRefreshAt = at
	}
	s := e.live.Load()
	if s == nil {
		return out, nil
	}
	out.Members, out.Departments, out.FetchedAt = len(s.Names), len(s.Departments), s.FetchedAt
	for _, t := range s.Tags {
		if t.Read {
			out.Tags++
		}
	}
	switch age := now.Sub(s.FetchedAt); {
	case age >= keep:
	case age >= staleFrom:
		out.State = domain.DirectoryStale
	default:
		out.State = domain.DirectoryKnown
	}
	if s.Limited && out.Failure.Class == "" {
		out.Failure = domain.DirectoryFailure{Class: domain.DirectoryLimit, At: s.FetchedAt}
	}
	return out, nil
}

// due says when the app is to be read next; the caller holds the lock.
func (e *entry) due(now time.Time) (at time.Time, ok bool) {
	used := e.used.Load()
	switch {
	case e.flying:
		return time.Time{}, false
	case e.byHand:
		return now, true
	case used == 0 || now.Sub(time.Unix(used, 0)) > idle:
		return time.Time{}, false
	}
	s := e.live.Load()
	if s.usable(now) {
		at = e.renewAt
		if e.missed {
			at = earlier(at, e.lastTry.Add(again))
		}
		if len(e.newTags()) > 0 {
			at = now
		}
	}
	if at.Before(e.notBefore) {
		at = e.notBefore
	}
	if at.Before(now) {
		at = now
	}
	return at, true
}

// newTags are those that were asked for and not yet looked for.
func (e *entry) newTags() []int64 {
	var out []int64
	for id, looked := range e.tags {
		if !looked {
			out = append(out, id)
		}
	}
	return out
}
