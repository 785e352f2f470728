package dispatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// TokenStore keeps access tokens, sealed, where every node sees them.
type TokenStore interface {
	GetToken(ctx context.Context, key string) (domain.AccessToken, bool, error)
	// SwapToken replaces the token if the stored version is still old.
	SwapToken(ctx context.Context, old int64, t domain.AccessToken) (current domain.AccessToken, swapped bool, err error)
	// LockToken grants one node the right to fetch, for at most ttl.
	LockToken(ctx context.Context, key, node string, ttl time.Duration) (bool, error)
}

// TokenShare is a place where other programs keep the same token.
type TokenShare interface {
	Get(ctx context.Context, app domain.App) (token string, expires time.Time, err error) // empty: none there
	Set(ctx context.Context, app domain.App, token string, expires time.Time) error
}

// Fetch gets a new token from WeCom.
type Fetch func(ctx context.Context, app domain.App) (wecom.Token, error)

const (
	renewMargin   = 5 * time.Minute  // renewed this long before its end
	fetchLock     = 15 * time.Second // longer than a whole call to WeCom
	refreshLimit  = 3                // forced refreshes in refreshWindow that are still normal
	refreshWindow = 10 * time.Minute
	refreshMost   = 10 // from so many on they are refreshPause apart
	refreshPause  = 30 * time.Second
	// minLife keeps a token that was renewed early from being fetched in a loop
	// when WeCom answers with a very short life.
	minLife = 10 * time.Second
)

// Tokens gives every sender the one live token of its app. Safe for concurrent
// use; however many callers wait, one of them fetches.
type Tokens struct {
	store  TokenStore
	share  TokenShare // may be nil
	fetch  Fetch
	node   string
	log    *slog.Logger
	onDone func(app, result string)

	mu  sync.Mutex
	all map[string]*holder
}

type holder struct {
	fetched atomic.Pointer[string] // what WeCom gave to this node last

	flight flight // held during a fetch, and whenever the rest is touched
	cur    domain.AccessToken
	dead   string      // the last current token that WeCom refused
	forced []time.Time // when tokens were found dead, within refreshWindow
	warned bool
	failed error     // of the last fetch
	at     time.Time // when that was
}

// NewTokens makes the token source. share may be nil; onDone is told the
// result of each fetch ("ok", "shared", "error").
func NewTokens(store TokenStore, share TokenShare, fetch Fetch, node string, log *slog.Logger, onDone func(app, result string)) *Tokens {
	if onDone == nil {
		onDone = func(string, string) {}
	}
	return &Tokens{store: store, share: share, fetch: fetch, node: node, log: log, onDone: onDone, all: map[string]*holder{}}
}

// tokenKey names the token: per corp and secret, never per corp alone.
func tokenKey(app domain.App) string {
	sum := sha256.Sum256([]byte(app.Secret))
	return app.CorpID + ":" + hex.EncodeToString(sum[:8])
}

func (t *Tokens) holder(key string) *holder {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.all[key]
	if h == nil {
		h = &holder{flight: newFlight()}
		t.all[key] = h
	}
	return h
}

// Get returns a live token. dead is a token, got at a moment, that WeCom has
// just refused, or empty: it is not returned again, unless WeCom itself has
// given it out again since, which it does while it holds a token for good. The
// error of a failed fetch is a *wecom.Error.
func (t *Tokens) Get(ctx context.Context, app domain.App, dead string, got time.Time) (string, error) {
	key, asked := tokenKey(app), time.Now()
	h := t.holder(key)
	if err := h.flight.take(ctx); err != nil {
		return "", &wecom.Error{Op: "gettoken", Class: wecom.ClassNotSent, Err: err}
	}
	defer h.flight.leave()
	now := time.Now()
	if dead == h.cur.Value && h.cur.FetchedAt.After(got) {
		dead = ""
	}
	if dead != "" && dead != h.dead && (dead == h.cur.Value || h.cur.Value == "") { // else it was replaced meanwhile
		h.dead = dead
		t.countForced(h, app, now)
	}
	dead = h.dead
	if usable(h.cur, dead, now, renewMargin) {
		return h.cur.Value, nil
	}
	stored, ok, err := t.store.GetToken(ctx, key)
	if err == nil && ok {
		h.cur = stored
		if usable(stored, dead, now, renewMargin) {
			return stored.Value, nil
		}
	}
	if h.failed != nil && h.at.After(asked) {
		return "", h.failed // one try is enough for all who waited for it
	}
	if wait := h.at.Add(refreshPause).Sub(now); wait > 0 && len(h.forced) > refreshMost {
		return "", &wecom.Error{Op: "gettoken", Class: wecom.ClassNotSent, Msg: "not fetched for " + wait.Round(time.Second).String(), Err: errContested}
	}
	token, err := t.renew(ctx, app, key, h, dead)
	h.failed, h.at = err, time.Now()
	return token, err
}

// TokensOf gives one attempt its tokens. Not safe for concurrent use.
type TokensOf struct {
	tokens  *Tokens
	app     domain.App
	last    string
	got     time.Time // when last was
	dead    string
	renewed int
}

// Of starts an attempt.
func (t *Tokens) Of(app domain.App) *TokensOf { return &TokensOf{tokens: t, app: app} }

