package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// HealthStore keeps what is known of apps across restarts.
type HealthStore interface {
	SetAppHealth(ctx context.Context, h domain.AppHealth) (rev int64, err error)
	ListAppHealth(ctx context.Context) ([]domain.AppHealth, error)
}

// Health is the health of apps as this node knows it. Safe for concurrent use.
type Health struct {
	store HealthStore
	log   *slog.Logger

	mu      sync.RWMutex
	all     map[string]domain.AppHealth
	unsaved map[string]int // words of this node on their way to the table, by app
	writing sync.Mutex     // one at a time, so that the last word is stored last
}

// NewHealth makes an empty Health; Load fills it.
func NewHealth(store HealthStore, log *slog.Logger) *Health {
	return &Health{store: store, log: log, all: map[string]domain.AppHealth{}, unsaved: map[string]int{}}
}

// Load reads what was known before this start, or what other nodes have said
// since, and returns the apps whose state has changed by that. A word of this
// node that is still on its way to the table stands.
func (h *Health) Load(ctx context.Context) (changed []domain.AppHealth, err error) {
	list, err := h.store.ListAppHealth(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range list {
		old := h.all[a.App]
		if a.Rev <= old.Rev || h.unsaved[a.App] > 0 {
			continue
		}
		h.all[a.App] = a
		if a.State != old.State || !a.NextProbeAt.Equal(old.NextProbeAt) {
			changed = append(changed, a)
		}
	}
	return changed, nil
}

// Of returns an app's health; an app without a record is ok.
func (h *Health) Of(app string) domain.AppHealth {
	h.mu.RLock()
	defer h.mu.RUnlock()
	a, ok := h.all[app]
	if !ok {
		return domain.AppHealth{App: app, State: domain.HealthOK}
	}
	return a
}

// All returns every app that is not ok.
func (h *Health) All() []domain.AppHealth {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]domain.AppHealth, 0, len(h.all))
	for _, a := range h.all {
		if a.State != domain.HealthOK {
			out = append(out, a)
		}
	}
	return out
}

// OK notes that WeCom answered a call of the app that began then. What was on
// its way before the app was blocked tells nothing. Cheap when it was ok
// already.
func (h *Health) OK(app string, began time.Time) {
	h.mu.RLock()
	a, known := h.all[app]
	h.mu.RUnlock()
	if !known || a.State != domain.HealthBlocked || began.Before(a.Since) {
		return
	}
	h.set(domain.AppHealth{App: app, State: domain.HealthOK, Since: time.Now()})
	h.log.Info("app works again", "app", app)
}

// Block notes that WeCom refuses the app and why, and says when to try again.
func (h *Health) Block(app string, e *wecom.Error, now time.Time) (probe time.Time) {
	old := h.Of(app)
	a := domain.AppHealth{
		App: app, State: domain.HealthBlocked, Cause: cause(e), Errcode: e.Code, SeenIP: e.CallerIP, Since: now,
	}
	known := old.State == domain.HealthBlocked && old.Cause == a.Cause
	if known {
		a.Since = old.Since
	}
	a.NextProbeAt = nextProbe(e, a.Since, now)
	if old.State == domain.HealthPaused {
		return a.NextProbeAt // a person's word stands until resume
	}
	if !known {
		h.log.Warn("app is blocked", "app", app, "cause", a.Cause, "errcode", a.Errcode, "seen_ip", a.SeenIP)
	}
	h.set(a)
	return a.NextProbeAt
}

const (
	probeEvery = time.Minute // a blocked app
	// WeCom bans an address for an hour that shows it 20 wrong secrets within
	// one, whosever they are: after secretPatience they are shown rarely.
	secretPatience = 8 * time.Minute
	secretEvery    = 10 * time.Minute
)

func nextProbe(e *wecom.Error, since, now time.Time) time.Time {
	if e.Op == "gettoken" && !isRedirect(e) && now.Sub(since) >= secretPatience {
		return now.Add(secretEvery)
	}
	return now.Add(probeEvery)
}

// Pause notes that a person stopped the app.
func (h *Health) Pause(app string, now time.Time) {
	h.set(domain.AppHealth{App: app, State: domain.HealthPaused, Cause: "by_hand", Since: now})
}

// Resume forgets a pause or a block; the next call tells.
func (h *Health) Resume(app string) {
	if h.Of(app).State != domain.HealthOK {
		h.set(domain.AppHealth{App: app, State: domain.HealthOK, Since: time.Now()})
	}
}

func (h *Health) set(a domain.AppHealth) {
	h.mu.Lock()
	a.Rev = h.all[a.App].Rev
	h.all[a.App] = a
	h.unsaved[a.App]++
	h.mu.Unlock()
	// Written behind: memory decides, the table is for other eyes and restarts.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) //nolint:forbidigo // outlives the attempt that noticed
	defer cancel()
	h.writing.Lock()
	defer h.writing.Unlock()
	last := h.Of(a.App)
	rev, err := h.store.SetAppHealth(ctx, last)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unsaved[a.App]--; h.unsaved[a.App] == 0 {
		delete(h.unsaved, a.App)
	}
	if err != nil {
		h.log.Warn("app health not stored", "app", a.App, "error", err)
		return
	}
	last = h.all[a.App]
	last.Rev = rev
	h.all[a.App] = last
}

// causes name the configuration faults that a person must mend.
var causes = map[int]string{
	40001: "bad_secret", 40091: "bad_secret", 41004: "bad_secret",
	40013: "bad_corp_id", 41002: "bad_corp_id",
	40014: "token_refused", 42001: "token_refused", 41001: "token_refused",
	60020: "untrusted_ip", 301042: "untrusted_ip",
	50003: "app_disabled", 50006: "app_disabled", 48006: "app_disabled",
	40056: "wrong_agent", 41011: "wrong_agent", 301002: "wrong_agent",
	60011: "no_privilege", 48001: "no_privilege", 48002: "no_privilege",
	301007: "corp_unavailable", 43012: "no_callback_url",
}

// isRedirect reports whether something answered with a redirect. WeCom never
// does, and none is followed: the call carries a secret.
func isRedirect(e *wecom.Error) bool {
	return e.Class == wecom.ClassNotSent && e.HTTPStatus >= 300 && e.HTTPStatus < 400
}

func cause(e *wecom.Error) string {
	if isRedirect(e) {
		return domain.CauseRedirected
	}
	if c, ok := causes[e.Code]; ok {
		return c
	}
	return "config"
}
