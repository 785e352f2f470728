package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/internal/domain"
)

// Config sets up an Engine. Zero fields take the defaults.
type Config struct {
	Node    string
	Lease   time.Duration // 9 s: a crashed node's lanes are taken over within 12
	Buffer  int           // due deliveries kept in memory per lane, 4096
	Logger  *slog.Logger
	Weight  func(scene string) int         // a scene's share among those of its priority, 1 to 100; default 1 each
	Digests Digester                       // nil: nothing is merged
	OnWait  func(reason domain.WaitReason) // for metrics
	OnFinal func(messageID string)         // a delivery of it has ended; may be nil
	OnMerge func(scene string, merged int) // a digest was stored; for metrics; may be nil
	Notices <-chan domain.Notice           // what other nodes announce; may be nil
	OnBeat  func(ctx context.Context)      // at every heartbeat, and on notices that are not of lanes; may be nil
}

func (c Config) withDefaults() Config {
	if c.Lease == 0 {
		c.Lease = 9 * time.Second
	}
	if c.Buffer == 0 {
		c.Buffer = 4096
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Weight == nil {
		c.Weight = func(string) int { return 1 }
	}
	if c.OnWait == nil {
		c.OnWait = func(domain.WaitReason) {}
	}
	if c.OnMerge == nil {
		c.OnMerge = func(string, int) {}
	}
	if c.OnFinal == nil {
		c.OnFinal = func(string) {}
	}
	if c.OnBeat == nil {
		c.OnBeat = func(context.Context) {}
	}
	return c
}

// ErrClosed is returned once the engine has stopped.
var ErrClosed = errors.New("lane engine is stopped")

// Engine owns the lanes of this node. Safe for concurrent use.
type Engine struct {
	cfg    Config
	store  Store
	sender Sender

	mu      sync.RWMutex
	lanes   map[string]*Lane
	foreign map[string]foreign // lanes of other nodes
	granted map[string]int64   // fences of the lanes that are ours by the table, as of the last heartbeat
	closed  bool
	trust   time.Time // leases are ours until then

	ctx    context.Context // of the pumps and sends
	cancel context.CancelFunc
	stop   chan struct{}       // closed when nothing new may start
	wg     sync.WaitGroup      // pumps and sends
	end    chan struct{}       // closed when the leases need no more care
	loops  sync.WaitGroup      // what cares for them
	giving atomic.Bool         // a lane is on its way to another node
	peers  map[string]struct{} // other nodes that were alive at the last heartbeat; of keep alone
}

// foreign is a lane that another node owned when we last asked.
type foreign struct {
	until time.Time // ask again then
	told  time.Time // its owner was last told of new work
}

const (
	foreignFor   = time.Second            // how long another node's ownership is believed
	tellEvery    = 100 * time.Millisecond // notices for one lane are at least that far apart
	foreignBound = 100_000
)

// New makes an engine; Start starts it.
func New(cfg Config, store Store, sender Sender) *Engine {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // sends outlive the request and the signal: Stop ends them
	return &Engine{
		cfg: cfg.withDefaults(), store: store, sender: sender, lanes: map[string]*Lane{}, foreign: map[string]foreign{},
		ctx: ctx, cancel: cancel, stop: make(chan struct{}), end: make(chan struct{}),
	}
}

// lane returns the lane by key, acquiring it if nobody owns it. It returns nil
// without an error when another node does.
func (e *Engine) lane(ctx context.Context, key string) (*Lane, error) {
	e.mu.Lock()
	l, ok := e.lanes[key]
	if ok {
		e.mu.Unlock()
		<-l.ready // opened by another caller at this moment
		if l.gone {
			return nil, nil
		}
		return l, nil
	}
	if e.closed {
		e.mu.Unlock()
		return nil, ErrClosed
	}
	if time.Now().Before(e.foreign[key].until) {
		e.mu.Unlock()
		return nil, nil
	}
	l = newLane(key, e)
	e.lanes[key] = l
	e.mu.Unlock()

	owned, err := l.open(ctx)
	if err != nil || !owned {
		e.mu.Lock()
		delete(e.lanes, key)
		if err == nil {
			e.othersLocked(key)
		}
		e.mu.Unlock()
		l.gone = true
		close(l.ready)
		return nil, err
	}
	e.mu.Lock()
	delete(e.foreign, key)
	e.mu.Unlock()
	e.wg.Add(1)
	close(l.ready)
	go l.pump()
	return l, nil
}

func (e *Engine) othersLocked(key string) {
	if len(e.foreign) >= foreignBound {
		clear(e.foreign)
	}
	f := e.foreign[key]
	f.until = time.Now().Add(foreignFor)
	e.foreign[key] = f
}

// tell wakes the owner of another node's lane, not too often: a sweep there is
// the net under a lost notice.
func (e *Engine) tell(ctx context.Context, key string) {
	now := time.Now()
	e.mu.Lock()
	f := e.foreign[key]
	if wait := f.told.Add(tellEvery).Sub(now); wait > 0 {
		if f.told.Before(now) { // book the end of the interval, once
			f.told = now.Add(wait)
			e.foreign[key] = f
			e.mu.Unlock()
			time.AfterFunc(wait, func() { e.notify(e.ctx, domain.Notice{Kind: domain.NoticeLane, Key: key}) })
			return
		}
		e.mu.Unlock()
		return
	}
	f.told = now
	e.foreign[key] = f
	e.mu.Unlock()
	e.notify(ctx, domain.Notice{Kind: domain.NoticeLane, Key: key})
}

func (e *Engine) notify(ctx context.Context, n domain.Notice) {
	if err := e.store.Notify(ctx, n); err != nil && e.ctx.Err() == nil {
		e.cfg.Logger.Warn("other nodes not notified", "kind", n.Kind, "key", n.Key, "error", err)
	}
}

func (e *Engine) have(key string) *Lane {
	e.mu.RLock()
	l := e.lanes[key]
	e.mu.RUnlock()
	if l == nil {
		return nil
	}
	<-l.ready
	if l.gone {
		return nil
	}
	return l
}

// Reserve books a slot for a delivery that is about to be committed. When it
// returns true d is in state sending with its first try written down: commit
// it so, then call Begin; if the commit does not happen call Release.
func (e *Engine) Reserve(d *domain.Delivery) bool {
	l := e.have(d.Lane)
	return l != nil && l.reserve(d)
}

// Release gives back what Reserve booked. sure says that d certainly was not
// committed.
func (e *Engine) Release(d *domain.Delivery, sure bool) {
	if l := e.have(d.Lane); l != nil {
		l.release(d, sure)
	}
}

// Begin sends a delivery that Reserve booked and the store has committed.
func (e *Engine) Begin(d *domain.Delivery) {
	if l := e.have(d.Lane); l != nil {
		l.begin(d)
	}
}

// Offer hands over deliveries that were committed as queued or scheduled.
func (e *Engine) Offer(ctx context.Context, ds []domain.Delivery) {
	for i := range ds {
		switch l, err := e.lane(ctx, ds[i].Lane); {
		case l != nil:
			l.offer(ds[i])
		case err == nil, errors.Is(err, ErrClosed):
			e.tell(ctx, ds[i].Lane)
		default:
			// Not lost: the row is committed and the next heartbeat looks again.
			e.cfg.Logger.Warn("lane not opened", "lane", ds[i].Lane, "error", err)
		}
	}
}

// Wake makes a lane look at the table again, on whichever node it is.
func (e *Engine) Wake(ctx context.Context, key string) {
	if l := e.have(key); l != nil {
		l.look()
		return
	}
	e.notify(ctx, domain.Notice{Kind: domain.NoticeLane, Key: key})
}

// Forget drops deliveries from memory that were cancelled or settled elsewhere.
func (e *Engine) Forget(laneKey string, ids ...string) {
	if l := e.have(laneKey); l != nil {
		l.forget(ids)
	}
}

// Pause stops a lane until a time or, when the pause has none, until the zero
// pause ends it; the next delivery then goes alone, as a probe.
func (e *Engine) Pause(key string, p Pause) {
	if l := e.have(key); l != nil {
		l.setPause(p)
	}
}

// Unblock lets a lane go on that stands still because its app was out of order.
func (e *Engine) Unblock(key string) {
	l := e.have(key)
	if l == nil {
		return
	}
	l.mu.Lock()
	blocked := l.pause.Reason == domain.WaitAppBlocked
	l.mu.Unlock()
	if blocked {
		l.setPause(Pause{})
	}
}

// Bound sets how many calls of a lane may be in flight. Whoever waits for a
// member's budget, or for the next day's quota, is looked at anew: the other
// limits may have changed, too.
func (e *Engine) Bound(key string, width int) {
	if l := e.have(key); l != nil {
		l.mu.Lock()
		l.width.Bound(width)
		if l.pause.Reason == domain.WaitAppQuota {
			l.pause = Pause{}
		}
		now := time.Now()
		l.hastenLocked(domain.WaitAppQuota, l.rate)
		l.room.WakeAll(now)
		l.digests.relax(now)
		l.mu.Unlock()
		l.poke()
	}
}

// Report returns what this node knows of a lane that it owns.
func (e *Engine) Report(key string) (domain.LaneReport, bool) {
	l := e.have(key)
	if l == nil {
		return domain.LaneReport{}, false
	}
	return l.report(), true
}

// Owns reports whether this node has the lane.
func (e *Engine) Owns(key string) bool { return e.have(key) != nil }

// Waits says whether a lane of this node is stopped now, why, and until when
// (zero: until someone resumes it).
func (e *Engine) Waits(key string) (domain.WaitReason, time.Time, bool) {
	l := e.have(key)
	if l == nil {
		return "", time.Time{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.pausedLocked(time.Now()) {
		return "", time.Time{}, false
	}
	return l.pause.Reason, l.pause.Until, true
}

// Turn says when a delivery that waits for a member's budget may go, as of now;
// false when it does not wait for that, or on another node.
func (e *Engine) Turn(d *domain.Delivery) (time.Time, bool) {
	l := e.have(d.Lane)
	if l == nil {
		return time.Time{}, false
	}
	return l.waits(d, time.Now())
}

func (e *Engine) stopping() bool {
	select {
	case <-e.stop:
		return true
	default:
		return false
	}
}

// Stop lets calls in flight finish and hands each lane over to another node as
// soon as nothing of it is in flight. It waits until ctx ends; what is then
// unfinished counts as ambiguous for the next owner.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	close(e.stop)
	err := e.leave(ctx)
	close(e.end)
	done := make(chan struct{})
	go func() { e.loops.Wait(); e.wg.Wait(); close(done) }()
	select {
	case <-done:
		err = errors.Join(err, e.store.Leave(ctx, e.cfg.Node))
	case <-ctx.Done():
	}
	switch code := domain.CodeOf(err); {
	case code == domain.CodeUnavailable, code == domain.CodeDiskFull && ctx.Err() == nil:
		// To hand the lanes over would only have been quicker: the leases end by
		// themselves, and the next owner recovers what is not written down.
		e.cfg.Logger.Warn("the lanes are left to their leases", "error", err)
		err = nil
	case err == nil:
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("stop lanes: %w", err)
	}
	e.cancel()
	return err
}
