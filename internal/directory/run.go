package directory

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// Load takes over what the store knows. A snapshot that cannot be read is read
// anew from WeCom when somebody asks.
func (d *Directory) Load(ctx context.Context) error {
	apps, err := d.cfg.Store.ListDirectories(ctx)
	if err != nil {
		return err
	}
	for _, app := range apps {
		e := d.entry(app)
		if e == nil { // the app is gone
			err = d.cfg.Store.DeleteDirectory(ctx, app)
		} else {
			err = d.adopt(ctx, e)
		}
		if err != nil {
			d.cfg.Log.Warn("stored directory not read", "app", app, "error", err)
		}
	}
	return nil
}

// Run reads what is due until ctx ends; readings that run then are broken off.
func (d *Directory) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	landed, flying := make(chan struct{}, flights), 0
	for {
		now := time.Now()
		next := now.Add(time.Hour)
		for _, e := range d.entries() {
			at, ok := e.start(now, flying < flights)
			switch {
			case !ok:
			case at.After(now):
				next = earlier(next, at)
			case flying < flights:
				flying++
				running.Go(func() { d.fly(ctx, e); landed <- struct{}{} })
			}
		}
		timer := time.NewTimer(next.Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-d.wake:
		case <-landed:
			flying--
		}
		timer.Stop()
	}
}

// entries lists the apps in a stable order.
func (d *Directory) entries() []*entry {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := make([]*entry, 0, len(d.apps))
	for _, app := range slices.Sorted(maps.Keys(d.apps)) {
		out = append(out, d.apps[app])
	}
	return out
}

// start says when the app is due, and marks it as flying when that is now and
// there is room.
func (e *entry) start(now time.Time, room bool) (at time.Time, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok = e.due(now)
	if ok && !at.After(now) && room {
		e.flying = true
	}
	return at, ok
}

// fly makes one reading: of everything, or of new tags alone.
func (d *Directory) fly(ctx context.Context, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	app, ok := d.cfg.Apps.App(e.app)
	if !ok {
		d.drop(ctx, e)
		return
	}
	e.mu.Lock()
	byHand := e.byHand
	e.byHand = false
	e.mu.Unlock()
	if !byHand { // another node may have read it
		if err := d.adopt(ctx, e); err != nil {
			d.cfg.Log.Warn("stored directory not read", "app", e.app, "error", err)
		}
	}
	now := time.Now()
	e.mu.Lock()
	live := e.live.Load()
	whole := byHand || !live.usable(now) || !now.Before(e.renewAt) || e.missed && !now.Before(e.lastTry.Add(again))
	departments, tags, fresh := slices.Collect(maps.Keys(e.departments)), slices.Collect(maps.Keys(e.tags)), e.newTags()
	e.mu.Unlock()

	var next *snapshot
	var err error
	calls := 0
	switch {
	case whole:
		next, calls, err = readAll(ctx, &d.cfg, app, departments, tags)
	case len(fresh) > 0:
		next, err = readTags(ctx, &d.cfg, e.app, live, fresh)
	}
	if whole && err == nil {
		d.cfg.Log.Info("directory read", "app", e.app, "members", len(next.Names), "departments", len(next.Departments), "tags", len(next.Tags), "calls", calls)
	}
	d.land(ctx, e, next, whole, err)
}

// land books the end of a reading. next is nil when there was nothing to read
// after all, or err says why.
func (d *Directory) land(ctx context.Context, e *entry, next *snapshot, whole bool, err error) {
	now := time.Now()
	app, _ := d.cfg.Apps.App(e.app)
	e.mu.Lock()
	if whole {
		e.lastTry, e.missed = now, false
	}
	changed := e.changed
	e.changed = false
	e.err = err
	switch {
	case errors.Is(err, context.Canceled): // the gateway stops
	case err != nil:
		e.failures++
		failure := failureOf(err, now)
		if failure.Class != e.failure.Class || failure.Errcode != e.failure.Errcode {
			d.cfg.Log.Warn("directory not read", "app", e.app, "error", err)
		}
		e.failure, e.notBefore = failure, now.Add(back(err, e.failures))
		if changed { // it failed under the old settings
			e.notBefore = time.Time{}
		}
	default:
		e.failures, e.notBefore, e.failure = 0, time.Time{}, domain.DirectoryFailure{}
	}
	if next != nil && next.Identity != identity(app) {
		next = nil // the app's settings changed meanwhile: this is somebody else's
	}
	if next != nil {
		next.UsedAt = time.Unix(e.used.Load(), 0).UTC()
		e.put(next)
	}
	e.mu.Unlock()
	if next != nil {
		d.save(ctx, e.app, next)
	}
	e.end()
}

