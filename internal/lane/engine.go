package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hongyan/internal/domain"
)

// Store is what the lanes need of the database. Every write is durable when it
// returns without an error.
type Store interface {
	AcquireLane(ctx context.Context, lane, node string, lease time.Duration) (domain.LaneLease, bool, error)
	RenewLanes(ctx context.Context, node string, lease time.Duration) error
	ReleaseLanes(ctx context.Context, node string) error
	RecoverLane(ctx context.Context, lane string, fence int64) ([]domain.Delivery, error)
	LiveLanes(ctx context.Context) ([]string, error)
	LoadDue(ctx context.Context, lane string, now time.Time, limit int) ([]domain.Delivery, error)
	NextDue(ctx context.Context, lane string, after time.Time) (time.Time, bool, error)
	Claim(ctx context.Context, claims []domain.Claim) ([]bool, error)
	Finish(ctx context.Context, results []domain.Result) ([]bool, error)
	Defer(ctx context.Context, deferrals []domain.Deferral) error
	Settle(ctx context.Context, settlements []domain.Settlement) ([]bool, error)
}

// Sender does what a lane is for. One Sender serves many lanes; its methods
// are called concurrently.
type Sender interface {
	// Open prepares a lane that this node has just come to own: counters are
	// rebuilt from what was sent. It returns the widest allowed number of calls
	// in flight and, when the lane must not start, its pause.
	Open(ctx context.Context, lane string) (width int, pause Pause, err error)
	// Admit says whether d may go now. A zero time admits it and books its
	// place in the limits; otherwise it must wait until then, for that reason.
	// On its first attempt it also decides d.DupInterval.
	Admit(d *domain.Delivery, now time.Time) (wait time.Time, reason domain.WaitReason)
	// Send makes one attempt and says what follows from it.
	Send(ctx context.Context, d *domain.Delivery) Done
	// Recover judges a delivery whose attempt was cut off by a crash.
	Recover(d *domain.Delivery, now time.Time) Done
}

// Done is what an attempt came to.
type Done struct {
	Result  domain.Result
	Control Control
}

// Control is what an attempt means for its lane.
type Control struct {
	Success bool  // widen
	Narrow  bool  // halve the width
	Pause   Pause // stop the lane
	Clear   bool  // the lane's own pause is over: WeCom answers again
}

// Pause stops a lane for a while. The zero value is no pause.
type Pause struct {
	Reason domain.WaitReason
	Until  time.Time // zero with a reason: until Resume
}

// Config sets up an Engine. Zero fields take the defaults.
type Config struct {
	Node    string
	Lease   time.Duration // 15 s
	Buffer  int           // deliveries kept in memory per lane, 4096
	Logger  *slog.Logger
	OnWait  func(reason domain.WaitReason) // for metrics
	OnFinal func(messageID string)         // a delivery of it has ended; may be nil
}

// ErrClosed is returned once the engine has stopped.
var ErrClosed = errors.New("lane engine is stopped")

// Engine owns the lanes of this node. Safe for concurrent use.
type Engine struct {
	cfg    Config
	store  Store
	sender Sender

	mu     sync.Mutex
	lanes  map[string]*Lane
	closed bool
	trust  time.Time // leases are ours until then (monotonic)

	ctx    context.Context // of the pumps and sends
	cancel context.CancelFunc
	stop   chan struct{}
	wg     sync.WaitGroup // pumps, sends and loops
}

