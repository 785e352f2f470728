package access

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"hongyan/internal/domain"
)

// Store is what access needs of the database.
type Store interface {
	ListKeys(ctx context.Context) ([]domain.APIKey, error)
	CreateKey(ctx context.Context, k domain.APIKey) error
	// RevokeKey fails with domain.CodeNotFound.
	RevokeKey(ctx context.Context, id string) error
	TouchKeys(ctx context.Context, used map[string]time.Time) error
	// Revision grows with every change of keys (and other configuration).
	Revision(ctx context.Context) (int64, error)
}

// Config sets up Keys.
type Config struct {
	Store Store
	IDs   *domain.IDs
	Log   *slog.Logger  // nil: none
	Poll  time.Duration // how often Run asks for the revision; 0: 1 s
	Flush time.Duration // how often Run writes last uses; 0: 30 s
}

const (
	defaultPoll  = time.Second
	defaultFlush = 30 * time.Second
	missEvery    = 250 * time.Millisecond // an unknown key asks the store at most so often
)

// Keys checks and administers API keys. Call Refresh before the first use and
// keep Run going. Safe for concurrent use.
type Keys struct {
	cfg  Config
	live atomic.Pointer[snapshot]

	mu       sync.Mutex // serialises refreshes
	lastMiss atomic.Int64
}

type snapshot struct {
	revision int64
	byHash   map[[32]byte]*entry
	limited  map[string]*entry // keys with a rate, by id
}

type entry struct {
	key      domain.APIKey
	caller   domain.Caller
	networks []netip.Prefix
	rate     *rate.Limiter // nil: no limit
	used     atomic.Int64  // Unix seconds of the last use that is not yet written; 0: none
}

// New makes Keys that refuse everything until Refresh.
func New(cfg Config) *Keys {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Flush <= 0 {
		cfg.Flush = defaultFlush
	}
	return &Keys{cfg: cfg}
}

// Refresh reads the keys if the revision has moved.
func (k *Keys) Refresh(ctx context.Context) error { return k.refresh(ctx, false) }

func (k *Keys) refresh(ctx context.Context, force bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	// The revision is read first: keys that change in between are read again
	// next time.
	rev, err := k.cfg.Store.Revision(ctx)
	if err != nil {
		return err
	}
	old := k.live.Load()
	if old != nil && old.revision == rev && !force {
		return nil
	}
	list, err := k.cfg.Store.ListKeys(ctx)
	if err != nil {
		return err
	}
	next := &snapshot{revision: rev, byHash: make(map[[32]byte]*entry, len(list)), limited: map[string]*entry{}}
	for _, key := range list {
		if !key.RevokedAt.IsZero() {
			continue
		}
		e := &entry{key: key, caller: callerOf(key)}
		usable := true
		for _, n := range key.Networks {
			p, err := parseNetwork(n)
			if err != nil { // never widen: a limit that cannot be read allows nobody
				usable = false
				k.cfg.Log.Error("api key has an unreadable network and is refused", "key_id", key.ID)
				break
			}
			e.networks = append(e.networks, p)
		}
		if !usable {
			continue
		}
		e.rate = newLimiter(key.PerMinute)
		if old != nil {
			if was := old.byHash[key.Hash]; was != nil {
				e.used.Store(was.used.Load())
				if was.key.PerMinute == key.PerMinute {
					e.rate = was.rate // what it has spent stays spent
				}
			}
		}
		if e.rate != nil {
			next.limited[key.ID] = e
		}
		next.byHash[key.Hash] = e
	}
	k.live.Store(next)
	return nil
}

func callerOf(k domain.APIKey) domain.Caller {
	return domain.Caller{KeyID: k.ID, Name: k.Name, Scopes: k.Scopes, Scenes: k.Scenes, Apps: k.Apps, App: k.App, Networks: k.Networks, PerMinute: k.PerMinute}
}

// Authenticate tells who holds the key. It fails with CodeUnauthorized for a
// key that is unknown, expired or revoked (one answer for all three), with
// CodeForbidden from a network outside the key's, and with CodeUnavailable
// when it cannot know.
func (k *Keys) Authenticate(ctx context.Context, bearer string, remote netip.Addr) (domain.Caller, error) {
	if len(bearer) <= len(Prefix) || len(bearer) > maxKeyLen || bearer[:len(Prefix)] != Prefix {
		return domain.Caller{}, unauthorized()
	}
	hash := Hash(bearer)
	snap := k.live.Load()
	if snap == nil {
		return domain.Caller{}, domain.Errorf(domain.CodeUnavailable, "the keys are not loaded yet")
	}
	e := snap.byHash[hash]
	if e == nil && k.mayAsk() {
		// It may have been made on another node a moment ago.
		if err := k.Refresh(ctx); err != nil {
			return domain.Caller{}, &domain.Error{Code: domain.CodeUnavailable, Detail: "the keys cannot be read now", Err: err}
		}
		e = k.live.Load().byHash[hash]
	}
	// The lookup goes by hash, whose bits an attacker cannot choose; the
	// comparison makes sure of it in constant time.
	if e == nil || subtle.ConstantTimeCompare(e.key.Hash[:], hash[:]) != 1 {
		return domain.Caller{}, unauthorized()
	}
	now := time.Now()
	if !e.key.ExpiresAt.IsZero() && !now.Before(e.key.ExpiresAt) {
		return domain.Caller{}, unauthorized()
	}
	if len(e.networks) > 0 && !within(e.networks, remote) {
		return domain.Caller{}, domain.Errorf(domain.CodeForbidden, "this key may not be used from this network")
	}
	if sec := now.Unix(); e.used.Load() != sec {
		e.used.Store(sec)
	}
	return e.caller, nil
}

// mayAsk lets one unknown key per missEvery reach the store, so that guessing
// cannot load it.
func (k *Keys) mayAsk() bool {
	now := time.Now().UnixNano()
	last := k.lastMiss.Load()
	return now-last >= int64(missEvery) && k.lastMiss.CompareAndSwap(last, now)
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func unauthorized() error { return &domain.Error{Code: domain.CodeUnauthorized} }

// Run keeps the keys fresh and writes their last uses until ctx ends.
func (k *Keys) Run(ctx context.Context) {
	poll := time.NewTicker(k.cfg.Poll)
	defer poll.Stop()
	flush := time.NewTicker(k.cfg.Flush)
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			k.log(k.Flush(last), "writing last uses of api keys")
			cancel()
			return
		case <-poll.C:
			k.log(k.Refresh(ctx), "reading api keys")
		case <-flush.C:
			k.log(k.Flush(ctx), "writing last uses of api keys")
		}
	}
}

func (k *Keys) log(err error, what string) {
	if err != nil && !errors.Is(err, context.Canceled) {
		k.cfg.Log.Warn("api keys: background work", "doing", what, "error", err)
	}
}

// Flush writes the last uses gathered since the last time.
func (k *Keys) Flush(ctx context.Context) error {
	snap := k.live.Load()
	if snap == nil {
		return nil
	}
	used := map[string]time.Time{}
	for _, e := range snap.byHash {
		if sec := e.used.Swap(0); sec != 0 {
			used[e.key.ID] = time.Unix(sec, 0).UTC()
		}
	}
	if len(used) == 0 {
		return nil
	}
	return k.cfg.Store.TouchKeys(ctx, used)
}