// end tells those who wait that a reading has ended.
func (e *entry) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flying = false
	if e.done != nil && !e.byHand {
		close(e.done)
		e.done = nil
	}
}

// put makes s the live snapshot; the caller holds the lock.
func (e *entry) put(s *snapshot) {
	if old := e.live.Load(); old == nil || old.FetchedAt != s.FetchedAt {
		e.renewAt = s.FetchedAt.Add(spread(every))
	}
	e.missed = e.missed && slices.ContainsFunc(slices.Collect(maps.Keys(e.departments)), func(id int64) bool { return s.Departments[id] == nil })
	for id := range s.Tags {
		if _, asked := e.tags[id]; asked || len(e.tags) < maxAsked {
			e.tags[id] = true
		}
	}
	e.used.Store(max(e.used.Load(), s.UsedAt.Unix()))
	e.live.Store(s)
}

// adopt takes the stored snapshot when it is newer.
func (d *Directory) adopt(ctx context.Context, e *entry) error {
	var after time.Time
	if s := e.live.Load(); s != nil {
		after = s.FetchedAt
	}
	row, found, err := d.cfg.Store.GetDirectory(ctx, e.app, after)
	if err != nil || !found {
		return err
	}
	s, err := unpack(row.Data)
	if err != nil {
		return err
	}
	app, ok := d.cfg.Apps.App(e.app)
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.live.Load(); ok && s.Identity == identity(app) && (old == nil || s.FetchedAt.After(old.FetchedAt)) {
		e.put(s)
	}
	return nil
}

// save keeps a snapshot. A failure costs one more reading after a restart.
func (d *Directory) save(ctx context.Context, app string, s *snapshot) {
	data, err := s.pack()
	if err == nil {
		err = d.cfg.Store.PutDirectory(ctx, domain.DirectorySnapshot{App: app, Data: data, FetchedAt: s.FetchedAt})
	}
	if err != nil {
		d.cfg.Log.Warn("directory not stored", "app", app, "error", err)
	}
}

// drop forgets an app that is gone.
func (d *Directory) drop(ctx context.Context, e *entry) {
	d.mu.Lock()
	delete(d.apps, e.app)
	d.mu.Unlock()
	if err := d.cfg.Store.DeleteDirectory(ctx, e.app); err != nil {
		d.cfg.Log.Warn("directory of a removed app not deleted", "app", e.app, "error", err)
	}
	e.mu.Lock()
	e.err, e.byHand = domain.Errorf(domain.CodeAppNotFound, "there is no app %q", e.app), false
	e.mu.Unlock()
	e.end()
}

// back says how long to leave WeCom alone after n failures in a row.
func back(err error, n int) time.Duration {
	if passing(err) {
		return spread(min(firstBack<<min(n-1, 10), mostBack))
	}
	return spread(mostBack)
}

// spread lengthens a wait by up to a tenth, so that many apps and nodes do not
// read at the same time.
func spread(d time.Duration) time.Duration {
	return d + rand.N(d/10+1) //nolint:gosec // needs no secrecy
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func failureOf(err error, now time.Time) domain.DirectoryFailure {
	f := domain.DirectoryFailure{Class: "internal", Errmsg: "the directory could not be read", At: now.UTC()}
	if errors.Is(err, errLimit) {
		f.Class, f.Errmsg = domain.DirectoryLimit, err.Error()
	}
	if e, ok := errors.AsType[*wecom.Error](err); ok {
		f.Class, f.Errcode, f.Errmsg, f.SeenIP = string(e.Class), e.Code, e.Msg, e.CallerIP
		if f.Errmsg == "" {
			f.Errmsg = e.Error()
		}
	}
	return f
}