// New makes an engine; Run starts it.
func New(cfg Config, store Store, sender Sender) *Engine {
	if cfg.Lease == 0 {
		cfg.Lease = 15 * time.Second
	}
	if cfg.Buffer == 0 {
		cfg.Buffer = 4096
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.OnWait == nil {
		cfg.OnWait = func(domain.WaitReason) {}
	}
	if cfg.OnFinal == nil {
		cfg.OnFinal = func(string) {}
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // sends outlive the request and the signal: Stop ends them
	return &Engine{
		cfg: cfg, store: store, sender: sender, lanes: map[string]*Lane{},
		ctx: ctx, cancel: cancel, stop: make(chan struct{}),
	}
}

// Start takes the lanes that have open deliveries and begins to keep leases.
func (e *Engine) Start(ctx context.Context) error {
	e.mu.Lock()
	e.trust = time.Now().Add(e.cfg.Lease)
	e.mu.Unlock()
	if err := e.adopt(ctx); err != nil {
		return fmt.Errorf("take over lanes: %w", err)
	}
	e.wg.Add(1)
	go e.keep()
	return nil
}

// keep renews leases and looks for lanes without an owner.
func (e *Engine) keep() {
	defer e.wg.Done()
	tick := time.NewTicker(e.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-tick.C:
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(e.ctx, e.cfg.Lease/3)
		if err := e.store.RenewLanes(ctx, e.cfg.Node, e.cfg.Lease); err != nil {
			e.cfg.Logger.Warn("lane leases not renewed", "error", err)
		} else {
			e.mu.Lock()
			e.trust = began.Add(e.cfg.Lease)
			for _, l := range e.lanes {
				l.poke() // a pump may have stood still while the leases were in doubt
			}
			e.mu.Unlock()
			if err := e.adopt(ctx); err != nil {
				e.cfg.Logger.Warn("lanes not looked over", "error", err)
			}
		}
		cancel()
	}
}

// trusted reports whether our leases certainly still hold: a node that was
// frozen or cut off from the database must stop sending before they end.
func (e *Engine) trusted(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return now.Before(e.trust.Add(-e.cfg.Lease / 5))
}

func (e *Engine) adopt(ctx context.Context) error {
	live, err := e.store.LiveLanes(ctx)
	if err != nil {
		return err
	}
	for _, key := range live {
		if _, err := e.lane(ctx, key); err != nil {
			return err
		}
	}
	return nil
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
	l = &Lane{key: key, e: e, ready: make(chan struct{}), wake: make(chan struct{}, 1), held: map[string]struct{}{}}
	e.lanes[key] = l
	e.mu.Unlock()

	owned, err := l.open(ctx)
	if err != nil || !owned {
		e.mu.Lock()
		delete(e.lanes, key)
		e.mu.Unlock()
		l.gone = true
		close(l.ready)
		return nil, err
	}
	e.wg.Add(1)
	close(l.ready)
	go l.pump()
	return l, nil
}

func (e *Engine) have(key string) *Lane {
	e.mu.Lock()
	l := e.lanes[key]
	e.mu.Unlock()
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
// it so, then call Start; if the commit does not happen call Release.
func (e *Engine) Reserve(d *domain.Delivery) bool {
	l := e.have(d.Lane)
	return l != nil && l.reserve(d)
}

// Release gives back what Reserve booked.
func (e *Engine) Release(d *domain.Delivery) {
	if l := e.have(d.Lane); l != nil {
		l.finish(d.ID, Control{})
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
		l, err := e.lane(ctx, ds[i].Lane)
		if err != nil && !errors.Is(err, ErrClosed) {
			// Not lost: the row is committed and keep() looks again.
			e.cfg.Logger.Warn("lane not opened", "lane", ds[i].Lane, "error", err)
		}
		if l != nil {
			l.offer(ds[i])
		}
	}
}

// Forget drops deliveries from memory that were cancelled or settled elsewhere.
func (e *Engine) Forget(laneKey string, ids ...string) {
	if l := e.have(laneKey); l != nil {
		l.forget(ids)
	}
}

// Pause stops a lane until Resume, or until a time.
func (e *Engine) Pause(key string, p Pause) {
	if l := e.have(key); l != nil {
		l.setPause(p)
	}
}

// Resume ends any pause; the next delivery goes alone, as a probe.
func (e *Engine) Resume(key string) {
	if l := e.have(key); l != nil {
		l.setPause(Pause{})
	}
}

// Status is what a lane's owner knows of it.
type Status struct {
	Lane     string
	Width    int
	InFlight int
	Queued   int // in memory
	Pause    Pause
}

// Status returns the live status of a lane that this node owns.
func (e *Engine) Status(key string) (Status, bool) {
	l := e.have(key)
	if l == nil {
		return Status{}, false
	}
	return l.status(), true
}

// Stop lets calls in flight finish and hands the lanes over. It waits until
// ctx ends; what is then unfinished counts as ambiguous at the next start.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	close(e.stop)
	done := make(chan struct{})
	go func() { e.wg.Wait(); close(done) }()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("stop lanes: %w", ctx.Err())
	}
	if err == nil {
		err = e.store.ReleaseLanes(ctx, e.cfg.Node)
	}
	e.cancel()
	return err
}

// Waits says whether a lane of this node is stopped now, why, and until when
// (zero: until someone resumes it).
func (e *Engine) Waits(key string) (domain.WaitReason, time.Time, bool) {
	s, ok := e.Status(key)
	if !ok || s.Pause.Reason == "" {
		return "", time.Time{}, false
	}
	return s.Pause.Reason, s.Pause.Until, true
}