// Get returns a token for the next call.
func (o *TokensOf) Get(ctx context.Context) (token string, err error) {
	o.last, err = o.tokens.Get(ctx, o.app, o.dead, o.got)
	o.got = time.Now()
	return o.last, err
}

// Again reports whether the call failed because of its token and is to be made
// once more with another one. A token that WeCom has just given to this node and
// then refuses speaks of the app's settings. One that came from another node or
// another program may have been dead when it came, and is replaced, too.
func (o *TokensOf) Again(err error) bool {
	e, ok := errors.AsType[*wecom.Error](err)
	if !ok || e.Op == "gettoken" || e.Class != wecom.ClassToken && e.Class != wecom.ClassTokenOrConfig {
		return false
	}
	fetched := o.tokens.holder(tokenKey(o.app)).fetched.Load()
	if o.renewed == 2 || o.renewed == 1 && fetched != nil && *fetched == o.last {
		return false
	}
	o.dead = o.last
	o.renewed++
	return true
}

// errContested is why a token is not fetched at once.
var errContested = errors.New("the access token keeps dying early: another program may share the app's secret")

// flight lets one caller at a time through; the others wait no longer than
// their contexts, which a mutex would not allow.
type flight chan struct{}

func newFlight() flight { return make(flight, 1) }

func (f flight) take(ctx context.Context) error {
	select {
	case f <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f flight) leave() { <-f }

func usable(tok domain.AccessToken, dead string, now time.Time, margin time.Duration) bool {
	life := tok.ExpiresAt.Sub(tok.FetchedAt)
	margin = min(margin, life/4)
	return tok.Value != "" && tok.Value != dead && now.Before(tok.ExpiresAt.Add(-margin))
}

// countForced notes that a token died early. From a number on they are fetched
// with pauses between: who shares the app's secret with a program that fetches
// tokens too must not race it.
func (t *Tokens) countForced(h *holder, app domain.App, now time.Time) {
	kept := h.forced[:0]
	for _, at := range h.forced {
		if now.Sub(at) < refreshWindow {
			kept = append(kept, at)
		}
	}
	h.forced = append(kept, now)
	if len(h.forced) > refreshLimit && !h.warned {
		h.warned = true
		t.log.Warn("access token keeps dying early: another program may share this app's secret", "app", app.Key)
	}
}

// renew fetches, one node at a time. The others wait for the new version.
func (t *Tokens) renew(ctx context.Context, app domain.App, key string, h *holder, dead string) (string, error) {
	if t.share != nil {
		if value, expires, err := t.share.Get(ctx, app); err != nil {
			t.log.Warn("shared token not read", "app", app.Key, "error", err)
		} else if now := time.Now(); value != "" && value != dead && expires.After(now.Add(minLife)) {
			t.keep(ctx, key, h, domain.AccessToken{Key: key, Value: value, ExpiresAt: expires, FetchedAt: now})
			t.onDone(app.Key, "shared")
			return value, nil
		}
	}
	for {
		mine, err := t.store.LockToken(ctx, key, t.node, fetchLock)
		if err != nil {
			return "", &wecom.Error{Op: "gettoken", Class: wecom.ClassNotSent, Err: errors.New("token lock not available")}
		}
		if mine {
			break
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return "", &wecom.Error{Op: "gettoken", Class: wecom.ClassNotSent, Err: err}
		}
		if stored, ok, err := t.store.GetToken(ctx, key); err == nil && ok && usable(stored, dead, time.Now(), renewMargin) {
			h.cur = stored
			return stored.Value, nil
		}
	}
	// Another node may have finished between our look and our lock.
	if stored, ok, err := t.store.GetToken(ctx, key); err == nil && ok && usable(stored, dead, time.Now(), renewMargin) {
		h.cur = stored
		return stored.Value, nil
	}
	got, err := t.fetch(ctx, app)
	if err != nil {
		t.onDone(app.Key, "error")
		// Early renewal may fail while the old token still lives.
		if usable(h.cur, dead, time.Now(), 0) {
			return h.cur.Value, nil
		}
		return "", err
	}
	now := time.Now()
	h.fetched.Store(&got.Value)
	if got.Value == h.dead { // WeCom stands by it
		h.dead = ""
	}
	tok := domain.AccessToken{Key: key, Value: got.Value, ExpiresAt: now.Add(max(got.ExpiresIn, minLife)), FetchedAt: now}
	t.keep(ctx, key, h, tok)
	t.onDone(app.Key, "ok")
	if t.share != nil {
		if err := t.share.Set(ctx, app, tok.Value, tok.ExpiresAt); err != nil {
			t.log.Warn("shared token not written", "app", app.Key, "error", err)
		}
	}
	return tok.Value, nil
}

// keep stores the token for the other nodes and the next start. A failure
// costs one more fetch later, not the message now.
func (t *Tokens) keep(ctx context.Context, key string, h *holder, tok domain.AccessToken) {
	stored, swapped, err := t.store.SwapToken(ctx, h.cur.Version, tok)
	switch {
	case err != nil:
		t.log.Warn("token not stored", "error", err)
		h.cur = tok
	case !swapped:
		tok.Version = stored.Version // ours is newer; write over it
		if again, ok, err := t.store.SwapToken(ctx, stored.Version, tok); err == nil && ok {
			tok = again
		}
		h.cur = tok
	default:
		h.cur = stored
	}
	h.cur.Key = key
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
