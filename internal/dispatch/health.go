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
	// SwapAppHealth is SetAppHealth if the stored revision is still that of h.
	SwapAppHealth(ctx context.Context, h domain.AppHealth) (rev int64, swapped bool, err error)
	ListAppHealth(ctx context.Context) ([]domain.AppHealth, error)
}

// Health is the health of apps as this node knows it. Safe for concurrent use.
type Health struct {
	store HealthStore
	log   *slog.Logger

	mu      sync.RWMutex
	alone   bool // there is no other node
	all     map[string]domain.AppHealth
	unsaved map[string]int  // words of this node on their way to the table, by app
	probes  map[string]bool // apps whose last probe was this node's, and whether it is still to be made
	writing sync.Mutex      // one at a time, so that the last word is stored last
}

// NewHealth makes an empty Health; Load fills it.
func NewHealth(store HealthStore, log *slog.Logger) *Health {
	return &Health{store: store, log: log, all: map[string]domain.AppHealth{}, unsaved: map[string]int{}, probes: map[string]bool{}}
}

// Load reads what was known before this start, or what other nodes have said
// since, and returns the apps of which something new is said by that, be it
// once more that they are ok. A word of this node that is still on its way to
// the table stands.
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
		delete(h.probes, a.App)
		if a.State != old.State || !a.Since.Equal(old.Since) || !a.NextProbeAt.Equal(old.NextProbeAt) {
			changed = append(changed, a)
		}
	}
	return changed, nil
}

// Of returns an app's health; an app without a record is ok.
func (h *Health) Of(app string) domain.AppHealth {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.of(app)
}

func (h *Health) of(app string) domain.AppHealth {
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
// already. It reports whether the app was blocked until now.
func (h *Health) OK(app string, began time.Time) (news bool) {
	mended := func(a domain.AppHealth) bool { return a.State == domain.HealthBlocked && !began.Before(a.Since) }
	if !mended(h.Of(app)) {
		return false
	}
	if news = h.change(app, func(a *domain.AppHealth) bool {
		if !mended(*a) { // by another answer
			return false
		}
		*a = domain.AppHealth{State: domain.HealthOK, Since: time.Now()}
		return true
	}); news {
		h.log.Info("app works again", "app", app)
		h.save(app)
	}
	return news
}

// Block notes that WeCom refuses the app and why, and says when to try again.
func (h *Health) Block(app string, e *wecom.Error, now time.Time) (probe time.Time) {
	word := domain.AppHealth{State: domain.HealthBlocked, Cause: cause(e), Errcode: e.Code, SeenIP: e.CallerIP, Since: now}
	known := false
	if h.change(app, func(a *domain.AppHealth) bool {
		if known = a.State == word.State && a.Cause == word.Cause; known { // those in flight together hear it together
			word.Since = a.Since
		}
		word.NextProbeAt = nextProbe(e, word.Since, now)
		if a.State == domain.HealthPaused {
			return false // a person's word stands until resume
		}
		*a = word
		return true
	}) {
		if !known {
			line := []any{"app", app, "cause", word.Cause}
			if word.Errcode != 0 { // else WeCom said nothing
				line = append(line, "errcode", word.Errcode, "seen_ip", word.SeenIP)
			}
			h.log.Warn("app is blocked", line...)
		}
		h.save(app)
	}
	return word.NextProbeAt
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

// probeYield is how much later than others who made the last probe makes the
// next: where one node is refused and another one is not, each has its turn.
const probeYield = 200 * time.Millisecond

// nodes says how many nodes there are.
func (h *Health) nodes(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.alone = n == 1
}

// Turn says until when the calls of an app wait because it is blocked; zero:
// one may go now. Each time that it may be tried one call does, whichever lane
// and node it is of. ask says that the time has come and Ask gives the right to
// that call. With take it is used up.
func (h *Health) Turn(app string, now time.Time, take bool) (until time.Time, ask bool) {
	if h.Of(app).State != domain.HealthBlocked {
		return time.Time{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.of(app)
	granted, last := h.probes[app]
	due := a.NextProbeAt
	if last && !h.alone {
		due = due.Add(probeYield)
	}
	switch {
	case a.State != domain.HealthBlocked:
		return time.Time{}, false
	case granted && now.Before(a.NextProbeAt):
		if take {
			h.probes[app] = false
		}
		return time.Time{}, false
	case now.Before(due):
		return due, false
	}
	return now.Add(soonWait), true
}

// Ask takes the right to probe a blocked app whose time has come. It reports
// false when another node has said something of the app that this one has yet to
// hear, most likely that it makes the probe.
func (h *Health) Ask(ctx context.Context, app string, now time.Time) (current bool, err error) {
	h.writing.Lock()
	defer h.writing.Unlock()
	if until, ask := h.Turn(app, now, false); until.IsZero() || !ask {
		return true, nil // somebody here was faster
	}
	a := h.Of(app)
	a.NextProbeAt = now.Add(probeEvery) // the answer will tell better
	rev, taken, err := h.store.SwapAppHealth(ctx, a)
	if err != nil || !taken {
		return false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unsaved[app] > 0 { // something was said meanwhile, and will be stored
		a = h.all[app]
	} else {
		h.probes[app] = true
	}
	a.Rev = rev
	h.all[app] = a
	return true, nil
}

// Pause notes that a person stopped the app; one that is paused has been so
// since the first time.
func (h *Health) Pause(app string, now time.Time) {
	h.change(app, func(a *domain.AppHealth) bool {
		if a.State == domain.HealthPaused {
			now = a.Since
		}
		*a = domain.AppHealth{State: domain.HealthPaused, Cause: "by_hand", Since: now}
		return true
	})
	h.save(app)
}

// Resume forgets a pause or a block; the next call tells. It is stored also
// when the app is ok as far as this node knows: another one may know better.
func (h *Health) Resume(app string) {
	h.change(app, func(a *domain.AppHealth) bool {
		*a = domain.AppHealth{State: domain.HealthOK, Since: time.Now()}
		return true
	})
	h.save(app)
}

// change gives an app another health, for the caller to save, unless to says
// no. Nothing comes between what to is shown and what it decides.
func (h *Health) change(app string, to func(a *domain.AppHealth) bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.of(app)
	rev := a.Rev
	if !to(&a) {
		return false
	}
	a.App, a.Rev = app, rev
	h.all[app] = a
	if h.probes[app] { // what it should find out is said
		h.probes[app] = false
	}
	h.unsaved[app]++
	return true
}

// save writes what was last said of the app behind: memory decides, the table
// is for other eyes and restarts.
func (h *Health) save(app string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) //nolint:forbidigo // outlives the attempt that noticed
	defer cancel()
	h.writing.Lock()
	defer h.writing.Unlock()
	last := h.Of(app)
	rev, err := h.store.SetAppHealth(ctx, last)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unsaved[app]--; h.unsaved[app] == 0 {
		delete(h.unsaved, app)
	}
	if err != nil {
		h.log.Warn("app health not stored", "app", app, "error", err)
		return
	}
	last = h.all[app]
	last.Rev = rev
	h.all[app] = last
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
	93000: "robot_gone", 93001: "group_refuses_push", 93004: "robot_disabled", 93008: "not_in_group",
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
